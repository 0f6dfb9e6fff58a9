// SPDX-License-Identifier: Apache-2.0
//
// Exponential smoothing over time, not over samples: a sample counts by the part of the time constant it
// covers, so a reader that asks often and one that asks seldom see the same speed.
#include "jobs/meter.h"

enum { METER_SPACING_MS = 20, METER_CONSTANT_MS = 2000, METER_LEAST = 100 };

void meter_sample(struct meter *meter, int64_t now_ms, int64_t amount)
{
    int64_t passed = now_ms - meter->at_ms;
    if (meter->at_ms != 0 && passed < METER_SPACING_MS)
        return;
    if (meter->at_ms != 0) {
        int64_t grown = amount > meter->amount ? amount - meter->amount : 0;
        double present = (double)grown * 1000.0 / (double)passed;
        double weight = meter->samples <= 1 ? 1.0 : (double)passed / (double)(passed + METER_CONSTANT_MS);
        meter->rate += weight * (present - meter->rate);
    }
    meter->at_ms = now_ms;
    meter->amount = amount;
    meter->samples++;
}

int64_t meter_rate(const struct meter *meter)
{
    return meter->rate < METER_LEAST ? 0 : (int64_t)meter->rate;
}
