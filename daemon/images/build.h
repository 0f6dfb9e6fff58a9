// SPDX-License-Identifier: Apache-2.0
//
// The build job: base image + layers + config edits, published.
#pragma once

#include "jobs/job.h"

extern const struct job_ops build_job_ops;
