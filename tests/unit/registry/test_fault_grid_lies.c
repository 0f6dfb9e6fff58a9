// SPDX-License-Identifier: Apache-2.0
//
// The fault grid: answers that lie.
#include "registry/fault_grid.h"

static void lies(void **state)
{
    (void)state;
    GRID_ROWS("body-wrong", "html-200", "page-10mb", "redirect-loop", "redirect-file", "redirect-private",
              "redirect-no-location", "digest-wrong", "type-wrong", "gzip-body", "location-evil");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies)};
    return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
