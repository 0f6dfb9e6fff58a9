// SPDX-License-Identifier: Apache-2.0
//
// The copy job: an image or a whole index from one place to others, byte for byte.
#pragma once

#include "jobs/job.h"

extern const struct job_ops copy_job_ops;
