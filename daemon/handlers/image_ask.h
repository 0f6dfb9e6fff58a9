// SPDX-License-Identifier: Apache-2.0
//
// How handlers put a query to the engine. Loop only.
#pragma once

#include "handlers/app.h"
#include "images/image_query.h"

// Fills ask->ref and ask->platform from the query parameters of those names (ref: unless it is set), checks
// that no parameter stands there which is not in the NULL-terminated list, and runs the query; finished gets
// a struct answer. What is wrong is answered with the problem. A client that leaves before the answer ends
// the query.
void image_ask(struct request *request, struct app *app, struct image_request *ask,
               const char *const *allowed,
               void (*finished)(void *answer, struct step *step, const struct error *err));
// Only the first half: 0, or -1 with err.
int image_ask_parameters(const struct request *request, struct image_request *ask, const char *const *allowed,
                         struct error *err);
