// SPDX-License-Identifier: Apache-2.0
//
// The fault grid, second half: every status that matters, at every point.
#include "registry/fault_grid.h"

static void statuses(void **state)
{
    (void)state;
    static const int all[] = {400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 415, 416,
                              418, 422, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 522};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        AUTO_FREE char *kind = mem_printf("status-%d", all[i]);
        grid_row(kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(statuses)};
    return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
