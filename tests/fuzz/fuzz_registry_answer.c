// SPDX-License-Identifier: Apache-2.0
//
// What a registry answers: the Location and Range of an upload, the Link of a page, the body of an error.
// Input: the status, a line feed, header lines, an empty line, the body.
#include "base/str.h"
#include "fuzz.h"
#include "net/host.h"
#include "registry/registry_pages.h"
#include "registry/upload.h"

static struct host_table *hosts;
static struct registry *registry;
static struct registry_scope scope;
static struct registry_call call;

static void begin(void)
{
    struct error err = ERROR_INIT;
    if (hosts)
        return;
    hosts = host_table_new();
    registry = registry_new(&(struct registry_options){.hosts = hosts});
    scope = (struct registry_scope){.registry = registry, .host = "r.example:5000", .repository = "team/app"};
    call = (struct registry_call){.scope = &scope, .host = scope.host};
    call.credential = credential_new(CREDENTIAL_PASSWORD, "user", secret_new("canary"), "job");
    struct credentials *credentials = credentials_new(&(struct credentials_options){.hosts = hosts}, &err);
    call.authorizer = credentials_authorizer(credentials, call.credential, scope.host, scope.repository,
                                             CREDENTIAL_PULL, NULL);
    FUZZ_ASSERT(url_parse(&call.base, "https://r.example:5000/v2/", &err) == 0);
}

static void read_answer(struct http_answer *answer, const uint8_t *data, size_t size)
{
    int64_t status;
    AUTO_FREE char *first = fuzz_take(&data, &size, '\n');
    answer->status = str_to_int64(first, 100, 599, &status) ? (int)status : 202;
    while (size > 0) {
        AUTO_FREE char *line = fuzz_take(&data, &size, '\n');
        char *colon = strchr(line, ':');
        if (!colon)
            break;
        *colon = '\0';
        str_lower(line);
        http_headers_add(&answer->headers, line, colon + 1 + strspn(colon + 1, " "));
    }
    answer->body = fuzz_text(data, size);
    answer->body_len = size;
    url_copy(&answer->url, &call.base);
}

// Wherever the session goes next, credentials go to the registry itself only, and never by http.
static void session(const struct http_answer *answer)
{
    struct error err = ERROR_INIT;
    struct upload upload = {.call = &call, .open = true};
    url_copy(&upload.location, &call.base);
    FUZZ_ASSERT(upload_acknowledged(answer) >= 0);
    if (answer->status < 300 && upload_judge_chunk(&upload, 1000, answer, &err) < 0)
        fuzz_check_error(&err);
    FUZZ_ASSERT(!upload.credentials || url_same_origin(&upload.location, &call.base));
    FUZZ_ASSERT(str_equal(upload.location.scheme, "https"));
    upload_clear(&upload);
}

static void failure(const struct http_answer *answer)
{
    struct error err = ERROR_INIT;
    struct registry_failure said = {.host = "r.example", .method = "GET", .what = "it", .source = "job"};
    for (int subject = REGISTRY_MANIFEST_READ; subject <= REGISTRY_PING; subject++) {
        said.subject = (enum registry_subject)subject;
        FUZZ_ASSERT(registry_error_set(&said, answer, &err) == -1);
        FUZZ_ASSERT(err.upstream.status == answer->status);
        fuzz_check_error(&err);
    }
    char code[REGISTRY_CODE_MAX];
    char *message = NULL;
    registry_error_read(answer, code, &message);
    FUZZ_ASSERT(strlen(code) < REGISTRY_CODE_MAX);
    free(message);
    registry_error_has_code(answer, "TOOMANYREQUESTS");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_answer answer = {0};
    begin();
    read_answer(&answer, data, size);
    session(&answer);
    failure(&answer);
    free(registry_pages_next(&answer.headers));
    http_answer_clear(&answer);
    return 0;
}
