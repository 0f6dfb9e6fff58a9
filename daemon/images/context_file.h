// SPDX-License-Identifier: Apache-2.0
//
// Contexts: tars that a client uploaded once, by digest (PUT /v1/contexts/{digest}), and that layers name. Worker.
#pragma once

#include "images/images.h"
#include "layers/layer.h"

// Where the contexts of a caller lie; the path, caller frees. A digest is no secret, so one caller's contexts are nothing to another:
// each has a directory, but for root, the daemon's own user and who has the token (-1), who share one.
char *context_file_directory(const struct image_context *context, int64_t uid);
// Opens the context of every entry that has one and none open yet, from those of uid. ERR_NOT_FOUND with the entry's pointer.
int context_files_open(const struct image_context *context, int64_t uid, struct layer_spec *spec, struct error *err);
void context_files_close(struct layer_spec *spec);
