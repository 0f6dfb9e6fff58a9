// SPDX-License-Identifier: Apache-2.0
//
// One image location as seen by one job: a repository with the job's credentials, or a local layout opened beneath a root.
// The one place of this room that knows what kinds of location there are; plans and steps ask an endpoint. Made and
// freed on the loop; opened and used on workers (any number at once after opening).
#pragma once

#include "images/images.h"
#include "oci/location.h"
#include "oci/manifest.h"
#include "registry/registry.h"

struct step;

struct endpoint {
    struct image_context *context;
    struct location where;
    struct credential_set *auth;   // or NULL
    struct image_store *store;     // local kinds, once open
    char *mount_from;              // of a target: the repository of its registry where most blobs lie, or NULL; owned
    int64_t uid;                   // whose rights count for local kinds outside of jobs; -1: the daemon's own
    char *key;                     // "host/repository" or "oci:/path": equal keys hold the same blobs
};

void endpoint_init(struct endpoint *endpoint, struct image_context *context, const struct location *where,
                   struct credential_set *auth);
void endpoint_fini(struct endpoint *endpoint);
bool endpoint_is_registry(const struct endpoint *endpoint);
// Worker. Local kinds are opened (for writing: made if absent); registries need nothing. step may be NULL.
int endpoint_open(struct endpoint *endpoint, bool for_writing, struct step *step, struct error *err);
// The view of a repository for one step. warning goes to the step's events.
struct registry_scope endpoint_scope(const struct endpoint *endpoint, struct step *step);

// Worker. reference: tag or digest text; NULL: what the location names. With `expected` the digest and size are checked.
int endpoint_manifest(const struct endpoint *endpoint, const char *reference, const struct descriptor *expected,
                      struct step *step, struct manifest *ret, struct error *err);
// Worker. A small blob into memory, verified; caller frees.
char *endpoint_read(const struct endpoint *endpoint, const struct descriptor *blob, size_t max, struct step *step,
                    size_t *ret_len, struct error *err);
// Worker. The config of a manifest that this endpoint gave just now, as endpoint_read; one that was read before is taken from
// memory (images/config_memory.h).
char *endpoint_config(const struct endpoint *endpoint, const struct manifest *manifest, struct step *step, size_t *ret_len,
                      struct error *err);
// Worker. Writes a manifest, by tag or (reference NULL) by its digest. "" as the tag of a layout: without a name.
int endpoint_push_manifest(const struct endpoint *endpoint, const char *reference, const struct manifest *manifest,
                           struct step *step, struct error *err);
// Worker. What a tag points at: 1 with *ret, 0 if there is no such tag, -1.
int endpoint_find_tag(const struct endpoint *endpoint, const char *tag, struct step *step, struct digest *ret,
                      struct error *err);
// Worker. The image that stands in an archive under the name of `where`: 1 with the digest of its manifest (docker-archive: of
// its config), 0 if there is no archive, -1.
int endpoint_find_archived(const struct endpoint *endpoint, const struct location *where, struct step *step,
                           struct digest *ret, struct error *err);
// Worker. After the last tag: archives appear now; nothing to do for the others.
int endpoint_finish(const struct endpoint *endpoint, struct error *err);
// The tag that the location names; NULL for a layout without one.
const char *endpoint_tag(const struct location *where);
// Names the registry in step->hosts, so that the gate is asked.
void endpoint_gate(const struct endpoint *endpoint, struct step *step);
