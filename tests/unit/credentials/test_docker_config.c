// SPDX-License-Identifier: Apache-2.0
//
// docker's and podman's credential files, and which key serves whom.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "credentials/docker_config.h"

static struct docker_config *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct docker_config *config = docker_config_parse(text, strlen(text), "test.json", &err);
    assert_non_null(config);
    return config;
}

static struct docker_config_match find(const struct docker_config *config, const char *registry,
                                       const char *repository)
{
    struct docker_config_match match;
    docker_config_find(config, registry, repository, &match);
    return match;
}

static void expect_login(const struct docker_config *config, const char *registry, const char *repository,
                         const char *username, const char *password)
{
    struct docker_config_match match = find(config, registry, repository);
    assert_true(match.rank > 0);
    assert_int_equal(match.kind, DOCKER_CONFIG_CREDENTIAL);
    assert_int_equal(match.credential->kind, CREDENTIAL_PASSWORD);
    assert_string_equal(match.credential->username, username);
    assert_string_equal(secret_reveal(match.credential->secret), password);
}

static void R20_R23_entries(void **state)
{
    (void)state;
    struct docker_config *config =
        parse("{\"auths\": {"
              "\"plain.example\": {\"auth\": \"dXNlcjpwYXNz\"},"
              "\"colons.example\": {\"auth\": \"dTpwOnE6cg==\"},"
              "\"nul.example\": {\"auth\": \"dTpwAAA=\"},"
              "\"fields.example\": {\"username\": \"u\", \"password\": \"p\"},"
              "\"identity.example\": {\"auth\": \"PHRva2VuPjo=\", \"identitytoken\": \"refresh\"},"
              "\"acr.example\": {\"auth\": \"PHRva2VuPjpyZWZyZXNo\"},"
              "\"bearer.example\": {\"registrytoken\": \"tok\"},"
              "\"empty.example\": {},"
              "\"null.example\": null,"
              "\"nocolon.example\": {\"auth\": \"dXNlcg==\"},"
              "\"junk.example\": {\"auth\": \"***\"},"
              "\"bad token.example\": {\"auth\": \"dTpw\"},"
              "\"ctl.example\": {\"registrytoken\": \"a\\r\\nb\"}"
              "}, \"HttpHeaders\": {\"x\": 1}, \"unknown\": []}");
    expect_login(config, "plain.example", "a", "user", "pass");
    expect_login(config, "colons.example", "a", "u", "p:q:r");
    expect_login(config, "nul.example", "a", "u", "p");
    expect_login(config, "fields.example", "a", "u", "p");
    assert_int_equal(find(config, "identity.example", "a").credential->kind, CREDENTIAL_IDENTITY_TOKEN);
    assert_string_equal(secret_reveal(find(config, "identity.example", "a").credential->secret), "refresh");
    assert_int_equal(find(config, "acr.example", "a").credential->kind, CREDENTIAL_IDENTITY_TOKEN);
    assert_int_equal(find(config, "bearer.example", "a").credential->kind, CREDENTIAL_BEARER);
    assert_int_equal(find(config, "empty.example", "a").credential->kind, CREDENTIAL_ANONYMOUS);
    assert_int_equal(find(config, "null.example", "a").credential->kind, CREDENTIAL_ANONYMOUS);
    assert_int_equal(find(config, "nocolon.example", "a").kind, DOCKER_CONFIG_BROKEN);
    assert_int_equal(find(config, "junk.example", "a").kind, DOCKER_CONFIG_BROKEN);
    assert_int_equal(find(config, "ctl.example", "a").kind, DOCKER_CONFIG_BROKEN);
    assert_int_equal(find(config, "other.example", "a").rank, 0);
    assert_int_equal(find(config, "example", "a").rank, 0);
    docker_config_free(config);
}

static void R22_names_of_the_hub(void **state)
{
    (void)state;
    static const char *const keys[] = {"https://index.docker.io/v1/", "index.docker.io",      "docker.io",
                                       "https://index.docker.io/v2/", "registry-1.docker.io", "docker.io/v1"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        AUTO_FREE char *text = mem_printf("{\"auths\": {\"%s\": {\"auth\": \"dTpw\"}}}", keys[i]);
        struct docker_config *config = parse(text);
        expect_login(config, "docker.io", "library/node", "u", "p");
        expect_login(config, "index.docker.io", "library/node", "u", "p");
        assert_int_equal(find(config, "hub.docker.io", "a").rank, 0);
        docker_config_free(config);
    }
}

static void longest_match(void **state)
{
    (void)state;
    struct docker_config *config =
        parse("{\"auths\": {\"r.example/team/app\": {\"auth\": \"YXBwOng=\"}, \"r.example\": {\"auth\": "
              "\"aG9zdDp4\"}, \"r.example/team/\": {\"auth\": \"dGVhbTp4\"}, \"https://s.example/path/\": "
              "{\"auth\": "
              "\"czp4\"}, \"T.Example:5000\": {\"auth\": \"dDp4\"}}, \"credHelpers\": {\"r.example/team\": "
              "\"h\"}}");
    expect_login(config, "r.example", "team/app", "app", "x");
    expect_login(config, "r.example", "team/app/sub", "app", "x");
    assert_int_equal(find(config, "r.example", "team/application").kind, DOCKER_CONFIG_HELPER);
    assert_string_equal(find(config, "r.example", "team/x").helper, "h");
    expect_login(config, "r.example", "teams", "host", "x");
    expect_login(config, "R.Example", "other", "host", "x");
    expect_login(config, "s.example", "anything", "s", "x");
    expect_login(config, "t.example:5000", "a", "t", "x");
    assert_int_equal(find(config, "t.example", "a").rank, 0);
    assert_int_equal(find(config, "t.example:5001", "a").rank, 0);
    docker_config_free(config);
}

// Fifty ways to look like a host that credentials are for.
static void look_alikes(void **state)
{
    (void)state;
    struct docker_config *config =
        parse("{\"auths\": {\"gcr.io\": {\"auth\": \"dTpw\"}, \"docker.io\": {\"auth\": \"dTpw\"}, "
              "\"reg.example.com:5000\": {\"auth\": \"dTpw\"}, \"io\": {\"auth\": \"dTpw\"}}}");
    static const char *const hosts[] = {"gcr.io.evil.com",
                                        "evil-gcr.io",
                                        "evilgcr.io",
                                        "a.gcr.io",
                                        "gcr.io.",
                                        "gcr.i",
                                        "cr.io",
                                        "gcr-io",
                                        "gcr.io:443",
                                        "gcr.io:80",
                                        "gcr.ioo",
                                        "xgcr.io",
                                        "gcr.io-evil.com",
                                        "gcr.com",
                                        "www.gcr.io",
                                        "docker.io.evil.com",
                                        "evil-docker.io",
                                        "docker.io:443",
                                        "mydocker.io",
                                        "auth.docker.io",
                                        "docker.ioo",
                                        "index.docker.io.evil.com",
                                        "evil.index.docker.io",
                                        "registry-1.docker.io.evil.com",
                                        "registry-2.docker.io",
                                        "reg.example.com",
                                        "reg.example.com:5001",
                                        "reg.example.com:500",
                                        "reg.example.com:50000",
                                        "example.com:5000",
                                        "x.reg.example.com:5000",
                                        "reg.example.com.evil:5000",
                                        "regexample.com:5000",
                                        "reg-example.com:5000",
                                        "evil.io",
                                        "a.io",
                                        "ioo",
                                        "i",
                                        "o",
                                        "reg.example.com:5000.evil.com",
                                        "5000",
                                        ":5000",
                                        "localhost",
                                        "127.0.0.1",
                                        "[::1]",
                                        "gcr.io%2eevil.com",
                                        "gcr.io@evil.com",
                                        "gcr.io\\evil.com",
                                        "gcr.io#evil",
                                        "gcr.io?evil",
                                        "gcr .io",
                                        ""};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        assert_int_equal(find(config, hosts[i], "gcr.io/a").rank, 0);
    assert_true(find(config, "gcr.io", "a").rank > 0);
    docker_config_free(config);
}

static void R23_helpers_and_store(void **state)
{
    (void)state;
    struct docker_config *config = parse(
        "{\"auths\": {\"a.example\": {}, \"b.example\": {\"auth\": \"dTpw\"}, "
        "\"https://index.docker.io/v1/\": {}},"
        "\"credHelpers\": {\"b.example\": \"ecr-login\", \"c.example\": \"\"}, \"credsStore\": \"desktop\"}");
    struct docker_config_match match = find(config, "a.example", "x");
    assert_int_equal(match.kind, DOCKER_CONFIG_HELPER);
    assert_string_equal(match.helper, "desktop");
    assert_string_equal(match.server, "a.example");
    match = find(config, "b.example", "x");
    assert_int_equal(match.kind, DOCKER_CONFIG_HELPER);
    assert_string_equal(match.helper, "ecr-login");
    match = find(config, "docker.io", "x");
    assert_string_equal(match.server, "https://index.docker.io/v1/");
    assert_int_equal(find(config, "c.example", "x").credential->kind, CREDENTIAL_ANONYMOUS);
    assert_int_equal(find(config, "d.example", "x").rank, 0);
    assert_string_equal(docker_config_store(config), "desktop");
    docker_config_free(config);
}

static void R23_unreadable_files(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "[]", "null", "{",
                                        "{\"auths\": {\"a\": {\"auth\": \"c2VjcmV0\"}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error err = ERROR_INIT;
        assert_null(docker_config_parse(texts[i], strlen(texts[i]), "test.json", &err));
        assert_int_equal(err.code, ERR_REGISTRY_AUTH);
        assert_non_null(strstr(err.detail, "test.json"));
        assert_null(strstr(err.detail, "c2VjcmV0"));
        error_clear(&err);
    }
    // Members of other types than expected say nothing, and harm nothing.
    struct docker_config *config = parse("{\"auths\": [1], \"credHelpers\": \"x\", \"credsStore\": 7}");
    assert_int_equal(find(config, "a", "b").rank, 0);
    assert_null(docker_config_store(config));
    docker_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R20_R23_entries),       cmocka_unit_test(R22_names_of_the_hub),
        cmocka_unit_test(longest_match),         cmocka_unit_test(look_alikes),
        cmocka_unit_test(R23_helpers_and_store), cmocka_unit_test(R23_unreadable_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
