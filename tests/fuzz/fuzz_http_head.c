// SPDX-License-Identifier: Apache-2.0
//
// The front door: heads of requests as libmicrohttpd hands them on, their query, their Accept and
// Content-Type. Input: method, target and version separated by blanks, a line feed, then one field a line.
// What is let in is plain HTTP/1.1 to us.
#include "fuzz.h"
#include "http/guard.h"
#include "http/media.h"
#include "http/request_state.h"

static const char *const page_paths[] = {"/", "/v1/jobs", "/v1/jobs/*", NULL};
static const char *const hosts[] = {"builder.example", "forwarded:8080", NULL};
static const struct guard guard = {.hosts = hosts, .page_paths = page_paths};

enum { FIELDS_MAX = GUARD_FIELDS_MAX + 2 };

static size_t count(const struct http_field *fields, size_t n, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += strcasecmp(fields[i].name, name) == 0;
    return found;
}

static void check_accepted(const struct guard_head *head)
{
    size_t lengths = count(head->fields, head->n_fields, "content-length");
    size_t encodings = count(head->fields, head->n_fields, "transfer-encoding");
    int64_t body = guard_content_length(head->fields, head->n_fields);
    FUZZ_ASSERT(head->n_fields <= GUARD_FIELDS_MAX && strlen(head->target) <= GUARD_TARGET_MAX);
    FUZZ_ASSERT(strcmp(head->version, "HTTP/1.1") == 0 && head->target[0] == '/');
    FUZZ_ASSERT(count(head->fields, head->n_fields, "host") == 1);
    FUZZ_ASSERT(lengths <= 1 && encodings <= 1 && lengths + encodings <= 1);
    FUZZ_ASSERT(body >= 0 ? encodings == 0 : encodings == 1);
    const char *host = guard_field(head->fields, head->n_fields, "host");
    FUZZ_ASSERT(!strstr(host, "evil"));
}

static void query(const char *target)
{
    struct error err = ERROR_INIT;
    struct request *request = request_new(target);
    if (request_parse_query(request, &err) < 0)
        fuzz_check_error(&err);
    else
        request_query(request, "ref");
    request_free(request);
}

static void judge(struct guard_head *head)
{
    static const char *const offered[] = {"application/x-ndjson", "text/event-stream", "application/json",
                                          NULL};
    struct error err = ERROR_INIT;
    if (guard_check(&guard, head, &err) < 0) {
        fuzz_check_error(&err);
        return;
    }
    check_accepted(head);
    query(head->target);
    FUZZ_ASSERT(media_choose(guard_field(head->fields, head->n_fields, "accept"), offered) < 3);
    const char *type = guard_field(head->fields, head->n_fields, "content-type");
    if (type)
        media_is(type, "application/json");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_field fields[FIELDS_MAX];
    char *lines[FIELDS_MAX];
    size_t n = 0, whole = size;
    AUTO_FREE char *line = fuzz_take(&data, &size, '\n');
    char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;
    if (!version)
        return 0;
    *target++ = *version++ = '\0';
    for (; size > 0 && n < FIELDS_MAX; n++) {
        lines[n] = fuzz_take(&data, &size, '\n');
        char *colon = strchr(lines[n], ':');
        if (colon)
            *colon = '\0';
        fields[n] = (struct http_field){lines[n], colon ? colon + 1 : ""};
    }
    struct guard_head head = {.method = line,
                              .version = version,
                              .target = target,
                              .fields = fields,
                              .n_fields = n,
                              .head_bytes = whole + 2 + n,
                              .port = 3729};
    for (int unix_socket = 0; unix_socket < 2; unix_socket++) {
        head.unix_socket = unix_socket;
        judge(&head);
    }
    for (size_t i = 0; i < n; i++)
        free(lines[i]);
    return 0;
}
