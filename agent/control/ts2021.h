/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_TS2021_H
#define CONTROL_TS2021_H

#include <stddef.h>
#include <stdint.h>

#include "proto/noise.h"

/*
 * HTTP/2 inside a Noise channel (control.md 3.6): one connection, requests as
 * streams. Bounds: 4 MiB of unread response per stream, 16 MiB in all (the
 * flow-control windows), 16 KiB of response header.
 */

struct bufferevent;
struct event_base;
struct ts2021;
struct ts2021_stream;

struct ts2021_request {
	const char *method;
	const char *path;
	const char *authority;
	const struct key *node_key, *old_node_key; /* ts-lb hints, or NULL */
	const char *content_type;		   /* or NULL */
	const void *body;			   /* copied */
	size_t body_len;
};

/* Any callback may be NULL. They may submit and cancel, not free @t. */
struct ts2021_stream_ops {
	/* @retry_after: seconds, 0 if absent or not a number. */
	void (*headers)(void *ctx, int status, unsigned int retry_after);
	void (*data)(void *ctx, const uint8_t *data, size_t n);
	/* Last callback: the stream is gone. @error NULL: a complete answer. */
	void (*end)(void *ctx, const char *error);
};

/*
 * Takes @stream, copies @s. @closed is called once from the loop when the
 * connection is lost or the server sends GOAWAY, after the end of every stream;
 * the owner frees then.
 */
struct ts2021 *ts2021_new(struct event_base *base, struct bufferevent *stream,
			  const struct noise_session *s,
			  void (*closed)(void *ctx, const char *why),
			  void *ctx);
/* No callback any more, not of streams either. From @closed, but no other. */
void ts2021_free(struct ts2021 *t);

/* NULL when the connection is closing. */
struct ts2021_stream *ts2021_submit(struct ts2021 *t,
				    const struct ts2021_request *req,
				    const struct ts2021_stream_ops *ops,
				    void *ctx);
/* Resets the stream, no callback any more. NULL is fine. */
void ts2021_cancel(struct ts2021_stream *s);
/* While paused the server may send no more than the window. */
void ts2021_pause(struct ts2021_stream *s, bool paused);

#endif
