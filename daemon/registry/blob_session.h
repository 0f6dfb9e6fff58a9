// SPDX-License-Identifier: Apache-2.0
//
// An upload session as a text that outlives the run, for blob_push_target.session: how many bytes the
// registry has acknowledged, and where the next request goes. Opaque to everybody else. Of this room only.
#pragma once

#include "registry/blob_push.h"
#include "registry/upload.h"

struct blob_session {
    int64_t offset;       // acknowledged
    const char *location; // within the text
};

char *blob_session_format(const struct upload *upload); // caller frees; may hold a secret of the registry
// Notes the session of a target, and tells the caller; nothing happens without keep_sessions.
void blob_session_note(struct blob_push *push, int target, const struct upload *upload);
// There is none any more.
void blob_session_drop(struct blob_push *push, int target);
bool blob_session_parse(struct blob_session *ret, const char *text);
// Is this failure one after which the session may be good for another run?
bool blob_session_survives(const struct error *err);
