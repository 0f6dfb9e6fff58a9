// SPDX-License-Identifier: Apache-2.0
//
// The fault grid: framing that is not HTTP, or not what it says.
#include "registry/fault_grid.h"

static void framing(void **state)
{
    (void)state;
    GRID_ROWS("body-short", "body-long", "body-empty", "garbage", "bad-status-line", "http09", "header-huge",
              "headers-many", "length-twice", "length-negative", "length-huge", "chunk-bad", "chunk-cut",
              "chunk-trailer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(framing)};
    return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
