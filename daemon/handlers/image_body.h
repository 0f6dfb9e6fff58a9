// SPDX-License-Identifier: Apache-2.0
//
// Replies whose body a query makes while it is sent: a pipe from the worker to the connection, with
// back-pressure. Loop only.
#pragma once

#include "handlers/app.h"
#include "images/image_query.h"

// Runs the query `ask` (whose `out` is set here) and sends what it writes as content_type; a failure before
// the first byte is a problem, a later one cuts the connection, so that nobody takes a part for the whole.
// ranges: the answer may be partial.
void image_body_send(struct request *request, struct app *app, struct image_request *ask,
                     const char *content_type, bool ranges);
