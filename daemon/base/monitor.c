// SPDX-License-Identifier: Apache-2.0
//
// The cancel flag of a step, as an error.
#include "base/monitor.h"

int monitor_check(const struct monitor *monitor, struct error *err)
{
    if (monitor && atomic_load_explicit(&monitor->cancelled, memory_order_relaxed))
        return error_set(err, ERR_CANCELLED, "the work was cancelled");
    return 0;
}
