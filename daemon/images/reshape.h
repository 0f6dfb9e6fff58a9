// SPDX-License-Identifier: Apache-2.0
//
// Layers made anew from layers that exist: several merged into one (flatten), one compressed in another way (recompress). A
// step reads the old ones – from the local blob store, a layout, or a registry through the store – and writes the new one to
// the store. Memory is bounded: contents go through a spool on disk.
#pragma once

#include "images/layer_stack.h"
#include "jobs/job.h"
#include "layers/layer.h"

struct reshape {
    struct image_context *context;
    struct job *job;
    struct layer_stack *stack;     // borrowed, as config; both are changed when a step is done
    struct image_config *config;
    enum layer_algorithm algorithm;
    int level;
    int64_t created_s;
    size_t open;                   // steps under way
    size_t next;                   // to be looked at by recompress
};

// Layers from `first` on become one. Nothing to do if there are fewer than two.
void reshape_flatten(struct reshape *reshape, size_t first);
// Every layer that is not compressed in the wanted way yet. Not while flattening is under way. Foreign layers stay.
void reshape_recompress(struct reshape *reshape);
bool reshape_done(const struct reshape *reshape);
enum media_compression reshape_compression(enum layer_algorithm algorithm);
