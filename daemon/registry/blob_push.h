// SPDX-License-Identifier: Apache-2.0
//
// One blob from one source to n targets, once: per target probe (HEAD or a mount, which is probe and upload
// start in one), then one download feeding every upload that is needed. Monolithic POST + PUT first; chunks
// for large blobs or after a failure; sessions that end unused are cancelled. Blocks; one worker.
#pragma once

#include "registry/registry.h"

// Of blobs that are not larger no session is kept: to send them again is cheaper.
enum { BLOB_PUSH_KEPT_BYTES = 4 << 20 };

enum blob_push_how {
    BLOB_PUSH_PENDING,
    BLOB_PUSH_EXISTS,  // the target had it
    BLOB_PUSH_MOUNTED, // from `mount_from`
    BLOB_PUSH_COPIED,  // uploaded
    BLOB_PUSH_FAILED,
};

struct blob_push_target {
    struct registry_scope scope; // a registry target, or
    struct sink
        *sink; // a local one (scope.registry NULL); finish is called by blob_push, close is the caller's.
               // After a failure of the source it may hold some bytes: give a new one for a new run
    const char *mount_from; // a repository of the same host that should have the blob; NULL: none known
    bool known_absent;      // skip the probe
    bool force;             // upload although it exists
    // in and out: where an upload can go on, also after a restart; opaque. NULL at first; owned by the
    // caller, who ends it with free. Good for this digest at this repository only. Only used if keep_sessions
    // is set.
    char *session;
    // With a session: the state of the hash (of the digest's algorithm) after the first `hashed` bytes, as they
    // were sent there, so that they need not be read again; the caller's. NULL: not known.
    struct hasher *hasher;
    int64_t hashed;
    // out
    enum blob_push_how how;
    int64_t bytes_sent; // blob bytes uploaded, those of attempts that failed included
    struct error error; // of this target; ERROR_INIT at first, cleared by the caller
};

struct blob_push {
    struct digest digest;
    int64_t size; // required
    // source: exactly one
    const struct registry_scope *from; // registry; `from_urls` are tried first for foreign layers
    struct reader_at *reader;          // local; hashed on the way out
    const json_t *from_urls;           // array of strings or NULL
    struct blob_push_target *targets;
    size_t n_targets;
    struct monitor *monitor;
    // Leave the session of a large upload open when a failure is worth another run (error.retryable) or the
    // run was cancelled. The caller then runs the push again, maybe after a restart, or abandons it.
    bool keep_sessions;
    // State changes for the event log, called on the worker: target index (or -1: the source), state name of
    // the API
    // ("checking", "exists", "mounted", "downloading", "uploading", "done", "failed"), from / why may be
    // NULL.
    void (*state)(void *arg, int target, const char *state, const char *from, const char *why);
    // With keep_sessions, called on the worker: targets[target].session has changed and may be journalled
    // (NULL: there is none any more). The text may hold a secret of the registry. May be NULL.
    void (*session)(void *arg, int target, const char *session);
    void *state_arg;
};

// 0: every target is EXISTS, MOUNTED or COPIED. -1: err is the source's error, or the first target's (each
// target carries its own); calling again with the same struct goes on with the targets that are not yet done.
int blob_push_run(struct blob_push *push, struct error *err);
// Cancels the sessions that runs left open. As well as that goes.
void blob_push_abandon(struct blob_push *push);
