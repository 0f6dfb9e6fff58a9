// SPDX-License-Identifier: Apache-2.0
//
// The host table: which entry counts, schemes, certs.d.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/host.h"

static void test_most_specific_counts(void **state)
{
    struct host_table *table = host_table_new();
    (void)state;
    assert_int_equal(host_table_get(table, "any.example", 443)->max_connections, HOST_CONNECTIONS_DEFAULT);
    assert_null(host_table_get(table, "any.example", 443)->proxy);
    host_table_add(table, &(struct host_settings){.name = mem_strdup("*"),
                                                  .proxy = mem_strdup("http://proxy:1"),
                                                  .bytes_per_s = 1000,
                                                  .early_uploads = -1,
                                                  .requests_per_s = 5});
    host_table_add(table, &(struct host_settings){.name = mem_strdup("Reg.Example"),
                                                  .max_connections = 3,
                                                  .early_uploads = 1,
                                                  .ca_file = mem_strdup("/host.pem")});
    host_table_add(table, &(struct host_settings){.name = mem_strdup("reg.example:5000"),
                                                  .proxy = mem_strdup(""),
                                                  .client_cert = mem_strdup("/c"),
                                                  .client_key = mem_strdup("/k")});
    const struct host_settings *exact = host_table_get(table, "REG.example", 5000);
    assert_string_equal(exact->proxy, "");
    assert_string_equal(exact->ca_file, "/host.pem"); // from the entry without port
    assert_int_equal(exact->max_connections, 3);
    assert_int_equal(exact->bytes_per_s, 1000); // from "*"
    assert_int_equal(exact->early_uploads, 1);
    assert_int_equal(host_table_get(table, "other", 443)->early_uploads, -1);
    assert_string_equal(exact->client_key, "/k");
    const struct host_settings *host = host_table_get(table, "reg.example", 443);
    assert_string_equal(host->proxy, "http://proxy:1");
    assert_null(host->client_cert);
    assert_string_equal(host_table_get(table, "other", 443)->proxy, "http://proxy:1");
    // never by suffix, prefix or label
    static const char *const others[] = {"a.reg.example", "reg.example.com", "xreg.example",
                                         "reg.exampl",    "example",         "reg"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_null(host_table_get(table, others[i], 443)->ca_file);
    // a later entry of the same name completes the earlier one
    host_table_add(table, &(struct host_settings){.name = mem_strdup("reg.example"), .plain_http = true});
    host = host_table_get(table, "reg.example", 443);
    assert_true(host->plain_http);
    assert_string_equal(host->ca_file, "/host.pem");
    host_table_free(table);
}

static void test_mirrors(void **state)
{
    struct host_table *table = host_table_new();
    char **mirrors = mem_calloc(3, sizeof *mirrors);
    (void)state;
    mirrors[0] = mem_strdup("m1");
    mirrors[1] = mem_strdup("m2:5000");
    host_table_add(table, &(struct host_settings){.name = mem_strdup("docker.io"), .mirrors = mirrors});
    assert_string_equal(host_table_get(table, "docker.io", 443)->mirrors[1], "m2:5000");
    assert_null(host_table_get(table, "ghcr.io", 443)->mirrors);
    host_table_free(table);
}

static void test_r100_schemes(void **state)
{
    static const char *const plain[] = {
        "localhost",      "localhost:5000",   "a.localhost:1",     "127.0.0.1",
        "127.0.0.1:5000", "127.5.5.5:80",     "[::1]:5000",        "[::1]",
        "plain.example",  "plain.example:81", "port.example:5000", "[fd00::1]:5000"};
    static const char *const tls[] = {
        "example.com",       "example.com:80", "10.0.0.1:5000",     "192.168.0.1",  "[fd00::1]",
        "[fd00::1]:5001",    "registry.local", "localhost.example", "port.example", "port.example:5001",
        "plain.example.com", "docker.io",      "127.0.0.1.example"};
    struct host_table *table = host_table_new();
    (void)state;
    host_table_add(table, &(struct host_settings){.name = mem_strdup("plain.example"), .plain_http = true});
    host_table_add(table,
                   &(struct host_settings){.name = mem_strdup("port.example:5000"), .plain_http = true});
    host_table_add(table, &(struct host_settings){.name = mem_strdup("[fd00::1]:5000"), .plain_http = true});
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(host_table_scheme(table, plain[i]), "http") != 0)
            fail_msg("%s is https", plain[i]);
    for (size_t i = 0; i < sizeof tls / sizeof *tls; i++)
        if (strcmp(host_table_scheme(table, tls[i]), "https") != 0)
            fail_msg("%s is http", tls[i]);
    host_table_free(table);
}

static char directory[64];

static void put(const char *host, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, host);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", directory, host, file);
    FILE *stream = fopen(path, "w");
    fputs(text, stream);
    fclose(stream);
}

static void test_certs_d(void **state)
{
    struct host_table *table = host_table_new();
    struct error err = ERROR_INIT;
    char path[128];
    (void)state;
    strcpy(directory, "/tmp/dray-certs-XXXXXX");
    assert_non_null(mkdtemp(directory));
    put("reg.example:5000", "a.crt", "CA-A\n");
    put("reg.example:5000", "b.crt", "CA-B\n");
    put("reg.example:5000", "client.cert", "CERT");
    put("reg.example:5000", "client.key", "KEY");
    put("reg.example:5000", "README", "no");
    put("other.example", "ca.crt", "CA-C\n");
    assert_int_equal(host_table_load_certs(table, directory, &err), 0);
    const struct host_settings *settings = host_table_get(table, "reg.example", 5000);
    assert_string_equal(settings->ca_pem, "CA-A\n\nCA-B\n\n");
    snprintf(path, sizeof path, "%s/reg.example:5000/client.cert", directory);
    assert_string_equal(settings->client_cert, path);
    snprintf(path, sizeof path, "%s/reg.example:5000/client.key", directory);
    assert_string_equal(settings->client_key, path);
    assert_null(host_table_get(table, "reg.example", 443)->ca_pem);
    assert_string_equal(host_table_get(table, "other.example", 8443)->ca_pem, "CA-C\n\n");
    // a certificate without its key is a fault that names the file
    put("broken.example", "x.cert", "CERT");
    assert_int_equal(host_table_load_certs(table, directory, &err), -1);
    assert_non_null(strstr(err.detail, "x.key"));
    error_clear(&err);
    assert_int_equal(host_table_load_certs(table, "/nonexistent/certs.d", &err), 0);
    host_table_free(table);
    file_remove_tree(-100 /* AT_FDCWD */, directory, &err);
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_most_specific_counts),
        cmocka_unit_test(test_mirrors),
        cmocka_unit_test(test_r100_schemes),
        cmocka_unit_test(test_certs_d),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
