// SPDX-License-Identifier: Apache-2.0
//
// The image config: what is read, how layers and history stay together, and each field that a job can edit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oci/image_config.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define D "sha256:" HEX64
#define D2 "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
#define ROOTFS(ids) "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" ids "]}"

static void parse(struct image_config *ret, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (image_config_parse(ret, text, strlen(text), &err) < 0)
        fail_msg("%s", err.detail);
}

static json_t *json(const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    json_t *value = json_parse(text, strlen(text), &json_limits_request, &err);
    if (!value)
        fail_msg("%s: %s", text, err.detail);
    return value;
}

static void assert_root(const struct image_config *config, const char *expected)
{
    AUTO_JSON json_t *value = json(expected);
    AUTO_FREE char *want = json_text_canonical(value);
    AUTO_FREE char *have = image_config_text(config);
    assert_string_equal(have, want);
}

static const char *const bad_configs[] = {
    "",
    "[]",
    "null",
    "{}",
    "{\"rootfs\":[]}",
    "{\"rootfs\":{\"diff_ids\":{}}}",
    "{\"rootfs\":{\"diff_ids\":[1]}}",
    "{\"rootfs\":{\"diff_ids\":[\"sha256:x\"]}}",
    "{\"rootfs\":{\"diff_ids\":[null]}}",
    "{" ROOTFS("") ",\"os\":1}",
    "{" ROOTFS("") ",\"architecture\":[]}",
    "{" ROOTFS("") ",\"config\":[]}",
    "{" ROOTFS("") ",\"history\":{}}",
    "{" ROOTFS("") ",\"history\":[1]}",
    "{" ROOTFS("") ",\"history\":[{\"empty_layer\":1}]}",
    "{" ROOTFS("") ",\"config\":{\"Env\":{}}}",
    "{" ROOTFS("") ",\"config\":{\"Env\":[1]}}",
    "{" ROOTFS("") ",\"config\":{\"Cmd\":\"x\"}}",
    "{" ROOTFS("") ",\"config\":{\"Labels\":{\"a\":1}}}",
    "{" ROOTFS("") ",\"config\":{\"User\":0}}",
    "{" ROOTFS("") ",\"config\":{\"Healthcheck\":[]}}",
    "{" ROOTFS("") ",\"config\":{\"ArgsEscaped\":1}}",
    // readers that fold case would see another image
    "{" ROOTFS("") ",\"Config\":{}}",
    "{" ROOTFS("") ",\"config\":{\"Env\":[],\"env\":[]}}",
    "{" ROOTFS("") ",\"RootFS\":{}}",
    "{\"rootfs\":{\"diff_ids\":[],\"Diff_IDs\":[]}}",
    "{" ROOTFS("") ",\"history\":[{\"Empty_Layer\":true}]}",
    "{" ROOTFS("") "," ROOTFS("\"" D "\"") "}",
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_configs / sizeof bad_configs[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct image_config config;
        if (image_config_parse(&config, bad_configs[i], strlen(bad_configs[i]), &err) == 0)
            fail_msg("%s was taken", bad_configs[i]);
        assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
        assert_null(config.root);
    }
}

// Members that the specification does not name, and null for "nothing".
static void test_survives(void **state)
{
    (void)state;
    struct image_config config;
    parse(&config, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":null},\"config\":null,\"history\":null,"
                   "\"x\":{\"y\":[1,2.5,true,null]},"
                   "\"container_config\":{\"Cmd\":1}}");
    assert_int_equal(image_config_layers(&config), 0);
    assert_root(&config, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":null,\"history\":[],"
                         "\"x\":{\"y\":[1,2.5,true,null]},"
                         "\"container_config\":{\"Cmd\":1}}");
    image_config_clear(&config);
}

static void test_scratch_golden(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct platform platform = {0}, read_back;
    struct image_config config;
    struct digest diff_id;
    assert_int_equal(platform_parse(&platform, "linux/arm/v7", &err), 0);
    image_config_new(&config, &platform);
    assert_int_equal(digest_parse(&diff_id, D, &err), 0);
    image_config_append_layer(&config, &diff_id, "1970-01-01T00:00:00Z", "dray", "files", NULL);
    image_config_append_history(&config, "1970-01-01T00:00:00Z", "dray config", NULL, "ci");
    image_config_set_created(&config, "1970-01-01T00:00:00Z");
    AUTO_FREE char *text = image_config_text(&config);
    assert_string_equal(
        text,
        "{\"architecture\":\"arm\",\"config\":{},\"created\":\"1970-01-01T00:00:00Z\","
        "\"history\":[{\"comment\":\"files\",\"created\":\"1970-01-01T00:00:00Z\",\"created_by\":\"dray\"},"
        "{\"author\":\"ci\",\"created\":\"1970-01-01T00:00:00Z\",\"created_by\":\"dray "
        "config\",\"empty_layer\":true}],"
        "\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[\"" D "\"],\"type\":\"layers\"},\"variant\":\"v7\"}");
    image_config_platform(&config, &read_back);
    AUTO_FREE char *name = platform_format(&read_back);
    assert_string_equal(name, "linux/arm/v7");
    platform_clear(&read_back);
    platform_clear(&platform);
    image_config_clear(&config);
}

static void test_diff_ids(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_config config, copy;
    struct digest diff_id;
    parse(&config, "{" ROOTFS("\"" D "\",\"" D2 "\"") "}");
    image_config_copy(&copy, &config);
    image_config_clear(&config);
    assert_int_equal(image_config_layers(&copy), 2);
    assert_int_equal(image_config_diff_id(&copy, 1, &diff_id, &err), 0);
    assert_string_equal(diff_id.text, D2);
    assert_int_equal(image_config_diff_id(&copy, 2, &diff_id, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    image_config_clear(&copy);
}

// A base with fewer history entries than layers: the new entry must stand for the new layer.
static void test_b16c_history_is_padded(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_config config;
    struct digest diff_id;
    parse(&config,
          "{" ROOTFS(
              "\"" D "\",\"" D
              "\"") ",\"history\":[{\"created_by\":\"env\",\"empty_layer\":true},{\"created_by\":\"one\"}]}");
    assert_null(image_config_layer_history(&config, 1));
    assert_int_equal(digest_parse(&diff_id, D2, &err), 0);
    image_config_append_layer(&config, &diff_id, NULL, "mine", NULL, NULL);
    assert_string_equal(json_get_string(image_config_layer_history(&config, 0), "created_by"), "one");
    assert_null(json_get_string(image_config_layer_history(&config, 1), "created_by"));
    assert_string_equal(json_get_string(image_config_layer_history(&config, 2), "created_by"), "mine");
    assert_null(image_config_layer_history(&config, 3));
    image_config_clear(&config);
}

static void test_b16d_remove_layer(void **state)
{
    (void)state;
    struct image_config config;
    parse(&config,
          "{" ROOTFS(
              "\"" D "\",\"" D2
              "\"") ",\"history\":[{\"created_by\":\"one\"},{\"created_by\":\"env\",\"empty_layer\":true},"
                    "{\"created_by\":\"two\"}]}");
    image_config_remove_layer(&config, 1);
    assert_root(
        &config,
        "{" ROOTFS(
            "\"" D
            "\"") ",\"history\":[{\"created_by\":\"one\"},{\"created_by\":\"env\",\"empty_layer\":true}]}");
    image_config_remove_layer(&config, 0);
    assert_root(&config, "{" ROOTFS("") ",\"history\":[{\"created_by\":\"env\",\"empty_layer\":true}]}");
    image_config_clear(&config);
}

static const struct {
    const char *base;
    const char *edit;
    const char *result;
} edits[] = {
    // an absent member keeps
    {"{\"Cmd\":[\"a\"],\"User\":\"u\"}", "{}", "{\"Cmd\":[\"a\"],\"User\":\"u\"}"},
    // cmd, entrypoint: apart from each other
    {"{\"Cmd\":[\"a\"],\"Entrypoint\":[\"e\"]}", "{\"cmd\":[\"b\",\"c\"]}",
     "{\"Cmd\":[\"b\",\"c\"],\"Entrypoint\":[\"e\"]}"},
    {"{\"Cmd\":[\"a\"],\"Entrypoint\":[\"e\"]}", "{\"entrypoint\":[\"f\"]}",
     "{\"Cmd\":[\"a\"],\"Entrypoint\":[\"f\"]}"},
    {"{\"Cmd\":[\"a\"],\"Entrypoint\":[\"e\"]}", "{\"entrypoint\":null}", "{\"Cmd\":[\"a\"]}"},
    {"{\"Cmd\":[\"a\"]}", "{\"cmd\":null}", "{}"},
    {"{\"Cmd\":null}", "{\"cmd\":[]}", "{\"Cmd\":[]}"},
    // env: the base's order, new ones in the order of the request, null unsets, doubles of the base go
    {"{\"Env\":[\"B=1\",\"A=2\"]}", "{\"env\":{\"Z\":\"9\",\"A\":\"3\",\"Y\":\"8\"}}",
     "{\"Env\":[\"B=1\",\"A=3\",\"Z=9\",\"Y=8\"]}"},
    {"{\"Env\":[\"B=1\",\"A=2\"]}", "{\"env\":{\"B\":null}}", "{\"Env\":[\"A=2\"]}"},
    {"{\"Env\":[\"A=1\",\"B=1\",\"A=2\"]}", "{\"env\":{\"A\":\"3\"}}", "{\"Env\":[\"A=3\",\"B=1\"]}"},
    {"{\"Env\":[\"A=1\",\"B=1\",\"A=2\"]}", "{\"env\":{\"A\":null}}", "{\"Env\":[\"B=1\"]}"},
    {"{\"Env\":[\"A=1\",\"B=1\",\"A=2\"]}", "{\"env\":{\"B\":\"2\"}}", "{\"Env\":[\"A=1\",\"B=2\",\"A=2\"]}"},
    {"{\"Env\":[\"AB=1\",\"A\"]}", "{\"env\":{\"A\":\"\"}}", "{\"Env\":[\"AB=1\",\"A=\"]}"},
    {"{\"Env\":null}", "{\"env\":{\"A\":\"x=y\"}}", "{\"Env\":[\"A=x=y\"]}"},
    {"{}", "{\"env\":{\"A\":null}}", "{}"},
    {"{\"Env\":[\"A=1\"]}", "{\"env\":{\"A\":null}}", "{}"},
    {"{\"Env\":[\"A=1\"]}", "{\"env\":null}", "{}"},
    {"{\"Env\":[\"a=1\"]}", "{\"env\":{\"A\":\"2\"}}", "{\"Env\":[\"a=1\",\"A=2\"]}"},
    // single texts
    {"{\"WorkingDir\":\"/a\"}", "{\"working_dir\":\"/b\"}", "{\"WorkingDir\":\"/b\"}"},
    {"{\"WorkingDir\":\"/a\"}", "{\"working_dir\":null}", "{}"},
    {"{}", "{\"working_dir\":\"C:\\\\app\"}", "{\"WorkingDir\":\"C:\\\\app\"}"},
    {"{\"User\":\"a\"}", "{\"user\":\"1000:1000\"}", "{\"User\":\"1000:1000\"}"},
    {"{\"User\":\"a\"}", "{\"user\":null}", "{}"},
    {"{}", "{\"stop_signal\":\"SIGTERM\"}", "{\"StopSignal\":\"SIGTERM\"}"},
    {"{\"StopSignal\":\"9\"}", "{\"stop_signal\":\"SIGRTMIN+3\"}", "{\"StopSignal\":\"SIGRTMIN+3\"}"},
    {"{\"StopSignal\":\"9\"}", "{\"stop_signal\":null}", "{}"},
    // maps
    {"{\"Labels\":{\"a\":\"1\",\"b\":\"2\"}}", "{\"labels\":{\"b\":null,\"c\":\"3\"}}",
     "{\"Labels\":{\"a\":\"1\",\"c\":\"3\"}}"},
    {"{\"Labels\":{\"a\":\"1\"}}", "{\"labels\":{\"a\":null}}", "{}"},
    {"{\"Labels\":null}", "{\"labels\":{\"a\":\"\"}}", "{\"Labels\":{\"a\":\"\"}}"},
    {"{\"Labels\":{\"a\":\"1\"}}", "{\"labels\":null}", "{}"},
    {"{\"ExposedPorts\":{\"80/tcp\":{}}}", "{\"exposed_ports\":{\"8080/tcp\":true,\"80/tcp\":null}}",
     "{\"ExposedPorts\":{\"8080/tcp\":{}}}"},
    {"{\"ExposedPorts\":{\"80\":{}}}", "{\"exposed_ports\":{\"80/tcp\":null}}", "{}"},
    {"{\"ExposedPorts\":{\"80\":{},\"53/udp\":{}}}", "{\"exposed_ports\":{\"80\":true,\"53/udp\":null}}",
     "{\"ExposedPorts\":{\"80/tcp\":{}}}"},
    {"{\"ExposedPorts\":{\"53/udp\":{}}}", "{\"exposed_ports\":{\"53\":null}}",
     "{\"ExposedPorts\":{\"53/udp\":{}}}"},
    {"{}", "{\"exposed_ports\":{\"132/sctp\":true}}", "{\"ExposedPorts\":{\"132/sctp\":{}}}"},
    {"{\"ExposedPorts\":{\"80/tcp\":{}}}", "{\"exposed_ports\":null}", "{}"},
    {"{\"Volumes\":{\"/a\":{}}}", "{\"volumes\":{\"/data\":true}}", "{\"Volumes\":{\"/a\":{},\"/data\":{}}}"},
    {"{\"Volumes\":{\"/a\":{}}}", "{\"volumes\":{\"/a\":null}}", "{}"},
    // health check: nanoseconds inside, members merge
    {"{}",
     "{\"healthcheck\":{\"test\":[\"CMD\",\"true\"],\"interval_ms\":30000,\"timeout_ms\":1,\"start_period_"
     "ms\":2,\"start_interval_ms\":3,\"retries\":4}}",
     "{\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":30000000000,\"Timeout\":1000000,"
     "\"StartPeriod\":2000000,\"StartInterval\":3000000,\"Retries\":4}}"},
    {"{\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Retries\":3}}",
     "{\"healthcheck\":{\"interval_ms\":1,\"retries\":null}}",
     "{\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000000}}"},
    {"{}", "{\"healthcheck\":{\"test\":[\"NONE\"]}}", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}"},
    {"{\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"]}}", "{\"healthcheck\":null}", "{}"},
    // Docker's extensions
    {"{}", "{\"shell\":[\"/bin/bash\",\"-c\"]}", "{\"Shell\":[\"/bin/bash\",\"-c\"]}"},
    {"{\"Shell\":[\"x\"]}", "{\"shell\":null}", "{}"},
    {"{\"OnBuild\":[\"RUN x\"]}", "{\"on_build\":[\"RUN y\"]}", "{\"OnBuild\":[\"RUN y\"]}"},
    {"{\"OnBuild\":[\"RUN x\"]}", "{\"on_build\":null}", "{}"},
    {"{}", "{\"args_escaped\":true}", "{\"ArgsEscaped\":true}"},
    {"{\"ArgsEscaped\":true}", "{\"args_escaped\":null}", "{}"},
    // what is not named goes through
    {"{\"Domainname\":\"\",\"x\":[1]}", "{\"user\":\"a\"}", "{\"Domainname\":\"\",\"x\":[1],\"User\":\"a\"}"},
};

static void test_b16_edits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct image_config config;
        AUTO_FREE char *base = mem_printf("{" ROOTFS("") ",\"history\":[],\"config\":%s}", edits[i].base);
        AUTO_FREE char *want = mem_printf("{" ROOTFS("") ",\"history\":[],\"config\":%s}", edits[i].result);
        AUTO_JSON json_t *edit = json(edits[i].edit);
        parse(&config, base);
        if (image_config_check_edit(edit, "/config", &err) < 0 ||
            image_config_apply_edit(&config, edit, &err) < 0)
            fail_msg("%s: %s", edits[i].edit, err.detail);
        assert_root(&config, want);
        assert_int_equal(image_config_check(&config, &err), 0);
        image_config_clear(&config);
    }
}

static void test_author(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct image_config config;
    AUTO_JSON json_t *set = json("{\"author\":\"ci\"}");
    AUTO_JSON json_t *unset = json("{\"author\":null}");
    parse(&config, "{" ROOTFS("") ",\"author\":\"base\",\"history\":[]}");
    assert_int_equal(image_config_apply_edit(&config, set, &err), 0);
    assert_root(&config, "{" ROOTFS("") ",\"author\":\"ci\",\"config\":{},\"history\":[]}");
    assert_int_equal(image_config_apply_edit(&config, unset, &err), 0);
    assert_root(&config, "{" ROOTFS("") ",\"config\":{},\"history\":[]}");
    image_config_clear(&config);
}

static const char *const bad_edits[][2] = {
    {"[]", "/config"},
    {"{\"colour\":1}", "/config/colour"},
    {"{\"Cmd\":[]}", "/config/Cmd"},
    {"{\"cmd\":\"x\"}", "/config/cmd"},
    {"{\"cmd\":[1]}", "/config/cmd/0"},
    {"{\"entrypoint\":[\"a\",null]}", "/config/entrypoint/1"},
    {"{\"env\":[\"A=1\"]}", "/config/env"},
    {"{\"env\":{\"A\":1}}", "/config/env/A"},
    {"{\"env\":{\"A=B\":\"1\"}}", "/config/env/A=B"},
    {"{\"env\":{\"\":\"1\"}}", "/config/env/"},
    {"{\"working_dir\":\"a\"}", "/config/working_dir"},
    {"{\"working_dir\":\"\"}", "/config/working_dir"},
    {"{\"user\":0}", "/config/user"},
    {"{\"labels\":{\"a/b\":1}}", "/config/labels/a~1b"},
    {"{\"exposed_ports\":{\"0\":true}}", "/config/exposed_ports/0"},
    {"{\"exposed_ports\":{\"65536\":true}}", "/config/exposed_ports/65536"},
    {"{\"exposed_ports\":{\"80/icmp\":true}}", "/config/exposed_ports/80~1icmp"},
    {"{\"exposed_ports\":{\"80/tcp\":false}}", "/config/exposed_ports/80~1tcp"},
    {"{\"exposed_ports\":[80]}", "/config/exposed_ports"},
    {"{\"exposed_ports\":{\"80-90\":true}}", "/config/exposed_ports/80-90"},
    {"{\"volumes\":{\"data\":true}}", "/config/volumes/data"},
    {"{\"volumes\":{\"/data\":1}}", "/config/volumes/~1data"},
    {"{\"stop_signal\":\"\"}", "/config/stop_signal"},
    {"{\"stop_signal\":\"sig term\"}", "/config/stop_signal"},
    {"{\"stop_signal\":15}", "/config/stop_signal"},
    {"{\"healthcheck\":[]}", "/config/healthcheck"},
    {"{\"healthcheck\":{\"test\":\"x\"}}", "/config/healthcheck/test"},
    {"{\"healthcheck\":{\"test\":[]}}", "/config/healthcheck/test"},
    {"{\"healthcheck\":{\"test\":[\"true\"]}}", "/config/healthcheck/test"},
    {"{\"healthcheck\":{\"test\":[\"CMD\"]}}", "/config/healthcheck/test"},
    {"{\"healthcheck\":{\"interval\":1}}", "/config/healthcheck/interval"},
    {"{\"healthcheck\":{\"interval_ms\":-1}}", "/config/healthcheck/interval_ms"},
    {"{\"healthcheck\":{\"interval_ms\":1.5}}", "/config/healthcheck/interval_ms"},
    {"{\"healthcheck\":{\"interval_ms\":9223372036854775807}}", "/config/healthcheck/interval_ms"},
    {"{\"shell\":\"sh\"}", "/config/shell"},
    {"{\"on_build\":{}}", "/config/on_build"},
    {"{\"args_escaped\":1}", "/config/args_escaped"},
    {"{\"author\":[]}", "/config/author"},
};

static void test_bad_edits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_edits / sizeof bad_edits[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        AUTO_JSON json_t *edit = json(bad_edits[i][0]);
        if (image_config_check_edit(edit, "/config", &err) == 0)
            fail_msg("%s was taken", bad_edits[i][0]);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_string_equal(err.pointer, bad_edits[i][1]);
    }
}

static void test_merge_patch(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        // the examples of RFC 7396, appendix A, as members
        {"\"t\":{\"a\":\"b\"}", "{\"t\":{\"a\":\"c\"}}", "\"t\":{\"a\":\"c\"}"},
        {"\"t\":{\"a\":\"b\"}", "{\"t\":{\"b\":\"c\"}}", "\"t\":{\"a\":\"b\",\"b\":\"c\"}"},
        {"\"t\":{\"a\":\"b\"}", "{\"t\":{\"a\":null}}", "\"t\":{}"},
        {"\"t\":{\"a\":\"b\",\"b\":\"c\"}", "{\"t\":{\"a\":null}}", "\"t\":{\"b\":\"c\"}"},
        {"\"t\":{\"a\":[\"b\"]}", "{\"t\":{\"a\":\"c\"}}", "\"t\":{\"a\":\"c\"}"},
        {"\"t\":{\"a\":\"c\"}", "{\"t\":{\"a\":[\"b\"]}}", "\"t\":{\"a\":[\"b\"]}"},
        {"\"t\":{\"a\":{\"b\":\"c\"}}", "{\"t\":{\"a\":{\"b\":\"d\",\"c\":null}}}",
         "\"t\":{\"a\":{\"b\":\"d\"}}"},
        {"\"t\":{\"a\":[{\"b\":\"c\"}]}", "{\"t\":{\"a\":[1]}}", "\"t\":{\"a\":[1]}"},
        {"\"t\":[\"a\",\"b\"]", "{\"t\":[\"c\",\"d\"]}", "\"t\":[\"c\",\"d\"]"},
        {"\"t\":{\"a\":\"b\"}", "{\"t\":[\"c\"]}", "\"t\":[\"c\"]"},
        {"\"t\":{\"e\":null}", "{\"t\":{\"a\":1}}", "\"t\":{\"e\":null,\"a\":1}"},
        {"\"t\":[1,2]", "{\"t\":{\"a\":\"b\",\"c\":null}}", "\"t\":{\"a\":\"b\"}"},
        {"\"t\":{}", "{\"t\":{\"a\":{\"bb\":{\"ccc\":null}}}}", "\"t\":{\"a\":{\"bb\":{}}}"},
        {"\"x\":1", "{\"os.features\":[\"win32k\"]}", "\"x\":1,\"os.features\":[\"win32k\"]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct image_config config;
        AUTO_FREE char *base = mem_printf("{" ROOTFS("") ",\"history\":[],%s}", cases[i][0]);
        AUTO_FREE char *want = mem_printf("{" ROOTFS("") ",\"history\":[],%s}", cases[i][2]);
        AUTO_JSON json_t *patch = json(cases[i][1]);
        parse(&config, base);
        assert_int_equal(image_config_merge_patch(&config, patch, &err), 0);
        assert_root(&config, want);
        image_config_clear(&config);
    }
}

static void test_bad_patch(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "/config_patch"},
        {"{\"rootfs\":null}", "/config_patch/rootfs"},
        {"{\"history\":[]}", "/config_patch/history"},
        {"{\"config\":{\"Env\":{\"A\":\"1\"}}}", "/config_patch"},
        {"{\"config\":{\"env\":[]}}", "/config_patch"},
        {"{\"os\":1}", "/config_patch"},
        {"{\"RootFS\":{}}", "/config_patch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(error_clear) struct error err = ERROR_INIT;
        struct image_config config;
        AUTO_JSON json_t *patch = json(cases[i][0]);
        parse(&config, "{" ROOTFS("") "}");
        assert_int_equal(image_config_merge_patch(&config, patch, &err), -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_string_equal(err.pointer, cases[i][1]);
        image_config_clear(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_survives),
        cmocka_unit_test(test_scratch_golden),
        cmocka_unit_test(test_diff_ids),
        cmocka_unit_test(test_b16c_history_is_padded),
        cmocka_unit_test(test_b16d_remove_layer),
        cmocka_unit_test(test_b16_edits),
        cmocka_unit_test(test_author),
        cmocka_unit_test(test_bad_edits),
        cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_bad_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
