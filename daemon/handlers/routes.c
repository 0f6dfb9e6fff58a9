// SPDX-License-Identifier: Apache-2.0
//
// The route table: what api/openapi.yaml promises, and nothing else (a test compares the two, both ways).
#include "handlers/app.h"
#include "handlers/operations.h"
#include "oci/manifest.h"

static const char *const manifests[] = {MEDIA_OCI_MANIFEST, MEDIA_OCI_INDEX, MEDIA_DOCKER_MANIFEST, MEDIA_DOCKER_LIST, NULL};
static const char *const bytes[] = {"application/octet-stream", NULL};
// Whatever clients call a tar; the bytes tell which compression it has.
static const char *const tars[] = {"application/x-tar", "application/tar", "application/octet-stream", "application/gzip",
                                   "application/x-gzip", "application/zstd", "application/x-zstd", "application/x-bzip2",
                                   "application/x-xz", NULL};

const struct route app_routes[] = {
    {"GET", "/", "getRoot", RIGHT_READ, BODY_NONE, NULL, 0, root_get},
    {"GET", "/healthz", "getHealth", RIGHT_NONE, BODY_NONE, NULL, 0, healthz_get},
    {"GET", "/readyz", "getReadiness", RIGHT_NONE, BODY_NONE, NULL, 0, readyz_get},
    {"GET", "/v1/version", "getVersion", RIGHT_READ, BODY_NONE, NULL, 0, version_get},
    {"GET", "/openapi.json", "getOpenApi", RIGHT_READ, BODY_NONE, NULL, 0, openapi_get},
    {"GET", "/metrics", "getMetrics", RIGHT_READ, BODY_NONE, NULL, 0, metrics_get},
    {"GET", "/problems/{code}", "getProblem", RIGHT_READ, BODY_NONE, NULL, 0, problem_get},
    {"POST", "/v1/jobs", "createJob", RIGHT_SUBMIT, BODY_JSON, NULL, 0, job_create},
    {"GET", "/v1/jobs", "listJobs", RIGHT_READ, BODY_NONE, NULL, 0, job_list},
    {"GET", "/v1/jobs/{id}", "getJob", RIGHT_READ, BODY_NONE, NULL, 0, job_get},
    {"DELETE", "/v1/jobs/{id}", "deleteJob", RIGHT_SUBMIT, BODY_NONE, NULL, 0, job_delete},
    {"GET", "/v1/jobs/{id}/events", "listJobEvents", RIGHT_READ, BODY_NONE, NULL, 0, job_events},
    {"POST", "/v1/jobs/{id}/cancel", "cancelJob", RIGHT_SUBMIT, BODY_JSON, NULL, 0, job_cancel},
    {"POST", "/v1/jobs/{id}/retry", "retryJob", RIGHT_SUBMIT, BODY_JSON, NULL, 0, job_retry},
    {"GET", "/v1/events", "listEvents", RIGHT_READ, BODY_NONE, NULL, 0, event_list},
    {"GET", "/v1/cache", "getCache", RIGHT_READ, BODY_NONE, NULL, 0, cache_get},
    {"GET", "/v1/cache/blobs", "listCacheBlobs", RIGHT_ADMIN, BODY_NONE, NULL, 0, cache_blobs},
    {"POST", "/v1/cache/prune", "pruneCache", RIGHT_ADMIN, BODY_JSON, NULL, 0, cache_prune},
    {"GET", "/v1/credentials", "listCredentials", RIGHT_READ, BODY_NONE, NULL, 0, credential_list},
    {"DELETE", "/v1/credentials", "dropCredentials", RIGHT_ADMIN, BODY_NONE, NULL, 0, credential_drop},
    {"GET", "/v1/images/inspect", "inspectImage", RIGHT_READ, BODY_NONE, NULL, 0, image_inspect},
    {"GET", "/v1/images/manifest", "getManifest", RIGHT_READ, BODY_NONE, NULL, 0, image_manifest_get},
    {"GET", "/v1/images/config", "getImageConfig", RIGHT_READ, BODY_NONE, NULL, 0, image_config_get},
    {"GET", "/v1/images/tags", "listTags", RIGHT_READ, BODY_NONE, NULL, 0, image_tags},
    {"HEAD", "/v1/images/manifest", "headManifest", RIGHT_READ, BODY_NONE, NULL, 0, image_manifest_head},
    {"PUT", "/v1/images/manifest", "putManifest", RIGHT_SUBMIT, BODY_BYTES, manifests, MANIFEST_BYTES_MAX, image_manifest_put},
    {"DELETE", "/v1/images/manifest", "deleteManifest", RIGHT_SUBMIT, BODY_NONE, NULL, 0, image_manifest_delete},
    {"GET", "/v1/images/referrers", "listReferrers", RIGHT_READ, BODY_NONE, NULL, 0, image_referrers},
    {"GET", "/v1/images/blob", "getBlob", RIGHT_READ, BODY_NONE, NULL, 0, image_blob_get},
    {"HEAD", "/v1/images/blob", "headBlob", RIGHT_READ, BODY_NONE, NULL, 0, image_blob_head},
    {"POST", "/v1/images/blob", "postBlob", RIGHT_SUBMIT, BODY_STREAM, bytes, 0, image_blob_post},
    {"DELETE", "/v1/images/blob", "deleteBlob", RIGHT_SUBMIT, BODY_NONE, NULL, 0, image_blob_delete},
    {"POST", "/v1/images/mount", "mountBlob", RIGHT_SUBMIT, BODY_NONE, NULL, 0, image_mount},
    {"GET", "/v1/images/archive", "getArchive", RIGHT_READ, BODY_NONE, NULL, 0, image_archive},
    {"PUT", "/v1/contexts/{digest}", "putContext", RIGHT_SUBMIT, BODY_STREAM, tars, 0, context_put},
    {"HEAD", "/v1/contexts/{digest}", "headContext", RIGHT_READ, BODY_NONE, NULL, 0, context_head},
    {"GET", "/v1/catalog", "getCatalog", RIGHT_READ, BODY_NONE, NULL, 0, catalog_get},
    {"POST", "/v1/credentials/check", "checkCredentials", RIGHT_SUBMIT, BODY_JSON, NULL, 0, credential_check},
    {0},
};

// What the status page reads, see ui/index.html. Nothing that changes anything.
const char *const app_page_paths[] = {
    "/", "/v1/version", "/v1/jobs", "/v1/jobs/*", "/v1/events", "/v1/cache", "/problems/*", NULL,
};
