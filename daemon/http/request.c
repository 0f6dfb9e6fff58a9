// SPDX-License-Identifier: Apache-2.0
//
// One request as handlers see it. server_exchange.c makes it when the request line has arrived and frees it
// when the library is done with it. Query and parameters are decoded here, once, so that no handler meets an
// encoded byte.
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/media.h"
#include "http/request_state.h"
#include "http/server_exchange.h"

#include <string.h>

struct request *request_new(const char *target)
{
    struct request *request = mem_new(struct request);
    size_t path_len = strcspn(target, "?");
    request->target = mem_strdup(target);
    request->path = mem_strndup(target, path_len);
    request->query = target[path_len] ? request->target + path_len + 1 : NULL;
    request->fields = mem_calloc(GUARD_FIELDS_MAX, sizeof(*request->fields));
    request->peer = (struct request_peer){.uid = -1, .gid = -1, .pid = -1};
    return request;
}

static void free_headers(struct reply *reply)
{
    for (size_t i = 0; i < reply->n_headers; i++) {
        free(reply->headers[i].name);
        free(reply->headers[i].value);
    }
    reply->n_headers = 0;
}

void request_shrink(struct request *request)
{
    for (size_t i = 0; i < REQUEST_PARAMS_MAX; i++)
        free(mem_take(request->params[i]));
    for (size_t i = 0; i < request->n_pairs; i++) {
        free(request->pairs[i].name);
        free(request->pairs[i].value);
    }
    request->n_pairs = request->n_fields = 0;
    free(mem_take(request->pairs));
    free(mem_take(request->fields));
    strbuf_free(&request->body);
    json_decref(mem_take(request->json));
    free_headers(&request->reply);
}

void request_free(struct request *request)
{
    request_shrink(request);
    if (request->pipe) {
        pipe_detach(request->pipe);
        pipe_unref(request->pipe);
    }
    free(request->reply.bytes);
    if (request->reply.stream)
        stream_free(request->reply.stream);
    free(request->path);
    free(request->target);
    free(request);
}

static bool id_acceptable(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= REQUEST_ID_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

void request_set_id(struct request *request, const char *wanted)
{
    if (wanted && id_acceptable(wanted)) {
        memcpy(request->id, wanted, strlen(wanted) + 1);
        return;
    }
    char id[ID_LEN + 1];
    id_new(id);
    memcpy(request->id, id, sizeof(id));
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// One byte of application/x-www-form-urlencoded text; moves *at. -1: bad encoding or a control byte.
static int decode_byte(const char **at, const char *end)
{
    int byte = (unsigned char)*(*at)++;
    if (byte == '+')
        return ' ';
    if (byte == '%') {
        if (end - *at < 2)
            return -1;
        int high = hex_value((*at)[0]), low = hex_value((*at)[1]);
        if (high < 0 || low < 0)
            return -1;
        byte = high * 16 + low;
        *at += 2;
    }
    return byte < 0x20 || byte == 0x7f ? -1 : byte;
}

static char *decode(const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    char *out = mem_alloc(len + 1), *put = out;
    while (at < end) {
        int byte = decode_byte(&at, end);
        if (byte < 0) {
            free(out);
            return NULL;
        }
        *put++ = (char)byte;
    }
    *put = '\0';
    if (!str_utf8_valid(out, (size_t)(put - out))) {
        free(out);
        return NULL;
    }
    return out;
}

static int add_pair(struct request *request, const char *text, size_t len, struct error *err)
{
    const char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;
    AUTO_FREE char *name = decode(text, name_len);
    AUTO_FREE char *value = equals ? decode(equals + 1, len - name_len - 1) : mem_strdup("");
    if (!name || !value)
        return error_set(err, ERR_INVALID_REQUEST,
                         "The query has bad percent-encoding, control characters or text that is not UTF-8");
    if (request_query(request, name)) {
        AUTO_FREE char *quoted = str_quote(name, 64);
        return error_set(err, ERR_INVALID_REQUEST, "Query parameter \"%s\" stands more than once", quoted);
    }
    if (request->n_pairs == REQUEST_QUERY_MAX)
        return error_set(err, ERR_INVALID_REQUEST, "The query has more than %d parameters",
                         REQUEST_QUERY_MAX);
    if (!request->pairs)
        request->pairs = mem_calloc(REQUEST_QUERY_MAX, sizeof(*request->pairs));
    request->pairs[request->n_pairs++] = (struct query_pair){mem_take(name), mem_take(value)};
    return 0;
}

int request_parse_query(struct request *request, struct error *err)
{
    for (const char *at = request->query; at && *at;) {
        size_t len = strcspn(at, "&");
        if (len > 0 && add_pair(request, at, len, err) != 0)
            return -1;
        at += len;
        at += *at == '&';
    }
    return 0;
}

// The n-th segment that is a parameter: both texts run in step because the path matches.
void request_set_params(struct request *request, const struct route *route)
{
    const char *pattern = route->path, *path = request->path;
    size_t n = 0;
    request->route = route;
    while (*pattern && n < REQUEST_PARAMS_MAX) {
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
        if (want > 0 && pattern[0] == '{')
            request->params[n++] = mem_strndup(path, have);
        pattern += want + (pattern[want] == '/');
        path += have + (path[have] == '/');
    }
}

const struct request_peer *request_peer(const struct request *request)
{
    return &request->peer;
}

const char *request_id(const struct request *request)
{
    return request->id;
}

const char *request_method(const struct request *request)
{
    return request->method;
}

const char *request_path(const struct request *request)
{
    return request->path;
}

const char *request_param(const struct request *request, const char *name)
{
    size_t n = 0, name_len = strlen(name);
    for (const char *at = strchr(request->route->path, '{'); at; at = strchr(at + 1, '{'), n++)
        if (strncmp(at + 1, name, name_len) == 0 && at[1 + name_len] == '}')
            return n < REQUEST_PARAMS_MAX ? request->params[n] : NULL;
    return NULL;
}

const char *request_query(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->n_pairs; i++)
        if (strcmp(request->pairs[i].name, name) == 0)
            return request->pairs[i].value;
    return NULL;
}

int request_check_query(const struct request *request, const char *const *allowed, struct error *err)
{
    for (size_t i = 0; i < request->n_pairs; i++) {
        const char *const *name = allowed;
        while (*name && strcmp(*name, request->pairs[i].name) != 0)
            name++;
        if (*name)
            continue;
        AUTO_FREE char *quoted = str_quote(request->pairs[i].name, 64);
        return error_set(err, ERR_INVALID_REQUEST, "Unknown query parameter \"%s\"", quoted);
    }
    return 0;
}

int request_query_int(const struct request *request, const char *name, int64_t min, int64_t max,
                      int64_t fallback, int64_t *ret, struct error *err)
{
    const char *text = request_query(request, name);
    *ret = fallback;
    if (!text || str_to_int64(text, min, max, ret))
        return 0;
    AUTO_FREE char *quoted = str_quote(text, 32);
    return error_set(err, ERR_INVALID_REQUEST,
                     "Query parameter \"%s\" must be a number from %lld to %lld, not \"%s\"", name,
                     (long long)min, (long long)max, quoted);
}

const char *request_header(const struct request *request, const char *name)
{
    return guard_field(request->fields, request->n_fields, name);
}

const void *request_body(const struct request *request, size_t *ret_len)
{
    *ret_len = request->body.len;
    return strbuf_text(&request->body);
}

const json_t *request_json(struct request *request, struct error *err)
{
    if (request->json)
        return request->json;
    if (request->body.len == 0) {
        error_set(err, ERR_INVALID_REQUEST, "The request has no body; a JSON document is needed");
        return NULL;
    }
    request->json = json_parse(request->body.data, request->body.len, &json_limits_request, err);
    return request->json;
}

int request_accepts(const struct request *request, const char *const *offered)
{
    return media_choose(request_header(request, "Accept"), offered);
}

int request_check_media(const struct request *request, const struct route *route, struct error *err)
{
    static const char *const json_only[] = {"application/json", NULL};
    static const char *const none[] = {NULL};
    const char *const *media = route->media ? route->media : route->body == BODY_JSON ? json_only : none;
    const char *type = request_header(request, "Content-Type");
    for (const char *const *one = media; *one; one++)
        if (type && media_is(type, *one))
            return 0;
    if (!*media)
        return error_set(err, ERR_UNSUPPORTED_MEDIA, "%s %s takes no body", request->method, route->path);
    AUTO_FREE char *quoted = type ? str_quote(type, 64) : NULL;
    error_set(err, ERR_UNSUPPORTED_MEDIA, "The body of %s %s must be %s, not %s", request->method,
              route->path, *media, quoted ? quoted : "without a Content-Type");
    error_hint(err, "Send the header Content-Type: %s", *media);
    return -1;
}

struct pipe *request_body_pipe(struct request *request)
{
    if (!request->pipe)
        request->pipe = server_exchange_pipe(request);
    return pipe_ref(request->pipe);
}

int64_t request_content_length(const struct request *request)
{
    return request->content_length;
}

void request_on_gone(struct request *request, void (*gone)(void *arg), void *arg)
{
    request->gone = gone;
    request->gone_arg = arg;
}
