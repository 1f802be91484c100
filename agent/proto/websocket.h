/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_WEBSOCKET_H
#define PROTO_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/httpreq.h"

/*
 * A server's side of a WebSocket (RFC 6455) that carries a byte stream in
 * binary messages: where messages and their fragments begin and end means
 * nothing (spec/derp.md section 3.5). No extensions.
 */

/* Longest of the answers below, with NUL. */
#define WEBSOCKET_ANSWER_MAX 256

/*
 * Whether @r asks for a WebSocket with @protocol among its subprotocols. If
 * not, it is somebody else's request.
 */
bool websocket_wanted(const struct http_req *r, const char *protocol);
/*
 * The answer's head for such a request, into @out: 101 that accepts @protocol;
 * 426 for another version than 13; 400 for no GET over HTTP/1.1, no
 * Connection: Upgrade or a malformed key. Returns the status.
 */
int websocket_answer(const struct http_req *r, const char *protocol,
		     char out[WEBSOCKET_ANSWER_MAX]);

#define WEBSOCKET_HEAD_MAX 14
#define WEBSOCKET_CONTROL_MAX 125

/* Close codes (section 7.4.1). */
#define WEBSOCKET_GOING_AWAY 1001
#define WEBSOCKET_PROTOCOL_ERROR 1002
#define WEBSOCKET_NOT_BINARY 1003

/* All zeros to begin with. All the memory there is: nothing to free. */
struct websocket {
	/* The frame whose payload arrives. */
	uint64_t left;
	uint8_t opcode, mask[4];
	uint8_t mask_at; /* payload bytes so far, modulo 4 */
	bool in_message; /* a continuation may follow */
	uint8_t head[WEBSOCKET_HEAD_MAX]; /* of the next one, if incomplete */
	uint8_t head_len;
	uint8_t control[WEBSOCKET_CONTROL_MAX];
	uint8_t control_len;
	/* To be written. A pong replaces one that waits. */
	bool want_pong;
	uint8_t pong[WEBSOCKET_CONTROL_MAX], pong_len;
	uint16_t want_close;
	bool closed; /* the client's Close has come, or ours is written */
};

/*
 * Decodes the @n bytes at @buf, all of them: what they carry is at the front of
 * @buf then. Returns its length. Incomplete heads and control frames stay in
 * @w. -ESHUTDOWN after the client's Close, -EBADMSG if the client breaks the
 * protocol; with either, an answer waits to be written and the connection is to
 * be closed after it.
 */
ssize_t websocket_decode(struct websocket *w, uint8_t *buf, size_t n);

/* Is there a control frame to be written? */
bool websocket_has_control(const struct websocket *w);
/* Says goodbye: a Close with @code is to be written. */
void websocket_close(struct websocket *w, uint16_t code);
/*
 * Writes the waiting control frames, at most WEBSOCKET_CONTROLS_MAX bytes. Between
 * frames only. Nothing is to follow a Close: w->closed.
 */
#define WEBSOCKET_CONTROLS_MAX (2 + WEBSOCKET_CONTROL_MAX + 4)
size_t websocket_put_control(struct websocket *w,
			     uint8_t out[WEBSOCKET_CONTROLS_MAX]);
/*
 * The head of a binary message of @len bytes, written so that it ends before
 * @payload: up to WEBSOCKET_OUT_HEAD_MAX bytes of room are needed there. Returns
 * its length.
 */
#define WEBSOCKET_OUT_HEAD_MAX 10
size_t websocket_put_head(uint8_t *payload, size_t len);

#endif
