// SPDX-License-Identifier: Apache-2.0
//
// The index job: composes an index from images that exist, or adds to and removes from one.
#pragma once

#include "jobs/job.h"

extern const struct job_ops index_job_ops;
