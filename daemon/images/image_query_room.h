// SPDX-License-Identifier: Apache-2.0
//
// Queries as the files image_query*.c share them. Of these files only: handlers see images/image_query.h.
#pragma once

#include "images/endpoint.h"
#include "images/image_query.h"

struct image_query {
    struct step base;
    struct image_context *context;
    struct endpoint endpoint; // of kinds that name an image
    char *text;           // of kinds that name a registry: its canonical name; CONTEXT_*: a name not used yet
    struct digest digest; // CONTEXT_*
    struct platform platform; // wanted, if has_platform
    bool has_platform;
    char *artifact_type, *from, *media_type, *range;
    char *bytes;
    size_t len;
    enum location_kind format; // ARCHIVE
    struct pipe *in, *out;
    int64_t in_bytes, in_bytes_max;
    struct image_answer answer;
};

static inline struct image_query *image_query_of(struct step *step)
{
    return container_of(step, struct image_query, base);
}

// Opens the endpoint and reads the manifest that the reference names; of an index the child for the platform,
// if one is wanted.
int image_query_resolve(struct image_query *query, struct manifest *ret, struct error *err);
// The scope of a query that is for registries only.
struct registry_scope image_query_scope(struct image_query *query);
// "blob unknown" is a fault of a registry where a manifest names the blob; where a caller does, it is just
// not there.
int image_query_not_found(struct error *err);

// One for each kind: the step's run.
int image_query_inspect(struct step *step, struct error *err);
int image_query_manifest(struct step *step, struct error *err);
int image_query_manifest_head(struct step *step, struct error *err);
int image_query_config(struct step *step, struct error *err);
int image_query_tags(struct step *step, struct error *err);
int image_query_referrers(struct step *step, struct error *err);
int image_query_catalog(struct step *step, struct error *err);
int image_query_credentials(struct step *step, struct error *err);
int image_query_manifest_put(struct step *step, struct error *err);
int image_query_manifest_delete(struct step *step, struct error *err);
int image_query_blob_delete(struct step *step, struct error *err);
int image_query_blob_mount(struct step *step, struct error *err);
int image_query_blob_head(struct step *step, struct error *err);
int image_query_blob_get(struct step *step, struct error *err);
int image_query_blob_put(struct step *step, struct error *err);
int image_query_archive(struct step *step, struct error *err);
int image_query_context_put(struct step *step, struct error *err);
int image_query_context_head(struct step *step, struct error *err);
