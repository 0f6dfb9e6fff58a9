// SPDX-License-Identifier: Apache-2.0
//
// An easy handle for one call: every option that makes libcurl do what we decided and nothing of its own
// accord, and the callbacks by which it asks us (which socket, may this connection be used, what is to be
// sent).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/transport_internal.h"

enum {
    SMALL_BUFFER_BYTES = 16 << 10, // for answers that are kept in memory
    RECEIVE_BUFFER_BYTES = 256 << 10,
    SEND_BUFFER_BYTES = 256 << 10,
    SEND_BUFFER_MIN = 16 << 10,
};

static bool address_allowed(struct transport_stream *stream, enum address_class class)
{
    // Behind a proxy the address is the proxy's, which the operator chose; the proxy resolves the name.
    if (stream->proxied)
        class = url_host_class(stream->call->url.host);
    if (class == ADDRESS_PUBLIC || class == stream->call->origin_class || stream->call->private_allowed)
        return true;
    stream->denied = true;
    stream->denied_class = class;
    return false;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    if (!address_allowed(arg, url_address_class(&address->addr)))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static enum address_class class_of_text(const char *ip)
{
    char text[INET6_ADDRSTRLEN + 1];
    size_t len = strcspn(ip, "%"); // a zone id says nothing about the class
    if (len >= sizeof text)
        return ADDRESS_SPECIAL;
    memcpy(text, ip, len);
    text[len] = '\0';
    return url_host_class(text);
}

// Runs for new connections and for those used again: one that was opened for a trusted purpose must not serve
// another.
static int before_request(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct transport_stream *stream = arg;
    (void)local_ip, (void)remote_port, (void)local_port;
    enum address_class class = class_of_text(remote_ip);
    if (!address_allowed(stream, class))
        return CURL_PREREQFUNC_ABORT;
    stream->denied = false;
    stream->connected = true;
    stream->answer.address_class = stream->proxied ? url_host_class(stream->call->url.host) : class;
    transport_clock_start(stream, clock_ms());
    return CURL_PREREQFUNC_OK;
}

static ssize_t own_body(struct transport_stream *stream, char *buffer, size_t len, struct error *err)
{
    const struct http_call *call = stream->call;
    int64_t left = call->body_len - stream->sent;
    if ((int64_t)len > left)
        len = (size_t)left;
    if (call->body_reader)
        return reader_at_read(call->body_reader, buffer, len, call->body_offset + stream->sent, err);
    memcpy(buffer, (const char *)call->body + stream->sent, len);
    return (ssize_t)len;
}

static size_t send_failed(struct transport_stream *stream, struct error *err)
{
    transport_stream_fail(stream, err);
    return CURL_READFUNC_ABORT;
}

static size_t send_body(char *buffer, size_t size, size_t count, void *arg)
{
    struct transport_stream *stream = arg;
    struct error err = ERROR_INIT;
    if (stream->sent >= stream->call->body_len)
        return 0;
    if (stream->pace_send_ms > clock_ms()) {
        stream->send_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    ssize_t got = stream->ops->send ? stream->ops->send(stream->arg, buffer, size * count, &err)
                                    : own_body(stream, buffer, size * count, &err);
    if (got == TRANSPORT_WAIT) {
        stream->starved = stream->send_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (got == 0)
        error_set(&err, ERR_SOURCE_CHANGED, "the content to upload ends after %lld of %lld bytes",
                  (long long)stream->sent, (long long)stream->call->body_len);
    if (got <= 0)
        return send_failed(stream, &err);
    stream->sent += got;
    transport_stream_pace(stream, (size_t)got, &stream->pace_send_ms);
    return (size_t)got;
}

static int seek_body(void *arg, curl_off_t offset, int origin)
{
    struct transport_stream *stream = arg;
    if (origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_CANTSEEK;
    if (stream->ops->send && (!stream->ops->rewind || stream->ops->rewind(stream->arg) != 0))
        return CURL_SEEKFUNC_FAIL;
    stream->sent = 0;
    return CURL_SEEKFUNC_OK;
}

static bool printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

// "Name: value", or "Name;" for an empty value, or "Name:" to take out what libcurl would add.
static int add_header(struct transport_stream *stream, const char *name, const char *value, struct error *err)
{
    if (!printable(name) || !printable(value) || strpbrk(name, ": ;"))
        return error_set(err, ERR_INVALID_REQUEST,
                         "a header of the request to %s contains characters that are not "
                         "allowed there",
                         stream->call->url.host);
    char *line = value[0] ? mem_printf("%s: %s", name, value) : mem_printf("%s;", name);
    stream->headers = curl_slist_append(stream->headers, line);
    explicit_bzero(line, strlen(line));
    free(line);
    return 0;
}

static int add_headers(struct transport_stream *stream, const struct secret *authorization, struct error *err)
{
    const struct http_headers *headers = &stream->call->headers;
    for (size_t i = 0; i < headers->count; i++)
        if (add_header(stream, headers->items[i].name, headers->items[i].value, err) != 0)
            return -1;
    if (authorization && add_header(stream, "Authorization", secret_reveal(authorization), err) != 0)
        return -1;
    if (!http_headers_find(headers, "accept-encoding"))
        add_header(stream, "Accept-Encoding", "identity", err);
    if (!http_headers_find(headers, "content-type"))
        stream->headers = curl_slist_append(stream->headers, "Content-Type:");
    stream->headers = curl_slist_append(stream->headers, "Expect:");
    return 0;
}

static void set_method(struct transport_stream *stream)
{
    const struct http_call *call = stream->call;
    CURL *easy = stream->easy;
    const char *method = call->method;
    bool body = call->body_len > 0 || str_equal(method, "POST") || str_equal(method, "PUT") ||
                str_equal(method, "PATCH");
    if (str_equal(method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (body) {
        int64_t buffer = call->body_len < SEND_BUFFER_MIN ? SEND_BUFFER_MIN : call->body_len;
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_len);
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE,
                         (long)(buffer > SEND_BUFFER_BYTES ? SEND_BUFFER_BYTES : buffer));
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, send_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, stream);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, stream);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void set_tls(struct transport_stream *stream)
{
    const struct transport *transport = stream->multi->transport;
    const struct host_settings *host = stream->host;
    CURL *easy = stream->easy;
    if (host->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, host->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    } else if (transport->ca_directory) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, transport->ca_directory);
    }
    if (host->ca_pem && !host->ca_file) {
        struct curl_blob pem = {host->ca_pem, strlen(host->ca_pem), CURL_BLOB_NOCOPY};
        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
    }
    if (host->client_cert)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, host->client_cert);
    if (host->client_key)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, host->client_key);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_policy(struct transport_stream *stream)
{
    const struct transport_options *options = &stream->multi->transport->options;
    CURL *easy = stream->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); // do not wait for a name look-up that is given up
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PROXY, stream->host->proxy ? stream->host->proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS,
                     1L); // the proxy's 200 is not the registry's answer
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)((options->idle_ms + 999) / 1000));
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_SHARE, stream->multi->transport->share);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, stream);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, stream);
}

static void set_callbacks(struct transport_stream *stream)
{
    CURL *easy = stream->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, stream);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, stream->curl_text);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                     (long)(stream->ops->receive ? RECEIVE_BUFFER_BYTES : SMALL_BUFFER_BYTES));
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, transport_receive_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, stream);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, transport_receive_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, stream);
    if (stream->call->decode) // still asks for identity, but undoes what comes all the same
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
}

// libcurl gets the origin to connect to and, apart from it, the request target: its own parser would
// re-encode some bytes of path and query.
static void set_target(struct transport_stream *stream)
{
    const struct url *url = &stream->call->url;
    AUTO_FREE char *origin = url_origin(url), *whole = url_format(url);
    AUTO_FREE char *path =
        mem_printf("%s%s%s", url->path, url->query ? "?" : "", url->query ? url->query : "");
    bool absolute = stream->proxied && str_equal(url->scheme, "http");
    curl_easy_setopt(stream->easy, CURLOPT_URL, origin);
    curl_easy_setopt(stream->easy, CURLOPT_REQUEST_TARGET, absolute ? whole : path);
}

int transport_setup(struct transport_stream *stream, const struct secret *authorization, struct error *err)
{
    if (add_headers(stream, authorization, err) != 0)
        return -1;
    stream->easy = curl_easy_init();
    if (!stream->easy)
        abort(); // out of memory, as base/mem.h
    set_target(stream);
    curl_easy_setopt(stream->easy, CURLOPT_HTTPHEADER, stream->headers);
    curl_easy_setopt(stream->easy, CURLOPT_USERAGENT, stream->multi->transport->user_agent);
    set_policy(stream);
    set_tls(stream);
    set_callbacks(stream);
    set_method(stream);
    return 0;
}
