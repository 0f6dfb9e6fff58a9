// SPDX-License-Identifier: Apache-2.0
//
// Inside the room: what replies and streams ask of the connection they belong to. The library itself stays
// behind server_exchange.c. Loop only.
#pragma once

#include <stdint.h>

struct pipe;
struct request;

void server_exchange_replied(struct request *request); // request->reply is complete: send it
void server_exchange_resume(struct request *request);  // the stream has something to say
void server_exchange_suspend(struct request *request); // the stream has nothing to say until resumed
int64_t server_exchange_now_ms(const struct request *request);
struct pipe *server_exchange_pipe(struct request *request); // the body's pipe, loop's side
