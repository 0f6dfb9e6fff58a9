// SPDX-License-Identifier: Apache-2.0
//
// The speed of something that grows: a smoothed rate from samples taken at any distance. Pure.
#pragma once

#include <stdint.h>

struct meter {
    int64_t at_ms; // of the last sample, 0: none yet
    int64_t amount;
    double rate; // per second
    int samples;
};

// Samples closer than a few milliseconds to the one before are left out.
void meter_sample(struct meter *meter, int64_t now_ms, int64_t amount);
int64_t meter_rate(const struct meter *meter); // per second; 0: unknown, or hardly anything
