// SPDX-License-Identifier: Apache-2.0
//
// References and locations. Whatever is taken says the same when it is written and read again.
#include "fuzz.h"
#include "oci/location.h"

enum { NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128 };

static void reference(const char *text)
{
    struct error err = ERROR_INIT;
    struct reference one, two;
    if (reference_parse(&one, text, &err) < 0) {
        fuzz_check_error(&err);
        return;
    }
    AUTO_FREE char *written = reference_format(&one);
    FUZZ_ASSERT(reference_parse(&two, written, &err) == 0);
    AUTO_FREE char *again = reference_format(&two);
    FUZZ_ASSERT(strcmp(written, again) == 0);
    FUZZ_ASSERT(strcmp(one.registry, two.registry) == 0 && strcmp(one.repository, two.repository) == 0);
    FUZZ_ASSERT(strlen(one.registry) + 1 + strlen(one.repository) <= NAME_MAX_BYTES);
    FUZZ_ASSERT(!one.tag || strlen(one.tag) <= TAG_MAX_BYTES);
    FUZZ_ASSERT(reference_repository_valid(one.repository) && !strstr(one.repository, ".."));
    FUZZ_ASSERT(digest_known(&one.digest) == digest_known(&two.digest));
    reference_clear(&one);
    reference_clear(&two);
}

static void location(const char *text)
{
    struct error err = ERROR_INIT;
    struct location one, two;
    if (location_parse(&one, text, &err) < 0) {
        fuzz_check_error(&err);
        return;
    }
    AUTO_FREE char *written = location_format(&one);
    FUZZ_ASSERT(location_parse(&two, written, &err) == 0);
    AUTO_FREE char *again = location_format(&two);
    FUZZ_ASSERT(one.kind == two.kind && strcmp(written, again) == 0);
    FUZZ_ASSERT(!one.path || (one.path[0] == '/' && !strstr(one.path, "/../")));
    location_clear(&one);
    location_clear(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct reference repository;
    AUTO_FREE char *text = fuzz_text(data, size);
    reference(text);
    location(text);
    if (reference_parse_repository(&repository, text, &err) == 0) {
        FUZZ_ASSERT(!repository.tag && !digest_known(&repository.digest));
        reference_clear(&repository);
    }
    error_clear(&err);
    return 0;
}
