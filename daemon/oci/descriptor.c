// SPDX-License-Identifier: Apache-2.0
//
// Descriptors out of untrusted documents and back. A descriptor that was parsed here has a well-formed
// digest, a size that fits everywhere, and embedded data (if any) that was checked, so later steps need not
// look again.
#include "oci/descriptor.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/str.h"
#include "oci/document.h"

static const int64_t SIZE_MAX_BYTES = (int64_t)1 << 53; // the largest that every JSON reader keeps exact
enum { MEDIA_TYPE_MAX = 255 };                          // RFC 6838 section 4.2: 127 "/" 127

static const char *const descriptor_keys[] = {"mediaType", "digest",   "size",         "urls", "annotations",
                                              "data",      "platform", "artifactType", NULL};
static const char *const platform_keys[] = {"os",         "architecture", "variant",
                                            "os.version", "os.features",  NULL};

static int take_media_type(char **ret, const json_t *value, const char *key, bool required, const char *where,
                           struct error *err)
{
    const char *text = document_string(value, key, MEDIA_TYPE_MAX, where, err);
    if (!text)
        return -1;
    if (*text == '\0')
        return required ? document_fail(err, where, "has no %s", key) : 0;
    *ret = mem_strdup(text);
    return 0;
}

static int take_digest(struct descriptor *ret, const json_t *value, const char *where, struct error *err)
{
    const char *text = document_string(value, "digest", DIGEST_TEXT_MAX - 1, where, err);
    if (!text)
        return -1;
    if (*text == '\0')
        return document_fail(err, where, "has no digest");
    if (!digest_valid(text)) {
        AUTO_FREE char *quoted = str_quote(text, 100);
        return document_fail(err, where,
                             "has the digest '%s', which is not sha256 or sha512 in lower-case hex", quoted);
    }
    return digest_parse(&ret->digest, text, err);
}

static int take_size(struct descriptor *ret, const json_t *value, const char *where, struct error *err)
{
    const json_t *size = json_object_get(value, "size");
    if (!json_is_integer(size))
        return document_fail(err, where, size ? "has a size that is not a whole number" : "has no size");
    int64_t bytes = json_integer_value(size);
    if (bytes < 0 || bytes > SIZE_MAX_BYTES)
        return document_fail(err, where, "has a size out of range");
    ret->size = bytes;
    return 0;
}

static int take_urls(struct descriptor *ret, const json_t *value, const char *where, struct error *err)
{
    json_t *urls = document_member(value, "urls");
    if (!urls)
        return 0;
    if (!json_is_array(urls))
        return document_fail(err, where, "has urls that are not an array");
    size_t i;
    json_t *url;
    json_array_foreach(urls, i, url) if (!json_is_string(url)) return document_fail(
        err, where, "has urls that are not strings");
    ret->urls = json_incref(urls);
    return 0;
}

static int take_platform(struct descriptor *ret, const json_t *value, const char *where, struct error *err)
{
    json_t *platform = document_member(value, "platform");
    if (!platform)
        return 0;
    if (document_check_keys(platform, platform_keys, where, err) < 0)
        return -1;
    if (platform_from_json(&ret->platform, platform, err) < 0)
        return error_wrap(err, "%s", where);
    ret->has_platform = true;
    return 0;
}

// OCI image-spec descriptor.md "Embedded Content": a reader that uses data must check it; we check it always.
static int check_data(const struct descriptor *d, const json_t *value, const char *where, struct error *err)
{
    json_t *data = document_member(value, "data");
    if (!data)
        return 0;
    AUTO_FREE void *bytes = NULL;
    size_t len = 0;
    if (!json_is_string(data) ||
        !base64_decode(json_string_value(data), json_string_length(data), &bytes, &len))
        return document_fail(err, where, "has data that is not base64");
    if ((int64_t)len != d->size)
        return document_fail(err, where, "has data of %zu bytes and a size of %lld", len, (long long)d->size);
    struct digest actual;
    digest_of(&actual, d->digest.algorithm, bytes, len);
    if (!digest_equal(&actual, &d->digest))
        return document_fail(err, where, "has data with the digest %s instead of %s", actual.text,
                             d->digest.text);
    return 0;
}

int descriptor_parse(struct descriptor *ret, const json_t *value, const char *where, struct error *err)
{
    *ret = (struct descriptor){0};
    if (!json_is_object(value))
        return document_fail(err, where, value ? "is not an object" : "is missing");
    if (document_check_keys(value, descriptor_keys, where, err) < 0 ||
        take_media_type(&ret->media_type, value, "mediaType", true, where, err) < 0 ||
        take_media_type(&ret->artifact_type, value, "artifactType", false, where, err) < 0 ||
        take_digest(ret, value, where, err) < 0 || take_size(ret, value, where, err) < 0 ||
        document_annotations(&ret->annotations, value, where, err) < 0 ||
        take_urls(ret, value, where, err) < 0 || take_platform(ret, value, where, err) < 0 ||
        check_data(ret, value, where, err) < 0) {
        descriptor_clear(ret);
        return -1;
    }
    return 0;
}

json_t *descriptor_to_json(const struct descriptor *d)
{
    json_t *value = json_object();
    json_object_set_new(value, "mediaType", json_string(d->media_type));
    json_object_set_new(value, "digest", json_string(d->digest.text));
    json_object_set_new(value, "size", json_integer(d->size));
    if (d->urls)
        json_object_set(value, "urls", d->urls);
    if (d->annotations)
        json_object_set(value, "annotations", d->annotations);
    if (d->has_platform)
        json_object_set_new(value, "platform", platform_to_json(&d->platform));
    if (d->artifact_type)
        json_object_set_new(value, "artifactType", json_string(d->artifact_type));
    return value;
}

void descriptor_init(struct descriptor *d, const char *media_type, const struct digest *digest, int64_t size)
{
    *d = (struct descriptor){.media_type = mem_strdup(media_type), .digest = *digest, .size = size};
}

void descriptor_copy(struct descriptor *dst, const struct descriptor *src)
{
    *dst = (struct descriptor){
        .media_type = mem_strdup_null(src->media_type),
        .digest = src->digest,
        .size = src->size,
        .has_platform = src->has_platform,
        // Deep: whoever holds a copy may edit it.
        .annotations = src->annotations ? json_deep_copy(src->annotations) : NULL,
        .urls = src->urls ? json_deep_copy(src->urls) : NULL,
        .artifact_type = mem_strdup_null(src->artifact_type),
    };
    platform_copy(&dst->platform, &src->platform);
}

void descriptor_clear(struct descriptor *d)
{
    free(d->media_type);
    free(d->artifact_type);
    platform_clear(&d->platform);
    json_decref(d->annotations);
    json_decref(d->urls);
    *d = (struct descriptor){0};
}
