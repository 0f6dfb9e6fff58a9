// SPDX-License-Identifier: Apache-2.0
//
// Makes the token. An existing file is used as it is, so a restart does not lock clients out.
#include "token_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { TOKEN_BYTES = 32 };

char *token_file_directory(const struct config *config)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
    if (runtime && *runtime)
        return mem_strndup(runtime, strcspn(runtime, ":"));
    if (geteuid() == 0)
        return mem_strdup("/run/dray");
    return user && *user ? mem_printf("%s/dray", user) : mem_strdup(config->state_dir);
}

static bool is_needed(const struct config *config)
{
    for (size_t i = 0; i < config->listen.count; i++)
        if (str_starts(config->listen.items[i], "tcp:"))
            return true;
    return getenv("LISTEN_FDS") != NULL; // one of them may be TCP
}

static int make_token(const char *path, struct error *err)
{
    unsigned char random[TOKEN_BYTES];
    char text[2 * TOKEN_BYTES + 2];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return error_set_errno(err, errno, "no random bytes for the token");
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[random[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
    text[2 * TOKEN_BYTES] = '\n';
    int result = file_publish(path, text, 2 * TOKEN_BYTES + 1, 0600, err);
    explicit_bzero(text, sizeof(text));
    return result;
}

int token_file_prepare(const struct config *config, char **ret, struct error *err)
{
    *ret = NULL;
    if (config->token_file) {
        *ret = mem_strdup(config->token_file);
        return 0;
    }
    if (!is_needed(config))
        return 0;
    AUTO_FREE char *directory = token_file_directory(config);
    AUTO_FREE char *path = mem_printf("%s/token", directory);
    if (file_make_directory(directory, 0755, err) || (access(path, F_OK) && make_token(path, err)))
        return -1;
    *ret = mem_take(path);
    return 0;
}
