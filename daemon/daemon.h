// SPDX-License-Identifier: Apache-2.0
//
// The composition of all rooms: made in order, stopped in the reverse order. See README.md, "stop order".
#pragma once

#include "base/error.h"
#include "config.h"

struct daemon;

// config is borrowed and must outlive the daemon.
struct daemon *daemon_new(const struct config *config, struct error *err);
// Recovers, listens, says that it is ready, and serves until a signal has ended it in order.
int daemon_run(struct daemon *daemon, struct error *err);
void daemon_free(struct daemon *daemon);
