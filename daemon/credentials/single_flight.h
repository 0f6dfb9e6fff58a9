// SPDX-License-Identifier: Apache-2.0
//
// A bounded cache of values that are costly to make (tokens, helper answers): each key is made by one thread
// at a time while the others wait for it, bounded and cancellable; a value that comes of age is renewed by
// one caller while the others go on with the old one. Least recently used entries leave first. Thread-safe,
// one leaf lock.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct monitor;
struct single_flight;

struct single_flight_options {
    void *(*ref)(void *value);
    void (*unref)(void *value);
    size_t max_entries;
    int64_t wait_ms;        // how long a caller waits for another one's result
    int64_t failure_ttl_ms; // how long a failure is answered without trying again; 0: not at all
    const char *what;       // "a token", for the text of a wait that took too long
};

struct single_flight *single_flight_new(const struct single_flight_options *options);
void single_flight_free(struct single_flight *flight); // nobody may be inside

enum single_flight_outcome {
    FLIGHT_FAILED =
        -1, // err: the other caller's failure, a remembered one, ERR_CANCELLED, or the wait took too long
    FLIGHT_LEAD = 0, // make the value, then single_flight_land (exactly once)
    FLIGHT_HIT = 1,  // *ret_value is a new reference
};
enum single_flight_outcome single_flight_board(struct single_flight *flight, const char *key,
                                               const struct monitor *monitor, void **ret_value,
                                               struct error *err);
// Ends what FLIGHT_LEAD began. value (a reference of its own is taken) with its life in ms, or NULL and the
// failure. After ERR_CANCELLED one of the waiters leads. A failed renewal leaves the old value in use until
// it expires: then *ret_old (may be NULL) is a new reference to it.
void single_flight_land(struct single_flight *flight, const char *key, void *value, int64_t life_ms,
                        const struct error *failure, void **ret_old);
// Drops the entry if it still holds this value (it was found not to work).
void single_flight_drop(struct single_flight *flight, const char *key, const void *value);
// The next caller renews the value, as if it had come of age. For tests.
void single_flight_make_old(struct single_flight *flight, const char *key);
size_t single_flight_clear(struct single_flight *flight); // drops all values; returns how many
// Calls visit for every value under the lock; expires_ms as of clock_ms.
void single_flight_each(struct single_flight *flight,
                        void (*visit)(void *arg, const char *key, const void *value, int64_t expires_ms),
                        void *arg);
