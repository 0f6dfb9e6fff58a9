// SPDX-License-Identifier: Apache-2.0
//
// One blob on its way: one source (a GET or a local reader) feeding n targets (PUTs and local sinks) on one
// curl multi handle, with a bounded ring between them, hashing as it goes. Nothing is spooled. The last bytes
// are held back from every target until digest and size are verified, so a lying source publishes nothing
// anywhere. A target that fails is dropped from the tee and the others go on; one that lags far behind is
// served by a ranged GET of its own. Blocks; one worker.
#pragma once

#include "base/digest.h"
#include "net/exchange.h"

struct transfer;

// transport and hosts may be NULL where source and targets are local.
// digest known: bytes are verified against it; size -1: not known.
struct transfer *transfer_new(struct transport *transport, const struct host_table *hosts,
                              const struct digest *digest, int64_t size, struct monitor *monitor);
void transfer_free(struct transfer *transfer);
// Before the source is opened: only bytes first … end - 1 of a blob whose size is known, for uploads in
// chunks. hasher: the state after the bytes before `first`, or NULL if that is not known (then nothing is
// verified, unless first is 0); copied. The server must know Range.
// A server that does not know Range is refused, unless the size of the blob is not known: then it may send
// all.
void transfer_set_part(struct transfer *transfer, int64_t first, int64_t end, const struct hasher *hasher);
// After a part went well: the state after it, to go on with; NULL if it is not known. Caller frees.
struct hasher *transfer_take_hasher(struct transfer *transfer);
// Exactly one source. get: redirects and 401 are dealt with until the body begins (status in *ret_answer if
// it is not 200: -1 is returned only for transport errors); nothing is read before transfer_run. The call is
// copied, authorizer borrowed.
int transfer_open_get(struct transfer *transfer, const struct http_call *get, struct authorizer *authorizer,
                      struct http_answer *ret_answer, struct error *err);
int transfer_open_reader(struct transfer *transfer, struct reader_at *reader, struct error *err); // borrowed
// Targets, after the source was opened; returns the target's number. A PUT carries the whole blob
// (Content-Length: size, which must be known). The call is copied.
int transfer_add_put(struct transfer *transfer, const struct http_call *put, struct authorizer *authorizer,
                     bool credentials);
// A PUT or PATCH that begins at a byte within the part: what comes before is hashed only.
int transfer_add_put_from(struct transfer *transfer, const struct http_call *put,
                          struct authorizer *authorizer, bool credentials, int64_t first);
int transfer_add_sink(struct transfer *transfer, struct sink *sink); // borrowed; finish is left to the caller
// For how long laggards may keep the others waiting; default 2,000 ms.
void transfer_set_lag(struct transfer *transfer, int64_t lag_ms);
// Moves everything. 0: the source was complete and verified, or every target failed before that; look at each
// target. -1: the source failed (ERR_DIGEST_MISMATCH with both digests, ERR_REGISTRY_UNREACHABLE,
// ERR_REGISTRY_PROTOCOL for a wrong length …) and no target got its end. A download that breaks is resumed
// with Range (RFC 9110 section 14) where the server allows it.
int transfer_run(struct transfer *transfer, struct error *err);
// After transfer_run: the answer of a PUT (borrowed; NULL for a sink), or -1 with the target's error.
int transfer_result(struct transfer *transfer, int target, const struct http_answer **ret, struct error *err);
// Did a PUT fail on a connection that had served before and may have been dead already? Bytes were sent, so
// the caller has to find out what the other side has before it begins again.
bool transfer_was_stale(const struct transfer *transfer, int target);
