// SPDX-License-Identifier: Apache-2.0
//
// One target of a blob_push at work: its conversation with the registry, its upload session, and how it
// ended. Of this room only; shared by blob_push.c and blob_probe.c.
#pragma once

#include "registry/blob_push.h"
#include "registry/upload.h"

struct blob_lane {
    struct blob_push *push;
    struct blob_push_target *target;
    int index;
    struct registry_call call;
    bool call_open;
    struct upload upload;
    bool needed;  // bytes have to go there
    bool whole;   // … by the one transfer that feeds all
    int number;   // … as this target of it
    bool chunked; // … or in chunks, because the last attempt has shown that to be better
    bool again;   // failed, and a new session may succeed
};

void blob_lane_tell(const struct blob_lane *lane, const char *state, const char *from, const char *why);
int blob_lane_open(struct blob_lane *lane, struct error *err); // the call; nothing happens if it is open
void blob_lane_close(struct blob_lane *lane);                  // and cancels the session
bool blob_lane_finished(const struct blob_lane *lane);
void blob_lane_succeed(struct blob_lane *lane, enum blob_push_how how);
void blob_lane_fail(struct blob_lane *lane,
                    struct error *why); // moves why; cancels or hands back the session
void blob_lane_end_session(struct blob_lane *lane);
// After this failure of the run: is its session worth more to the next one than to be cancelled? Then it is
// handed back.
void blob_lane_hand_back(struct blob_lane *lane, const struct error *why);
// Goes on with the session that an earlier run left: 0, 1 it is gone or not to be trusted, -1.
int blob_lane_resume(struct blob_lane *lane, struct error *err);
struct registry_trait blob_lane_trait(const struct blob_lane *lane);
void blob_lane_learn(const struct blob_lane *lane, const struct registry_trait *trait);

// blob_probe.c: asks whether the blob is there and opens an upload session if not. Ends the lane, or leaves
// it `needed`.
void blob_probe(struct blob_lane *lane);
