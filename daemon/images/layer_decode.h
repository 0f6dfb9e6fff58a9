// SPDX-License-Identifier: Apache-2.0
//
// One member of `layers` of a build job, decoded to a struct layer_spec. Pure; any thread.
#pragma once

#include "base/file.h"
#include "base/json.h"
#include "layers/layer.h"
#include "oci/descriptor.h"
#include "oci/platform.h"

enum { LAYERS_MAX = 120, LAYER_ENTRIES_MAX = 10000 };

struct build_layer {
    bool is_blob;
    struct descriptor blob;        // is_blob: an existing blob taken as it is; media_type NULL: gzip of the image's family
    struct digest blob_diff_id;
    struct layer_spec spec;        // else
    bool split_auto;
    char *comment;
    struct platform *platforms;    // empty: all
    size_t n_platforms;
};

int layer_decode(struct build_layer *ret, const json_t *value, const char *pointer, int64_t mtime_s,
                 const struct roots *build_roots, struct error *err);
// {algorithm, level} or a text, at member `key`, into spec->algorithm and level. False if absent or null.
bool layer_decode_compression(struct json_reader *r, const char *key, struct layer_spec *spec);
void build_layer_clear(struct build_layer *layer);
