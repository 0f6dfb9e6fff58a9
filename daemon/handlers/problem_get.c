// SPDX-License-Identifier: Apache-2.0
//
// GET /problems/{code}: the `type` of a problem document leads here (RFC 9457 section 3.1.1). What the code
// means, what status and exit code go with it, and what to do.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "handlers/answer.h"
#include "handlers/operations.h"

struct advice {
    enum error_code code;
    const char *text;
};

static const struct advice advices[] = {
    {ERR_INVALID_REQUEST,
     "Something in the request is not as the API defines it; `errors` holds the JSON pointer of the "
     "member at fault where there is one. GET /openapi.json describes every body."},
    {ERR_REFERENCE_INVALID,
     "An image reference must be HOST/NAME[:TAG][@DIGEST], or a layout or archive with its prefix."},
    {ERR_UNAUTHORIZED,
     "Over TCP each request needs `Authorization: Bearer` with the content of the daemon's token file."},
    {ERR_FORBIDDEN,
     "The caller lacks the right. Administrators are root, the daemon's own user and those configured."},
    {ERR_FORBIDDEN_ORIGIN,
     "A browser sent the request on behalf of a page. Only the daemon's own status page is served."},
    {ERR_PATH_NOT_ALLOWED,
     "Jobs may only read below the build roots and write below the output roots that are configured."},
    {ERR_REGISTRY_DENIED,
     "The registry knows who asks and refuses. Check the rights of that account on the repository."},
    {ERR_NOT_FOUND, "The daemon has no such resource, or it belongs to somebody else."},
    {ERR_IMAGE_NOT_FOUND,
     "The registry or layout has no such repository, tag or digest, or hides it from this account."},
    {ERR_PATH_NOT_FOUND, "A path that the job names does not exist, as the daemon sees the file system."},
    {ERR_METHOD_NOT_ALLOWED, "The Allow header lists what the resource can do."},
    {ERR_CONFLICT,
     "The resource is in a state that does not permit this, for example a job that is still running."},
    {ERR_MOUNT_REFUSED, "The registry wants the blob uploaded instead. Jobs do that by themselves."},
    {ERR_TARGET_EXISTS, "The job asked to fail if the target exists. Choose another tag or `if_exists`."},
    {ERR_EVENTS_EXPIRED,
     "Older events are no longer kept. Go on from `oldest_seq`, or get the job for its present state."},
    {ERR_TOO_LARGE, "Something exceeds its limit; the detail names it."},
    {ERR_UNSUPPORTED_MEDIA, "The route does not take a body of this Content-Type."},
    {ERR_RANGE, "The Range header asks for bytes behind the end; Content-Range of the answer tells the size."},
    {ERR_MISDIRECTED,
     "The Host header must be localhost, 127.0.0.1 or [::1] with the daemon's port, or a configured name."},
    {ERR_IDEMPOTENCY, "Use a new Idempotency-Key for a new job; the same key means the same job."},
    {ERR_AUTH_REQUIRED, "Inline credentials are wiped when a job ends. Send `auth` again."},
    {ERR_MANIFEST_UNSUPPORTED, "The manifest is of a kind that this operation cannot work on."},
    {ERR_PLATFORM_MISSING, "The image lacks a platform that was asked for; the detail lists those it has."},
    {ERR_UNSUPPORTED_FILE, "Sockets, devices, FIFOs and `.wh.` names do not go into layers. Exclude them."},
    {ERR_SOURCE_CHANGED, "A file changed while it was packed. Build from a tree that rests."},
    {ERR_RATE_LIMITED, "Wait as long as Retry-After says."},
    {ERR_INTERNAL, "A fault of the daemon. Its log has more, under the request id."},
    {ERR_REGISTRY_UNREACHABLE,
     "No connection, no answer in time, or a certificate that is not trusted; the detail tells."},
    {ERR_REGISTRY_AUTH,
     "No credentials were accepted, or a credential helper failed. `hint` names the source used."},
    {ERR_REGISTRY_PROTOCOL,
     "The registry answered in a way that the distribution specification does not allow."},
    {ERR_DIGEST_MISMATCH,
     "The bytes received are not those that the digest names. Nothing of them was published."},
    {ERR_BLOB_UNKNOWN, "The registry lost or refused a blob of the manifest. Trying again sends it anew."},
    {ERR_REGISTRY_ERROR,
     "The registry failed on its side. The job tries again by itself as long as that makes sense."},
    {ERR_OVERLOADED, "The queue is full. Try again after Retry-After."},
    {ERR_DRAINING, "The daemon is shutting down. Try again when it is back; accepted jobs go on then."},
    {ERR_REGISTRY_RATE_LIMIT,
     "The registry limits the rate. The daemon waits and goes on; signing in may raise the limit."},
    {ERR_NO_SPACE, "A disk that the job needs is full. Free space, or prune the cache."},
    {ERR_CANCELLED,
     "Somebody asked for the job to be cancelled, or its last reader left (`lifetime: attached`)."},
    {ERR_DEADLINE, "The job was not done at its `deadline_ms`."},
    {ERR_PARTIAL, "Some items of the batch failed; `result.items` tells which, and what was moved."},
};

static const char *advice_for(enum error_code code)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
        if (advices[i].code == code)
            return advices[i].text;
    return "";
}

void problem_get(struct request *request, void *app)
{
    const char *wire = request_param(request, "code");
    enum error_code code = error_from_wire(wire);
    struct error err = ERROR_INIT;
    (void)app;
    if (code != ERR_NONE) {
        reply_json(request, 200,
                   json_pack("{s:s, s:s, s:i, s:i, s:s}", "code", wire, "title", error_title(code), "status",
                             error_http_status(code), "exit_code", error_exit_code(code), "description",
                             advice_for(code)));
        return;
    }
    AUTO_FREE char *quoted = str_quote(wire, 64);
    error_set(&err, ERR_NOT_FOUND, "There is no problem code %s", quoted);
    answer_refuse(request, &err);
}
