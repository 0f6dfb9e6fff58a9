// SPDX-License-Identifier: Apache-2.0
//
// RFC 4648. Written out here because OpenSSL's decoder ignores padding rules and white space.
#include "base/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const unsigned char *in, size_t len, const char *alphabet, int pad)
{
    char *text = mem_alloc((len + 2) / 3 * 4 + 1);
    size_t used = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t group =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            if (k <= left)
                text[used++] = alphabet[group >> (18 - 6 * k) & 63];
            else if (pad)
                text[used++] = '=';
    }
    text[used] = '\0';
    return text;
}

char *base64_encode(const void *bytes, size_t len)
{
    return encode(bytes, len, standard, 1);
}

char *base64_encode_url(const void *bytes, size_t len)
{
    return encode(bytes, len, url_safe, 0);
}

static int value_of(char c)
{
    const char *at = c ? strchr(standard, c) : NULL;
    return at ? (int)(at - standard) : -1;
}

bool base64_decode(const char *text, size_t text_len, void **ret, size_t *ret_len)
{
    size_t len = text_len;
    while (len && text[len - 1] == '=' && text_len - len < 2)
        len--;
    bool padded = len != text_len;
    if (len % 4 == 1 || (padded && text_len % 4 != 0))
        return false;
    unsigned char *out = mem_alloc(len / 4 * 3 + 4);
    size_t used = 0;
    uint32_t group = 0;
    int bits = 0;
    for (size_t i = 0; i < len; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            goto bad;
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[used++] = (unsigned char)(group >> bits);
        }
    }
    if (group & ((1u << bits) - 1))
        goto bad; // bits that no encoder sets
    out[used] = '\0';
    *ret = out;
    *ret_len = used;
    return true;
bad:
    free(out);
    return false;
}
