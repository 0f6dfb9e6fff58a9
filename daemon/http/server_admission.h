// SPDX-License-Identifier: Apache-2.0
//
// Inside the room: what is judged between the door (guard) and the handler, in this order: route, rights,
// media type, size, query. Loop only.
#pragma once

#include "http/request_state.h"

// -1: the request is to be refused with err; reply headers that go with it (Allow, WWW-Authenticate) are set.
// *ret_refused tells whether it was for want of rights.
int server_admission_judge(struct request *request, bool *ret_refused, struct error *err);
