// SPDX-License-Identifier: Apache-2.0
//
// The check job: is everything there that an image names, and is it what its names say?
#pragma once

#include "jobs/job.h"

extern const struct job_ops check_job_ops;
