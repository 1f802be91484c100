/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_CHANNEL_H
#define COORD_CHANNEL_H

#include <nghttp2/nghttp2.h>

#include "coord/conn.h"
#include "proto/noise.h"

/*
 * Inside of a ts2021 channel: channel.c has the Noise records and its life,
 * h2.c the HTTP/2 in them. Nobody else includes this.
 */
#define H2_FRAME_HEADER 9

struct channel {
	struct conn *conn;
	struct noise_session noise;
	nghttp2_session *http;
	struct event *pump; /* output, after whatever is going on */
	struct machine *machine; /* NULL until proven */
	struct key machine_key;
	uint16_t version;
	bool leaving; /* GOAWAY is said */
	bool broken; /* by the client's HTTP/2 */
	size_t tokens; /* requests it may still begin now */
	uint64_t refilled;
	struct channel *prev, *next; /* machine->channels */
};

/* Output, after whatever is going on. */
void channel_pump_later(struct channel *ch);
/* No request is open: the channel's idle time begins. */
void channel_idle_from_now(struct conn *c);

/* The server's end of HTTP/2, its settings queued; its requests are @ch's. */
nghttp2_session *h2_session(struct channel *ch);
/* How much of the answer the client has not taken. */
size_t h2_queued(const struct request *r);
/* Resets the stream. */
void h2_cancel(struct request *r);

#endif
