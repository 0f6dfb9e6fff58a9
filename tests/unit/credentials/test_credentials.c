// SPDX-License-Identifier: Apache-2.0
//
// Which credential serves whom: a job's own, files, environment, helpers, in their order; reloading; listing.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "credentials/credentials.h"
#include "net/host.h"

struct place {
    char directory[32];
    struct host_table *hosts;
    struct credentials *credentials;
};

static void write_text(const struct place *place, const char *name, const char *text, mode_t mode)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *path = mem_printf("%s/%s", place->directory, name);
    assert_int_equal(file_publish(path, text, strlen(text), mode, &err), 0);
}

static void clear_environment(void)
{
    static const char *const names[] = {"DOCKER_CONFIG",         "REGISTRY_AUTH_FILE",
                                        "CREDENTIALS_DIRECTORY", "XDG_RUNTIME_DIR",
                                        "DOCKER_AUTH_CONFIG",    "GOOGLE_APPLICATION_CREDENTIALS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void open_credentials(struct place *place, struct credentials_options options)
{
    struct error err = ERROR_INIT;
    options.hosts = place->hosts;
    options.helper_path = place->directory;
    options.helper_deadline_ms = 2000;
    place->credentials = credentials_new(&options, &err);
    assert_non_null(place->credentials);
}

static void begin(struct place *place)
{
    memset(place, 0, sizeof *place);
    strcpy(place->directory, "/tmp/creds.XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    clear_environment();
    setenv("HOME", place->directory, 1);
    place->hosts = host_table_new();
}

static void end(struct place *place)
{
    credentials_free(place->credentials);
    host_table_free(place->hosts);
    clear_environment();
    AUTO_FREE char *command = mem_printf("rm -rf %s", place->directory);
    assert_int_equal(system(command), 0);
}

// What stands for the credential found: its user name, "anonymous", or the error's wire name.
static char *find_with(struct place *place, const struct credential_set *set, const char *registry,
                       const char *repository)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_CREDENTIAL struct credential *credential =
        credentials_find(place->credentials, set, registry, repository, &err);
    if (!credential)
        return mem_strdup(error_wire(err.code));
    return mem_strdup(credential->username ? credential->username : credential_kind_name(credential->kind));
}

static void expect(struct place *place, const char *registry, const char *repository, const char *wanted)
{
    AUTO_FREE char *got = find_with(place, NULL, registry, repository);
    assert_string_equal(got, wanted);
}

static void nothing_configured(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    open_credentials(&place, (struct credentials_options){0});
    expect(&place, "r.example", "a", "anonymous");
    expect(&place, "gcr.io", "a/b", "anonymous");
    end(&place);
}

// The longest key wins wherever it is; of equal keys the earlier source.
static void sources_merged(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    AUTO_FREE char *docker = mem_printf("%s/docker.json", place.directory);
    AUTO_FREE char *podman = mem_printf("%s/podman.json", place.directory);
    setenv("CREDENTIALS_DIRECTORY", place.directory, 1);
    setenv("DOCKER_AUTH_CONFIG", "{\"auths\": {\"env.example\": {\"auth\": \"ZW52Ong=\"}}}", 1);
    write_text(&place, "docker.json",
               "{\"auths\": {\"a.example\": {\"auth\": \"ZG9ja2VyOng=\"}, \"a.example/team\": "
               "{\"auth\": \"dGVhbTp4\"}, \"env.example\": {\"auth\": \"ZG9ja2VyOng=\"}}}",
               0600);
    write_text(&place, "podman.json", "{\"auths\": {\"a.example\": {\"auth\": \"cG9kbWFuOng=\"}}}", 0600);
    write_text(&place, "registry-auth", "{\"auths\": {\"s.example\": {\"auth\": \"c3lzdGVtZDp4\"}}}", 0600);
    open_credentials(&place, (struct credentials_options){.docker_config = docker, .auth_file = podman});
    expect(&place, "a.example", "x", "podman");
    expect(&place, "a.example", "team/x", "team");
    expect(&place, "env.example", "x", "env");
    expect(&place, "s.example", "x", "systemd");
    expect(&place, "b.example", "x", "anonymous");
    end(&place);
}

static void found_by_the_environment(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    AUTO_FREE char *podman = mem_printf("%s/elsewhere.json", place.directory);
    write_text(&place, "config.json", "{\"auths\": {\"a.example\": {\"auth\": \"ZG9ja2VyOng=\"}}}", 0600);
    write_text(&place, "elsewhere.json", "{\"auths\": {\"b.example\": {\"auth\": \"cG9kbWFuOng=\"}}}", 0600);
    setenv("DOCKER_CONFIG", place.directory, 1);
    setenv("REGISTRY_AUTH_FILE", podman, 1);
    open_credentials(&place, (struct credentials_options){0});
    expect(&place, "a.example", "x", "docker");
    expect(&place, "b.example", "x", "podman");
    end(&place);
}

static void changes_are_seen(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    AUTO_FREE char *path = mem_printf("%s/config.json", place.directory);
    open_credentials(&place, (struct credentials_options){.docker_config = path});
    expect(&place, "a.example", "x", "anonymous");
    write_text(&place, "config.json", "{\"auths\": {\"a.example\": {\"auth\": \"b25lOng=\"}}}", 0600);
    expect(&place, "a.example", "x", "one");
    write_text(&place, "config.json", "{\"auths\": {\"a.example\": {\"auth\": \"dHdvOng=\"}}}",
               0600); // same size
    expect(&place, "a.example", "x", "two");
    write_text(&place, "config.json", "{", 0600);
    expect(&place, "a.example", "x", "registry-auth");
    expect(&place, "b.example", "x", "registry-auth"); // who knows what it would have said
    assert_int_equal(unlink(path), 0);
    expect(&place, "a.example", "x", "anonymous");
    assert_int_equal(mkdir(path, 0700), 0); // an unset mount
    expect(&place, "a.example", "x", "anonymous");
    end(&place);
}

static void a_jobs_own_come_first(void **state)
{
    (void)state;
    struct place place;
    struct error err = ERROR_INIT;
    begin(&place);
    AUTO_FREE char *path = mem_printf("%s/config.json", place.directory);
    write_text(&place, "config.json", "{\"auths\": {\"a.example/team/deep\": {\"auth\": \"ZmlsZTp4\"}}}",
               0600);
    open_credentials(&place, (struct credentials_options){.docker_config = path});
    AUTO_JSON json_t *auth =
        json_pack("{s:{s:s,s:s}, s:{s:b}, s:{s:s}}", "a.example", "username", "job", "password", "p",
                  "a.example/open", "anonymous", 1, "gcr.io/project", "gcp_access_token", "ya29");
    struct credential_set *set = credential_set_new(auth, &err);
    assert_non_null(set);
    static const struct {
        const char *registry, *repository, *wanted;
    } rows[] = {
        {"a.example", "x", "job"},
        {"a.example", "team/deep/x", "job"}, // a job that says who it is is that
        {"a.example", "open/x", "anonymous"},
        {"a.example", "opened", "job"},
        {"gcr.io", "project/x", "gcp-access-token"},
        {"gcr.io", "projects/x", "anonymous"},
        {"b.example", "x", "anonymous"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_FREE char *got = find_with(&place, set, rows[i].registry, rows[i].repository);
        assert_string_equal(got, rows[i].wanted);
    }
    credential_set_unref(set);
    end(&place);
}

static void what_a_job_may_bring(void **state)
{
    (void)state;
    static const struct {
        const char *auth, *pointer; // NULL: fine
    } rows[] = {
        {"{}", NULL},
        {"null", NULL},
        {"{\"r\": {\"username\": \"u\", \"password\": \"p\"}}", NULL},
        {"{\"r/ns\": {\"token\": \"t\"}}", NULL},
        {"{\"r:5000\": {\"identity_token\": \"t\"}}", NULL},
        {"{\"gcr.io\": {\"gcp_service_account\": {\"type\": \"service_account\"}}}", NULL},
        {"{\"gcr.io\": {\"gcp_service_account\": \"/key.json\"}}", NULL},
        {"{\"r\": {\"anonymous\": true}}", NULL},
        {"[]", "/auth"},
        {"{\"\": {\"token\": \"t\"}}", "/auth/"},
        {"{\"a b\": {\"token\": \"t\"}}", "/auth/a b"},
        {"{\"r\": {}}", "/auth/r"},
        {"{\"r\": \"canary\"}", "/auth/r"},
        {"{\"r\": {\"token\": \"canary\", \"username\": \"canary\", \"password\": \"canary\"}}", "/auth/r"},
        {"{\"r\": {\"username\": \"canary\"}}", "/auth/r/password"},
        {"{\"r\": {\"username\": \"ca:nary\", \"password\": \"canary\"}}", "/auth/r/username"},
        {"{\"r\": {\"username\": \"u\", \"password\": \"\"}}", "/auth/r/password"},
        {"{\"r\": {\"token\": \"canary\\r\\nX: y\"}}", "/auth/r/token"},
        {"{\"r\": {\"token\": 7}}", "/auth/r/token"},
        {"{\"r\": {\"token\": \"canary\", \"extra\": 1}}", "/auth/r/extra"},
        {"{\"r\": {\"anonymous\": false}}", "/auth/r/anonymous"},
        {"{\"r\": {\"gcp_service_account\": \"relative\"}}", "/auth/r/gcp_service_account"},
        {"{\"r\": {\"gcp_service_account\": {}}}", "/auth/r/gcp_service_account"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        AUTO_JSON json_t *auth = json_loads(rows[i].auth, JSON_DECODE_ANY, NULL);
        int rc = credential_set_check(auth, "/auth", &err);
        if (!rows[i].pointer) {
            assert_int_equal(rc, 0);
            continue;
        }
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_string_equal(err.pointer, rows[i].pointer);
        assert_null(strstr(err.detail, "canary"));
    }
}

static int count_lines(const struct place *place, const char *name)
{
    AUTO_FREE char *path = mem_printf("%s/%s", place->directory, name);
    FILE *in = fopen(path, "r");
    int lines = 0;
    for (int c; in && (c = getc(in)) != EOF;)
        lines += c == '\n';
    if (in)
        fclose(in);
    return lines;
}

static void *find_in_thread(void *arg)
{
    expect(arg, "h.example", "x", "u");
    return NULL;
}

// Once per helper and server, for all jobs; a failure is an error, and is not asked again at once; not found
// is anonymous.
static void helpers(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    AUTO_FREE char *path = mem_printf("%s/config.json", place.directory);
    AUTO_FREE char *good = mem_printf("#!/bin/sh\necho run >> %s/runs\nsleep 0.2\n"
                                      "echo '{\"Username\":\"u\",\"Secret\":\"s\"}'\n",
                                      place.directory);
    AUTO_FREE char *broken = mem_printf("#!/bin/sh\necho run >> %s/broken-runs\nexit 1\n", place.directory);
    write_text(&place, "docker-credential-good", good, 0755);
    write_text(&place, "docker-credential-broken", broken, 0755);
    write_text(&place, "docker-credential-store",
               "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n", 0755);
    write_text(&place, "config.json",
               "{\"credHelpers\": {\"h.example\": \"good\", \"b.example\": \"broken\", "
               "\"m.example\": \"missing\", \"i.example\": \"../good\"}, \"credsStore\": \"store\"}",
               0600);
    open_credentials(&place, (struct credentials_options){.docker_config = path});
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_in_thread, &place), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    expect(&place, "h.example", "y", "u");
    assert_int_equal(count_lines(&place, "runs"), 1);
    expect(&place, "b.example", "x", "registry-auth");
    expect(&place, "b.example", "x", "registry-auth");
    assert_int_equal(count_lines(&place, "broken-runs"), 1);
    expect(&place, "m.example", "x", "registry-auth");
    expect(&place, "i.example", "x", "registry-auth");
    expect(&place, "other.example", "x", "anonymous");
    expect(&place, "gcr.io", "x", "anonymous");
    assert_true(credentials_forget(place.credentials) >= 1);
    expect(&place, "h.example", "y", "u");
    assert_int_equal(count_lines(&place, "runs"), 2);
    end(&place);
}

static void key_files_only_beneath_roots(void **state)
{
    (void)state;
    struct place place;
    struct error err = ERROR_INIT;
    begin(&place);
    AUTO_FREE char *allowed = mem_printf("%s/keys", place.directory);
    assert_int_equal(mkdir(allowed, 0700), 0);
    write_text(&place, "keys/key.json", "{\"type\": \"service_account\"}", 0600);
    write_text(&place, "secret.json", "{\"type\": \"service_account\"}", 0600);
    struct roots *roots = roots_new("build root", "--build-root");
    assert_int_equal(roots_add(roots, allowed, &err), 0);
    open_credentials(&place, (struct credentials_options){.key_roots = roots});
    AUTO_FREE char *inside = mem_printf("%s/key.json", allowed);
    AUTO_FREE char *outside = mem_printf("%s/secret.json", place.directory);
    AUTO_JSON json_t *auth = json_pack("{s:{s:s}, s:{s:s}}", "gcr.io/in", "gcp_service_account", inside,
                                       "gcr.io/out", "gcp_service_account", outside);
    struct credential_set *set = credential_set_new(auth, &err);
    AUTO_FREE char *in = find_with(&place, set, "gcr.io", "in/x");
    AUTO_FREE char *out = find_with(&place, set, "gcr.io", "out/x");
    assert_string_equal(in, "gcp-service-account");
    assert_string_equal(out, "path-not-allowed");
    credentials_free(place.credentials);
    open_credentials(&place, (struct credentials_options){0}); // no roots: no files
    AUTO_FREE char *none = find_with(&place, set, "gcr.io", "in/x");
    assert_string_equal(none, "path-not-allowed");
    credential_set_unref(set);
    roots_free(roots);
    end(&place);
}

static void listing_holds_no_secret(void **state)
{
    (void)state;
    struct place place;
    begin(&place);
    AUTO_FREE char *path = mem_printf("%s/config.json", place.directory);
    write_text(&place, "config.json",
               "{\"auths\": {\"a.example/team\": {\"auth\": \"dXNlcjpjYW5hcnk=\"}, \"e.example\": {}, "
               "\"x.example\": {\"auth\": \"canary!\"}}, \"credHelpers\": {\"h.example\": \"ecr\"}}",
               0600);
    open_credentials(&place, (struct credentials_options){.docker_config = path});
    AUTO_JSON json_t *list = credentials_list(place.credentials);
    AUTO_FREE char *text = json_dumps(list, 0);
    assert_int_equal(json_array_size(list), 4);
    assert_non_null(strstr(text, "a.example/team"));
    assert_non_null(strstr(text, "\"user\""));
    assert_non_null(strstr(text, "helper ecr"));
    assert_non_null(strstr(text, "broken"));
    assert_null(strstr(text, "canary"));
    assert_null(strstr(text, "dXNlcjpjYW5hcnk"));
    end(&place);
}

// What has the same identity is shared by caches: it must tell apart what is not the same.
static void identities(void **state)
{
    (void)state;
    struct credential *all[] = {
        credential_new(CREDENTIAL_PASSWORD, "u", secret_new("p"), "a"),
        credential_new(CREDENTIAL_PASSWORD, "u", secret_new("q"), "a"),
        credential_new(CREDENTIAL_PASSWORD, "v", secret_new("p"), "a"),
        credential_new(CREDENTIAL_PASSWORD, "u\np", secret_new(""), "a"),
        credential_new(CREDENTIAL_IDENTITY_TOKEN, "u", secret_new("p"), "a"),
        credential_new(CREDENTIAL_BEARER, NULL, secret_new("p"), "a"),
        credential_new(CREDENTIAL_ANONYMOUS, NULL, NULL, "a"),
    };
    enum { N = sizeof all / sizeof *all };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(all[i]->identity, all[j]->identity);
    struct credential *same = credential_new(CREDENTIAL_PASSWORD, "u", secret_new("p"), "elsewhere");
    assert_string_equal(same->identity, all[0]->identity);
    credential_unref(same);
    for (int i = 0; i < N; i++)
        credential_unref(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_configured),
        cmocka_unit_test(sources_merged),
        cmocka_unit_test(found_by_the_environment),
        cmocka_unit_test(changes_are_seen),
        cmocka_unit_test(a_jobs_own_come_first),
        cmocka_unit_test(what_a_job_may_bring),
        cmocka_unit_test(helpers),
        cmocka_unit_test(key_files_only_beneath_roots),
        cmocka_unit_test(listing_holds_no_secret),
        cmocka_unit_test(identities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
