// SPDX-License-Identifier: Apache-2.0
//
// Driving: waits for the sockets of all streams of one worker and lets libcurl move what can be moved. Called
// by transport_perform and by transfer. Time limits, pacing and cancellation are looked at between two moves,
// outside of libcurl's callbacks, where pausing and failing are safe.
#include "net/transport_multi.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/transport_internal.h"

struct transport_multi *transport_multi_new(struct transport *transport, const struct url *origin,
                                            struct monitor *monitor)
{
    struct transport_multi *multi = mem_new(struct transport_multi);
    multi->transport = transport;
    multi->monitor = monitor;
    multi->lane = transport_lane_take(transport, origin);
    list_init(&multi->streams);
    return multi;
}

void transport_multi_free(struct transport_multi *multi)
{
    if (!multi)
        return;
    transport_lane_give(multi->transport, multi->lane);
    free(multi);
}

static void reap(struct transport_multi *multi)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi->lane->curl, &left));) {
        struct transport_stream *stream = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &stream);
        transport_stream_end(stream, code);
    }
}

// Applies holds, pacing and time limits; returns how long the next wait may be.
static int64_t tend(struct transport_multi *multi, int64_t wait_ms)
{
    int64_t now_ms = clock_ms();
    list_for_each(link, &multi->streams) {
        struct transport_stream *stream = container_of(link, struct transport_stream, link);
        if (stream->done)
            continue;
        transport_clock_check(stream, now_ms);
        if (stream->failed) {
            transport_stream_end(stream, CURLE_ABORTED_BY_CALLBACK);
            wait_ms = 0;
            continue;
        }
        int64_t due_ms = transport_stream_adjust(stream, now_ms);
        if (due_ms >= 0 && due_ms < wait_ms)
            wait_ms = due_ms;
    }
    return wait_ms;
}

int transport_multi_drive(struct transport_multi *multi, int64_t wait_ms, struct error *err)
{
    int running;
    if (monitor_check(multi->monitor, err) != 0)
        return -1;
    wait_ms = tend(multi, wait_ms);
    if (wait_ms > 0)
        curl_multi_poll(multi->lane->curl, NULL, 0, (int)wait_ms, NULL);
    CURLMcode code = curl_multi_perform(multi->lane->curl, &running);
    if (code != CURLM_OK)
        return error_set(err, ERR_INTERNAL, "libcurl failed: %s", curl_multi_strerror(code));
    reap(multi);
    return 0;
}
