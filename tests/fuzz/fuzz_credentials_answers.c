// SPDX-License-Identifier: Apache-2.0
//
// What token servers and credential helpers answer. Input: the exit status of a helper as one byte, then the
// text.
#include "base/secret.h"
#include "credentials/helper.h"
#include "credentials/token.h"
#include "fuzz.h"

static void token(const char *text, size_t len)
{
    struct error err = ERROR_INIT;
    struct token *token = token_parse(text, len, &err);
    if (!token) {
        fuzz_check_error(&err);
        return;
    }
    FUZZ_ASSERT(token->life_ms >= 60 * 1000 && token->life_ms <= 24 * 3600 * 1000);
    for (const char *c = secret_reveal(token->secret); *c; c++)
        FUZZ_ASSERT((unsigned char)*c > ' ' && *c != 0x7f);
    token_unref(token);
}

static void refusal(const char *text, size_t len)
{
    struct secret *secret = secret_new("canary");
    AUTO_FREE char *said = token_refusal_text(text, len, secret);
    FUZZ_ASSERT(!said || !strstr(said, "canary"));
    secret_free(secret);
}

static void helper(int status, const char *text, size_t len)
{
    struct error err = ERROR_INIT;
    struct credential *credential = NULL;
    struct helper_run run = {.name = "x", .directories = "/x", .server = "r.example", .deadline_ms = 1};
    int found = helper_answer_parse(&run, status, text, len, &credential, &err);
    FUZZ_ASSERT((found == 1) == (credential != NULL));
    if (found < 0)
        fuzz_check_error(&err);
    credential_unref(credential);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    AUTO_FREE char *text = fuzz_text(data + 1, size - 1);
    token(text, size - 1);
    refusal(text, size - 1);
    helper(data[0] == '0' ? 0 : 1, text, size - 1);
    return 0;
}
