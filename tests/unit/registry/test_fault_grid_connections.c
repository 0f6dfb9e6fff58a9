// SPDX-License-Identifier: Apache-2.0
//
// The fault grid: connections that break.
#include "registry/fault_grid.h"

static void connections(void **state)
{
    (void)state;
    GRID_ROWS("close", "reset", "done-then-reset", "head-cut", "body-cut", "body-reset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(connections)};
    return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
