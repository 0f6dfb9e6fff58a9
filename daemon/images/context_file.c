// SPDX-License-Identifier: Apache-2.0
//
// [uid-N/]ALGORITHM/HEX, written whole and verified by whoever took the upload. An open descriptor keeps the bytes while a
// layer is packed, whatever becomes of the name.
#include "images/context_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

char *context_file_directory(const struct image_context *context, int64_t uid)
{
    if (uid <= 0 || uid == (int64_t)geteuid())
        return mem_strdup(context->contexts_directory);
    return mem_printf("%s/uid-%lld", context->contexts_directory, (long long)uid);
}

static int open_one(const char *directory, struct layer_entry *entry, struct error *err)
{
    AUTO_FREE char *path =
        mem_printf("%s/%s/%s", directory, digest_algorithm_name(&entry->context), digest_hex(&entry->context));
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        error_set_pointer(err, ERR_NOT_FOUND, entry->pointer, "there is no context %s", entry->context.text);
        error_hint(err, "Upload it with PUT /v1/contexts/%s.", entry->context.text);
        return -1;
    }
    if (fd < 0 || fstat(fd, &st)) {
        error_set_errno(err, errno, "opening the context %s", entry->context.text);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    entry->context_reader = reader_at_fd(fd, st.st_size);
    return 0;
}

int context_files_open(const struct image_context *context, int64_t uid, struct layer_spec *spec, struct error *err)
{
    AUTO_FREE char *directory = context_file_directory(context, uid);
    for (size_t i = 0; i < spec->n_entries; i++) {
        struct layer_entry *entry = &spec->entries[i];
        if (entry->type == LAYER_CONTEXT && !entry->context_reader && open_one(directory, entry, err))
            return -1;
    }
    return 0;
}

void context_files_close(struct layer_spec *spec)
{
    for (size_t i = 0; i < spec->n_entries; i++) {
        reader_at_close(spec->entries[i].context_reader);
        spec->entries[i].context_reader = NULL;
    }
}
