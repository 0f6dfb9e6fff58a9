// SPDX-License-Identifier: Apache-2.0
//
// What must hold: the time of a comparison does not depend on how much of a guess is right (both sides are
// hashed first), a missing token does not use up the allowance, and the token never appears in a text.
#include "http/bearer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"

enum { TOKEN_BYTES_MAX = 4096, WRONG_ALLOWED = 100, WRONG_REFILL_MS = 1000 };

struct bearer {
    char *path;
    struct digest digest; // of the token: what guesses are compared with
    struct timespec mtime;
    ino_t inode;
    int allowance;
    int64_t refilled_ms;
};

static int load(struct bearer *bearer, struct error *err)
{
    struct stat info;
    size_t len;
    if (stat(bearer->path, &info) != 0)
        return error_set_errno(err, errno, "The token file %s cannot be read", bearer->path);
    bearer->mtime = info.st_mtim;
    bearer->inode = info.st_ino;
    char *text = file_read(bearer->path, TOKEN_BYTES_MAX, &len, err);
    if (!text)
        return error_wrap(err, "The token file %s", bearer->path);
    size_t token_len = len;
    while (token_len > 0 && (text[token_len - 1] == '\n' || text[token_len - 1] == '\r'))
        token_len--;
    int result = token_len > 0 && strlen(text) == len ? 0 : -1;
    if (result == 0)
        digest_of(&bearer->digest, DIGEST_SHA256, text, token_len);
    else
        error_set(err, ERR_INVALID_REQUEST, "The token file %s holds no token", bearer->path);
    explicit_bzero(text, len);
    free(text);
    if (info.st_mode & (S_IRWXO))
        log_warning("token file %s is open to others; chmod 600 it", bearer->path);
    return result;
}

struct bearer *bearer_open(const char *path, struct error *err)
{
    struct bearer *bearer = mem_new(struct bearer);
    bearer->path = mem_strdup(path);
    bearer->allowance = WRONG_ALLOWED;
    if (load(bearer, err) == 0)
        return bearer;
    bearer_free(bearer);
    return NULL;
}

void bearer_free(struct bearer *bearer)
{
    if (!bearer)
        return;
    free(bearer->path);
    free(bearer);
}

// A rotated file counts from the next request on; while it is broken the old token stays good.
static void reload_if_changed(struct bearer *bearer)
{
    struct stat info;
    if (stat(bearer->path, &info) != 0)
        return;
    if (info.st_ino == bearer->inode && info.st_mtim.tv_sec == bearer->mtime.tv_sec &&
        info.st_mtim.tv_nsec == bearer->mtime.tv_nsec)
        return;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    if (load(bearer, &err) != 0)
        log_warning("%s; the former token stays valid", err.detail);
}

static bool same_token(const struct bearer *bearer, const char *guess, size_t len)
{
    struct digest digest;
    digest_of(&digest, DIGEST_SHA256, guess, len);
    return str_equal_secret(digest.text, bearer->digest.text, strlen(bearer->digest.text));
}

static bool basic_is_right(const struct bearer *bearer, const char *encoded)
{
    void *decoded = NULL;
    size_t len;
    if (!base64_decode(encoded, strlen(encoded), &decoded, &len))
        return false;
    const char *colon = memchr(decoded, ':', len);
    bool right = colon && same_token(bearer, colon + 1, len - (size_t)(colon + 1 - (const char *)decoded));
    explicit_bzero(decoded, len);
    free(decoded);
    return right;
}

static bool is_right(const struct bearer *bearer, const char *authorization, bool basic)
{
    if (strncasecmp(authorization, "Bearer ", 7) == 0) {
        const char *guess = authorization + 7 + strspn(authorization + 7, " ");
        return same_token(bearer, guess, strlen(guess));
    }
    return basic && strncasecmp(authorization, "Basic ", 6) == 0 && basic_is_right(bearer, authorization + 6);
}

static void refill(struct bearer *bearer, int64_t now_ms)
{
    int64_t due = (now_ms - bearer->refilled_ms) / WRONG_REFILL_MS;
    if (due <= 0)
        return;
    bearer->refilled_ms += due * WRONG_REFILL_MS;
    bearer->allowance =
        due >= WRONG_ALLOWED - bearer->allowance ? WRONG_ALLOWED : bearer->allowance + (int)due;
}

enum bearer_verdict bearer_check(struct bearer *bearer, const char *authorization, bool basic, bool trusted,
                                 int64_t now_ms)
{
    if (!authorization)
        return BEARER_MISSING;
    refill(bearer, now_ms);
    if (bearer->allowance == 0 && !trusted)
        return BEARER_LIMITED;
    reload_if_changed(bearer);
    if (is_right(bearer, authorization, basic))
        return BEARER_RIGHT;
    if (bearer->allowance > 0)
        bearer->allowance--;
    return BEARER_WRONG;
}
