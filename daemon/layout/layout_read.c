// SPDX-License-Identifier: Apache-2.0
//
// Small documents of a layout, wherever they lie.
#include "layout/layout_read.h"

#include "base/mem.h"

char *layout_read_all(struct reader_at *reader, const char *name, size_t max, size_t *ret_len,
                      struct error *err)
{
    if (reader->size < 0 || (uint64_t)reader->size > max) {
        error_set(err, ERR_TOO_LARGE, "%s has %lld bytes, more than the limit of %zu", name,
                  (long long)reader->size, max);
        return NULL;
    }
    size_t len = (size_t)reader->size;
    AUTO_FREE char *bytes = mem_alloc(len + 1);
    ssize_t n = len ? reader_at_read(reader, bytes, len, 0, err) : 0;
    if (n < 0)
        return NULL;
    if ((size_t)n != len) {
        error_set(err, ERR_SOURCE_CHANGED, "%s became shorter while it was read", name);
        return NULL;
    }
    bytes[len] = '\0';
    *ret_len = len;
    return mem_take(bytes);
}

static int not_read(const struct digest *digest, struct error *err)
{
    if (err->code != ERR_PATH_NOT_FOUND)
        return -1;
    error_clear(err);
    return error_set(err, ERR_IMAGE_NOT_FOUND, "the manifest %s is missing", digest->text);
}

int layout_read_manifest(const char *bytes, size_t len, const struct descriptor *descriptor,
                         struct manifest *ret, struct error *err)
{
    if (!bytes)
        return not_read(&descriptor->digest, err);
    // The digest first: what is wrong with bytes that nobody asked for is of no interest.
    struct digest actual;
    digest_of(&actual, descriptor->digest.algorithm, bytes, len);
    if (!digest_equal(&actual, &descriptor->digest))
        return error_set(err, ERR_DIGEST_MISMATCH, "the manifest has the digest %s instead of %s",
                         actual.text, descriptor->digest.text);
    if (manifest_parse(ret, bytes, len, descriptor->media_type, err) < 0)
        return -1;
    if (manifest_verify(ret, descriptor, err) == 0)
        return 0;
    manifest_clear(ret);
    return -1;
}

int layout_read_descriptor(const char *bytes, size_t len, const struct digest *digest, struct descriptor *ret,
                           struct error *err)
{
    struct descriptor asked = {.digest = *digest, .size = -1};
    struct manifest m;
    if (layout_read_manifest(bytes, len, &asked, &m, err) < 0)
        return -1;
    descriptor_init(ret, m.media_type, digest, (int64_t)len);
    manifest_clear(&m);
    return 0;
}
