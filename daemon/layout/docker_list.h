// SPDX-License-Identifier: Apache-2.0
//
// The manifest.json of a docker-archive: which images it holds, with their names, configs and layers by path.
// Pure; private to this room.
#pragma once

#include "base/error.h"
#include "base/json.h"

#define DOCKER_LIST_FILE "manifest.json"

enum { DOCKER_LIST_LAYERS_MAX = 1000 };

// An array of objects with the string Config and, as arrays of strings or absent or null, RepoTags and
// Layers. New reference or NULL with ERR_REGISTRY_PROTOCOL.
json_t *docker_list_parse(const char *bytes, size_t len, struct error *err);
// The entry that a reference names (in whichever form it was written; without tag it means latest); NULL: the
// only one. Borrowed. ERR_IMAGE_NOT_FOUND lists the names there are.
const json_t *docker_list_find(const json_t *list, const char *name, struct error *err);
