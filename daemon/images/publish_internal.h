// SPDX-License-Identifier: Apache-2.0
//
// What the files of publishing share: publish.c (the order), publish_blobs.c and blob_step.c (blobs), publish_manifests.c
// (manifests and tags), publish_journal.c (the checkpoint). Private to them.
#pragma once

#include "images/publish.h"
#include "registry/blob_push.h"

// What became of one blob at one destination.
enum blob_how { HOW_PENDING, HOW_KNOWN, HOW_EXISTS, HOW_MOUNTED, HOW_MOVED, HOW_JOINED };

struct blob {
    struct publish_blob what;
    enum blob_how *how;      // per destination
    bool announced;          // its blob.state events have begun
    bool open;               // its step is under way
};

// How far the question "is this tag at our root already?" has come.
enum look { LOOK_NOT, LOOK_WANTED, LOOK_SCOUTING, LOOK_ASKING, LOOK_DONE };

struct destination {
    struct endpoint endpoint;
    size_t *targets;         // numbers of the job's targets that lie here
    size_t n_targets;
    bool ready;              // opened
    enum look look;
    bool complete;           // its tags are at our root already: nothing is left to do
    bool manifests_done;
    bool healed;             // MANIFEST_BLOB_UNKNOWN was answered once by pushing everything again
    struct digest *found;    // per target of this destination: what its tag points at; all-zero: nothing
};

// A tag that goes along (publish_add_tag).
struct extra_tag {
    char *tag;
    size_t manifest;
};

enum phase { PHASE_OPEN, PHASE_SURVEY, PHASE_BLOBS, PHASE_MANIFESTS, PHASE_CHECKPOINT, PHASE_TAGS, PHASE_DONE };

struct publish {
    struct job *job;
    struct image_context *context;
    const struct targets *targets;
    struct credential_set *auth;
    char identity[17];       // whose knowledge of blob locations counts
    bool look_first, force, dry_run, started, planned, sealed;
    bool compared; // with what the targets hold, as if_exists asks
    void (*item_failed)(void *arg, const struct error *err);
    void *item_arg;
    struct extra_tag *extra;
    size_t n_extra;
    json_t *survey;          // of a dry run: rows of the plan
    int64_t survey_bytes, survey_requests;
    enum phase phase;
    struct destination *destinations;
    size_t n_destinations;
    size_t *destination_of_target;
    struct blob **blobs;
    size_t n_blobs;
    struct table *blobs_by_digest;
    struct manifest *manifests;
    size_t n_manifests;
    size_t *root_of_target;
    json_t *inputs;
    json_t *layers;          // of the result, once sealed
    size_t open_steps;       // of the present phase
};

const char *publish_how_name(const struct blob *blob, enum blob_how how);
const struct manifest *publish_root(const struct publish *p, size_t target);
size_t publish_first_target(const struct publish *p, size_t destination);
// blob.state on the loop.
void publish_blob_state(struct publish *p, const struct blob *blob, size_t destination, const char *state,
                        const char *why);

// The loop's answer to a step that failed for good.
int publish_step_failed(struct publish *p, const struct error *err);
// marks[i]: does manifest i belong to the destination? Any thread, once sealed.
void publish_mark_reachable(const struct publish *p, size_t destination, bool *marks);

// publish_survey.c
void publish_submit_survey(struct publish *p);
json_t *publish_survey_result(struct publish *p);

// publish_blobs.c
char *publish_mount_candidate(const struct publish *p, const struct blob *blob, const struct destination *d);
const char *publish_why_known(const struct publish *p, const struct blob *blob, const struct destination *d);
void publish_submit_blob(struct publish *p, struct blob *blob);
bool publish_blobs_done(const struct publish *p);
void publish_settle_known(struct publish *p, struct blob *blob);
void publish_forget_facts(struct publish *p, size_t destination);

// publish_manifests.c
void publish_submit_prepare(struct publish *p);
void publish_submit_look(struct publish *p, size_t destination);
void publish_submit_manifests(struct publish *p, size_t destination);
void publish_submit_tags(struct publish *p);
bool publish_needs_digest_push(const struct publish *p, size_t destination);

// publish_journal.c
json_t *publish_journal_make(struct publish *p);
json_t *publish_journal_again(const struct publish *p);
int publish_journal_read(struct publish *p, const json_t *checkpoint, struct error *err);
