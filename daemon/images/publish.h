// SPDX-License-Identifier: Apache-2.0
//
// The second half of every job that makes or moves an image: its blobs to every destination, then its manifests, then –
// journalled – its tags, all tags last. A destination is one repository or layout, however many targets (tags) it has; what
// is common to both verbs stands here, what differs (where blobs come from, how the manifests are made) in build.c and copy.c.
//
// Order of calls: publish_new ▸ publish_add_blob… (any time) ▸ publish_seal (blobs are complete, manifests known) ▸
// publish_advance whenever the job advances ▸ publish_result. Loop only.
#pragma once

#include "images/endpoint.h"
#include "images/target.h"
#include "jobs/job.h"

struct publish;

enum blob_role { BLOB_LAYER, BLOB_CONFIG, BLOB_OTHER };

// Where a blob's bytes are: exactly one of from (a source endpoint), cached (the local blob store) and bytes.
struct publish_blob {
    char *label;                    // `blob` of its events
    enum blob_role role;
    struct descriptor descriptor;
    struct endpoint *from;          // borrowed: lives as long as the plan
    bool cached;                    // leased in the blob store by the plan until publish_free
    // cached: makes the bytes anew when the cache has lost or damaged them. Worker. NULL: cannot be done.
    int (*remake)(void *arg, struct step *step, struct error *err);
    void *remake_arg;
    char *bytes;                    // descriptor.size bytes
    const char *how_made;           // "built" or "cached" for new layers, NULL for copied ones
    struct digest diff_id;          // of layers, if known
};

struct publish_options {
    struct job *job;
    struct image_context *context;
    const struct targets *targets;  // borrowed: lives as long as the plan
    const struct location *source;  // where most blobs come from; borrowed for the call; NULL: no single place
    const json_t *auth;             // the job's own, or NULL
    struct credential_set *auth_set;
    bool look_first;                // a copy: the target may well have it all already, so ask for its tag
    bool force;                     // upload blobs that exist
    bool dry_run;                   // look only: what is where, what would be sent. Nothing is opened for writing
    // One item of a batch: called on the loop with the error of a step that failed for good, which then does not end the job.
    // Without a journal of its own. NULL: the only thing that the job does.
    void (*item_failed)(void *arg, const struct error *err);
    void *item_arg;
};

struct publish *publish_new(const struct publish_options *options);
void publish_free(struct publish *publish);
// Opens local targets and asks for tags where if_exists wants to know.
void publish_start(struct publish *publish);
// Are all destinations open? Then places are the endpoints of the destinations, borrowed; returns their number.
bool publish_ready(const struct publish *publish);
size_t publish_places(struct publish *publish, struct endpoint **places, size_t max);
// The one registry that everything goes to; NULL if there are several destinations, or another kind of one. Borrowed: lives
// as long as this.
const struct endpoint *publish_only_registry(const struct publish *publish);
// Takes over the members; a digest that was added before is dropped. Moves at once if it may.
void publish_add_blob(struct publish *publish, struct publish_blob *blob);
// job.plan with what is known now, after `others` (an array of its entries, taken over, or NULL): blobs that are yet to be
// made. Must precede the first blob.state; called again when exact.
void publish_plan(struct publish *publish, json_t *others, bool estimated);
// The manifests, children before parents, and for each target the number of its root. Takes the manifests over.
// base: what a later attempt should know of the inputs (journalled with the tags), or NULL; takes the reference.
void publish_seal(struct publish *publish, struct manifest *manifests, size_t count, const size_t *root_of_target,
                  json_t *inputs);
// One more tag at every destination, of a manifest among those that were sealed: what refers to an image by a tag made of its
// digest goes along in this way. After publish_seal.
void publish_add_tag(struct publish *publish, const char *tag, size_t manifest);
int publish_advance(struct publish *publish, struct error *err);
bool publish_done(const struct publish *publish); // nothing is left to do
bool publish_idle(const struct publish *publish); // no step is under way
// Does a checkpoint of an earlier attempt leave only the tags to do? Not if a target is an archive, whose blobs went with
// that attempt: then everything is done again, from the inputs that the checkpoint names.
bool publish_can_resume(const struct publish *publish, const json_t *checkpoint);
// Only the tags are left: no blobs, no seal.
int publish_resume(struct publish *publish, const json_t *checkpoint, struct error *err);
// Makes a location mean the very content that an earlier attempt resolved it to; digest NULL: leaves it alone.
void publish_pin(struct location *where, const char *digest);
// digest, media_type, size, refs[], layers[] of the result.
json_t *publish_result(struct publish *publish);
