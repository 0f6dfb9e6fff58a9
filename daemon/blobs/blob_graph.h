// SPDX-License-Identifier: Apache-2.0
//
// What is where: positive facts only, each keyed by credential identity, with age, bounded, durable through
// the store. A fact saves a question; it is never proof: the push decides, and MANIFEST_BLOB_UNKNOWN drops
// it. Loop only: facts go into a step as const input and come back as results.
#pragma once

#include "base/digest.h"
#include "store/store.h"

struct blob_graph;

// identity: who may know ("anonymous" or a secret_identity). repository: "host/name". Neither may hold a line
// break. Loads what the store has. At most max_facts facts and as many layer records; the oldest go first.
struct blob_graph *blob_graph_new(struct store *store, size_t max_facts, int64_t max_age_ms,
                                  struct error *err);
void blob_graph_free(struct blob_graph *graph);
// Also renews the age of a known fact (which is written to the store now and then only).
void blob_graph_add(struct blob_graph *graph, const char *identity, const char *repository,
                    const struct digest *blob);
bool blob_graph_has(const struct blob_graph *graph, const char *identity, const char *repository,
                    const struct digest *blob);
void blob_graph_drop(struct blob_graph *graph, const char *identity, const char *repository,
                     const struct digest *blob);
// A repository ("host/name") on the same host that has the blob, to mount from, the one confirmed last; NULL
// if none is known. Borrowed until the next call.
const char *blob_graph_find_mount(struct blob_graph *graph, const char *identity, const char *host,
                                  const struct digest *blob);
// What a fingerprint was packed to before: JSON {"digest","diff_id","size","tar_size"}; the blob may be gone
// meanwhile.
void blob_graph_layer_put(struct blob_graph *graph, const struct digest *fingerprint, const json_t *record);
json_t *blob_graph_layer_find(struct blob_graph *graph,
                              const struct digest *fingerprint); // new reference or NULL
