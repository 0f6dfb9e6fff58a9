// SPDX-License-Identifier: Apache-2.0
//
// What real registries do, row by row (R-01 … R-100): the client against the scripted registry, which checks
// its own store afterwards. Rows of other rooms are tested there; a test that stands for a row carries its
// number.
#include "registry/live.h"

static struct live live;

enum { SMALL = 5000, LARGE = 9 << 20, MIB = 1 << 20 };

// --- the setting of one test

static void begin_with(const char *profile, const char *settings)
{
    json_t *arguments = settings ? json_loads(settings, 0, NULL) : json_object();
    assert_non_null(arguments);
    json_object_set_new(arguments, "profile", json_string(profile));
    live_do(&live, "reset", arguments);
    live_end_room(&live);
    live_make_room(&live, NULL);
    live.scope.host = live.address;
    live.monitor = (struct monitor){0};
    live_sign_in(&live, json_pack("{s:s,s:s}", "username", "user", "password", "canary-passw0rd"));
}

static void begin(const char *settings)
{
    begin_with("spec-strict", settings);
}

static void fault(const char *point, const char *kind, const char *more)
{
    json_t *arguments = more ? json_loads(more, 0, NULL) : json_object();
    assert_non_null(arguments);
    json_object_set_new(arguments, "point", json_string(point));
    json_object_set_new(arguments, "kind", json_string(kind));
    live_do(&live, "fault", arguments);
}

static int64_t count(const char *point)
{
    return live_number(&live, "count", json_pack("{s:s}", "point", point));
}

static int64_t count_all(void)
{
    return live_number(&live, "count", NULL);
}

static int64_t heads_with(const char *text)
{
    return live_number(&live, "heads-with", json_pack("{s:s}", "text", text));
}

// --- what the tests do

static int push_blob_to(const char *repository, const char *mount_from, int64_t size, unsigned seed,
                        struct blob_push_target *ret, struct error *err)
{
    struct live_blob blob = live_blob_new(size, seed);
    struct reader_at *reader = reader_at_bytes(blob.bytes, (size_t)size);
    *ret = (struct blob_push_target){.scope = live.scope, .mount_from = mount_from, .error = ERROR_INIT};
    ret->scope.repository = repository;
    struct blob_push push = {.digest = blob.digest,
                             .size = size,
                             .reader = reader,
                             .targets = ret,
                             .n_targets = 1,
                             .monitor = &live.monitor};
    int rc = blob_push_run(&push, err);
    reader_at_close(reader);
    free(blob.bytes);
    return rc;
}

// Pushes and asserts how it ended.
static void push_blob(int64_t size, unsigned seed, enum blob_push_how how)
{
    struct error err = ERROR_INIT;
    struct blob_push_target target;
    assert_ok(push_blob_to("team/app", NULL, size, seed, &target, &err), &err);
    assert_int_equal(target.how, how);
}

static void push_blob_fails(int64_t size, unsigned seed, enum error_code code, int status)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct blob_push_target target;
    assert_int_equal(push_blob_to("team/app", NULL, size, seed, &target, &err), -1);
    if (err.code != code || err.upstream.status != status)
        fail_msg("%s %d: %s", error_wire(err.code), err.upstream.status, err.detail);
    assert_int_equal(target.how, BLOB_PUSH_FAILED);
    assert_null(strstr(err.detail, "canary"));
    error_clear(&target.error);
}

static void in_chunks(int64_t chunk_bytes)
{
    live.chunk_bytes = chunk_bytes;
    live.monolithic_max_bytes = chunk_bytes ? 1 * MIB : 0;
}

static char *manifest_for(unsigned seed)
{
    struct live_blob config = live_blob_new(300, seed), layer = live_blob_new(SMALL, seed + 1);
    char *text = mem_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\","
        "\"size\":300},\"layers\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%d}]}",
        MEDIA_OCI_MANIFEST, MEDIA_OCI_CONFIG, config.digest.text, MEDIA_OCI_LAYER_GZIP, layer.digest.text,
        SMALL);
    free(config.bytes);
    free(layer.bytes);
    return text;
}

static int push_manifest(const char *text, const char *tag, struct error *err)
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    return registry_manifest_push(&live.scope, tag, MEDIA_OCI_MANIFEST, text, strlen(text), &digest, err);
}

// A whole small image: two blobs and the manifest.
static void push_image(unsigned seed, const char *tag)
{
    struct error err = ERROR_INIT;
    AUTO_FREE char *text = manifest_for(seed);
    push_blob(300, seed, BLOB_PUSH_COPIED);
    push_blob(SMALL, seed + 1, BLOB_PUSH_COPIED);
    assert_ok(push_manifest(text, tag, &err), &err);
}

static void push_and_check(const char *profile, const char *settings)
{
    begin_with(profile, settings);
    push_image(1, "v1");
    struct error err = ERROR_INIT;
    struct manifest manifest = {0};
    assert_ok(registry_manifest_pull(&live.scope, "v1", &manifest, &err), &err);
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_ok(registry_blob_pull(&live.scope, &manifest.layers[0].digest, manifest.layers[0].size, &sink.base,
                                 &err),
              &err);
    assert_int_equal(sink.len, SMALL);
    free(sink.bytes);
    manifest_clear(&manifest);
    live_check(&live);
}

static char *add_image(const char *tag)
{
    return live_text(&live, "add-image", json_pack("{s:s,s:s}", "repository", "team/app", "tag", tag));
}

static int pull(const char *reference, struct error *err)
{
    struct manifest manifest = {0};
    int rc = registry_manifest_pull(&live.scope, reference, &manifest, err);
    manifest_clear(&manifest);
    return rc;
}

static void pull_fails(const char *reference, enum error_code code)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_int_equal(pull(reference, &err), -1);
    if (err.code != code)
        fail_msg("%s: %s", error_wire(err.code), err.detail);
    assert_null(strstr(err.detail, "canary"));
}

static void pull_ok(const char *reference)
{
    struct error err = ERROR_INIT;
    assert_ok(pull(reference, &err), &err);
}

// --- every family

static void all_families(void **state)
{
    (void)state;
    static const char *const profiles[] = {"spec-strict",
                                           "distribution-2.8",
                                           "distribution-3",
                                           "hub",
                                           "ghcr",
                                           "gar",
                                           "gcr",
                                           "ecr-public",
                                           "acr",
                                           "quay",
                                           "quay-old",
                                           "harbor",
                                           "harbor-proxy",
                                           "gitlab",
                                           "artifactory",
                                           "nexus",
                                           "zot",
                                           "pulp",
                                           "openshift",
                                           "cloudflare-front",
                                           "nginx-front",
                                           "length-needed",
                                           "artifactory-virtual",
                                           "pullthrough"};
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        print_message("%s\n", profiles[i]);
        push_and_check(profiles[i], NULL);
    }
    push_and_check("ecr", "{\"immutable\": 0}");
}

// --- auth

static void R01_challenge_only_on_ping(void **state)
{
    (void)state;
    push_and_check("gcr", NULL);
}

static void R02_challenge_only_on_the_request(void **state)
{
    (void)state;
    push_and_check("openshift", NULL);
}

static void R08_realm_at_the_registry_itself(void **state)
{
    (void)state;
    push_and_check("spec-strict", "{\"auth\": \"bearer\", \"realm\": \"relative\"}");
}

static void R09_token_server_elsewhere(void **state)
{
    (void)state;
    push_and_check("hub", NULL);
    assert_true(live_number(&live, "count", json_pack("{s:s}", "origin", "auth")) > 0);
}

static void R10_post_refused(void **state)
{
    (void)state;
    static const int statuses[] = {404, 401, 400, 405};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        AUTO_FREE char *settings = mem_printf("{\"auth\": \"bearer\", \"token_post\": %d}", statuses[i]);
        begin(settings);
        live_sign_in(&live, json_pack("{s:s}", "identity_token", "canary-refre5h"));
        push_image(1, "v1");
        live_check(&live);
    }
}

static void R11_only_the_first_scope_counts(void **state)
{
    (void)state;
    push_and_check("spec-strict", "{\"auth\": \"bearer\", \"first_scope_only\": true}");
}

static void R15_token_dies_between(void **state)
{
    (void)state;
    begin("{\"auth\": \"bearer\", \"token_uses\": 2}");
    push_image(1, "v1");
    push_image(11, "v2");
    live_check(&live);
    assert_true(live_number(&live, "tokens", NULL) >= 3);
}

// … in the middle of a large upload, which is throttled: the step goes on, with what was sent already.
static void R15_token_dies_in_mid_upload(void **state)
{
    (void)state;
    live.chunk_bytes = 1 * MIB;
    live.monolithic_max_bytes = 2 * MIB;
    begin("{\"auth\": \"bearer\", \"token_uses\": 3}");
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    live_check(&live);
    assert_true(live_number(&live, "tokens", NULL) >= 3);
    assert_true(live_number(&live, "received", NULL) < LARGE + 6 * MIB);
    live.chunk_bytes = live.monolithic_max_bytes = 0;
}

static void R16_delete_is_not_asked_for(void **state)
{
    (void)state;
    begin_with("quay", NULL);
    push_image(1, "v1");
    live_check(&live);
}

static void R17_mount_with_both_scopes(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"auth\": \"bearer\"}");
    push_blob(SMALL, 1, BLOB_PUSH_COPIED);
    struct blob_push_target target;
    assert_ok(push_blob_to("team/other", "team/app", SMALL, 1, &target, &err), &err);
    assert_int_equal(target.how, BLOB_PUSH_MOUNTED);
    live_check(&live);
}

// The source of a mount is not ours to read: the token server refuses all of it, or the registry the mount.
static void R17_forbidden_mount_source(void **state)
{
    static const char *const settings[] = {
        "{\"auth\": \"bearer\", \"forbidden\": [\"team/app\"]}",
        "{\"auth\": \"bearer\", \"forbidden\": [\"team/app\"], \"refuse_forbidden\": true}"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        struct blob_push_target target;
        begin(settings[i]);
        assert_ok(push_blob_to("team/other", "team/app", SMALL, 1, &target, &err), &err);
        assert_int_equal(target.how, BLOB_PUSH_COPIED);
        assert_true(count("token") <= 4);
        live_check(&live);
    }
}

static void R18_insufficient_scope(void **state)
{
    (void)state;
    push_and_check("spec-strict", "{\"auth\": \"bearer\", \"grant_pull_first\": true}");
    push_and_check("spec-strict",
                   "{\"auth\": \"bearer\", \"grant_pull_first\": true, \"denied_status\": 403}");
}

static void R19_endless_401(void **state)
{
    (void)state;
    begin("{\"auth\": \"bearer\", \"accept_nothing\": true}");
    push_blob_fails(SMALL, 1, ERR_REGISTRY_DENIED, 401);
    assert_true(count_all() <= 12);
}

static void R20_refresh_token(void **state)
{
    (void)state;
    begin_with("acr", NULL);
    live_sign_in(&live, json_pack("{s:s,s:s}", "username", "<token>", "password", "canary-refre5h"));
    push_image(1, "v1");
    live_check(&live);
}

static void R24_denied_or_not_there(void **state)
{
    (void)state;
    begin("{\"auth\": \"bearer\", \"missing_is\": 401}");
    pull_fails("nothing", ERR_REGISTRY_DENIED);
}

static void R25_token_server_out_of_order(void **state)
{
    (void)state;
    begin("{\"auth\": \"bearer\"}");
    fault("token", "status-503", "{\"times\": -1}");
    push_blob_fails(SMALL, 1, ERR_REGISTRY_ERROR, 503);
    begin("{\"auth\": \"bearer\"}");
    fault("token", "status-429", "{\"times\": -1, \"headers\": {\"Retry-After\": \"7\"}}");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    assert_int_equal(pull("v1", &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_RATE_LIMIT);
    assert_int_equal(err.retry_after_ms, 7000);
}

static void R26_challenge_behind_a_redirect(void **state)
{
    (void)state;
    push_and_check("hub", "{\"cdn_challenge\": true}");
}

// --- locations, redirects

static void R27_R28_R29_shapes_of_locations(void **state)
{
    (void)state;
    static const char *const shapes[] = {"absolute", "path", "relative", "schemeless", "http", "noport"};
    static const char *const queries[] = {"", "_state=ab%2Fc%3D%3D"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t j = 0; j < sizeof queries / sizeof *queries; j++) {
            AUTO_FREE char *settings =
                mem_printf("{\"auth\": \"bearer\", \"location\": \"%s\", \"location_query\": \"%s\"}",
                           shapes[i], queries[j]);
            push_and_check("spec-strict", settings);
        }
}

static void R30_R31_R32_signed_urls(void **state)
{
    (void)state;
    push_and_check("hub", "{\"cdn_head\": 403}");
    struct error err = ERROR_INIT;
    struct live_blob blob = live_blob_new(SMALL, 2);
    assert_int_equal(registry_blob_head(&live.scope, &blob.digest, NULL, &err), 1);
    free(blob.bytes);
    live_check(&live);
    static const int statuses[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        AUTO_FREE char *settings = mem_printf("{\"redirect_status\": %d}", statuses[i]);
        push_and_check("hub", settings);
    }
}

// A download that breaks at a signed URL which is good for one request is resumed by way of the registry.
static void R32_resume_asks_the_registry(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"auth\": \"bearer\", \"redirect_blobs\": true, \"cdn_uses\": 1}");
    AUTO_FREE char *text =
        live_text(&live, "add-block-blob", json_pack("{s:s,s:i}", "repository", "team/app", "size", LARGE));
    fault("cdn", "body-reset", "{\"after_bytes\": 5000000}");
    struct digest digest;
    assert_int_equal(digest_parse(&digest, text, &err), 0);
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_ok(registry_blob_pull(&live.scope, &digest, LARGE, &sink.base, &err), &err);
    assert_int_equal(sink.len, LARGE);
    free(sink.bytes);
    assert_int_equal(count("blob-get"), 3); // with the challenge
    assert_int_equal(count("cdn"), 2);
    live_check(&live);
}

// A HEAD that is sent elsewhere is followed: the blob is there, and its bytes are not sent again.
static void R65_head_is_redirected(void **state)
{
    (void)state;
    static const int statuses[] = {302, 303, 307, 308};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        AUTO_FREE char *settings = mem_printf(
            "{\"auth\": \"bearer\", \"redirect_blobs\": true, \"redirect_status\": %d, \"self_mount\": 405}",
            statuses[i]);
        begin(settings);
        push_blob(2 * MIB, 1, BLOB_PUSH_COPIED);
        int64_t before = count("cdn");
        push_blob(2 * MIB, 1, BLOB_PUSH_EXISTS);
        assert_int_equal(count("cdn"), before + 1);
        assert_int_equal(live_number(&live, "received", NULL), 2 * MIB);
        live_check(&live);
    }
}

static void R33_redirects_that_lead_nowhere(void **state)
{
    (void)state;
    static const char *const kinds[] = {"redirect-loop", "redirect-chain", "redirect-file",
                                        "redirect-private", "redirect-no-location"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        begin(NULL);
        free(add_image("v1"));
        fault("manifest-get", kinds[i], "{\"times\": -1}");
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_int_equal(pull("v1", &err), -1);
        if (err.code != ERR_REGISTRY_PROTOCOL && err.code != ERR_REGISTRY_UNREACHABLE)
            fail_msg("%s: %s", kinds[i], err.detail);
        assert_true(count_all() <= 12);
    }
}

static void R34_upload_elsewhere(void **state)
{
    (void)state;
    begin("{\"auth\": \"bearer\", \"location\": \"foreign\"}");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct blob_push_target target;
    push_blob_to("team/app", NULL, SMALL, 1, &target, &err); // both at loopback: allowed, without credentials
    error_clear(&target.error);
    AUTO_JSON json_t *wrong = live_command(&live, "check", json_pack("{s:b}", "sessions", 0));
    assert_int_equal(json_array_size(wrong), 0);
    static const char *const evil[] = {
        "http://169.254.169.254/x",   "http://10.0.0.1/x", "ftp://127.0.0.1/x",
        "http://user:pw@127.0.0.1/x", "file:///tmp/x",     "http://example.com/x"};
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        AUTO_FREE char *settings = mem_printf("{\"auth\": \"bearer\", \"location\": \"%s\"}", evil[i]);
        begin(settings);
        push_blob_fails(SMALL, 1, ERR_REGISTRY_PROTOCOL, 202);
    }
}

// Wherever a session is told to go on – by POST, PATCH or a mount that became one –, nothing of ours goes to
// a place that is refused, and no credentials to another origin.
static void R34_locations_of_every_answer(void **state)
{
    (void)state;
    static const char *const points[] = {"upload-post", "upload-patch", "mount"};
    static const char *const refused[] = {"http://169.254.169.254/latest",
                                          "http://10.0.0.1/x",
                                          "https://10.0.0.1:1/x",
                                          "ftp://127.0.0.1/x",
                                          "http://user:pw@127.0.0.1/x",
                                          "file:///etc/passwd",
                                          "http://example.com/x",
                                          "http://0x7f.1/x",
                                          "http://2130706433/x",
                                          "//169.254.169.254/x",
                                          "http://[::]:1/x",
                                          "gopher://127.0.0.1/x"};
    in_chunks(1 * MIB);
    for (size_t p = 0; p < sizeof points / sizeof *points; p++)
        for (size_t i = 0; i <= sizeof refused / sizeof *refused; i++) {
            bool elsewhere = i == sizeof refused / sizeof *refused; // allowed, bare
            begin(p == 0 ? "{\"auth\": \"bearer\", \"self_mount\": 405}"
                         : "{\"auth\": \"bearer\", \"mount\": \"ignore\", \"self_mount\": \"ignore\"}");
            AUTO_FREE char *cdn = mem_printf("%s/v2/team/app/blobs/uploads/x", live_about(&live, "cdn"));
            AUTO_FREE char *more =
                mem_printf("{\"times\": -1, \"location\": \"%s\"}", elsewhere ? cdn : refused[i]);
            fault(points[p], "location-evil", more);
            CLEANUP(error_clear) struct error err = ERROR_INIT;
            struct blob_push_target target;
            int rc = push_blob_to("team/app", p == 2 ? "team/other" : NULL, 3 * MIB, 1, &target, &err);
            error_clear(&target.error);
            if (!elsewhere && rc < 0)
                assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
            assert_true(rc < 0 || p == 2); // a mount that is refused may give way to a plain upload
            int64_t there = live_number(&live, "count", json_pack("{s:s}", "origin", "cdn"));
            assert_true(elsewhere ? there > 0 : there == 0);
            AUTO_JSON json_t *wrong = live_command(&live, "check", json_pack("{s:b}", "sessions", 0));
            assert_int_equal(json_array_size(wrong), 0);
        }
    in_chunks(0);
}

static void R35_redirected_upload(void **state)
{
    (void)state;
    push_and_check("spec-strict", "{\"auth\": \"bearer\", \"redirect_upload\": 307}");
    push_and_check("spec-strict", "{\"auth\": \"bearer\", \"redirect_upload\": 308}");
}

static void R36_web_site(void **state)
{
    (void)state;
    begin("{\"web_site\": true}");
    CLEANUP(error_clear) struct error ping = ERROR_INIT;
    assert_int_equal(registry_ping(&live.scope, &ping), -1);
    assert_int_equal(ping.code, ERR_REGISTRY_PROTOCOL);
    push_blob_fails(SMALL, 1, ERR_REGISTRY_PROTOCOL, 200);
    pull_fails("v1", ERR_REGISTRY_PROTOCOL);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *text = manifest_for(1);
    assert_int_equal(push_manifest(text, "v1", &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    assert_null(registry_tags(&live.scope, &err));
}

// --- uploads

static void R37_no_chunks(void **state)
{
    (void)state;
    in_chunks(2 * MIB);
    begin_with("gar", NULL);
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    assert_int_equal(count("upload-patch"), 1);
    push_blob(LARGE, 2, BLOB_PUSH_COPIED);
    assert_int_equal(count("upload-patch"), 1); // remembered
    live_check(&live);
    in_chunks(0);
}

static void R38_R39_ecr(void **state)
{
    (void)state;
    in_chunks(2 * MIB); // less than its minimum
    begin_with("ecr", "{\"immutable\": 0}");
    push_blob(21 * MIB, 1, BLOB_PUSH_COPIED);
    assert_int_equal(count("upload-patch"), 4);
    assert_int_equal(live_number(&live, "received", NULL), 21 * MIB);
    live_check(&live);
    in_chunks(0);
}

static void R40_R42_R46_R47_R48_ranges(void **state)
{
    (void)state;
    static const char *const settings[] = {"{\"range_says\": \"less\"}",      "{\"range_says\": \"none\"}",
                                           "{\"patch_status\": 204}",         "{\"patch_status\": 200}",
                                           "{\"empty_range\": null}",         "{\"empty_range\": \"0-0\"}",
                                           "{\"empty_range\": \"bytes=0-0\"}"};
    in_chunks(2 * MIB);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        begin(settings[i]);
        push_blob(LARGE, 1, BLOB_PUSH_COPIED);
        assert_int_equal(live_number(&live, "received", NULL), LARGE);
        live_check(&live);
    }
    in_chunks(0);
}

static void R41_chunk_too_large(void **state)
{
    (void)state;
    in_chunks(8 * MIB);
    begin_with("ghcr", NULL);
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    live_check(&live);
    in_chunks(0);
}

// A Content-Range makes a chunk of what is meant as the whole: none is sent with a blob in one piece.
static void R43_no_range_with_the_whole(void **state)
{
    (void)state;
    begin(NULL);
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    assert_int_equal(count("upload-put"), 1);
    assert_int_equal(count("upload-patch"), 0);
    assert_int_equal(heads_with("content-range:"), 0);
    live_check(&live);
}

static void R44_chunk_min_nonsense(void **state)
{
    (void)state;
    static const char *const values[] = {"0", "-1", "1000000000000000000", "\"many\"", "\"\"", "67108865"};
    in_chunks(2 * MIB);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        AUTO_FREE char *settings = mem_printf("{\"chunk_min\": %s}", values[i]);
        begin(settings);
        push_blob(LARGE, 1, BLOB_PUSH_COPIED);
        assert_int_equal(count("upload-patch"), 4); // not what the header said
        live_check(&live);
    }
    begin("{\"chunk_min\": 4194304, \"chunk_min_enforced\": true}");
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    assert_int_equal(count("upload-patch"), 2);
    live_check(&live);
    in_chunks(0);
}

static void R45_session_lost(void **state)
{
    (void)state;
    in_chunks(2 * MIB);
    begin("{\"session_after_reset\": \"lost\"}");
    fault("upload-patch", "reset", "{\"after_bytes\": 1000000, \"skip\": 2}");
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    live_check(&live);
    in_chunks(0);
}

// A registry that has more of a blob than the blob has: nothing can go on there, a new session can.
static void acknowledged_more_than_there_is(void **state)
{
    (void)state;
    static const char *const lasts[] = {"9437184", "1099511627776", "9223372036854775806"};
    in_chunks(2 * MIB);
    for (size_t i = 0; i < sizeof lasts / sizeof *lasts; i++) {
        AUTO_FREE char *settings = mem_printf("{\"range_says\": %s}", lasts[i]);
        begin(settings);
        fault("upload-patch", "reset", "{\"after_bytes\": 1000000, \"skip\": 2}");
        push_blob(LARGE, 1, BLOB_PUSH_COPIED);
        assert_int_equal(count("mount") + count("upload-post"), 2);
        live_check(&live);
        // the same after a whole PUT that broke
        in_chunks(0);
        begin(settings);
        fault("upload-put", "reset", "{\"after_bytes\": 6000000}");
        push_blob(LARGE, 1, BLOB_PUSH_COPIED);
        live_check(&live);
        in_chunks(2 * MIB);
    }
    in_chunks(0);
}

// Five resets: at most the bytes of the chunk that was under way are sent again, and where the registry keeps
// them, none.
static void resets_cost_a_chunk(void **state)
{
    (void)state;
    in_chunks(1 * MIB);
    begin(NULL);
    for (int i = 0; i < 5; i++) {
        AUTO_FREE char *more = mem_printf("{\"after_bytes\": %d, \"skip\": %d}", 300000 + i, 1 + i);
        fault("upload-patch", "reset", more);
    }
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    assert_true(live_number(&live, "received", NULL) <= LARGE + 6 * MIB);
    assert_int_equal(live.monitor.retries, 5);
    live_check(&live);
    in_chunks(0);
}

static void R46_broken_put_goes_on_in_chunks(void **state)
{
    (void)state;
    begin(NULL);
    fault("upload-put", "reset", "{\"after_bytes\": 6000000}");
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    assert_true(live_number(&live, "received", NULL) < LARGE + 2 * MIB);
    live_check(&live);
    // Where the session is lost with the connection: a new one.
    begin("{\"session_after_reset\": \"lost\"}");
    fault("upload-put", "reset", "{\"after_bytes\": 6000000}");
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    live_check(&live);
}

// … also where the connection had served before and might just have been stale: what the session has by then
// is not known, so nothing is sent again before it is asked.
static void R46_broken_put_on_an_old_connection(void **state)
{
    (void)state;
    static const struct {
        int64_t size, after_bytes;
    } rows[] = {{SMALL, 1000}, {SMALL, SMALL - 1}, {3 * MIB, 1}, {LARGE, 100}, {LARGE, 6000000}};
    begin(NULL);
    push_blob(LARGE, 99, BLOB_PUSH_COPIED);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_FREE char *more = mem_printf("{\"after_bytes\": %lld}", (long long)rows[i].after_bytes);
        fault("upload-put", "reset", more);
        push_blob(rows[i].size, (unsigned)i, BLOB_PUSH_COPIED);
    }
    live_check(&live);
}

static void R49_other_statuses(void **state)
{
    (void)state;
    static const int statuses[] = {200, 202, 204};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        AUTO_FREE char *settings = mem_printf("{\"put_status\": %d}", statuses[i]);
        push_and_check("spec-strict", settings);
        assert_true(count("blob-head") >= 2); // asked, not believed
    }
}

static void R50_body_too_large(void **state)
{
    (void)state;
    begin_with("cloudflare-front", "{\"body_max\": 5000000}");
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    live_check(&live);
    begin_with("nginx-front", NULL); // 1 MiB: less than makes sense as a chunk
    push_blob_fails(LARGE, 1, ERR_TOO_LARGE, 413);
    AUTO_JSON json_t *wrong = live_command(&live, "check", NULL);
    assert_int_equal(json_array_size(wrong), 0);
}

static void R51_length_is_sent(void **state)
{
    (void)state;
    push_and_check("length-needed", NULL);
}

// The double never answers a request that waits for a "100 Continue", as proxies that do not know it.
static void R52_nothing_is_expected(void **state)
{
    (void)state;
    in_chunks(2 * MIB);
    begin(NULL);
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    in_chunks(0);
    begin(NULL);
    push_blob(LARGE, 1, BLOB_PUSH_COPIED);
    push_image(1, "v1");
    assert_int_equal(heads_with("expect:"), 0);
    live_check(&live);
}

static void R53_early_refusal(void **state)
{
    (void)state;
    begin(NULL);
    fault("upload-put", "status-403", "{\"early\": true, \"times\": -1, \"code\": \"DENIED\"}");
    push_blob_fails(LARGE, 1, ERR_REGISTRY_DENIED, 403);
    live_check(&live);
}

static void R54_answer_lost(void **state)
{
    (void)state;
    begin(NULL);
    fault("upload-put", "done-then-reset", NULL);
    push_blob(SMALL, 1, BLOB_PUSH_COPIED);
    assert_true(count("upload-put") <= 2); // a connection that was used before may just have been stale
    int64_t before = count("upload-put");
    fault("upload-put", "done-then-reset", NULL);
    push_blob(LARGE, 2, BLOB_PUSH_COPIED);
    assert_int_equal(count("upload-put") - before, 1); // asked before it was sent again
    live_check(&live);
    in_chunks(2 * MIB);
    begin(NULL);
    fault("upload-put", "done-then-reset", NULL);
    fault("upload-patch", "done-then-reset", "{\"skip\": 1}");
    push_blob(LARGE, 3, BLOB_PUSH_COPIED);
    assert_int_equal(live_number(&live, "received", NULL), LARGE);
    live_check(&live);
    in_chunks(0);
}

static void R55_R56_R58_mounts_refused(void **state)
{
    (void)state;
    static const char *const ways[] = {"\"ignore\"", "400", "401", "403", "404", "405", "500"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct error err = ERROR_INIT;
        struct blob_push_target target;
        AUTO_FREE char *settings = mem_printf("{\"mount\": %s, \"self_mount\": %s}", ways[i], ways[i]);
        begin(settings);
        push_blob(SMALL, 1, BLOB_PUSH_COPIED);
        assert_ok(push_blob_to("team/other", "team/app", SMALL, 1, &target, &err), &err);
        assert_int_equal(target.how, BLOB_PUSH_COPIED);
        push_blob(2 * MIB, 2, BLOB_PUSH_COPIED);
        push_blob(2 * MIB, 2, BLOB_PUSH_EXISTS); // found out by HEAD
        live_check(&live);
    }
}

static void R59_cancel_refused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin_with("quay", "{\"mount\": \"ignore\"}");
    struct live_blob blob = live_blob_new(SMALL, 1);
    assert_int_equal(registry_blob_mount(&live.scope, &blob.digest, "team/other", &err), 0);
    free(blob.bytes);
    push_image(1, "v1");
    AUTO_JSON json_t *wrong = live_command(&live, "check", json_pack("{s:b}", "sessions", 0));
    assert_int_equal(json_array_size(wrong), 0);
}

static void R60_no_bytes(void **state)
{
    (void)state;
    begin(NULL);
    push_blob(0, 1, BLOB_PUSH_COPIED);
    push_blob(0, 1, BLOB_PUSH_EXISTS);
    live_check(&live);
}

static void R61_blob_that_vanished(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin(NULL);
    push_image(1, "v1");
    struct live_blob layer = live_blob_new(SMALL, 2);
    live_do(&live, "drop-blob",
            json_pack("{s:s,s:s}", "repository", "team/app", "digest", layer.digest.text));
    AUTO_FREE char *text = manifest_for(1);
    assert_int_equal(push_manifest(text, "v2", &err), -1);
    assert_int_equal(err.code, ERR_BLOB_UNKNOWN);
    error_clear(&err);
    err = ERROR_INIT;
    // What the caller does then.
    struct reader_at *reader = reader_at_bytes(layer.bytes, SMALL);
    struct blob_push_target target = {.scope = live.scope, .force = true, .error = ERROR_INIT};
    struct blob_push push = {
        .digest = layer.digest, .size = SMALL, .reader = reader, .targets = &target, .n_targets = 1};
    assert_ok(blob_push_run(&push, &err), &err);
    assert_int_equal(target.how, BLOB_PUSH_COPIED);
    assert_ok(push_manifest(text, "v2", &err), &err);
    reader_at_close(reader);
    free(layer.bytes);
    live_check(&live);
}

static void R63_forbidden_is_unknown(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"auth\": \"basic\", \"missing_is\": 403, \"self_mount\": 405}");
    push_blob(2 * MIB, 1, BLOB_PUSH_COPIED);
    struct live_blob blob = live_blob_new(SMALL, 9);
    assert_int_equal(registry_blob_head(&live.scope, &blob.digest, NULL, &err), 0);
    free(blob.bytes);
    assert_int_equal(registry_manifest_head(&live.scope, "v1", NULL, NULL, NULL, &err), -1);
    assert_int_equal(err.upstream.status, 403);
    error_clear(&err);
}

static void R64_head_says_little(void **state)
{
    (void)state;
    static const char *const settings[] = {"{\"head\": false}", "{\"head_says\": \"bare\"}",
                                           "{\"digest_header\": \"none\"}", "{\"digest_header\": \"odd\"}"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct error err = ERROR_INIT;
        begin(settings[i]);
        AUTO_FREE char *wanted = add_image("v1");
        struct digest digest = {0};
        AUTO_FREE char *media_type = NULL;
        assert_int_equal(registry_manifest_head(&live.scope, "v1", &digest, &media_type, NULL, &err), 1);
        assert_string_equal(digest.text, wanted);
        assert_string_equal(media_type, MEDIA_OCI_MANIFEST);
        assert_int_equal(registry_manifest_head(&live.scope, "v2", NULL, NULL, NULL, &err), 0);
        push_blob(2 * MIB, 1, BLOB_PUSH_COPIED);
        struct live_blob blob = live_blob_new(2 * MIB, 1);
        assert_int_equal(registry_blob_head(&live.scope, &blob.digest, NULL, &err), 1);
        free(blob.bytes);
    }
}

// --- manifests

static void R66_bytes_stay_as_they_are(void **state)
{
    (void)state;
    begin(NULL);
    struct error err = ERROR_INIT;
    push_image(1, "v1");
    AUTO_FREE char *plain = manifest_for(1);
    AUTO_FREE char *odd =
        mem_printf("  %.*s ,\n\t\"unknown\" : [ 1.50 , \"\\u00e4\" ] }\n", (int)strlen(plain) - 1, plain);
    assert_ok(push_manifest(odd, "odd", &err), &err);
    struct manifest manifest = {0};
    assert_ok(registry_manifest_pull(&live.scope, "odd", &manifest, &err), &err);
    assert_int_equal(manifest.len, strlen(odd));
    assert_memory_equal(manifest.bytes, odd, manifest.len);
    manifest_clear(&manifest);
}

static void R67_R68_gzip_all_the_same(void **state)
{
    (void)state;
    begin_with("harbor-proxy", NULL);
    AUTO_FREE char *digest = add_image("v1");
    pull_ok("v1");
    pull_ok(digest);
    begin(NULL);
    AUTO_FREE char *blob =
        live_text(&live, "add-block-blob", json_pack("{s:s,s:i}", "repository", "team/app", "size", MIB));
    fault("blob-get", "gzip-body", "{\"times\": -1}");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct digest wanted;
    digest_parse(&wanted, blob, &err);
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_int_equal(registry_blob_pull(&live.scope, &wanted, MIB, &sink.base, &err), -1);
    free(sink.bytes);
}

static void R69_content_types(void **state)
{
    (void)state;
    static const char *const fine[] = {"", "application/json", "text/plain; charset=utf-8",
                                       "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
                                       "application/octet-stream"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        AUTO_FREE char *settings = mem_printf("{\"manifest_type\": \"%s\"}", fine[i]);
        begin(settings);
        AUTO_FREE char *digest = add_image("v1");
        pull_ok("v1");
        pull_ok(digest);
    }
    begin("{\"manifest_type\": \"application/vnd.oci.image.index.v1+json\"}");
    free(add_image("v1"));
    pull_fails("v1", ERR_REGISTRY_PROTOCOL);
}

static void R71_R72_types_that_are_refused(void **state)
{
    (void)state;
    begin("{\"refuse_types\": [\"application/vnd.oci.image.manifest.v1+json\"]}");
    push_blob(300, 1, BLOB_PUSH_COPIED);
    push_blob(SMALL, 2, BLOB_PUSH_COPIED);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *text = manifest_for(1);
    assert_int_equal(push_manifest(text, "v1", &err), -1);
    assert_int_equal(err.code, ERR_MANIFEST_UNSUPPORTED);
    assert_false(err.retryable);
}

static void R73_schema_1(void **state)
{
    (void)state;
    begin(NULL);
    live_do(&live, "add-manifest",
            json_pack("{s:s,s:s,s:s,s:s}", "repository", "team/app", "text",
                      "{\"schemaVersion\": 1, \"fsLayers\": []}", "media_type",
                      "application/vnd.docker.distribution.manifest.v1+prettyjws", "tag", "v1"));
    pull_fails("v1", ERR_MANIFEST_UNSUPPORTED);
}

static void R74_one_accept_header(void **state)
{
    (void)state;
    begin("{\"accept_needed\": true}");
    free(add_image("v1"));
    pull_ok("v1");
}

static void R75_not_found_as_unknown(void **state)
{
    (void)state;
    begin("{\"not_found_code\": \"UNKNOWN\"}");
    pull_fails("v1", ERR_IMAGE_NOT_FOUND);
}

static void R76_error_bodies(void **state)
{
    (void)state;
    static const char *const shapes[] = {"json", "html", "empty", "huge", "truncated", "noarray", "odd"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        AUTO_FREE char *settings = mem_printf("{\"error_body\": \"%s\"}", shapes[i]);
        begin(settings);
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_int_equal(pull("nothing", &err), -1);
        assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
        assert_int_equal(err.upstream.status, 404);
        assert_null(strchr(err.detail, '\033'));
        assert_null(strchr(err.detail, '<'));
        assert_true(strlen(err.detail) < 1000);
    }
}

static void R77_repository_and_tag_rules(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"repositories\": []}");
    push_blob_fails(SMALL, 1, ERR_IMAGE_NOT_FOUND, 404);
    static const char *const settings[] = {"{\"immutable\": 400, \"immutable_same\": true}",
                                           "{\"immutable\": 412, \"immutable_same\": true}",
                                           "{\"immutable\": 409, \"immutable_same\": true}"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        begin(settings[i]);
        push_image(1, "v1");
        AUTO_FREE char *same = manifest_for(1);
        assert_ok(push_manifest(same, "v1", &err), &err);
        push_blob(300, 5, BLOB_PUSH_COPIED);
        push_blob(SMALL, 6, BLOB_PUSH_COPIED);
        AUTO_FREE char *other = manifest_for(5);
        assert_int_equal(push_manifest(other, "v1", &err), -1);
        assert_int_equal(err.code, ERR_TARGET_EXISTS);
        assert_false(err.retryable);
        error_clear(&err);
        err = ERROR_INIT;
    }
}

static void R78_quota(void **state)
{
    (void)state;
    begin("{\"quota\": 1000}");
    push_blob_fails(SMALL, 1, ERR_REGISTRY_DENIED, 403);
    begin(NULL);
    fault("upload-put", "status-500", "{\"code\": \"DENIED\", \"message\": \"quota\"}");
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct blob_push_target target;
    assert_int_equal(push_blob_to("team/app", NULL, SMALL, 1, &target, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_DENIED);
    assert_false(err.retryable);
    error_clear(&target.error);
}

static void R80_manifest_too_large(void **state)
{
    (void)state;
    begin("{\"manifest_max\": 100}");
    push_blob(300, 1, BLOB_PUSH_COPIED);
    push_blob(SMALL, 2, BLOB_PUSH_COPIED);
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_FREE char *text = manifest_for(1);
    assert_int_equal(push_manifest(text, "v1", &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    char *huge = mem_alloc((5 << 20) + 1);
    memset(huge, ' ', 5 << 20);
    huge[5 << 20] = '\0';
    live_do(&live, "add-manifest",
            json_pack("{s:s,s:s,s:s,s:s}", "repository", "team/app", "text", huge, "media_type",
                      MEDIA_OCI_MANIFEST, "tag", "huge"));
    free(huge);
    pull_fails("huge", ERR_TOO_LARGE);
}

static void R81_caches_that_lie_once(void **state)
{
    (void)state;
    static const char *const kinds[] = {"body-wrong", "body-empty", "body-cut", "body-reset"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        begin(NULL);
        AUTO_FREE char *digest = add_image("v1");
        fault("manifest-get", kinds[i], NULL);
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        if (pull(digest, &err) == 0)
            continue;
        assert_true(err.retryable); // what the job does: again
        pull_ok(digest);
    }
    begin(NULL);
    AUTO_FREE char *digest = add_image("v1");
    fault("manifest-get", "body-wrong", "{\"times\": -1}");
    pull_fails(digest, ERR_DIGEST_MISMATCH);
    assert_int_equal(count("manifest-get"), 2);
}

static void R82_R99_framing(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"blob_length\": false, \"headers\": [\"Connection: close\"]}");
    AUTO_FREE char *text =
        live_text(&live, "add-block-blob", json_pack("{s:s,s:i}", "repository", "team/app", "size", MIB));
    struct digest digest;
    digest_parse(&digest, text, &err);
    struct memory_sink sink = {.base.ops = &memory_ops};
    assert_ok(registry_blob_pull(&live.scope, &digest, MIB, &sink.base, &err), &err);
    assert_int_equal(sink.len, MIB);
    free(sink.bytes);
    static const char *const kinds[] = {"chunk-trailer", "early-hints", "http10", "bare-newlines", "drip"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        begin(NULL);
        free(add_image("v1"));
        fault("manifest-get", kinds[i], NULL);
        if (pull("v1", &err) < 0)
            fail_msg("%s: %s", kinds[i], err.detail);
    }
}

static void R83_wrong_digest_header(void **state)
{
    (void)state;
    begin("{\"digest_header\": \"wrong\"}");
    AUTO_FREE char *digest = add_image("v1");
    pull_ok(digest); // a pin is checked on the bytes
    struct error err = ERROR_INIT;
    struct manifest manifest = {0};
    assert_ok(registry_manifest_pull(&live.scope, "v1", &manifest, &err), &err);
    assert_string_equal(manifest.digest.text, digest);
    manifest_clear(&manifest);
    // The pin decides against a matching header, too.
    begin(NULL);
    AUTO_FREE char *one = add_image("v1");
    live_do(
        &live, "add-manifest",
        json_pack("{s:s,s:s,s:s}", "repository", "team/app", "text", "{}", "media_type", MEDIA_OCI_MANIFEST));
    fault("manifest-get", "body-wrong", "{\"times\": -1}");
    pull_fails(one, ERR_DIGEST_MISMATCH);
}

// --- throttling, listings

static void R87_R88_R89_R90_rate_limits(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        int64_t retry_after_ms;
    } rows[] = {
        {"{\"times\": -1, \"headers\": {\"Retry-After\": \"60\"}, \"body\": \"slow down\"}", 60000},
        {"{\"times\": -1, \"headers\": {\"Retry-After\": \"0\"}}", 0},
        {"{\"times\": -1, \"headers\": {\"Retry-After\": \"-5\"}}", -1},
        {"{\"times\": -1, \"headers\": {\"Retry-After\": \"soon\"}}", -1},
        {"{\"times\": -1, \"headers\": {\"Retry-After\": \"1000000000\"}}", 86400000},
        {"{\"times\": -1}", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(NULL);
        fault("manifest-get", "status-429", rows[i].more);
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_int_equal(pull("v1", &err), -1);
        assert_int_equal(err.code, ERR_REGISTRY_RATE_LIMIT);
        assert_true(err.retryable);
        assert_int_equal(err.retry_after_ms, rows[i].retry_after_ms);
        assert_int_equal(count("manifest-get"), 1); // waiting is the job's
    }
    begin(NULL);
    fault("manifest-get", "status-403", "{\"code\": \"TOOMANYREQUESTS\"}");
    pull_fails("v1", ERR_REGISTRY_RATE_LIMIT);
}

static void R91_transient(void **state)
{
    (void)state;
    static const int transient[] = {408, 499, 500, 502, 503, 504, 522}, lasting[] = {400, 405, 501, 505};
    for (size_t i = 0; i < sizeof transient / sizeof *transient; i++) {
        begin(NULL);
        AUTO_FREE char *kind = mem_printf("status-%d", transient[i]);
        fault("manifest-get", kind, NULL);
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_int_equal(pull("v1", &err), -1);
        assert_int_equal(err.code, ERR_REGISTRY_ERROR);
        assert_true(err.retryable);
    }
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        begin(NULL);
        AUTO_FREE char *kind = mem_printf("status-%d", lasting[i]);
        fault("manifest-get", kind, NULL);
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        assert_int_equal(pull("v1", &err), -1);
        assert_false(err.retryable);
    }
}

static void R92_resumed_downloads(void **state)
{
    (void)state;
    static const char *const settings[] = {"{\"ranges\": true}", "{\"ranges\": false}"};
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        begin(settings[i]);
        AUTO_FREE char *text = live_text(&live, "add-block-blob",
                                         json_pack("{s:s,s:i}", "repository", "team/app", "size", LARGE));
        fault("blob-get", "body-reset", "{\"after_bytes\": 3000000}");
        fault("blob-get", "body-cut", "{\"after_bytes\": 4000000}");
        struct digest digest;
        digest_parse(&digest, text, &err);
        struct memory_sink sink = {.base.ops = &memory_ops};
        assert_ok(registry_blob_pull(&live.scope, &digest, LARGE, &sink.base, &err), &err);
        assert_int_equal(sink.len, LARGE);
        free(sink.bytes);
        assert_int_equal(count("blob-get"), 3);
    }
}

static void R96_odd_tags(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"odd_tags\": [null, \"sha256:0000\", 7, \"-bad\", \"good\", \"\", \"a/b\"]}");
    free(add_image("v1"));
    AUTO_JSON json_t *tags = registry_tags(&live.scope, &err);
    AUTO_FREE char *text = json_dumps(tags, 0);
    assert_string_equal(text, "[\"good\", \"v1\"]");
}

static void R97_R98_pages(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const char *const links[] = {"relative", "absolute"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        AUTO_FREE char *settings =
            mem_printf("{\"page_max\": 1000, \"page_error\": true, \"link\": \"%s\"}", links[i]);
        begin(settings);
        for (int tag = 0; tag < 5; tag++) {
            AUTO_FREE char *name = mem_printf("t%d", tag);
            free(add_image(name));
        }
        live_do(&live, "set", json_pack("{s:i,s:b}", "page_max", 2, "page_error", 0));
        AUTO_JSON json_t *tags = registry_tags(&live.scope, &err);
        assert_int_equal(json_array_size(tags), 5);
        assert_int_equal(count("tags"), 3);
    }
    static const char *const bad[] = {"foreign", "loop", "endless"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTO_FREE char *settings = mem_printf("{\"page_max\": 1, \"link\": \"%s\"}", bad[i]);
        begin(settings);
        free(add_image("v1"));
        free(add_image("v2"));
        assert_null(registry_tags(&live.scope, &err));
        assert_true(err.code == ERR_REGISTRY_PROTOCOL || err.code == ERR_TOO_LARGE);
        assert_true(count("tags") <= 1001);
        assert_int_equal(live_number(&live, "count", json_pack("{s:s}", "origin", "cdn")), 0);
        error_clear(&err);
        err = ERROR_INIT;
    }
    begin("{\"page_max\": 1, \"link\": \"none\"}");
    free(add_image("v1"));
    AUTO_JSON json_t *tags = registry_tags(&live.scope, &err);
    assert_int_equal(json_array_size(tags), 1);
    AUTO_JSON json_t *catalog = registry_catalog(&live.scope, &err);
    assert_int_equal(json_array_size(catalog), 1);
}

static char *last_warning;
static int warnings;

static void keep_warning(void *arg, const char *text)
{
    (void)arg;
    free(last_warning);
    last_warning = mem_strdup(text);
    warnings++;
}

static void R99_warnings_once(void **state)
{
    (void)state;
    begin("{\"warning\": \"this \\u001b[31mregistry will move\"}");
    live.scope.warning = keep_warning;
    free(add_image("v1"));
    pull_ok("v1");
    pull_ok("v1");
    live.scope.warning = NULL;
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "registry will move"));
    assert_null(strchr(last_warning, '\033'));
    free(last_warning);
}

// --- the rest of the client

static void several_tags_at_once(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const char *const tags[] = {"a", "b", "c", "d"};
    for (int multi = 0; multi < 2; multi++) {
        begin(multi ? "{\"multi_tag\": true}" : NULL);
        push_image(1, "v1");
        AUTO_FREE char *text = manifest_for(1);
        struct digest digest;
        digest_of(&digest, DIGEST_SHA256, text, strlen(text));
        int64_t before = count("manifest-put");
        assert_ok(registry_manifest_push_tags(&live.scope, tags, 4, MEDIA_OCI_MANIFEST, text, strlen(text),
                                              &digest, &err),
                  &err);
        assert_int_equal(count("manifest-put") - before, multi ? 1 : 5);
        assert_ok(registry_manifest_push_tags(&live.scope, tags, 4, MEDIA_OCI_MANIFEST, text, strlen(text),
                                              &digest, &err),
                  &err);
        assert_int_equal(count("manifest-put") - before, multi ? 2 : 9); // remembered
        AUTO_JSON json_t *there = live_command(&live, "tags", json_pack("{s:s}", "repository", "team/app"));
        assert_int_equal(json_object_size(there), 5);
        live_check(&live);
    }
}

static char *push_referrer(const char *subject, const char *name)
{
    struct error err = ERROR_INIT;
    char *text = mem_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"artifactType\":\"test/%s\",\"config\":{\"mediaType\":"
        "\"%s\",\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
        "\"size\":2},\"layers\":[],\"subject\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":1},"
        "\"annotations\":{\"n\":\"%s\"}}",
        MEDIA_OCI_MANIFEST, name, MEDIA_OCI_EMPTY, MEDIA_OCI_MANIFEST, subject, name);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    assert_ok(registry_manifest_push(&live.scope, digest.text, MEDIA_OCI_MANIFEST, text, strlen(text),
                                     &digest, &err),
              &err);
    return text;
}

static void referrers_by_api_and_by_tag(void **state)
{
    (void)state;
    for (int api = 0; api < 2; api++) {
        struct error err = ERROR_INIT;
        begin(api ? NULL : "{\"referrers\": false}");
        live_do(&live, "add-blob", json_pack("{s:s,s:s}", "repository", "team/app", "text", "{}"));
        AUTO_FREE char *subject = add_image("v1");
        for (int i = 0; i < 3; i++) {
            AUTO_FREE char *name = mem_printf("n%d", i % 2);
            AUTO_FREE char *text = push_referrer(subject, i < 2 ? name : "n2");
            struct manifest manifest = {0};
            assert_ok(manifest_parse(&manifest, text, strlen(text), NULL, &err), &err);
            assert_ok(registry_referrers_add(&live.scope, &manifest, &err), &err);
            assert_ok(registry_referrers_add(&live.scope, &manifest, &err),
                      &err); // once more changes nothing
            manifest_clear(&manifest);
        }
        struct digest digest;
        digest_parse(&digest, subject, &err);
        AUTO_JSON json_t *all = registry_referrers(&live.scope, &digest, NULL, &err);
        assert_int_equal(json_array_size(json_object_get(all, "manifests")), 3);
        AUTO_JSON json_t *some = registry_referrers(&live.scope, &digest, "test/n1", &err);
        json_t *list = json_object_get(some, "manifests");
        assert_int_equal(json_array_size(list), 1);
        assert_string_equal(json_get_string(json_object_get(json_array_get(list, 0), "annotations"), "n"),
                            "n1");
        AUTO_JSON json_t *there = live_command(&live, "tags", json_pack("{s:s}", "repository", "team/app"));
        assert_int_equal(json_object_size(there), api ? 1 : 2);
        live_check(&live);
    }
}

static void deletions(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    begin("{\"auth\": \"bearer\"}");
    AUTO_FREE char *digest = add_image("v1");
    assert_ok(registry_manifest_delete(&live.scope, "v1", &err), &err);
    assert_ok(registry_manifest_delete(&live.scope, digest, &err), &err);
    assert_int_equal(registry_manifest_delete(&live.scope, digest, &err), -1);
    assert_int_equal(err.code, ERR_IMAGE_NOT_FOUND);
    error_clear(&err);
    err = ERROR_INIT;
    push_blob(SMALL, 1, BLOB_PUSH_COPIED);
    struct live_blob blob = live_blob_new(SMALL, 1);
    assert_ok(registry_blob_delete(&live.scope, &blob.digest, &err), &err);
    assert_int_equal(registry_blob_head(&live.scope, &blob.digest, NULL, &err), 0);
    free(blob.bytes);
    live_check(&live);
}

static void parts_of_blobs(void **state)
{
    (void)state;
    for (int ranges = 0; ranges < 2; ranges++) {
        struct error err = ERROR_INIT;
        begin(ranges ? NULL : "{\"ranges\": false}");
        push_blob(SMALL, 1, BLOB_PUSH_COPIED);
        struct live_blob blob = live_blob_new(SMALL, 1);
        static const int64_t parts[][2] = {{0, 10}, {0, SMALL}, {1000, 7}, {SMALL - 1, 1}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            struct memory_sink sink = {.base.ops = &memory_ops};
            assert_ok(registry_blob_pull_range(&live.scope, &blob.digest, parts[i][0], parts[i][1],
                                               &sink.base, &err),
                      &err);
            assert_int_equal(sink.len, parts[i][1]);
            assert_memory_equal(sink.bytes, blob.bytes + parts[i][0], sink.len);
            free(sink.bytes);
        }
        free(blob.bytes);
    }
}

// A push of a large blob that leaves its session when it fails, as it does here after four chunks.
struct kept_push {
    struct live_blob blob;
    struct blob_push_target target;
    struct blob_push push;
};

static void kept_push_begin(struct kept_push *kept)
{
    struct error err = ERROR_INIT;
    in_chunks(1 * MIB);
    begin(NULL);
    kept->blob = live_blob_new(LARGE, 1);
    kept->target = (struct blob_push_target){.scope = live.scope, .error = ERROR_INIT};
    kept->push = (struct blob_push){.digest = kept->blob.digest,
                                    .size = LARGE,
                                    .reader = reader_at_bytes(kept->blob.bytes, LARGE),
                                    .targets = &kept->target,
                                    .n_targets = 1,
                                    .keep_sessions = true};
    fault("upload-patch", "status-503", "{\"skip\": 4, \"times\": 1}");
    assert_int_equal(blob_push_run(&kept->push, &err), -1);
    assert_true(err.retryable);
    assert_non_null(kept->target.session);
    error_clear(&err);
}

static void kept_push_end(struct kept_push *kept)
{
    live_check(&live);
    error_clear(&kept->target.error);
    hasher_free(kept->target.hasher);
    free(kept->target.session);
    reader_at_close(kept->push.reader);
    free(kept->blob.bytes);
    in_chunks(0);
}

// A session that outlives the step: a later run, maybe after a restart, goes on where the registry says.
static void sessions_that_are_kept(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct kept_push kept;
    kept_push_begin(&kept);
    int64_t before = live_number(&live, "received", NULL);
    assert_ok(blob_push_run(&kept.push, &err), &err);
    assert_int_equal(kept.target.how, BLOB_PUSH_COPIED);
    assert_null(kept.target.session);
    assert_int_equal(live_number(&live, "received", NULL) - before, LARGE - 4 * MIB);
    kept_push_end(&kept);
    // Given up: cancelled.
    kept_push_begin(&kept);
    blob_push_abandon(&kept.push);
    kept_push_end(&kept);
}

// What was hashed as it was sent is not read again, unless the registry has less of it.
static void what_was_hashed_is_not_read_again(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct error err = ERROR_INIT;
        struct kept_push kept;
        kept_push_begin(&kept);
        kept.target.hashed = (4 + more) * MIB;
        kept.target.hasher = hasher_new(DIGEST_SHA256);
        hasher_update(kept.target.hasher, kept.blob.bytes, (size_t)kept.target.hashed);
        reader_at_close(kept.push.reader);
        kept.blob.bytes[0] ^= 1; // seen only if it is read
        kept.push.reader = reader_at_bytes(kept.blob.bytes, LARGE);
        assert_int_equal(blob_push_run(&kept.push, &err), more ? -1 : 0);
        assert_int_equal(err.code, more ? ERR_DIGEST_MISMATCH : ERR_NONE);
        blob_push_abandon(&kept.push);
        error_clear(&err);
        kept_push_end(&kept);
    }
}

// One source, chunked to one target and whole to another; the source is a registry.
static void chunks_from_a_registry(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    in_chunks(2 * MIB);
    begin("{\"self_mount\": \"ignore\"}");
    AUTO_FREE char *text = live_text(&live, "add-block-blob",
                                     json_pack("{s:s,s:i}", "repository", "team/source", "size", LARGE));
    struct registry_scope from = live.scope;
    from.repository = "team/source";
    struct memory_sink sink = {.base.ops = &memory_ops};
    struct blob_push_target targets[2] = {{.scope = live.scope, .error = ERROR_INIT},
                                          {.sink = &sink.base, .error = ERROR_INIT}};
    struct blob_push push = {.size = LARGE, .from = &from, .targets = targets, .n_targets = 2};
    digest_parse(&push.digest, text, &err);
    fault("upload-patch", "reset", "{\"after_bytes\": 500000, \"skip\": 1}");
    assert_ok(blob_push_run(&push, &err), &err);
    assert_true(sink.finished);
    assert_int_equal(sink.len, LARGE);
    free(sink.bytes);
    live_check(&live);
    // A source that lies is found out before the last bytes leave.
    begin("{\"self_mount\": \"ignore\"}");
    from.registry = live.registry;
    from.auth = live.auth;
    free(live_text(&live, "add-block-blob",
                   json_pack("{s:s,s:i}", "repository", "team/source", "size", LARGE)));
    fault("blob-get", "body-wrong", "{\"skip\": 2}");
    targets[0] = (struct blob_push_target){.scope = live.scope, .error = ERROR_INIT};
    push.n_targets = 1;
    assert_int_equal(blob_push_run(&push, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
    assert_true(count("upload-put") <= 1); // the registry may not have seen the cut request yet
    live_check(&live);
    error_clear(&err);
    in_chunks(0);
}

// Mirrors are asked first; one that has it not, or is down, is as good as none; what it says is checked like
// anything else.
static void mirrors(void **state)
{
    (void)state;
    struct live other;
    const char *arguments[] = {"{}", NULL};
    live_start(&other, "scripted_registry.py", arguments);
    begin(NULL);
    char **list = mem_calloc(3, sizeof *list);
    list[0] = mem_strdup("127.0.0.1:1");
    list[1] = mem_strdup(other.address);
    struct host_settings settings = {.name = mem_strdup(live.address), .mirrors = list};
    host_table_add(live.hosts, &settings);
    struct error err = ERROR_INIT;
    AUTO_FREE char *digest = add_image("v1");
    pull_ok("v1"); // the second has it not
    assert_int_equal(count("manifest-get"), 1);
    free(live_text(&other, "add-image", json_pack("{s:s,s:s}", "repository", "team/app", "tag", "v1")));
    pull_ok("v1");
    pull_ok(digest);
    assert_int_equal(registry_manifest_head(&live.scope, "v1", NULL, NULL, NULL, &err), 1);
    assert_int_equal(count("manifest-get"), 1);
    assert_int_equal(count("manifest-head"), 0);
    struct manifest manifest = {0};
    assert_ok(registry_manifest_pull(&live.scope, digest, &manifest, &err), &err);
    struct memory_sink sink = {.base.ops = &memory_ops};
    const struct descriptor *layer = &manifest.layers[0];
    assert_ok(registry_blob_pull(&live.scope, &layer->digest, layer->size, &sink.base, &err), &err);
    assert_int_equal(count("blob-get"), 0);
    live_do(&other, "fault",
            json_pack("{s:s,s:s,s:i}", "point", "manifest-get", "kind", "body-wrong", "times", -1));
    pull_ok(digest);
    assert_int_equal(count("manifest-get"), 2);
    assert_int_equal(live_number(&other, "count", json_pack("{s:s}", "point", "blob-get")), 1);
    free(sink.bytes);
    manifest_clear(&manifest);
    live_check(&other); // our credentials were not sent there
    live_stop(&other);
}

static void counts_of_requests(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    enum { LAYERS = 8 };
    begin(NULL);
    for (unsigned i = 0; i < LAYERS + 1; i++) // with the config
        push_blob(1000 + i, i, BLOB_PUSH_COPIED);
    AUTO_FREE char *text =
        mem_printf("{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[]}", MEDIA_OCI_INDEX);
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, text, strlen(text));
    assert_ok(registry_manifest_push(&live.scope, "v1", MEDIA_OCI_INDEX, text, strlen(text), &digest, &err),
              &err);
    assert_true(count_all() <= 2 * LAYERS + 3);
}

static int start_program(void **state)
{
    (void)state;
    const char *arguments[] = {"{}", NULL};
    live_start(&live, "scripted_registry.py", arguments);
    return 0;
}

static int stop_program(void **state)
{
    (void)state;
    live_stop(&live);
    return 0;
}

// distribution writes its links in place: a push that reads one while another push rewrites it gets
// DIGEST_INVALID.
static void a_digest_that_is_blamed_in_vain(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    begin(NULL);
    push_image(1, "v1");
    AUTO_FREE char *text = manifest_for(1);
    fault("manifest-put", "status-400", "{\"code\": \"DIGEST_INVALID\"}");
    assert_int_equal(push_manifest(text, "v2", &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
    assert_true(err.retryable); // what the job does: again
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_families),
        cmocka_unit_test(R01_challenge_only_on_ping),
        cmocka_unit_test(R02_challenge_only_on_the_request),
        cmocka_unit_test(R08_realm_at_the_registry_itself),
        cmocka_unit_test(R09_token_server_elsewhere),
        cmocka_unit_test(R10_post_refused),
        cmocka_unit_test(R11_only_the_first_scope_counts),
        cmocka_unit_test(R15_token_dies_between),
        cmocka_unit_test(R15_token_dies_in_mid_upload),
        cmocka_unit_test(R16_delete_is_not_asked_for),
        cmocka_unit_test(R17_mount_with_both_scopes),
        cmocka_unit_test(R17_forbidden_mount_source),
        cmocka_unit_test(R18_insufficient_scope),
        cmocka_unit_test(R19_endless_401),
        cmocka_unit_test(R20_refresh_token),
        cmocka_unit_test(R24_denied_or_not_there),
        cmocka_unit_test(R25_token_server_out_of_order),
        cmocka_unit_test(R26_challenge_behind_a_redirect),
        cmocka_unit_test(R27_R28_R29_shapes_of_locations),
        cmocka_unit_test(R30_R31_R32_signed_urls),
        cmocka_unit_test(R32_resume_asks_the_registry),
        cmocka_unit_test(R65_head_is_redirected),
        cmocka_unit_test(R33_redirects_that_lead_nowhere),
        cmocka_unit_test(R34_upload_elsewhere),
        cmocka_unit_test(R34_locations_of_every_answer),
        cmocka_unit_test(R35_redirected_upload),
        cmocka_unit_test(R36_web_site),
        cmocka_unit_test(R37_no_chunks),
        cmocka_unit_test(R38_R39_ecr),
        cmocka_unit_test(R40_R42_R46_R47_R48_ranges),
        cmocka_unit_test(R41_chunk_too_large),
        cmocka_unit_test(R43_no_range_with_the_whole),
        cmocka_unit_test(R44_chunk_min_nonsense),
        cmocka_unit_test(R45_session_lost),
        cmocka_unit_test(acknowledged_more_than_there_is),
        cmocka_unit_test(resets_cost_a_chunk),
        cmocka_unit_test(R46_broken_put_goes_on_in_chunks),
        cmocka_unit_test(R46_broken_put_on_an_old_connection),
        cmocka_unit_test(R49_other_statuses),
        cmocka_unit_test(R50_body_too_large),
        cmocka_unit_test(R51_length_is_sent),
        cmocka_unit_test(R52_nothing_is_expected),
        cmocka_unit_test(R53_early_refusal),
        cmocka_unit_test(R54_answer_lost),
        cmocka_unit_test(R55_R56_R58_mounts_refused),
        cmocka_unit_test(R59_cancel_refused),
        cmocka_unit_test(R60_no_bytes),
        cmocka_unit_test(R61_blob_that_vanished),
        cmocka_unit_test(R63_forbidden_is_unknown),
        cmocka_unit_test(R64_head_says_little),
        cmocka_unit_test(R66_bytes_stay_as_they_are),
        cmocka_unit_test(R67_R68_gzip_all_the_same),
        cmocka_unit_test(R69_content_types),
        cmocka_unit_test(R71_R72_types_that_are_refused),
        cmocka_unit_test(R73_schema_1),
        cmocka_unit_test(R74_one_accept_header),
        cmocka_unit_test(R75_not_found_as_unknown),
        cmocka_unit_test(R76_error_bodies),
        cmocka_unit_test(R77_repository_and_tag_rules),
        cmocka_unit_test(R78_quota),
        cmocka_unit_test(R80_manifest_too_large),
        cmocka_unit_test(R81_caches_that_lie_once),
        cmocka_unit_test(R82_R99_framing),
        cmocka_unit_test(R83_wrong_digest_header),
        cmocka_unit_test(R87_R88_R89_R90_rate_limits),
        cmocka_unit_test(R91_transient),
        cmocka_unit_test(R92_resumed_downloads),
        cmocka_unit_test(R96_odd_tags),
        cmocka_unit_test(R97_R98_pages),
        cmocka_unit_test(R99_warnings_once),
        cmocka_unit_test(several_tags_at_once),
        cmocka_unit_test(referrers_by_api_and_by_tag),
        cmocka_unit_test(deletions),
        cmocka_unit_test(parts_of_blobs),
        cmocka_unit_test(sessions_that_are_kept),
        cmocka_unit_test(what_was_hashed_is_not_read_again),
        cmocka_unit_test(chunks_from_a_registry),
        cmocka_unit_test(mirrors),
        cmocka_unit_test(counts_of_requests),
        cmocka_unit_test(a_digest_that_is_blamed_in_vain),
    };
    return cmocka_run_group_tests(tests, start_program, stop_program);
}
