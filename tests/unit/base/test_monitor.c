// SPDX-License-Identifier: Apache-2.0
#include "base_test.h"

#include "base/monitor.h"

static void test_check(void **state)
{
    (void)state;
    CLEANUP(error_clear) struct error err = ERROR_INIT;
    struct monitor monitor = {0};
    assert_works(&err, monitor_check(NULL, &err));
    assert_works(&err, monitor_check(&monitor, &err));
    atomic_store(&monitor.cancelled, true);
    assert_fails(&err, ERR_CANCELLED, "cancelled", monitor_check(&monitor, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
