// SPDX-License-Identifier: Apache-2.0
//
// The image config (OCI image-spec config.md, and Docker's extensions): parsed, edited field by field,
// written again. Unknown members survive. Pure.
#pragma once

#include "base/digest.h"
#include "base/json.h"
#include "oci/platform.h"

struct image_config {
    json_t *root; // owned, always an object with rootfs.diff_ids and history arrays after parse or new
};

int image_config_parse(struct image_config *ret, const void *bytes, size_t len,
                       struct error *err); // ERR_REGISTRY_PROTOCOL
// Have all members the types that the specification gives them? ERR_REGISTRY_PROTOCOL. Holds after parse; ask
// again after an edit that could change types.
int image_config_check(const struct image_config *config, struct error *err);
void image_config_new(struct image_config *ret, const struct platform *platform); // scratch
void image_config_clear(struct image_config *config);
void image_config_copy(struct image_config *dst, const struct image_config *src);
char *image_config_text(const struct image_config *config); // the bytes to store; caller frees

void image_config_platform(const struct image_config *config, struct platform *ret);
size_t image_config_layers(const struct image_config *config); // number of diff_ids
int image_config_diff_id(const struct image_config *config, size_t index, struct digest *ret,
                         struct error *err);
void image_config_set_created(struct image_config *config, const char *rfc3339);
// Appends a diff_id and its non-empty history entry (created_by, comment, author may be NULL).
void image_config_append_layer(struct image_config *config, const struct digest *diff_id, const char *created,
                               const char *created_by, const char *comment, const char *author);
// Appends an empty_layer history entry for a config change.
void image_config_append_history(struct image_config *config, const char *created, const char *created_by,
                                 const char *comment, const char *author);
// The history entry of a layer: borrowed, NULL if the image has none for it.
const json_t *image_config_layer_history(const struct image_config *config, size_t index);
// Takes the diff_id of a layer and its history entry out.
void image_config_remove_layer(struct image_config *config, size_t index);

// Puts the layers and history of `onto` in place of those of `from`, which must be the lower layers of config. What
// config itself says (Env, Cmd …) stays.
void image_config_rebase(struct image_config *config, const struct image_config *from,
                         const struct image_config *onto);
// Another diff_id for the same layer.
void image_config_set_diff_id(struct image_config *config, size_t index, const struct digest *diff_id);
// Puts one layer in place of all from `first` on. Their history entries stay, as empty ones.
void image_config_squash(struct image_config *config, size_t first, const struct digest *diff_id,
                         const char *created, const char *created_by);

// Applies the `config` member of a build job (api: cmd, entrypoint, env, working_dir, user, labels,
// exposed_ports, volumes, stop_signal, healthcheck, shell, on_build, args_escaped, author): absent keeps,
// null unsets, maps merge by key. The edit was validated by image_config_check_edit when the job was posted.
// The members of healthcheck merge like a map; a port without protocol is tcp; of an Env name that the base
// has twice one is left.
int image_config_apply_edit(struct image_config *config, const json_t *edit, struct error *err);
int image_config_check_edit(const json_t *edit, const char *pointer,
                            struct error *err); // 400 with the pointer
// RFC 7396, applied last; rootfs and history may not be touched by it. ERR_INVALID_REQUEST with a pointer;
// the config is not to be used after a failure.
int image_config_check_patch(const json_t *patch, const char *pointer,
                             struct error *err); // 400 with the pointer
int image_config_merge_patch(struct image_config *config, const json_t *patch, struct error *err);
