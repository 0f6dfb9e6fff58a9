// SPDX-License-Identifier: Apache-2.0
//
// The registry client against real registries: Debian's docker-registry, plain, with htpasswd behind TLS, and
// with a token server.
#include "registry/live.h"

static struct live_blob push_one(struct live *live, int64_t size, unsigned seed, enum blob_push_how expected)
{
    struct error err = ERROR_INIT;
    struct live_blob blob = live_blob_new(size, seed);
    struct reader_at *reader = reader_at_bytes(blob.bytes, (size_t)size);
    struct blob_push_target target = {.scope = live->scope, .error = ERROR_INIT};
    struct blob_push push = {
        .digest = blob.digest, .size = size, .reader = reader, .targets = &target, .n_targets = 1};
    assert_ok(blob_push_run(&push, &err), &err);
    assert_int_equal(target.how, expected);
    reader_at_close(reader);
    return blob;
}

static char *manifest_text(const struct live_blob *config, const struct live_blob *layer)
{
    return mem_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\","
        "\"size\":%lld},\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%lld}]}",
        MEDIA_OCI_MANIFEST, MEDIA_OCI_CONFIG, config->digest.text, (long long)config->size,
        MEDIA_OCI_LAYER_GZIP, layer->digest.text, (long long)layer->size);
}

static void push_and_pull(struct live *live)
{
    struct error err = ERROR_INIT;
    struct live_blob config = push_one(live, 700, 1, BLOB_PUSH_COPIED);
    struct live_blob layer = push_one(live, 3 << 20, 2, BLOB_PUSH_COPIED);
    free(push_one(live, 3 << 20, 2, BLOB_PUSH_EXISTS).bytes);
    AUTO_FREE char *text = manifest_text(&config, &layer);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    assert_ok(
        registry_manifest_push(&live->scope, "v1", MEDIA_OCI_MANIFEST, text, strlen(text), &digest, &err),
        &err);

    struct manifest manifest = {0};
    assert_ok(registry_manifest_pull(&live->scope, "v1", &manifest, &err), &err);
    assert_int_equal(manifest.len, strlen(text));
    assert_memory_equal(manifest.bytes, text, manifest.len);
    assert_true(digest_equal(&manifest.digest, &digest));
    manifest_clear(&manifest);
    assert_ok(registry_manifest_pull(&live->scope, digest.text, &manifest, &err), &err);
    manifest_clear(&manifest);

    struct digest head = {0};
    AUTO_FREE char *media_type = NULL;
    int64_t size = 0;
    assert_int_equal(registry_manifest_head(&live->scope, "v1", &head, &media_type, &size, &err), 1);
    assert_true(digest_equal(&head, &digest));
    assert_string_equal(media_type, MEDIA_OCI_MANIFEST);
    assert_int_equal(size, strlen(text));
    assert_int_equal(registry_manifest_head(&live->scope, "v2", NULL, NULL, NULL, &err), 0);

    size_t len;
    AUTO_FREE char *bytes =
        registry_blob_read(&live->scope, &config.digest, config.size, 1 << 20, &len, &err);
    assert_non_null(bytes);
    assert_memory_equal(bytes, config.bytes, len);
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_ok(registry_blob_pull(&live->scope, &layer.digest, layer.size, &sink.base, &err), &err);
    assert_int_equal(sink.len, layer.size);
    assert_memory_equal(sink.bytes, layer.bytes, sink.len);
    free(sink.bytes);
    free(config.bytes);
    free(layer.bytes);
}

static void mounts_and_copies(struct live *live)
{
    struct error err = ERROR_INIT;
    struct live_blob blob = push_one(live, 2 << 20, 7, BLOB_PUSH_COPIED);
    struct registry_scope other = live->scope;
    other.repository = "team/other";
    assert_int_equal(registry_blob_head(&other, &blob.digest, NULL, &err), 0);

    // From a repository that has it.
    struct blob_push_target target = {.scope = other, .mount_from = "team/app", .error = ERROR_INIT};
    struct blob_push push = {
        .digest = blob.digest, .size = blob.size, .from = &live->scope, .targets = &target, .n_targets = 1};
    assert_ok(blob_push_run(&push, &err), &err);
    assert_int_equal(target.how, BLOB_PUSH_MOUNTED);
    assert_int_equal(registry_blob_head(&other, &blob.digest, NULL, &err), 1);

    // From one that has not: uploaded, from the registry, to a second repository and a local sink at once.
    struct registry_scope third = live->scope;
    third.repository = "team/third";
    struct memory_sink sink = {.base.ops = &memory_ops};
    struct blob_push_target targets[2] = {
        {.scope = third, .mount_from = "team/nothing", .error = ERROR_INIT},
        {.sink = &sink.base, .error = ERROR_INIT},
    };
    push.targets = targets;
    push.n_targets = 2;
    assert_ok(blob_push_run(&push, &err), &err);
    assert_int_equal(targets[0].how, BLOB_PUSH_COPIED);
    assert_int_equal(targets[0].bytes_sent, blob.size);
    assert_int_equal(targets[1].how, BLOB_PUSH_COPIED);
    assert_true(sink.finished);
    assert_int_equal(sink.len, blob.size);
    assert_memory_equal(sink.bytes, blob.bytes, sink.len);
    assert_int_equal(registry_blob_mount(&third, &blob.digest, "team/app", &err), 1);
    free(sink.bytes);
    free(blob.bytes);
}

static void listings(struct live *live)
{
    struct error err = ERROR_INIT;
    AUTO_JSON json_t *tags = registry_tags(&live->scope, &err);
    assert_non_null(tags);
    assert_int_equal(json_array_size(tags), 1);
    assert_string_equal(json_string_value(json_array_get(tags, 0)), "v1");
    struct digest digest;
    assert_int_equal(registry_manifest_head(&live->scope, "v1", &digest, NULL, NULL, &err), 1);
    AUTO_JSON json_t *referrers = registry_referrers(&live->scope, &digest, NULL, &err);
    assert_non_null(referrers);
    assert_int_equal(json_array_size(json_object_get(referrers, "manifests")), 0);
}

static int open_sessions(const struct live *live)
{
    AUTO_FREE char *command =
        mem_printf("ls -d %s/docker/registry/v2/repositories/*/*/_uploads/*/startedat 2>/dev/null | wc -l",
                   live_about(live, "data"));
    FILE *out = popen(command, "r");
    int n = -1;
    assert_int_equal(fscanf(out, "%d", &n), 1);
    pclose(out);
    return n;
}

static void plain(void **state)
{
    (void)state;
    struct live live;
    const char *arguments[] = {"plain", NULL};
    live_start(&live, "registries.py", arguments);
    push_and_pull(&live);
    mounts_and_copies(&live);
    listings(&live);
    assert_int_equal(open_sessions(&live), 0);
    live_stop(&live);
}

static void request_counts(void **state)
{
    (void)state;
    struct live live;
    const char *arguments[] = {"plain", NULL};
    live_start(&live, "registries.py", arguments);
    struct error err = ERROR_INIT;
    struct live_blob blob = live_blob_new(900, 55);
    struct reader_at *reader = reader_at_bytes(blob.bytes, 900);
    struct blob_push_target target = {.scope = live.scope, .error = ERROR_INIT};
    struct blob_push push = {.digest = blob.digest,
                             .size = 900,
                             .reader = reader,
                             .targets = &target,
                             .n_targets = 1,
                             .monitor = &live.monitor};
    assert_ok(blob_push_run(&push, &err), &err);
    assert_int_equal(live.monitor.requests, 2);
    target.how = BLOB_PUSH_PENDING;
    assert_ok(blob_push_run(&push, &err), &err);
    assert_int_equal(target.how, BLOB_PUSH_EXISTS);
    assert_int_equal(live.monitor.requests, 3);
    reader_at_close(reader);
    free(blob.bytes);
    live_stop(&live);
}

static json_t *login(const struct live *live, const char *password)
{
    return json_pack("{s:s, s:s}", "username", live_about(live, "username"), "password",
                     password ? password : live_about(live, "password"));
}

// In chunks, from a reader and from a registry, and read back.
static void chunks(void **state)
{
    (void)state;
    struct live live;
    const char *arguments[] = {"token", NULL};
    live_start(&live, "registries.py", arguments);
    registry_free(live.registry);
    live.registry = registry_new(&(struct registry_options){.transport = live.transport,
                                                            .hosts = live.hosts,
                                                            .credentials = live.credentials,
                                                            .chunk_bytes = 1 << 20,
                                                            .monolithic_max_bytes = 2 << 20});
    live.scope.registry = live.registry;
    live_sign_in(&live, login(&live, NULL));
    struct error err = ERROR_INIT;
    struct live_blob blob = push_one(&live, (5 << 20) + 123, 3, BLOB_PUSH_COPIED);
    struct registry_scope other = live.scope;
    other.repository = "team/other";
    struct blob_push_target target = {.scope = other, .error = ERROR_INIT};
    struct blob_push push = {
        .digest = blob.digest, .size = blob.size, .from = &live.scope, .targets = &target, .n_targets = 1};
    assert_ok(blob_push_run(&push, &err), &err);
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_ok(registry_blob_pull(&other, &blob.digest, blob.size, &sink.base, &err), &err);
    assert_int_equal(sink.len, blob.size);
    assert_memory_equal(sink.bytes, blob.bytes, sink.len);
    assert_int_equal(open_sessions(&live), 0);
    free(sink.bytes);
    free(blob.bytes);
    live_stop(&live);
}

static void basic_over_tls(void **state)
{
    (void)state;
    struct live live;
    struct error err = ERROR_INIT;
    const char *arguments[] = {"tls", NULL};
    live_start(&live, "registries.py", arguments);
    assert_int_equal(registry_ping(&live.scope, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_DENIED);
    assert_non_null(strstr(err.hint, "No credentials"));
    error_clear(&err);
    err = ERROR_INIT;
    live_sign_in(&live, login(&live, "n0pe"));
    assert_int_equal(registry_ping(&live.scope, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_DENIED);
    assert_int_equal(err.upstream.status, 401);
    assert_non_null(strstr(err.hint, "job"));
    error_clear(&err);
    err = ERROR_INIT;
    live_sign_in(&live, login(&live, NULL));
    assert_ok(registry_ping(&live.scope, &err), &err);
    push_and_pull(&live);
    mounts_and_copies(&live);
    live_stop(&live);
}

// Locations that say http although we came by https.
static void basic_behind_naive_proxy(void **state)
{
    (void)state;
    struct live live;
    const char *arguments[] = {"tls", "--forwarded-proto=false", NULL};
    live_start(&live, "registries.py", arguments);
    live_sign_in(&live, login(&live, NULL));
    push_and_pull(&live);
    live_stop(&live);
}

static void tokens(void **state)
{
    (void)state;
    struct live live;
    struct error err = ERROR_INIT;
    const char *arguments[] = {"token", NULL};
    live_start(&live, "registries.py", arguments);
    struct manifest manifest = {0};
    assert_int_equal(registry_manifest_pull(&live.scope, "v1", &manifest, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_DENIED);
    error_clear(&err);
    err = ERROR_INIT;
    live_sign_in(&live, login(&live, "n0pe"));
    assert_int_equal(registry_manifest_pull(&live.scope, "v1", &manifest, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_AUTH);
    assert_non_null(strstr(err.detail, "wrong user name"));
    assert_null(strstr(err.detail, "n0pe"));
    error_clear(&err);
    live_sign_in(&live, login(&live, NULL));
    push_and_pull(&live);
    mounts_and_copies(&live);
    AUTO_JSON json_t *list = credentials_list(live.credentials);
    AUTO_FREE char *text = json_dumps(list, 0);
    assert_non_null(strstr(text, "repository:team/app:pull,push"));
    assert_null(strstr(text, "s3cret"));
    assert_true(credentials_forget(live.credentials) > 0);
    live_stop(&live);
}

static void failures(void **state)
{
    (void)state;
    struct live live;
    struct error err = ERROR_INIT;
    const char *arguments[] = {"plain", NULL};
    live_start(&live, "registries.py", arguments);
    struct manifest manifest = {0};
    assert_int_equal(registry_manifest_pull(&live.scope, "nothing", &manifest, &err), -1);
    assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
    assert_int_equal(err.upstream.status, 404);
    assert_string_equal(err.upstream.oci_code, "MANIFEST_UNKNOWN");
    error_clear(&err);
    err = ERROR_INIT;
    struct live_blob blob = live_blob_new(100, 9);
    AUTO_FREE char *text = manifest_text(&blob, &blob);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    assert_int_equal(
        registry_manifest_push(&live.scope, "v1", MEDIA_OCI_MANIFEST, text, strlen(text), &digest, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    error_clear(&err);
    err = ERROR_INIT;
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_int_equal(registry_blob_pull(&live.scope, &blob.digest, 100, &sink.base, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    error_clear(&err);
    err = ERROR_INIT;
    // A source that is not there opens no session that stays.
    struct registry_scope other = live.scope;
    other.repository = "team/other";
    struct blob_push_target target = {.scope = other, .error = ERROR_INIT};
    struct blob_push push = {
        .digest = blob.digest, .size = blob.size, .from = &live.scope, .targets = &target, .n_targets = 1};
    assert_int_equal(blob_push_run(&push, &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    assert_int_equal(target.how, BLOB_PUSH_PENDING);
    assert_int_equal(open_sessions(&live), 0);
    error_clear(&err);
    free(blob.bytes);
    live_stop(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),          cmocka_unit_test(request_counts),
        cmocka_unit_test(basic_over_tls), cmocka_unit_test(basic_behind_naive_proxy),
        cmocka_unit_test(tokens),         cmocka_unit_test(chunks),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
