// SPDX-License-Identifier: Apache-2.0
//
// Google accounts for gcr.io, *.gcr.io and *.pkg.dev: service account keys (RFC 7523 with RS256),
// authorized-user credentials (application default credentials of gcloud) and the metadata server. Each ends
// in an OAuth2 access token that registries take as the password of "oauth2accesstoken". Blocks; worker.
#pragma once

#include "credentials/token.h"

struct google_options {
    struct transport *transport;
    const struct host_table *hosts;
    const char *
        token_hosts; // comma-separated host[:port] that a token_uri may name beside Google's own; may be NULL
    const char *metadata_url; // "http://metadata.google.internal"; NULL: never asked
};

bool google_registry(const char *registry);
// The access token of a CREDENTIAL_GCP_SERVICE_ACCOUNT (the JSON may also be of type authorized_user) or
// CREDENTIAL_GCP_METADATA. NULL: ERR_REGISTRY_AUTH, ERR_REGISTRY_UNREACHABLE, …
struct token *google_fetch(const struct google_options *options, const struct credential *credential,
                           struct monitor *monitor, struct error *err);
// The signed JWT of a service account key for one audience at a time (Unix seconds); caller frees. Exposed
// for tests.
char *google_jwt(const char *email, const char *key_id, const char *private_key_pem, const char *audience,
                 int64_t now_s, struct error *err);
