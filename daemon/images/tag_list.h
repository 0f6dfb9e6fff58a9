// SPDX-License-Identifier: Apache-2.0
//
// The step that lists the tags of a repository for a plan.
#pragma once

#include "images/endpoint.h"
#include "jobs/job.h"

// listed: on the loop, with an array of texts that it may take a reference of.
void tag_list_submit(struct job *job, struct image_context *context, const struct location *repository,
                     struct credential_set *auth, int (*listed)(void *arg, json_t *tags, struct error *err), void *arg);
