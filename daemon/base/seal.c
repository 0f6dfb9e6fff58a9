// SPDX-License-Identifier: Apache-2.0
//
// AES-256-GCM through OpenSSL. Format: version 1, 12 bytes nonce, ciphertext, 16 bytes tag. Nonces are
// random: far fewer than 2^32 messages are ever sealed with one key (NIST SP 800-38D, 8.3).
#include "base/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, VERSION = 1 };

struct seal {
    unsigned char key[KEY_BYTES];
};

// forbidden: the permission bits that the file may not have.
static int read_key(struct seal *seal, const char *path, mode_t forbidden, struct error *err)
{
    struct stat st;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st))
        return error_set_errno(err, errno, "the sealing key %s cannot be opened", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_INTERNAL, "the sealing key %s is not a regular file", path);
    if (st.st_mode & forbidden)
        return error_set(err, ERR_INTERNAL, "the sealing key %s can be read by others: set its mode to 0600",
                         path);
    if (read(fd, seal->key, KEY_BYTES) != KEY_BYTES || st.st_size != KEY_BYTES)
        return error_set(
            err, ERR_INTERNAL,
            "the sealing key %s is damaged: it must have exactly %d bytes (moving it away makes a new one; "
            "queued jobs with inline credentials then fail)",
            path, KEY_BYTES);
    return 0;
}

static int make_key(struct seal *seal, const char *path, struct error *err)
{
    if (getrandom(seal->key, KEY_BYTES, 0) != KEY_BYTES)
        return error_set_errno(err, errno, "no random bytes for the sealing key");
    return file_publish(path, seal->key, KEY_BYTES, 0600, err);
}

// A key that exists and cannot be reached is not absent: a new one in its place would lock the old texts for
// ever.
static bool present(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 || errno != ENOENT;
}

struct seal *seal_open(const char *directory, struct error *err)
{
    struct seal *seal = mem_new(struct seal);
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    AUTO_FREE char *given = credentials ? mem_printf("%s/dray-seal-key", credentials) : NULL;
    AUTO_FREE char *own = mem_printf("%s/seal.key", directory);
    int result;
    // systemd lets us in by an ACL, whose mask shows as the group's bits.
    if (given && present(given))
        result = read_key(seal, given, 037, err);
    else if (present(own))
        result = read_key(seal, own, 077, err);
    else
        result = make_key(seal, own, err);
    if (!result)
        return seal;
    seal_free(seal);
    return NULL;
}

void seal_free(struct seal *seal)
{
    if (!seal)
        return;
    explicit_bzero(seal->key, sizeof(seal->key));
    free(seal);
}

int seal_close_text(struct seal *seal, const char *context, const struct secret *text, void **ret,
                    size_t *ret_len, struct error *err)
{
    size_t len = secret_len(text), total = 1 + NONCE_BYTES + len + TAG_BYTES;
    AUTO_FREE unsigned char *out = mem_alloc(total);
    unsigned char *nonce = out + 1, *body = nonce + NONCE_BYTES;
    out[0] = VERSION;
    if (getrandom(nonce, NONCE_BYTES, 0) != NONCE_BYTES)
        return error_set_errno(err, errno, "no random bytes for sealing");
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int used = 0;
    bool good =
        cipher && EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, seal->key, nonce) == 1 &&
        EVP_EncryptUpdate(cipher, NULL, &used, (const unsigned char *)context, (int)strlen(context)) == 1 &&
        EVP_EncryptUpdate(cipher, body, &used, (const unsigned char *)secret_reveal(text), (int)len) == 1 &&
        EVP_EncryptFinal_ex(cipher, body + len, &used) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + len) == 1;
    EVP_CIPHER_CTX_free(cipher);
    if (!good)
        return error_set(err, ERR_INTERNAL, "sealing the credentials of a job failed");
    *ret = mem_take(out);
    *ret_len = total;
    return 0;
}

static struct secret *unsealed(struct seal *seal, const char *context, const unsigned char *in, size_t len)
{
    size_t body_len = len - 1 - NONCE_BYTES - TAG_BYTES;
    const unsigned char *nonce = in + 1, *body = nonce + NONCE_BYTES;
    AUTO_FREE unsigned char *plain = mem_alloc(body_len + 1);
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int used = 0;
    bool good =
        cipher && EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, seal->key, nonce) == 1 &&
        EVP_DecryptUpdate(cipher, NULL, &used, (const unsigned char *)context, (int)strlen(context)) == 1 &&
        EVP_DecryptUpdate(cipher, plain, &used, body, (int)body_len) == 1 &&
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, (void *)(body + body_len)) == 1 &&
        EVP_DecryptFinal_ex(cipher, plain + body_len, &used) == 1;
    EVP_CIPHER_CTX_free(cipher);
    struct secret *secret = good ? secret_new_bytes(plain, body_len) : NULL;
    explicit_bzero(plain, body_len);
    return secret;
}

struct secret *seal_open_text(struct seal *seal, const char *context, const void *sealed, size_t len,
                              struct error *err)
{
    const unsigned char *in = sealed;
    struct secret *secret = NULL;
    if (len >= 1 + NONCE_BYTES + TAG_BYTES && in[0] == VERSION)
        secret = unsealed(seal, context, in, len);
    if (!secret)
        error_set(err, ERR_AUTH_REQUIRED,
                  "the sealed credentials of the job cannot be opened: the sealing key has changed or they "
                  "are damaged");
    return secret;
}
