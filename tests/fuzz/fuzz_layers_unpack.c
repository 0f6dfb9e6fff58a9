// SPDX-License-Identifier: Apache-2.0
//
// Layers of bases and tars of callers, in any usual compression: read as a source beneath /in, as a stream,
// and checked. No name leads out of /in.
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "layers/unpack.h"
#include "layers/unpack_stream.h"

struct input {
    const uint8_t *data;
    size_t size;
};

static ssize_t give(void *context, void *buffer, size_t len, struct error *err)
{
    struct input *input = context;
    (void)err;
    if (len > input->size)
        len = input->size;
    memcpy(buffer, input->data, len);
    input->data += len;
    input->size -= len;
    return (ssize_t)len;
}

static void into_tree(const uint8_t *data, size_t size, bool names_only)
{
    struct error err = ERROR_INIT;
    char to[] = "/in/", pointer[] = "/layers/0/files/0";
    struct layer_entry entry = {.type = LAYER_TAR, .to = to, .pointer = pointer};
    struct input input = {data, size};
    struct tree *tree = tree_new();
    int spool = memfd_create("spool", MFD_CLOEXEC);
    tree_set_spool(tree, spool);
    if (unpack_add(tree, &entry, 0, give, &input, names_only, "input.tar", NULL, &err) < 0)
        fuzz_check_error(&err);
    for (const struct tree_node *node = tree_root(tree)->first_child; node; node = node->next_sibling)
        FUZZ_ASSERT(strcmp(node->name, "in") == 0);
    tree_free(tree);
    close(spool);
}

static void check(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct unpack_facts facts = {0};
    struct reader_at *reader = reader_at_bytes(data, size);
    if (unpack_check(reader, "input", NULL, &facts, &err) < 0)
        fuzz_check_error(&err);
    else
        FUZZ_ASSERT(facts.entries >= 0 && facts.tar_size >= 0 && digest_valid(facts.diff_id.text));
    reader_at_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    into_tree(data, size, false);
    into_tree(data, size, true);
    check(data, size);
    return 0;
}
