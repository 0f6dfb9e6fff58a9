// SPDX-License-Identifier: Apache-2.0
//
// Values of headers: Retry-After (seconds and dates), Content-Range, Content-Type, what is left of a quota.
#include "base/clock.h"
#include "fuzz.h"
#include "net/http.h"
#include "net/quota.h"

static void fuzz_quota(const char *name, const char *text)
{
    struct http_headers headers = {0};
    struct quota_left left;
    http_headers_add(&headers, name, text);
    http_headers_add(&headers, "ratelimit-limit", text);
    http_headers_add(&headers, "ratelimit-reset", text);
    bool found = quota_parse(&headers, INT64_C(1790000000123), &left);
    http_headers_clear(&headers);
    FUZZ_ASSERT(found == (left.remaining >= 0));
    FUZZ_ASSERT(left.limit >= -1 && left.reset_ms >= -1 && left.reset_ms <= INT64_C(24) * 3600 * 1000);
    quota_is_low(&left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = fuzz_text(data, size);
    int64_t wait_ms = http_parse_retry_after(text), first, total, wall_ms;
    FUZZ_ASSERT(wait_ms >= -1 && wait_ms <= HTTP_RETRY_AFTER_MAX_MS);
    if (http_parse_content_range(text, &first, &total))
        FUZZ_ASSERT(first >= 0 && total >= -1);
    if (clock_parse_http_date(text, &wall_ms))
        FUZZ_ASSERT(size == strlen("Sun, 06 Nov 1994 08:49:37 GMT") || strlen(text) < size);
    struct http_answer answer = {0};
    http_headers_add(&answer.headers, "content-type", text);
    AUTO_FREE char *type = http_answer_media_type(&answer);
    FUZZ_ASSERT(!type || *type);
    http_answer_clear(&answer);
    fuzz_quota("ratelimit-remaining", text);
    fuzz_quota("x-ratelimit", text);
    return 0;
}
