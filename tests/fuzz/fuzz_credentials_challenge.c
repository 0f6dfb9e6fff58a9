// SPDX-License-Identifier: Apache-2.0
//
// WWW-Authenticate. Input: one header a line.
#include "credentials/challenge.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_headers headers = {0};
    struct challenges list;
    for (int i = 0; size > 0 && i < 64; i++) {
        AUTO_FREE char *line = fuzz_take(&data, &size, '\n');
        http_headers_add(&headers, "www-authenticate", line);
    }
    challenges_parse(&list, &headers);
    FUZZ_ASSERT(list.count <= CHALLENGES_MAX);
    challenges_clear(&list);
    http_headers_clear(&headers);
    return 0;
}
