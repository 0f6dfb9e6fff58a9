// SPDX-License-Identifier: Apache-2.0
//
// Secrets: one block each, wiped at the end.
#include "base/secret.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

struct secret {
    size_t len;
    char text[];
};

static unsigned char identity_key[32];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (getrandom(identity_key, sizeof(identity_key), 0) != sizeof(identity_key))
        abort();
}

struct secret *secret_new_bytes(const void *bytes, size_t len)
{
    struct secret *secret = mem_alloc(sizeof(*secret) + len + 1);
    secret->len = len;
    if (len)
        memcpy(secret->text, bytes, len);
    secret->text[len] = '\0';
    return secret;
}

struct secret *secret_new(const char *text)
{
    return text ? secret_new_bytes(text, strlen(text)) : NULL;
}

struct secret *secret_dup(const struct secret *secret)
{
    return secret ? secret_new_bytes(secret->text, secret->len) : NULL;
}

const char *secret_reveal(const struct secret *secret)
{
    return secret ? secret->text : NULL;
}

size_t secret_len(const struct secret *secret)
{
    return secret ? secret->len : 0;
}

const char *secret_text(const struct secret *secret)
{
    return secret ? "***" : "";
}

void secret_free(struct secret *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret->text, secret->len);
    free(secret);
}

void secret_identity(const struct secret *secret, char ret[17])
{
    pthread_once(&key_once, make_key);
    unsigned char mac[EVP_MAX_MD_SIZE] = {0};
    unsigned int len = sizeof(mac);
    if (secret && !HMAC(EVP_sha256(), identity_key, sizeof(identity_key), (const unsigned char *)secret->text,
                        secret->len, mac, &len))
        abort(); // two identities must never look the same
    for (int i = 0; i < 8; i++) {
        ret[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    ret[16] = '\0';
}
