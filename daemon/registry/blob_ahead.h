// SPDX-License-Identifier: Apache-2.0
//
// Upload of a blob that is still being made: a thread of its own follows the bytes as they come and sends them
// to one repository in pieces (distribution-spec "Pushing a blob in chunks"), so that most of the blob is there
// when its digest is known. What closes the upload is blob_push, which goes on with the session. Only ever a
// head start: whatever goes wrong here ends it, and the blob is pushed as if nothing had been tried.
//
// A thread, because the maker must wait neither for the network nor for a token; one per blob, because it may
// wait for its maker, which a worker must not do.
#pragma once

#include "registry/registry.h"

struct blob_ahead;

// What is smaller has no use for a head start.
enum { BLOB_AHEAD_FLOOR_BYTES = 4 << 20 };

// May this host be sent bytes of which nobody knows yet whether they are needed? What an operator set for it
// counts. Else not if it is known to take no pieces; and where the blob may well be there already – nothing
// says that it is new –, only if the host is this machine, where bytes cost no line.
bool blob_ahead_allowed(const struct registry_scope *scope, bool is_new);
// Any thread. opened: called on the thread of the upload, once, with a session as blob_ahead_end gives it, to be
// journalled. scope: borrowed until blob_ahead_end; its monitor and warning are not used. made: taken; reads
// what is there of the blob. NULL if there can be no thread.
struct blob_ahead *blob_ahead_start(const struct registry_scope *scope, struct reader_at *made,
                                    void (*opened)(void *arg, const char *session), void *arg);
// The first `size` bytes are there. Does not block.
void blob_ahead_offer(struct blob_ahead *ahead, int64_t size);
// Sends no more, and ends it. The session for blob_push_target.session, or NULL; then nothing is left behind at
// the registry. With `drop` there never is one. Waits for the piece under way, but not for long. What was sent
// is added to the counters of monitor. *ret_hasher: caller frees; with *ret_hashed for blob_push_target, too;
// NULL without a session.
char *blob_ahead_end(struct blob_ahead *ahead, bool drop, struct monitor *monitor, struct hasher **ret_hasher,
                     int64_t *ret_hashed);
