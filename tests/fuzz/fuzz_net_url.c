// SPDX-License-Identifier: Apache-2.0
//
// URLs of servers and the policy. Input: the origin, a line feed, the reference that the server gave.
// Credentials stay within scheme, host and port; https never becomes http; what is written is read again as
// the same.
#include "fuzz.h"
#include "net/host.h"
#include "net/url.h"

static void read_again(const struct url *url)
{
    struct error err = ERROR_INIT;
    struct url again;
    AUTO_FREE char *text = url_format(url);
    FUZZ_ASSERT(url_parse(&again, text, &err) == 0);
    FUZZ_ASSERT(url_same_origin(url, &again) && strcmp(url->path, again.path) == 0);
    FUZZ_ASSERT((url->query == NULL) == (again.query == NULL) &&
                (!url->query || strcmp(url->query, again.query) == 0));
    for (const char *c = text; *c; c++)
        FUZZ_ASSERT((unsigned char)*c > ' ' && *c != 0x7f);
    url_clear(&again);
}

static void judge(const struct url *origin, const struct url *target, enum url_kind kind,
                  const struct host_table *hosts)
{
    struct error err = ERROR_INIT;
    struct url_verdict verdict = {0};
    struct url checked;
    url_copy(&checked, target);
    if (url_policy_check(origin, &checked, kind, hosts, &verdict, &err) == 0) {
        FUZZ_ASSERT(!verdict.credentials || url_same_origin(origin, &checked));
        FUZZ_ASSERT(strcmp(origin->scheme, "https") != 0 || strcmp(checked.scheme, "https") == 0);
        FUZZ_ASSERT(kind != URL_FOREIGN_LAYER || !verdict.credentials);
        FUZZ_ASSERT((kind != URL_LINK && kind != URL_REDIRECT_BODY) || url_same_origin(origin, &checked));
    } else {
        fuzz_check_error(&err);
    }
    url_clear(&checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct url origin, target;
    AUTO_FREE char *origin_text = fuzz_take(&data, &size, '\n');
    AUTO_FREE char *reference = fuzz_text(data, size);
    if (url_parse(&origin, origin_text, &err) < 0) {
        fuzz_check_error(&err);
        return 0;
    }
    read_again(&origin);
    if (url_resolve(&target, &origin, reference, &err) == 0) {
        struct host_table *hosts = host_table_new();
        read_again(&target);
        for (int kind = URL_REDIRECT; kind <= URL_FOREIGN_LAYER; kind++)
            judge(&origin, &target, (enum url_kind)kind, hosts);
        url_add_query(&target, "digest", reference);
        read_again(&target);
        host_table_free(hosts);
        url_clear(&target);
    } else {
        fuzz_check_error(&err);
    }
    url_clear(&origin);
    return 0;
}
