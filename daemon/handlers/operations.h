// SPDX-License-Identifier: Apache-2.0
//
// The handlers, one per operation of api/openapi.yaml, each in the file of its name. All have the signature
// of struct route: they answer exactly once, now or later, on the loop.
#pragma once

#include "base/json.h"
#include "http/request.h"

void root_get(struct request *request, void *app);
void healthz_get(struct request *request, void *app);
void readyz_get(struct request *request, void *app);
void version_get(struct request *request, void *app);
void openapi_get(struct request *request, void *app);
void metrics_get(struct request *request, void *app);
void problem_get(struct request *request, void *app);
void job_create(struct request *request, void *app);
void job_list(struct request *request, void *app);
void job_get(struct request *request, void *app);
void job_events(struct request *request, void *app);
void job_cancel(struct request *request, void *app);
void job_retry(struct request *request, void *app);
void job_delete(struct request *request, void *app);
void event_list(struct request *request, void *app);
void cache_get(struct request *request, void *app);
void cache_blobs(struct request *request, void *app);
void cache_prune(struct request *request, void *app);
void credential_list(struct request *request, void *app);
void credential_drop(struct request *request, void *app);
void image_inspect(struct request *request, void *app);
void image_manifest_get(struct request *request, void *app);
void image_config_get(struct request *request, void *app);
void image_tags(struct request *request, void *app);
void image_manifest_head(struct request *request, void *app);
void image_manifest_put(struct request *request, void *app);
void image_manifest_delete(struct request *request, void *app);
void image_referrers(struct request *request, void *app);
void image_blob_get(struct request *request, void *app);
void image_blob_head(struct request *request, void *app);
void image_blob_post(struct request *request, void *app);
void image_blob_delete(struct request *request, void *app);
void image_mount(struct request *request, void *app);
void image_archive(struct request *request, void *app);
void context_put(struct request *request, void *app);
void context_head(struct request *request, void *app);
void catalog_get(struct request *request, void *app);
void credential_check(struct request *request, void *app);

// The names of what this daemon can do, for `/` and `/v1/version`. New reference.
json_t *version_features(void);
