// SPDX-License-Identifier: Apache-2.0
//
// Digests and hashing. The EVP_MD objects are fetched once (a fetch costs more than a small hash).
#include "base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct hasher {
    EVP_MD_CTX *context;
    enum digest_algorithm algorithm;
};

static const struct {
    const char *name;
    size_t hex;
} algorithms[] = {
    [DIGEST_NONE] = {"", 0}, [DIGEST_SHA256] = {"sha256", 64}, [DIGEST_SHA512] = {"sha512", 128}};

static EVP_MD *fetched[3];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
    fetched[DIGEST_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    fetched[DIGEST_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
    if (!fetched[DIGEST_SHA256] || !fetched[DIGEST_SHA512])
        abort(); // an OpenSSL without SHA-2 cannot serve us
}

static bool is_lower_hex(const char *text)
{
    return text[strspn(text, "0123456789abcdef")] == '\0';
}

static enum digest_algorithm judge(const char *text)
{
    if (!text || strlen(text) >= DIGEST_TEXT_MAX)
        return DIGEST_NONE;
    for (int i = DIGEST_SHA256; i <= DIGEST_SHA512; i++) {
        size_t prefix = strlen(algorithms[i].name);
        if (strncmp(text, algorithms[i].name, prefix) == 0 && text[prefix] == ':' &&
            strlen(text + prefix + 1) == algorithms[i].hex && is_lower_hex(text + prefix + 1))
            return (enum digest_algorithm)i;
    }
    return DIGEST_NONE;
}

int digest_parse(struct digest *ret, const char *text, struct error *err)
{
    enum digest_algorithm algorithm = judge(text);
    if (!algorithm) {
        AUTO_FREE char *quoted = str_quote(text ? text : "", 100);
        return error_set(
            err, ERR_INVALID_REQUEST,
            "\"%s\" is not a digest: expected sha256: and 64, or sha512: and 128 lower-case hex digits",
            quoted);
    }
    *ret = (struct digest){.algorithm = algorithm};
    memcpy(ret->text, text, strlen(text) + 1);
    return 0;
}

bool digest_valid(const char *text)
{
    return judge(text) != DIGEST_NONE;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return a->algorithm == b->algorithm && strcmp(a->text, b->text) == 0;
}

bool digest_known(const struct digest *digest)
{
    return digest->algorithm != DIGEST_NONE;
}

const char *digest_hex(const struct digest *digest)
{
    return digest_known(digest) ? strchr(digest->text, ':') + 1 : "";
}

const char *digest_algorithm_name(const struct digest *digest)
{
    return algorithms[digest->algorithm].name;
}

void digest_of(struct digest *ret, enum digest_algorithm algorithm, const void *bytes, size_t len)
{
    struct hasher *hasher = hasher_new(algorithm);
    hasher_update(hasher, bytes, len);
    hasher_finish(hasher, ret);
    hasher_free(hasher);
}

struct hasher *hasher_new(enum digest_algorithm algorithm)
{
    pthread_once(&fetch_once, fetch_all);
    struct hasher *hasher = mem_new(struct hasher);
    hasher->algorithm = algorithm;
    hasher->context = EVP_MD_CTX_new();
    if (!hasher->context || EVP_DigestInit_ex(hasher->context, fetched[algorithm], NULL) != 1)
        abort(); // only out of memory can bring us here
    return hasher;
}

struct hasher *hasher_dup(const struct hasher *hasher)
{
    struct hasher *copy = hasher_new(hasher->algorithm);
    if (EVP_MD_CTX_copy_ex(copy->context, hasher->context) != 1)
        abort();
    return copy;
}

void hasher_update(struct hasher *hasher, const void *bytes, size_t len)
{
    EVP_DigestUpdate(hasher->context, bytes, len);
}

void hasher_finish(struct hasher *hasher, struct digest *ret)
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_DigestFinal_ex(hasher->context, raw, &len);
    *ret = (struct digest){.algorithm = hasher->algorithm};
    size_t used = strlen(algorithms[hasher->algorithm].name);
    memcpy(ret->text, algorithms[hasher->algorithm].name, used);
    ret->text[used++] = ':';
    for (unsigned int i = 0; i < len; i++) {
        ret->text[used++] = "0123456789abcdef"[raw[i] >> 4];
        ret->text[used++] = "0123456789abcdef"[raw[i] & 15];
    }
}

void hasher_free(struct hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->context);
    free(hasher);
}
