// SPDX-License-Identifier: Apache-2.0
//
// The service manager's protocols, written against their documentation: sd_notify(3) datagrams, sd_listen_fds(3)
// descriptors, the watchdog of sd_watchdog_enabled(3). All calls are harmless without a service manager.
#pragma once

#include <stdint.h>

void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2))); // "READY=1"
int notify_listen_fds(void);    // how many descriptors, from 3 on, were handed over for us; once
int64_t notify_watchdog_ms(void); // how often WATCHDOG=1 is due (half the limit); 0: never
