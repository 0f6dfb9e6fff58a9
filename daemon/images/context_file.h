// SPDX-License-Identifier: Apache-2.0
//
// Contexts: tars that a client uploaded once, by digest (PUT /v1/contexts/{digest}), and that layers name. Worker.
#pragma once

#include "images/images.h"
#include "layers/layer.h"

// Opens the context of every entry that has one and none open yet. ERR_NOT_FOUND with the entry's pointer.
int context_files_open(const struct image_context *context, struct layer_spec *spec, struct error *err);
void context_files_close(struct layer_spec *spec);
