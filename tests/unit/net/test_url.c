// SPDX-License-Identifier: Apache-2.0
//
// URLs: parsing, resolution, formatting; tables.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/url.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

static char *reformat(const char *text)
{
    struct url url;
    struct error err = ERROR_INIT;
    char *result = NULL;
    if (url_parse(&url, text, &err) == 0) {
        result = url_format(&url);
        url_clear(&url);
    } else {
        assert_int_equal(err.code, ERR_REGISTRY_PROTOCOL);
        assert_non_null(err.detail);
    }
    error_clear(&err);
    return result;
}

static void test_parse(void **state)
{
    static const char *const table[][2] = {
        {"https://example.com", "https://example.com/"},
        {"HTTPS://Example.COM:443/A?b", "https://example.com/A?b"},
        {"http://example.com:80", "http://example.com/"},
        {"https://example.com:80/", "https://example.com:80/"},
        {"https://example.com:/x", "https://example.com/x"},
        {"https://example.com?q=1", "https://example.com/?q=1"},
        {"https://example.com/#fragment", "https://example.com/"},
        {"https://example.com/a?b#c?d", "https://example.com/a?b"},
        {"https://example.com/a?", "https://example.com/a?"},
        {"https://example.com./", "https://example.com/"},
        {"https://my_host.local/", "https://my_host.local/"},
        {"https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"},
        {"http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/v2/"},
        {"http://[::1]:5000/", "http://[::1]:5000/"},
        {"http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"},
        {"http://[2001:DB8::A]/", "http://[2001:db8::a]/"},
        {"https://e.com/%2F%41?x=%zz&y=a b", "https://e.com/%2F%41?x=%zz&y=a%20b"},
        {"https://e.com/\xc3\xa9", "https://e.com/\xc3\xa9"},
        {"https://e.com/a/../b", "https://e.com/a/../b"},
        {"https://1.2.3.4.example/", "https://1.2.3.4.example/"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        char *got = reformat(table[i][0]);
        if (!got)
            fail_msg("%s is refused", table[i][0]);
        assert_string_equal(got, table[i][1]);
        free(got);
    }
}

static void test_refused(void **state)
{
    static const char *const table[] = {
        "",
        "/",
        "example.com",
        "//example.com/",
        "https:",
        "https:/example.com",
        "https://",
        "https:///path",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://e.com/",
        "javascript:alert(1)",
        "unix:///run/x",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://example.com@evil.com/",
        "https://@example.com/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:443x/",
        "https://example.com:-1/",
        "https://example.com: 443/",
        "https://example.com:99999999999999999999/",
        "https://exa mple.com/",
        "https://example%2ecom/",
        "https://example.com%00.evil.com/",
        "https://ex\xc3\xa4mple.com/",
        "https://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/",
        "https://example..com/",
        "https://.example.com/",
        "https://example.com../",
        "https://example.com\\@evil.com/",
        "https://example.com\\.evil.com/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[127.0.0.1]/",
        "https://[v1.x]/",
        "https://::1/",
        "https://a:b:c/",
        "https://example.com\t/",
        "https://example.com/a\nb",
        "https://example.com/a\rb",
        "https://example.com/\x7f",
        "https://example.com/\x01",
        "https://*.example.com/",
        "https://exam'ple.com/",
        "https://a,b/",
        "https://a;b/",
        "https://a&b/",
        "http s://a/",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        char *got = reformat(table[i]);
        if (got)
            fail_msg("%s gives %s", table[i], got);
    }
}

static void test_lengths(void **state)
{
    char text[40000], name[300];
    (void)state;
    // labels ≤ 63, names ≤ 253
    memset(name, 'a', sizeof name);
    for (int i = 63; i < 253; i += 64)
        name[i] = '.';
    name[253] = '\0';
    snprintf(text, sizeof text, "https://%s/", name);
    char *got = reformat(text);
    assert_non_null(got);
    free(got);
    snprintf(text, sizeof text, "https://%sa/", name);
    assert_null(reformat(text));
    memset(name, 'a', 64);
    name[64] = '\0';
    snprintf(text, sizeof text, "https://%s/", name);
    assert_null(reformat(text));
    memset(text, 'p', sizeof text);
    memcpy(text, "https://e.com/", 14);
    text[20000] = '\0';
    assert_null(reformat(text));
    text[16000] = '\0';
    got = reformat(text);
    assert_non_null(got);
    free(got);
}

// The class of a URL's host if it parses; ADDRESS_SPECIAL if it is refused.
static enum address_class class_of(const char *text)
{
    struct url url;
    struct error err = ERROR_INIT;
    enum address_class class = ADDRESS_SPECIAL;
    if (url_parse(&url, text, &err) == 0) {
        class = url_host_class(url.host);
        url_clear(&url);
    }
    error_clear(&err);
    return class;
}

// However loopback and the metadata service are spelled: refused, or seen for what they are. Never taken for
// a public name.
static void test_sixty_spellings(void **state)
{
    static const char *const table[] = {
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "0x7f.1",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "0177.0.0.01",
        "127.0.0.0x1",
        "127.00.00.01",
        "0127.0.0.1",
        "00000177.1",
        "0",
        "0.0.0.0",
        "0x0",
        "00",
        "0.0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "LocalHost",
        "foo.localhost",
        "a.b.localhost.",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[0000:0000:0000:0000:0000:0000:0000:0001]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::FFFF:7F00:0001]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2002:7f00:0001::1]",
        "[::1%lo]",
        "[::1%25lo]",
        "[fe80::1%25eth0]",
        "[fe80::1]",
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.16689662",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::169.254.169.254]",
        "[2002:a9fe:a9fe::]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
        "%31%32%37.0.0.1",
        "127.0.0.1%00.example.com",
        "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1",
        "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",
        "127\xe3\x80\x82"
        "0.0.1",
        "user@127.0.0.1",
        "example.com@127.0.0.1",
    };
    char text[256];
    (void)state;
    assert_true(COUNT(table) >= 60);
    for (size_t i = 0; i < COUNT(table); i++) {
        snprintf(text, sizeof text, "https://%s/", table[i]);
        if (class_of(text) == ADDRESS_PUBLIC)
            fail_msg("%s passes as public", table[i]);
        snprintf(text, sizeof text, "http://%s:8080/latest/meta-data", table[i]);
        if (class_of(text) == ADDRESS_PUBLIC)
            fail_msg("%s passes as public", table[i]);
    }
    static const char *const public[] = {
        "8.8.8.8",          "example.com",      "[2606:4700::1111]",     "128.0.0.1",
        "126.255.255.255",  "172.32.0.1",       "localhost.example.com", "notlocalhost",
        "127.0.0.1.nip.io", "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]",    "169.253.255.255",
        "11.0.0.1"};
    for (size_t i = 0; i < COUNT(public); i++) {
        snprintf(text, sizeof text, "https://%s/", public[i]);
        if (class_of(text) != ADDRESS_PUBLIC)
            fail_msg("%s does not pass as public", public[i]);
    }
}

static void test_loopback_names(void **state)
{
    static const char *const yes[] = {"localhost", "Localhost", "a.localhost",
                                      "127.0.0.1", "127.9.8.7", "::1"};
    static const char *const no[] = {"localhost.evil.com",
                                     "notlocalhost",
                                     ".localhost",
                                     "localhost.local",
                                     "127.1",
                                     "127.0.0.1.evil.com",
                                     "0.0.0.0",
                                     "::",
                                     "10.0.0.1",
                                     "localhos",
                                     ""};
    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++)
        assert_true(url_is_loopback_name(yes[i]));
    for (size_t i = 0; i < COUNT(no); i++)
        assert_false(url_is_loopback_name(no[i]));
}

// RFC 3986 section 5.4, and the shapes of Location that registries send.
static void test_resolve(void **state)
{
    static const char *const table[][3] = {
        {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"},
        {"http://a/b/c/d;p?q", "/g", "http://a/g"},
        {"http://a/b/c/d;p?q", "//g", "http://g/"},
        {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
        {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"},
        {"http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", "g#s", "http://a/b/c/g"},
        {"http://a/b/c/d;p?q", ";x", "http://a/b/c/;x"},
        {"http://a/b/c/d;p?q", "g;x?y#s", "http://a/b/c/g;x?y"},
        {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
        {"http://a/b/c/d;p?q", ".", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "./", "http://a/b/c/"},
        {"http://a/b/c/d;p?q", "..", "http://a/b/"},
        {"http://a/b/c/d;p?q", "../", "http://a/b/"},
        {"http://a/b/c/d;p?q", "../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "../..", "http://a/"},
        {"http://a/b/c/d;p?q", "../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "../../../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "/../g", "http://a/g"},
        {"http://a/b/c/d;p?q", "g.", "http://a/b/c/g."},
        {"http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"},
        {"http://a/b/c/d;p?q", "./../g", "http://a/b/g"},
        {"http://a/b/c/d;p?q", "g/./h", "http://a/b/c/g/h"},
        {"http://a/b/c/d;p?q", "g/../h", "http://a/b/c/h"},
        {"http://a/b/c/d;p?q", "g?y/../x", "http://a/b/c/g?y/../x"},
        {"https://r:5000/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/1?_state=x%3D",
         "https://r:5000/v2/a/blobs/uploads/1?_state=x%3D"},
        {"https://r:5000/v2/a/blobs/uploads/", "https://r:5000/x?y=1&z", "https://r:5000/x?y=1&z"},
        {"https://r:5000/v2/a/blobs/uploads/", "1234", "https://r:5000/v2/a/blobs/uploads/1234"},
        {"https://r:5000/v2/", "//cdn.example/x", "https://cdn.example/x"},
        {"https://r:5000/v2/", "http://cdn.example/x", "http://cdn.example/x"},
        {"https://r:5000/v2/", "HTTPS://CDN.example/x", "https://cdn.example/x"},
        {"https://r:5000/v2/", "file:///etc/passwd", NULL},
        {"https://r:5000/v2/", "sha256:abc", NULL},
        {"https://r:5000/v2/", "//user@r:5000/x", NULL},
        {"https://r:5000/v2/", "https://", NULL},
        {"https://r:5000/v2/", "/a\r\nX: y", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct url base, url;
        struct error err = ERROR_INIT;
        assert_int_equal(url_parse(&base, table[i][0], &err), 0);
        int rc = url_resolve(&url, &base, table[i][1], &err);
        assert_int_equal(rc, table[i][2] ? 0 : -1);
        if (rc == 0) {
            char *got = url_format(&url);
            assert_string_equal(got, table[i][2]);
            free(got);
            url_clear(&url);
        }
        url_clear(&base);
        error_clear(&err);
    }
}

static void test_add_query(void **state)
{
    static const char *const table[][2] = {
        {"https://r/u", "https://r/u?digest=sha256%3Aab"},
        {"https://r/u?", "https://r/u?digest=sha256%3Aab"},
        {"https://r/u?_state=a%2Fb+c", "https://r/u?_state=a%2Fb+c&digest=sha256%3Aab"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(table); i++) {
        struct url url;
        struct error err = ERROR_INIT;
        assert_int_equal(url_parse(&url, table[i][0], &err), 0);
        url_add_query(&url, "digest", "sha256:ab");
        char *got = url_format(&url);
        assert_string_equal(got, table[i][1]);
        free(got);
        url_clear(&url);
    }
}

static void test_origin(void **state)
{
    struct url a, b;
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(url_parse(&a, "https://R.example/x?y", &err), 0);
    assert_int_equal(url_parse(&b, "https://r.example:443/", &err), 0);
    assert_true(url_same_origin(&a, &b));
    char *origin = url_origin(&a);
    assert_string_equal(origin, "https://r.example:443");
    free(origin);
    url_clear(&b);
    static const char *const others[] = {"http://r.example/",      "https://r.example:444/",
                                         "https://s.example/",     "https://a.r.example/",
                                         "https://r.example.com/", "http://r.example:443/"};
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_int_equal(url_parse(&b, others[i], &err), 0);
        assert_false(url_same_origin(&a, &b));
        url_clear(&b);
    }
    url_copy(&b, &a);
    assert_true(url_same_origin(&a, &b));
    assert_string_equal(b.query, "y");
    url_clear(&a);
    url_clear(&b);
}

// What was refused is named without its query or user name.
static void test_messages_keep_secrets(void **state)
{
    struct url url;
    struct error err = ERROR_INIT;
    (void)state;
    assert_int_equal(url_parse(&url, "https://u:canary1@example.com/x?sig=canary2", &err), -1);
    assert_null(strstr(err.detail, "canary"));
    error_clear(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_sixty_spellings),
        cmocka_unit_test(test_loopback_names),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_add_query),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_messages_keep_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
