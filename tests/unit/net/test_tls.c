// SPDX-License-Identifier: Apache-2.0
//
// TLS against `openssl s_server` with certificates made on the spot: who is trusted, who is not, and what
// people are told.
#include "net_test.h"

#include <sys/wait.h>

#include "base/file.h"

static char directory[] = "/tmp/dray-tls-XXXXXX";

static int make_certificates(void **state)
{
    (void)state;
    if (!mkdtemp(directory) || chdir(directory) != 0)
        return -1;
    return system(
        "exec 2>/dev/null; set -e; "
        "req() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \"$@\"; }; "
        "req -x509 -keyout ca.key -out ca.pem -subj /CN=ca -days 2; "
        "req -x509 -keyout other.key -out other.pem -subj /CN=other -days 2; "
        "sign() { req -keyout $1.key -out $1.csr -subj /CN=$1; echo subjectAltName=$2 >ext; "
        "openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days $3 -extfile ext "
        "-out $1.pem; }; "
        "sign good DNS:localhost,IP:127.0.0.1 2; sign named DNS:elsewhere.example 2; "
        "sign expired IP:127.0.0.1 -1; sign client DNS:client 2; "
        "mkdir -p certs.d/127.0.0.1; cp ca.pem certs.d/127.0.0.1/ca.crt; "
        "cp client.pem certs.d/127.0.0.1/client.cert; cp client.key certs.d/127.0.0.1/client.key; "
        "echo hello >page");
}

static int remove_certificates(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    int rc = file_remove_tree(-100 /* AT_FDCWD */, directory, &err);
    error_clear(&err);
    return rc;
}

struct tls_server {
    pid_t pid;
    int port;
    FILE *said;
};

// The server says "ACCEPT 127.0.0.1:PORT" once it listens. mutual: it wants a certificate of the client.
static struct tls_server start_server(const char *name, bool mutual)
{
    struct tls_server server = {0};
    char cert[64], key[64], line[256];
    int said[2];
    snprintf(cert, sizeof cert, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    assert_int_equal(pipe(said), 0);
    server.pid = fork();
    if (server.pid == 0) {
        dup2(said[1], 1);
        dup2(said[1], 2);
        close(said[0]);
        execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-WWW", "-cert", cert, "-key", key,
               "-verify_return_error", "-verifyCAfile", "ca.pem", mutual ? "-Verify" : NULL, "1",
               (char *)NULL);
        _exit(127);
    }
    close(said[1]);
    server.said = fdopen(said[0], "r");
    while (server.port == 0 && fgets(line, sizeof line, server.said))
        if (strncmp(line, "ACCEPT ", 7) == 0)
            server.port = atoi(strrchr(line, ':') + 1);
    assert_true(server.port > 0);
    return server;
}

static void stop_server(struct tls_server *server)
{
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    fclose(server->said);
}

static int get(struct net_fixture *f, const char *scheme, int port)
{
    struct http_call call = {.method = "GET", .max_body = 1000, .private_allowed = true};
    char text[64];
    net_fixture_clear(f);
    snprintf(text, sizeof text, "%s://127.0.0.1:%d/page", scheme, port);
    assert_int_equal(url_parse(&call.url, text, &f->err), 0);
    int rc = transport_perform(f->transport, &call, NULL, &f->answer, &f->err);
    http_call_clear(&call);
    return rc;
}

static void trust(struct net_fixture *f, const char *ca)
{
    host_table_add(f->hosts,
                   &(struct host_settings){.name = mem_strdup("127.0.0.1"), .ca_file = mem_strdup(ca)});
}

static void assert_untrusted(struct net_fixture *f, int port)
{
    assert_int_equal(get(f, "https", port), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_false(f->err.retryable); // waiting does not help
    assert_non_null(strstr(f->err.detail, "not trusted"));
    assert_non_null(strstr(f->err.hint, "ca_file"));
}

static void test_trust(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct tls_server server = start_server("good", false);
    (void)state;
    assert_untrusted(f, server.port); // the system does not know this CA
    trust(f, "ca.pem");
    assert_int_equal(get(f, "https", server.port), 0);
    assert_string_equal(f->answer.body, "hello\n");
    trust(f, "other.pem");
    assert_untrusted(f, server.port); // no connection that was opened with another CA is used again
    trust(f, "missing.pem");
    assert_int_equal(get(f, "https", server.port), -1);
    assert_non_null(strstr(f->err.hint, "ca_file"));
    stop_server(&server);
    net_fixture_free(f);
}

static void test_wrong_certificates(void **state)
{
    static const char *const names[] = {"named", "expired", "other"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct net_fixture *f = net_fixture_new(NULL);
        struct tls_server server = start_server(names[i], false);
        trust(f, "ca.pem");
        assert_untrusted(f, server.port);
        stop_server(&server);
        net_fixture_free(f);
    }
}

static void test_client_certificate_from_certs_d(void **state)
{
    struct tls_server server = start_server("good", true);
    struct net_fixture *f = net_fixture_new(NULL);
    (void)state;
    trust(f, "ca.pem");
    assert_int_equal(get(f, "https", server.port), -1); // without one
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    net_fixture_free(f);
    f = net_fixture_new(NULL);
    assert_int_equal(host_table_load_certs(f->hosts, "certs.d", &f->err), 0);
    if (get(f, "https", server.port) != 0)
        fail_msg("%s", f->err.detail);
    assert_string_equal(f->answer.body, "hello\n");
    stop_server(&server);
    net_fixture_free(f);
}

static void speaks_plain_http(struct scripted_connection *c, struct scripted_request *r, void *arg)
{
    (void)arg;
    scripted_take_some(c, r, 100);
    scripted_printf(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    scripted_close(c);
}

// Never from https to http by itself; the hint says how it is configured.
static void test_r100_no_plain_http_by_itself(void **state)
{
    struct net_fixture *f = net_fixture_new(NULL);
    struct scripted_server *s = scripted_start_raw(speaks_plain_http, NULL);
    (void)state;
    assert_int_equal(get(f, "https", s->port), -1);
    assert_int_equal(f->err.code, ERR_REGISTRY_UNREACHABLE);
    assert_non_null(strstr(f->err.hint, "plain_http"));
    assert_int_equal(scripted_count(s), 1);
    assert_memory_equal(s->requests[0]->body, "\x16\x03", 2); // a TLS handshake, nothing else
    scripted_free(s);
    net_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_wrong_certificates),
        cmocka_unit_test(test_client_certificate_from_certs_d),
        cmocka_unit_test(test_r100_no_plain_http_by_itself),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
