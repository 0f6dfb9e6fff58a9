// SPDX-License-Identifier: Apache-2.0
//
// The fault grid: servers that fall silent.
#include "registry/fault_grid.h"

static void stalls(void **state)
{
    (void)state;
    grid_attempts_max = 1;
    grid_for_ever_only = true;
    GRID_ROWS("stall", "head-stall", "body-stall", "upgrade");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stalls)};
    return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
