// SPDX-License-Identifier: Apache-2.0
//
// Manifests and indexes as servers send them, well meant and hostile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "oci/manifest.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define D "sha256:" HEX64
#define DESC(type) "{\"mediaType\":\"" type "\",\"digest\":\"" D "\",\"size\":0}"
#define CONFIG "\"config\":" DESC(MEDIA_OCI_CONFIG)
#define LAYERS "\"layers\":[" DESC(MEDIA_OCI_LAYER_GZIP) "]"
#define MANIFESTS "\"manifests\":[" DESC(MEDIA_OCI_MANIFEST) "]"
#define V2 "{\"schemaVersion\":2,"
#define IMAGE V2 CONFIG "," LAYERS "}"
#define INDEX V2 MANIFESTS "}"
#define TYPED(type, rest) V2 "\"mediaType\":\"" type "\"," rest "}"
#define SCHEMA1 "application/vnd.docker.distribution.manifest.v1+prettyjws"

static enum error_code verdict(const char *text, const char *content_type, struct manifest *ret)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct manifest m;
    if (manifest_parse(&m, text, strlen(text), content_type, &err) < 0) {
        assert_int_not_equal(err.code, ERR_NONE);
        assert_non_null(err.detail);
        assert_null(m.bytes);
        return err.code;
    }
    if (ret)
        manifest_move(ret, &m);
    else
        manifest_clear(&m);
    return ERR_NONE;
}

static void test_image(void **state)
{
    (void)state;
    struct manifest m;
    assert_int_equal(verdict(IMAGE, MEDIA_OCI_MANIFEST "; charset=utf-8", &m), ERR_NONE);
    assert_false(m.is_index);
    assert_string_equal(m.media_type, MEDIA_OCI_MANIFEST);
    assert_int_equal(m.n_layers, 1);
    assert_string_equal(m.config.media_type, MEDIA_OCI_CONFIG);
    assert_string_equal(m.bytes, IMAGE);
    assert_true(manifest_is_image(&m));
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, IMAGE, strlen(IMAGE));
    assert_true(digest_equal(&digest, &m.digest));
    manifest_clear(&m);
}

static void test_index(void **state)
{
    (void)state;
    struct manifest m;
    assert_int_equal(verdict(INDEX, NULL, &m), ERR_NONE);
    assert_true(m.is_index);
    assert_string_equal(m.media_type, MEDIA_OCI_INDEX);
    assert_int_equal(m.n_children, 1);
    assert_false(manifest_is_image(&m));
    manifest_clear(&m);
}

// What real servers and writers leave out or put in.
static void test_b15_r69_tolerated(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *content_type;
        const char *type;
    } cases[] = {
        {IMAGE, "application/json", MEDIA_OCI_MANIFEST},
        {IMAGE, "text/plain; charset=utf-8", MEDIA_OCI_MANIFEST},
        {IMAGE, "", MEDIA_OCI_MANIFEST},
        {IMAGE, MEDIA_DOCKER_MANIFEST, MEDIA_DOCKER_MANIFEST},
        {INDEX, MEDIA_DOCKER_LIST, MEDIA_DOCKER_LIST},
        {TYPED(MEDIA_DOCKER_LIST, MANIFESTS), "application/octet-stream", MEDIA_DOCKER_LIST},
        {V2 "\"config\":" DESC(MEDIA_DOCKER_CONFIG) ",\"layers\":[]}", NULL, MEDIA_DOCKER_MANIFEST},
        {V2 CONFIG ",\"layers\":null}", NULL, MEDIA_OCI_MANIFEST}, // Go's nil slice
        {V2 CONFIG "}", NULL, MEDIA_OCI_MANIFEST},
        {V2 CONFIG ",\"layers\":[],\"annotations\":null,\"subject\":null,\"artifactType\":null}", NULL,
         MEDIA_OCI_MANIFEST},
        {V2 CONFIG ",\"layers\":[],\"mediaType\":null,\"x-vendor\":{\"a\":[1.5]}}", NULL, MEDIA_OCI_MANIFEST},
        {V2 "\"manifests\":null}", NULL, MEDIA_OCI_INDEX},
        {V2 "\"manifests\":[]}", NULL, MEDIA_OCI_INDEX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct manifest m;
        if (verdict(cases[i].text, cases[i].content_type, &m) != ERR_NONE)
            fail_msg("case %zu was refused", i);
        assert_string_equal(m.media_type, cases[i].type);
        manifest_clear(&m);
    }
}

// CVE-2021-41190: a document with the members of both, under each of the declarations.
static void test_ambiguous(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        CONFIG "," LAYERS "," MANIFESTS,
        CONFIG "," MANIFESTS,
        LAYERS "," MANIFESTS,
        CONFIG ",\"layers\":[],\"manifests\":[]",
    };
    static const char *const types[] = {NULL,
                                        MEDIA_OCI_MANIFEST,
                                        MEDIA_OCI_INDEX,
                                        MEDIA_DOCKER_MANIFEST,
                                        MEDIA_DOCKER_LIST,
                                        "application/json"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        for (size_t own = 0; own < 5; own++)
            for (size_t declared = 0; declared < 6; declared++) {
                AUTO_FREE char *text = types[own]
                                           ? mem_printf(V2 "\"mediaType\":\"%s\",%s}", types[own], bodies[i])
                                           : mem_printf(V2 "%s}", bodies[i]);
                assert_int_equal(verdict(text, types[declared], NULL), ERR_REGISTRY_PROTOCOL);
            }
}

// Declared type, own type and members have to agree, in all combinations.
static void test_r69_types_agree(void **state)
{
    (void)state;
    static const char *const types[] = {MEDIA_OCI_MANIFEST, MEDIA_DOCKER_MANIFEST, MEDIA_OCI_INDEX,
                                        MEDIA_DOCKER_LIST};
    for (size_t shape = 0; shape < 2; shape++)
        for (size_t own = 0; own < 4; own++)
            for (size_t declared = 0; declared < 4; declared++) {
                AUTO_FREE char *text = mem_printf(V2 "\"mediaType\":\"%s\",%s}", types[own],
                                                  shape ? MANIFESTS : CONFIG "," LAYERS);
                bool agree = own == declared && (own >= 2) == (shape == 1);
                assert_int_equal(verdict(text, types[declared], NULL),
                                 agree ? ERR_NONE : ERR_REGISTRY_PROTOCOL);
            }
}

static void test_r73_unsupported(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"schemaVersion\":1,\"name\":\"x\",\"fsLayers\":[]}", NULL},
        {"{\"schemaVersion\":1}", SCHEMA1},
        {"not even JSON", SCHEMA1},
        {"{\"schemaVersion\":1,\"mediaType\":\"" SCHEMA1 "\"}", "application/json"},
        {TYPED("application/vnd.oci.artifact.manifest.v1+json", "\"blobs\":[]"), NULL},
        {TYPED("application/vnd.example.v1+json", CONFIG "," LAYERS), NULL},
        {V2 CONFIG "," LAYERS "}", "application/vnd.example.v1+json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(verdict(cases[i][0], cases[i][1], NULL), ERR_MANIFEST_UNSUPPORTED);
}

#define IN_LAYERS(layer) V2 CONFIG ",\"layers\":[" layer "]}"
#define LAYER(members) IN_LAYERS("{\"mediaType\":\"" MEDIA_OCI_LAYER "\"," members "}")

static const char *const hostile[] = {
    "",
    " ",
    "null",
    "[]",
    "1",
    "\"x\"",
    "{",
    "{}",
    IMAGE "x",
    IMAGE "{}",
    V2 "}",
    "{" CONFIG "," LAYERS "}",
    "<html></html>",
    "{\"schemaVersion\":\"2\"," CONFIG "," LAYERS "}",
    "{\"schemaVersion\":2.0," CONFIG "," LAYERS "}",
    "{\"schemaVersion\":3," CONFIG "}",
    V2 LAYERS "}",
    V2 "\"config\":null," LAYERS "}",
    V2 "\"config\":[]," LAYERS "}",
    V2 CONFIG ",\"layers\":{}}",
    V2 CONFIG ",\"layers\":[null]}",
    V2 CONFIG ",\"layers\":[1]}",
    V2 "\"manifests\":{}}",
    V2 "\"manifests\":[[]]}",
    V2 CONFIG "," LAYERS ",\"fsLayers\":[]}",
    // the same key twice, or again in another case, for readers that fold case
    V2 CONFIG "," LAYERS "," LAYERS "}",
    V2 CONFIG "," LAYERS ",\"Layers\":[]}",
    V2 CONFIG "," LAYERS ",\"MANIFESTS\":[]}",
    V2 CONFIG "," LAYERS ",\"mediatype\":\"" MEDIA_OCI_INDEX "\"}",
    V2 "\"Config\":{}," LAYERS "}",
    "{\"SchemaVersion\":1,\"schemaVersion\":2," CONFIG "}",
    LAYER("\"digest\":\"" D "\",\"size\":0,\"Size\":1"),
    LAYER("\"digest\":\"" D "\",\"DIGEST\":\"" D "\",\"size\":0"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"Urls\":[\"http://x\"]"),
    LAYER("\"digest\":\"" D
          "\",\"size\":0,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\",\"OS\":\"x\"}"),
    // digests
    LAYER("\"size\":0"),
    LAYER("\"digest\":null,\"size\":0"),
    LAYER("\"digest\":1,\"size\":0"),
    LAYER("\"digest\":\"\",\"size\":0"),
    LAYER("\"digest\":\"sha256:../../../etc/passwd\",\"size\":0"),
    LAYER("\"digest\":\"sha256:\",\"size\":0"),
    LAYER("\"digest\":\"" D "0\",\"size\":0"),
    LAYER("\"digest\":\"md5:d41d8cd98f00b204e9800998ecf8427e\",\"size\":0"),
    LAYER(
        "\"digest\":\"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\",\"size\":0"),
    LAYER("\"digest\":\"" D "\\u0000\",\"size\":0"),
    LAYER("\"digest\":\"sha512:" HEX64 "\",\"size\":0"),
    LAYER("\"digest\":\" " D "\",\"size\":0"),
    // sizes
    LAYER("\"digest\":\"" D "\""),
    LAYER("\"digest\":\"" D "\",\"size\":-1"),
    LAYER("\"digest\":\"" D "\",\"size\":1.0"),
    LAYER("\"digest\":\"" D "\",\"size\":1e3"),
    LAYER("\"digest\":\"" D "\",\"size\":\"1\""),
    LAYER("\"digest\":\"" D "\",\"size\":null"),
    LAYER("\"digest\":\"" D "\",\"size\":9007199254740993"),
    LAYER("\"digest\":\"" D "\",\"size\":9223372036854775807"),
    LAYER("\"digest\":\"" D "\",\"size\":9223372036854775808"),
    LAYER("\"digest\":\"" D "\",\"size\":18446744073709551616"),
    // other members of descriptors
    IN_LAYERS("{\"digest\":\"" D "\",\"size\":0}"),
    IN_LAYERS("{\"mediaType\":1,\"digest\":\"" D "\",\"size\":0}"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"urls\":\"http://x\""),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"urls\":[1]"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"annotations\":[]"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"annotations\":{\"a\":1}"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"platform\":\"linux\""),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"platform\":{\"os\":\"linux\"}"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"platform\":{\"os\":1,\"architecture\":\"a\"}"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"artifactType\":1"),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"data\":\"YQ==\""),
    LAYER("\"digest\":\"" D "\",\"size\":1,\"data\":\"YQ==\""),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"data\":\"%\""),
    LAYER("\"digest\":\"" D "\",\"size\":0,\"data\":1"),
    // members of the manifest
    V2 CONFIG "," LAYERS ",\"annotations\":[]}",
    V2 CONFIG "," LAYERS ",\"annotations\":{\"a\":null}}",
    V2 CONFIG "," LAYERS ",\"subject\":{}}",
    V2 CONFIG "," LAYERS ",\"subject\":\"x\"}",
    V2 CONFIG "," LAYERS ",\"artifactType\":[]}",
    V2 CONFIG "," LAYERS ",\"mediaType\":7}",
    V2 CONFIG "," LAYERS ",\"a\":\"\xff\xfe\"}",
    V2 CONFIG "," LAYERS ",\"a\":\"\\ud800\"}",
};

static void test_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        enum error_code code = verdict(hostile[i], NULL, NULL);
        if (code != ERR_REGISTRY_PROTOCOL)
            fail_msg("%s: %s", hostile[i], error_wire(code));
    }
}

static void test_embedded_nul(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct manifest m;
    static const char text[] = IMAGE "\0{}";
    assert_int_equal(manifest_parse(&m, text, sizeof text - 1, NULL, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
}

// Text from the server does not reach a terminal as it is.
static void test_quoted(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct manifest m;
    const char *text = LAYER("\"digest\":\"\\u001b[31mred\",\"size\":0");
    assert_int_equal(manifest_parse(&m, text, strlen(text), NULL, &err), -1);
    assert_null(strchr(err.detail, '\x1b'));
    assert_non_null(strstr(err.detail, "layers[0]"));
}

static char *repeated(const char *head, const char *part, size_t n, const char *tail)
{
    struct strbuf text = STRBUF_INIT(16 << 20);
    strbuf_puts(&text, head);
    for (size_t i = 0; i < n; i++)
        strbuf_puts(&text, part);
    strbuf_puts(&text, tail);
    assert_false(text.overflow);
    return strbuf_take(&text);
}

static void test_r80_limits(void **state)
{
    (void)state;
    AUTO_FREE char *depth = repeated(V2 CONFIG ",\"x\":", "[", 2049, "");
    AUTO_FREE char *deep =
        repeated(V2 CONFIG ",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "", 0,
                 "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}");
    AUTO_FREE char *nodes = repeated(V2 CONFIG ",\"x\":[", "[],", 1 << 20, "[]]}");
    AUTO_FREE char *bytes = repeated(V2 CONFIG ",\"x\":\"", "aaaaaaaaaaaaaaaa", 1 << 18, "\"}");
    AUTO_FREE char *children = repeated(V2 "\"manifests\":[", DESC(MEDIA_OCI_MANIFEST) ",",
                                        MANIFEST_DESCRIPTORS_MAX, DESC(MEDIA_OCI_MANIFEST) "]}");
    AUTO_FREE char *open = repeated("", "[", 4 << 20, "");
    const char *cases[] = {depth, deep, nodes, bytes, children, open};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(verdict(cases[i], NULL, NULL), ERR_REGISTRY_PROTOCOL);
}

static void test_r85_data(void **state)
{
    (void)state;
    struct manifest m;
    const char *text =
        LAYER("\"digest\":\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\","
              "\"size\":1,\"data\":\"YQ==\"");
    assert_int_equal(verdict(text, NULL, &m), ERR_NONE);
    assert_int_equal(m.layers[0].size, 1);
    manifest_clear(&m);
    static const char *const lies[] = {
        LAYER("\"digest\":\"" D "\",\"size\":1,\"data\":\"YQ==\""),
        LAYER("\"digest\":\"" D "\",\"size\":1,\"data\":\"\""),
        LAYER("\"digest\":\"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\","
              "\"size\":2,"
              "\"data\":\"YQ==\""),
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        assert_int_equal(verdict(lies[i], NULL, NULL), ERR_REGISTRY_PROTOCOL);
}

// foreign URLs are kept as they are; whether they are followed is decided elsewhere.
static void test_r86_urls(void **state)
{
    (void)state;
    struct manifest m;
    const char *text = IN_LAYERS("{\"mediaType\":\"" MEDIA_DOCKER_FOREIGN_LAYER "\",\"digest\":\"" D
                                 "\",\"size\":0,\"urls\":[\"http://169.254.169.254/x\"]}");
    assert_int_equal(verdict(text, NULL, &m), ERR_NONE);
    assert_true(media_type_is_foreign_layer(m.layers[0].media_type));
    assert_string_equal(json_string_value(json_array_get(m.layers[0].urls, 0)), "http://169.254.169.254/x");
    assert_true(manifest_is_image(&m));
    manifest_clear(&m);
}

static void test_artifacts(void **state)
{
    (void)state;
    static const char *const artifacts[] = {
        V2 "\"artifactType\":\"application/spdx+json\",\"config\":" DESC(
            MEDIA_OCI_EMPTY) "," LAYERS ",\"subject\":" DESC(MEDIA_OCI_MANIFEST) "}",
        V2 CONFIG ",\"layers\":[" DESC("application/vnd.in-toto+json") "]}",
        V2 "\"config\":" DESC("application/vnd.cncf.helm.config.v1+json") ",\"layers\":[]}",
    };
    for (size_t i = 0; i < sizeof artifacts / sizeof artifacts[0]; i++) {
        struct manifest m;
        assert_int_equal(verdict(artifacts[i], NULL, &m), ERR_NONE);
        assert_false(manifest_is_image(&m));
        assert_int_equal(m.has_subject, i == 0);
        manifest_clear(&m);
    }
}

static void test_verify(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct manifest m;
    struct descriptor d;
    struct digest sha512;
    assert_int_equal(verdict(IMAGE, NULL, &m), ERR_NONE);
    descriptor_init(&d, m.media_type, &m.digest, (int64_t)m.len);
    assert_int_equal(manifest_verify(&m, &d, &err), 0);
    digest_of(&sha512, DIGEST_SHA512, m.bytes, m.len);
    struct digest sha256 = m.digest;
    d.digest = sha512;
    assert_int_equal(manifest_verify(&m, &d, &err), 0);
    assert_true(digest_equal(&m.digest, &sha512));
    d.digest.text[20] = d.digest.text[20] == '0' ? '1' : '0';
    assert_int_equal(manifest_verify(&m, &d, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
    error_clear(&err);
    d.digest = sha256;
    d.size++;
    assert_int_equal(manifest_verify(&m, &d, &err), -1);
    assert_int_equal(err.code, ERR_DIGEST_MISMATCH);
    error_clear(&err);
    d.size = -1;
    assert_int_equal(manifest_verify(&m, &d, &err), 0);
    free(d.media_type);
    d.media_type = mem_strdup(MEDIA_OCI_INDEX);
    assert_int_equal(manifest_verify(&m, &d, &err), -1);
    assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
    descriptor_clear(&d);
    manifest_clear(&m);
}

static void parse_descriptor(struct descriptor *ret, const char *text)
{
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    AUTO_JSON json_t *value = json_parse(text, strlen(text), &json_limits_small, &err);
    assert_int_equal(descriptor_parse(ret, value, "it", &err), 0);
}

// The bytes of what is built are part of the promise "same input, same digest".
static void test_r70_build_golden(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor config, layer;
    struct manifest m;
    AUTO_JSON json_t *annotations = json_pack("{s:s,s:s}", "b", "2", "a", "1");
    parse_descriptor(&config, DESC(MEDIA_OCI_CONFIG));
    parse_descriptor(&layer, DESC(MEDIA_OCI_LAYER_GZIP));
    assert_int_equal(manifest_build(&m, MEDIA_FAMILY_OCI, &config, &layer, 1, annotations, &err), 0);
    assert_string_equal(
        m.bytes, "{\"annotations\":{\"a\":\"1\",\"b\":\"2\"},"
                 "\"config\":{\"digest\":\"" D "\",\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"size\":0},"
                 "\"layers\":[{\"digest\":\"" D "\",\"mediaType\":\"" MEDIA_OCI_LAYER_GZIP "\",\"size\":0}],"
                 "\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"schemaVersion\":2}");
    manifest_clear(&m);
    assert_int_equal(manifest_build(&m, MEDIA_FAMILY_OCI, &config, NULL, 0, NULL, &err), 0);
    assert_int_equal(m.n_layers, 0);
    assert_null(m.annotations);
    manifest_clear(&m);
    descriptor_clear(&config);
    descriptor_clear(&layer);
}

static void test_build_index_golden(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor child, copy;
    struct manifest m;
    parse_descriptor(&child, "{\"mediaType\":\"" MEDIA_DOCKER_MANIFEST "\",\"digest\":\"" D "\",\"size\":5,"
                             "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}}");
    descriptor_copy(&copy, &child);
    descriptor_clear(&child);
    assert_int_equal(manifest_build_index(&m, MEDIA_FAMILY_DOCKER, &copy, 1, NULL, &err), 0);
    assert_string_equal(
        m.bytes,
        "{\"manifests\":[{\"digest\":\"" D "\",\"mediaType\":\"" MEDIA_DOCKER_MANIFEST
        "\",\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\"},\"size\":5}],"
        "\"mediaType\":\"" MEDIA_DOCKER_LIST "\",\"schemaVersion\":2}");
    assert_int_equal(manifest_family(&m), MEDIA_FAMILY_DOCKER);
    manifest_clear(&m);
    descriptor_clear(&copy);
}

static void test_docker_has_no_annotations(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct descriptor config;
    struct manifest m;
    AUTO_JSON json_t *annotations = json_pack("{s:s}", "a", "1");
    parse_descriptor(&config, DESC(MEDIA_DOCKER_CONFIG));
    assert_int_equal(manifest_build(&m, MEDIA_FAMILY_DOCKER, &config, NULL, 0, annotations, &err), -1);
    assert_int_equal(err.code, ERR_INVALID_REQUEST);
    assert_non_null(strstr(err.hint, "oci"));
    descriptor_clear(&config);
}

// Everything of a descriptor goes through unharmed.
static void test_descriptor_round_trip(void **state)
{
    (void)state;
    const char *text =
        "{\"annotations\":{\"a\":\"b\"},\"artifactType\":\"x/y\",\"digest\":\"" D "\",\"mediaType\":\"m/t\","
        "\"platform\":{\"architecture\":\"amd64\",\"os\":\"windows\",\"os.version\":\"10.0\",\"variant\":"
        "\"v2\"},"
        "\"size\":9007199254740992,\"urls\":[\"https://x/y\"]}";
    struct descriptor d, copy;
    parse_descriptor(&d, text);
    descriptor_copy(&copy, &d);
    descriptor_clear(&d);
    AUTO_JSON json_t *value = descriptor_to_json(&copy);
    AUTO_FREE char *again = json_text_canonical(value);
    assert_string_equal(again, text);
    descriptor_clear(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_b15_r69_tolerated),
        cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_r69_types_agree),
        cmocka_unit_test(test_r73_unsupported),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_embedded_nul),
        cmocka_unit_test(test_quoted),
        cmocka_unit_test(test_r80_limits),
        cmocka_unit_test(test_r85_data),
        cmocka_unit_test(test_r86_urls),
        cmocka_unit_test(test_artifacts),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_r70_build_golden),
        cmocka_unit_test(test_build_index_golden),
        cmocka_unit_test(test_docker_has_no_annotations),
        cmocka_unit_test(test_descriptor_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
