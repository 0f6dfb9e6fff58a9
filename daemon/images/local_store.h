// SPDX-License-Identifier: Apache-2.0
//
// Local images opened with the rights of who asked for them: a daemon that has more must not read or write for its caller what
// the caller could not. Made on workers; used like any image_store.
#pragma once

#include "images/images.h"
#include "layout/image_store.h"

// As image_store_open and image_store_create. uid: of the caller; -1: the daemon itself.
struct image_store *local_store_open(const struct image_context *context, const struct location *where, bool for_writing,
                                     int64_t uid, const struct monitor *monitor, struct error *err);
// As image_store_open of an output, for a look.
struct image_store *local_store_open_output(const struct image_context *context, const struct location *where, int64_t uid,
                                            const struct monitor *monitor, struct error *err);
// The rights of this user, in so far as they are not the daemon's own anyway.
struct layer_caller local_store_caller(const struct image_context *context, int64_t uid);
