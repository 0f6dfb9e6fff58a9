// SPDX-License-Identifier: Apache-2.0
//
// libcurl's codes in people's words: which host, what went wrong, what to do. The only place that knows them.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/transport_internal.h"

static int unreachable(struct error *err, const struct transport_stream *stream, const char *what)
{
    return error_set(err, ERR_REGISTRY_UNREACHABLE, "%s:%d %s", stream->call->url.host,
                     stream->call->url.port, what);
}

// For what waiting does not change.
static int final(struct error *err)
{
    err->retryable = false;
    return -1;
}

static const char *curl_words(const struct transport_stream *stream)
{
    return stream->curl_text[0] ? stream->curl_text : curl_easy_strerror(stream->code);
}

static int refused_address(struct error *err, const struct transport_stream *stream)
{
    error_set(err, ERR_REGISTRY_PROTOCOL,
              "%s:%d is at a %s address, and the server that named it may not lead there",
              stream->call->url.host, stream->call->url.port, url_address_class_name(stream->denied_class));
    error_hint(err, "if that host is trusted, set private_ok in the [host %s] section",
               stream->call->url.host);
    return -1;
}

static int tls_untrusted(struct error *err, const struct transport_stream *stream)
{
    AUTO_FREE char *words = str_quote(curl_words(stream), 300);
    error_set(err, ERR_REGISTRY_UNREACHABLE, "the TLS certificate of %s:%d is not trusted: %s",
              stream->call->url.host, stream->call->url.port, words);
    error_hint(err,
               "if the registry uses a CA of its own, set ca_file in the [host %s] section, or put the CA's "
               "certificate into /etc/docker/certs.d/%s/ca.crt",
               stream->call->url.host, stream->call->url.host);
    return final(err);
}

static int tls_files(struct error *err, const struct transport_stream *stream)
{
    AUTO_FREE char *words = str_quote(curl_words(stream), 300);
    error_set(err, ERR_REGISTRY_UNREACHABLE, "the certificate files for %s:%d cannot be used: %s",
              stream->call->url.host, stream->call->url.port, words);
    error_hint(err, "check ca_file, client_cert and client_key in the [host %s] section",
               stream->call->url.host);
    return final(err);
}

static int tls_failed(struct error *err, const struct transport_stream *stream)
{
    AUTO_FREE char *words = str_quote(curl_words(stream), 300);
    AUTO_FREE char *what = mem_printf("could not agree on TLS: %s", words);
    unreachable(err, stream, what);
    error_hint(err, "if the registry speaks plain http, set plain_http in the [host %s] section",
               stream->call->url.host);
    return -1;
}

static int not_connected(struct error *err, const struct transport_stream *stream)
{
    long os_errno = 0;
    curl_easy_getinfo(stream->easy, CURLINFO_OS_ERRNO, &os_errno);
    AUTO_FREE char *what = mem_printf("could not be connected to: %s",
                                      os_errno ? strerror((int)os_errno) : "no address answered");
    unreachable(err, stream, what);
    error_hint(err, "check that the registry runs and that its name and port are right");
    return -1;
}

static int timed_out(struct error *err, const struct transport_stream *stream)
{
    AUTO_FREE char *what = mem_printf("could not be connected to within %lld ms",
                                      (long long)stream->multi->transport->options.connect_ms);
    return unreachable(err, stream, what);
}

static int broken_protocol(struct error *err, const struct transport_stream *stream)
{
    AUTO_FREE char *words = str_quote(curl_words(stream), 300);
    return error_set(err, ERR_REGISTRY_PROTOCOL, "%s:%d sent an answer that is not valid HTTP: %s",
                     stream->call->url.host, stream->call->url.port, words);
}

static int cut_short(struct error *err, const struct transport_stream *stream)
{
    if (stream->received == 0)
        return unreachable(err, stream, "closed the connection without an answer");
    return unreachable(err, stream, "broke the connection off in the middle of its answer");
}

static int other(struct error *err, const struct transport_stream *stream)
{
    AUTO_FREE char *words = str_quote(curl_words(stream), 300);
    AUTO_FREE char *what = mem_printf("could not be talked to: %s", words);
    return unreachable(err, stream, what);
}

// The proxy was reached, but leads no further.
static int no_tunnel(struct error *err, const struct transport_stream *stream, long status)
{
    AUTO_FREE char *what =
        mem_printf("cannot be reached: the configured proxy refused to connect to it (%ld)", status);
    unreachable(err, stream, what);
    error_hint(err, "check the registry's name, and what the proxy (network.proxy) allows");
    return -1;
}

int transport_error(const struct transport_stream *stream, struct error *err)
{
    long tunnel = 0;
    if (stream->denied)
        return refused_address(err, stream);
    if (curl_easy_getinfo(stream->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel) == CURLE_OK && tunnel >= 300)
        return no_tunnel(err, stream, tunnel);
    switch (stream->code) {
    case CURLE_OUT_OF_MEMORY: // also what a header line beyond libcurl's own limit gives
        return stream->connected && !stream->head_done ? broken_protocol(err, stream) : other(err, stream);
    case CURLE_COULDNT_RESOLVE_HOST:
        unreachable(err, stream, "has no address: the name could not be resolved");
        error_hint(err, "check the registry's name and the DNS settings");
        return -1;
    case CURLE_COULDNT_RESOLVE_PROXY:
        return unreachable(err, stream,
                           "cannot be reached: the name of the configured proxy could not be resolved");
    case CURLE_COULDNT_CONNECT:
        return not_connected(err, stream);
    case CURLE_OPERATION_TIMEDOUT:
        return timed_out(err, stream);
    case CURLE_PEER_FAILED_VERIFICATION:
        return tls_untrusted(err, stream);
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return tls_files(err, stream);
    case CURLE_SSL_CONNECT_ERROR:
        return tls_failed(err, stream);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        return broken_protocol(err, stream);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
        return cut_short(err, stream);
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
        return unreachable(err, stream, "broke the connection off while the request was sent");
    default:
        return other(err, stream);
    }
}
