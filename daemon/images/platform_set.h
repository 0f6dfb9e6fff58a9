// SPDX-License-Identifier: Apache-2.0
//
// An image resolved for each wanted platform: the root, then – if that is an index – the child of each platform, with
// manifest and config. Used for a build's base and for both ends of a rebase. Loop only; the reading is done by steps.
#pragma once

#include "images/resolve.h"
#include "oci/image_config.h"

struct platform_image {
    struct manifest manifest;
    struct image_config config;
    bool found;
};

struct platform_set {
    struct endpoint *endpoint;         // borrowed, as platforms and what
    const struct platform *platforms;
    size_t count;
    bool given;                        // were platforms asked for? If not, a single image of any platform will do
    const char *what;                  // "the base", for problems
    struct manifest root;              // an index that the reference named
    struct platform_image *images;     // by platform
    size_t n_found;
};

void platform_set_init(struct platform_set *set, struct endpoint *endpoint, const struct platform *platforms,
                       size_t count, bool given, const char *what);
void platform_set_fini(struct platform_set *set);
// Submits the first step. The set must outlive the job's steps.
void platform_set_start(struct platform_set *set, struct job *job);
bool platform_set_complete(const struct platform_set *set);
// The digest that the reference means: of the index or of the image. NULL before it is known.
const struct digest *platform_set_digest(const struct platform_set *set);
