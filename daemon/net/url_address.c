// SPDX-License-Identifier: Apache-2.0
//
// Classes of addresses (IANA special-purpose registries, RFC 6890): what transport asks about the address
// that it is about to connect to. Addresses that carry an IPv4 address (mapped, NAT64, 6to4) are judged by
// that one too.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "net/url.h"

struct block4 {
    uint32_t network;
    int bits;
    enum address_class class;
};

struct block6 {
    uint8_t network[16];
    int bits;
    enum address_class class;
};

static const struct block4 blocks4[] = {
    {0x00000000, 8, ADDRESS_LOOPBACK},    // 0.0.0.0/8: "this host" – Linux connects it to itself
    {0x7f000000, 8, ADDRESS_LOOPBACK},    // 127.0.0.0/8
    {0x0a000000, 8, ADDRESS_PRIVATE},     // 10.0.0.0/8
    {0xac100000, 12, ADDRESS_PRIVATE},    // 172.16.0.0/12
    {0xc0a80000, 16, ADDRESS_PRIVATE},    // 192.168.0.0/16
    {0x64400000, 10, ADDRESS_PRIVATE},    // 100.64.0.0/10, carrier-grade NAT
    {0xc6120000, 15, ADDRESS_PRIVATE},    // 198.18.0.0/15, benchmarks
    {0xa9fe0000, 16, ADDRESS_LINK_LOCAL}, // 169.254.0.0/16, metadata services
    {0xc0000000, 24, ADDRESS_SPECIAL},    // 192.0.0.0/24, IETF
    {0xc0000200, 24, ADDRESS_SPECIAL},    // 192.0.2.0/24, documentation
    {0xc6336400, 24, ADDRESS_SPECIAL},    // 198.51.100.0/24
    {0xcb007100, 24, ADDRESS_SPECIAL},    // 203.0.113.0/24
    {0xe0000000, 3, ADDRESS_SPECIAL},     // 224.0.0.0/3: multicast, reserved, broadcast
};

static const struct block6 blocks6[] = {
    {{0}, 127, ADDRESS_LOOPBACK},                    // :: and ::1
    {{0xfc}, 7, ADDRESS_PRIVATE},                    // fc00::/7, unique local
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},             // fec0::/10, site-local (deprecated)
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},          // fe80::/10
    {{0xff}, 8, ADDRESS_SPECIAL},                    // ff00::/8, multicast
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_SPECIAL}, // 2001:db8::/32, documentation
    {{0x01, 0x00}, 64, ADDRESS_SPECIAL},             // 100::/64, discard
    {{0x20, 0x01, 0x00, 0x00}, 32, ADDRESS_SPECIAL}, // 2001::/32, Teredo
};

// Prefixes behind which an IPv4 address is carried, and the byte at which it begins.
static const struct {
    uint8_t network[16];
    int bits;
    int offset;
} carriers[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12}, // ::ffff:0:0/96, mapped
    {{0}, 96, 12},                                        // ::/96, compatible
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 96, 12}, // ::ffff:0:0:0/96, translated
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},                   // 64:ff9b::/96, NAT64
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 12},       // 64:ff9b:1::/48, local NAT64
    {{0x20, 0x02}, 16, 2},                                // 2002::/16, 6to4
};

static enum address_class class4(uint32_t address)
{
    for (size_t i = 0; i < sizeof blocks4 / sizeof *blocks4; i++)
        if ((address ^ blocks4[i].network) >> (32 - blocks4[i].bits) == 0)
            return blocks4[i].class;
    return ADDRESS_PUBLIC;
}

static bool prefix_equal(const uint8_t *address, const uint8_t *network, int bits)
{
    int bytes = bits / 8, rest = bits % 8;
    if (memcmp(address, network, (size_t)bytes) != 0)
        return false;
    return rest == 0 || (address[bytes] ^ network[bytes]) >> (8 - rest) == 0;
}

static enum address_class class6(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof blocks6 / sizeof *blocks6; i++)
        if (prefix_equal(address, blocks6[i].network, blocks6[i].bits))
            return blocks6[i].class;
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
        if (!prefix_equal(address, carriers[i].network, carriers[i].bits))
            continue;
        uint32_t inner;
        memcpy(&inner, address + carriers[i].offset, sizeof inner);
        return class4(ntohl(inner));
    }
    return ADDRESS_PUBLIC;
}

enum address_class url_address_class(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return class4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return class6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return ADDRESS_SPECIAL;
}

enum address_class url_host_class(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return class4(ntohl(v4.s_addr));
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return class6(v6.s6_addr);
    return url_is_loopback_name(host) ? ADDRESS_LOOPBACK : ADDRESS_PUBLIC;
}

bool url_is_loopback_name(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return str_equal_case(host, "localhost") || strcmp(host, "::1") == 0 ||
           (strlen(host) > 10 && str_equal_case(host + strlen(host) - 10, ".localhost"));
}

const char *url_address_class_name(enum address_class class)
{
    static const char *const names[] = {
        [ADDRESS_PUBLIC] = "public",         [ADDRESS_LOOPBACK] = "loopback", [ADDRESS_PRIVATE] = "private",
        [ADDRESS_LINK_LOCAL] = "link-local", [ADDRESS_SPECIAL] = "reserved",
    };
    return names[class];
}
