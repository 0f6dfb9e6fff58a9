// SPDX-License-Identifier: Apache-2.0
//
// What depends on who runs the daemon and where: directories, socket, roots, workers. Private to config*.c.
#pragma once

#include "config.h"

char *config_default_file(void); // caller frees
// Fills what nobody set, and judges values against each other. was_set(arg, section, key); fault(arg, key, text).
void config_complete(struct config *config, bool (*was_set)(void *arg, const char *section, const char *name),
                     void (*fault)(void *arg, const char *key, const char *text), void *arg);
