/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_HTTP_H
#define RELAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/addr.h"
#include "lib/httpreq.h"

/*
 * What a relay says over HTTP (spec/derp.md sections 2, 3.4 and 12): a request
 * in, an answer out, no I/O.
 */
struct relayd;

/* A longer request head is answered with 431. */
#define RELAYD_HTTP_HEAD_MAX 8192u

enum relayd_http_action {
	RELAYD_HTTP_REPLY, /* send the text and close */
	RELAYD_HTTP_DERP,  /* send the text, if any, and speak DERP */
	RELAYD_HTTP_WEBSOCKET, /* send the text and speak DERP in a WebSocket */
	RELAYD_HTTP_TRAFFIC, /* send the text and what traffic.h has */
};

struct relayd_http_answer {
	enum relayd_http_action action;
	bool not_ideal; /* Ideal-Node was given */
	char *text;	/* malloced, the caller's; NULL: nothing */
	size_t len;
};

/*
 * @redirect: on the plain port beside the TLS one. Reads of @server what does
 * not change after the start.
 */
void relayd_http_answer(const struct relayd *server, const struct http_req *r,
			const struct endpoint *remote, bool redirect,
			struct relayd_http_answer *out);
/*
 * A reply of its own: @type may be NULL, @extra has whole header lines, @head
 * leaves out the body.
 */
void relayd_http_reply(struct relayd_http_answer *out, int status,
		       const char *type, const char *extra, const char *body,
		       bool head);
#define RELAYD_HTTP_TEXT "text/plain; charset=utf-8"
/* For what is no request: a short text with this status. */
void relayd_http_error(int status, const char *why,
		       struct relayd_http_answer *out);

#endif
