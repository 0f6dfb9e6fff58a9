// SPDX-License-Identifier: Apache-2.0
//
// The distribution client (OCI distribution-spec v1.1; "Docker Registry HTTP API V2"). Every call names a
// struct registry_scope: one repository as seen with one job's credentials. Blocks; workers; thread-safe
// except that one scope belongs to one step at a time.
#pragma once

#include "base/monitor.h"
#include "base/stream.h"
#include "credentials/credentials.h"
#include "oci/manifest.h"
#include "oci/reference.h"

struct registry;
struct quota;

struct registry_options {
    struct transport *transport;
    const struct host_table *hosts;
    struct credentials *credentials;
    int64_t chunk_bytes;          // size of a chunk where chunked upload is used; default 64 MiB
    int64_t monolithic_max_bytes; // larger blobs go in chunks from the start; default 5 GiB
    struct quota *quota;          // borrowed: told what answers say is left; may be NULL
};

struct registry *registry_new(const struct registry_options *options);
void registry_free(struct registry *registry);

struct registry_scope {
    struct registry *registry;
    const char *host;       // as in the reference: "docker.io", "localhost:5000"
    const char *repository; // NULL for the catalog and a ping
    // Where this job mounts from, at the same host: pull of it is asked for in the token of each push, so
    // that one token serves them all. NULL: nowhere in particular.
    const char *mount_from;
    const struct credential_set *auth; // the job's own credentials; may be NULL
    struct monitor *monitor;           // may be NULL
    // Called on the worker for each server `Warning: 299` (RFC 7234 section 5.5), once per text, and when the
    // host's quota begins to run low; may be NULL.
    void (*warning)(void *arg, const char *text);
    void *warning_arg;
};

// Errors of all calls: ERR_REGISTRY_DENIED (403, or 401 after sign-in), ERR_REGISTRY_AUTH (sign-in itself
// failed), ERR_IMAGE_NOT_FOUND, ERR_BLOB_UNKNOWN, ERR_REGISTRY_RATE_LIMIT (retry_after_ms),
// ERR_REGISTRY_ERROR (5xx, retryable), ERR_REGISTRY_UNREACHABLE, ERR_REGISTRY_PROTOCOL, ERR_TOO_LARGE,
// ERR_CANCELLED. `upstream` is filled, hints say which credential was used. Reads ask the configured mirrors
// of the host first.

// reference: tag or digest text. A digest is verified on the bytes whatever the headers say.
int registry_manifest_pull(const struct registry_scope *scope, const char *reference, struct manifest *ret,
                           struct error *err);
// 1 found, 0 not there, -1. Falls back to GET where HEAD is not supported or carries no digest. Outputs may
// be NULL. Some registries answer 403 for what is not there (ERR_REGISTRY_DENIED with upstream.status 403):
// before a push, that means "unknown".
int registry_manifest_head(const struct registry_scope *scope, const char *reference,
                           struct digest *ret_digest, char **ret_media_type, int64_t *ret_size,
                           struct error *err);
// Exact bytes. reference: tag or digest. ERR_BLOB_UNKNOWN if the registry misses a blob or child;
// ERR_TARGET_EXISTS for an immutable tag with other content (same content is success).
int registry_manifest_push(const struct registry_scope *scope, const char *reference, const char *media_type,
                           const void *bytes, size_t len, const struct digest *digest, struct error *err);
// Several tags at once: one PUT with ?tag= where the registry knows it (distribution-spec, OCI-Tag), else one
// PUT each.
int registry_manifest_push_tags(const struct registry_scope *scope, const char *const *tags, size_t n_tags,
                                const char *media_type, const void *bytes, size_t len,
                                const struct digest *digest, struct error *err);
int registry_manifest_delete(const struct registry_scope *scope, const char *reference, struct error *err);

// 1 (size in *ret_size, -1 if not told), 0, -1. 403 counts as "unknown": 0.
int registry_blob_head(const struct registry_scope *scope, const struct digest *digest, int64_t *ret_size,
                       struct error *err);
// Whole blob into a sink, verified (size -1: not known). The sink's finish and close are left to the caller.
int registry_blob_pull(const struct registry_scope *scope, const struct digest *digest, int64_t size,
                       struct sink *sink, struct error *err);
// Bytes offset … offset + length - 1 into a sink, unverified, but neither fewer nor more.
int registry_blob_pull_range(const struct registry_scope *scope, const struct digest *digest, int64_t offset,
                             int64_t length, struct sink *sink, struct error *err);
// Small blobs (configs) into memory, verified, at most max bytes (size -1: not known); caller frees.
char *registry_blob_read(const struct registry_scope *scope, const struct digest *digest, int64_t size,
                         size_t max, size_t *ret_len, struct error *err);
int registry_blob_delete(const struct registry_scope *scope, const struct digest *digest, struct error *err);
// 1 mounted, 0 refused (any session it opened is cancelled).
int registry_blob_mount(const struct registry_scope *scope, const struct digest *digest, const char *from,
                        struct error *err);

// The tags, sorted, unusable entries skipped; json array of strings, new reference.
json_t *registry_tags(const struct registry_scope *scope, struct error *err);
json_t *registry_catalog(const struct registry_scope *scope, struct error *err);
// The referrers index of a digest, by the API or the fallback tag; json object, new reference. artifact_type
// may be NULL.
json_t *registry_referrers(const struct registry_scope *scope, const struct digest *digest,
                           const char *artifact_type, struct error *err);
// After a push of `manifest`, which has a subject, to a registry without the referrers API: adds it to the
// subject's fallback tag (distribution-spec "Unavailable Referrers API"). Registries with the API are left
// alone.
int registry_referrers_add(const struct registry_scope *scope, const struct manifest *manifest,
                           struct error *err);
// GET /v2/: 0 if the registry answers to these credentials; for `credentials check` and `doctor`.
int registry_ping(const struct registry_scope *scope, struct error *err);
