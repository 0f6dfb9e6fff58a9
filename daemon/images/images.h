// SPDX-License-Identifier: Apache-2.0
//
// What a job does with images: the face of this room towards handlers and daemon.c. image_context holds the crafts that
// plans and queries combine.
#pragma once

#include "base/file.h"
#include "base/json.h"
#include "jobs/job.h"

struct registry;
struct credentials;
struct blob_store;
struct blob_graph;
struct notes;
struct config_memory;
struct upload_journal;
struct lanes;
struct host_table;
struct transport;

struct image_context {
    struct registry *registry;
    struct credentials *credentials;
    struct transport *transport;
    const struct host_table *hosts;
    struct blob_store *blobs;
    struct blob_graph *graph;
    struct notes *notes;         // what packed layers and read bases were like
    struct config_memory *configs; // or NULL
    struct upload_journal *uploads; // or NULL
    struct lanes *lanes;
    const struct roots *build_roots;
    const struct roots *output_roots;
    const char *contexts_directory;
    int spool_dirfd;             // on disk, for what must be unpacked to be read
    int64_t spool_bytes_max;
    int64_t default_created_s;   // SOURCE_DATE_EPOCH of the daemon, else 0
    bool privileged;             // the daemon may have more rights than its callers: read with theirs
};

// The kinds of job, for engine_options.kinds. The context must outlive the engine; set once before.
extern const struct job_ops *const image_job_kinds[];
void image_context_set(struct image_context *context);
struct image_context *image_context_get(void);

// Judges a POST body (without auth) from the text alone: 400 with the JSON pointer, reference-invalid, path-not-allowed.
// kind is one of the kinds above.
int image_job_check(const struct image_context *context, const json_t *spec, struct error *err);
// The credentials of a job's `auth` for its plan. ERR_PATH_NOT_ALLOWED for a key file where the daemon has more rights than the
// caller: it would be read with the daemon's. NULL on failure.
struct credential_set;
struct credential_set *image_auth_open(struct job *job, const json_t *auth, struct error *err);
// Checks the `auth` member.
int image_auth_check(const json_t *auth, struct error *err);
