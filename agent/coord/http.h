/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_HTTP_H
#define COORD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/limits.h"
#include "lib/addr.h"
#include "lib/key.h"

/*
 * The transport of the coordination server (spec/control.md sections 2 and 3):
 * listeners, plain and TLS; HTTP/1.1 for browsers, relays and /key; the upgrade
 * to ts2021, and HTTP/2 inside of Noise. All of it arrives at handlers as the
 * same kind of request. /key and /ts2021 are answered here.
 *
 * One event loop, no threads. A handler gets a request once its body is
 * complete, and answers it from inside or at any time later, in one piece
 * (http_reply()) or as a stream (http_start(), http_write()…, http_end()).
 * Answering ends the request: from http_reply(), http_end() or http_cancel() on
 * the pointer is invalid, and no callback comes any more.
 *
 * If the client goes away first, ops->closed is the last callback and the
 * pointer is invalid when it returns. No callback comes from inside a function
 * of this header that the handler calls.
 */

struct event_base;
struct http_request;
struct http_server;

/* Where a request came in: bits, for listeners and routes. */
enum http_side {
	HTTP_PUBLIC = 1, /* HTTP/1.1, anyone */
	HTTP_NOISE = 2, /* HTTP/2 inside of a channel: a machine */
	HTTP_LOCAL = 4, /* HTTP/1.1 on a listener for metrics and health */
};

struct http_request_ops {
	/*
	 * The client is gone, or took nothing of the answer for stall_ms. NULL
	 * is fine for who need not know: but then no function may be called on
	 * the request after the handler has returned.
	 */
	void (*closed)(struct http_request *r, const char *why);
	/* http_queued() was not zero and is now: room for more. Or NULL. */
	void (*drained)(struct http_request *r);
};

/* For handlers to read, but for the last two fields, which are theirs. */
struct http_request {
	struct http_server *server;
	enum http_side side;
	const char *method; /* "GET" */
	const char *path; /* as sent, without the query; begins with '/' */
	const char *rest; /* of the path, behind a route that ends in '/' */
	const char *query; /* what follows '?', as sent; "" */
	const char *host; /* Host or :authority, "" */
	const char *authorization; /* header of that name, "" */
	const char *cookie; /* header of that name, "" */
	/*
	 * Gone (wiped) when the handler returns: who answers later copies what it
	 * needs. A NUL follows that body_len does not count.
	 */
	const uint8_t *body;
	size_t body_len;
	struct endpoint remote; /* of the connection */
	bool tls;
	/* with HTTP_NOISE */
	struct key machine; /* authenticated */
	uint16_t version; /* the channel's capability version */

	const struct http_request_ops *ops; /* NULL */
	void *ctx; /* NULL */
};

/*
 * A path that ends in '/' covers all below it, the longest match wins. A known
 * path with another method gets 405, an unknown one 404. HEAD goes to GET's
 * handler, the body of its answer is dropped.
 */
struct http_route {
	int sides; /* enum http_side, or'ed */
	const char *method;
	const char *path;
	void (*handler)(void *ctx, struct http_request *r);
};

struct http_server_config {
	const struct key *noise_private; /* copied */
	/* Channels of an older capability version are refused; with why. */
	uint16_t min_version;
	const struct http_limits *limits; /* copied; NULL: the defaults */
	const struct http_route *routes; /* lives as long as the server */
	size_t n_routes;
	void *ctx; /* of the routes' handlers */
};

struct http_server *http_server_new(struct event_base *base,
				    const struct http_server_config *c);
/*
 * Closes everything; closed() is called for every open request. Not from a
 * handler. NULL is fine.
 */
void http_server_free(struct http_server *s);

/*
 * Certificate chain and key, PEM, for listeners with TLS; again (SIGHUP) for
 * new ones: open connections keep theirs, and on error the old ones stay.
 * -EINVAL or negative errno, with @why in one line.
 */
#define HTTP_WHY_MAX 256
int http_server_tls(struct http_server *s, const char *cert_path,
		    const char *key_path, char why[HTTP_WHY_MAX]);

/*
 * Listens on @at (port 0: any); @side is HTTP_PUBLIC or HTTP_LOCAL, channels
 * come in at public ones. TLS needs http_server_tls() before. Returns the port,
 * or a negative errno.
 */
int http_server_listen(struct http_server *s, const struct endpoint *at,
		       enum http_side side, bool tls);

/*
 * Stops listening, says GOAWAY on every channel and lets open requests finish.
 * http_server_free() ends it.
 */
void http_server_drain(struct http_server *s);

/* One whole answer; @body is copied. @type NULL: "text/plain; charset=utf-8". */
void http_reply(struct http_request *r, int status, const char *type,
		const void *body, size_t len);
/* One line about a request that came to nothing; not more than one can read. */
void http_log(struct http_request *r, int status, const char *why);
/* An answer of one line, a newline is added; if it is an error, it is logged. */
void http_reply_text(struct http_request *r, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * A further header for the answer that http_reply() or http_start() begins
 * ("Location", "Set-Cookie", "Retry-After"); copied. Neither may hold a control
 * character; -EINVAL then, -ENOSPC when there are more than 8.
 */
int http_header_add(struct http_request *r, const char *name,
		    const char *value);

/* Begins a streamed answer. */
void http_start(struct http_request *r, int status, const char *type);
/*
 * Appends @n bytes, copied. -ENOBUFS, and nothing is queued, if http_queued()
 * would be over the limit "backlog": the client reads too slowly. An empty
 * queue takes a piece of any size.
 */
int http_write(struct http_request *r, const void *data, size_t n);
/* Bytes that the client's flow control has not let go yet. */
size_t http_queued(const struct http_request *r);
/* The answer is complete: what is queued is still sent. */
void http_end(struct http_request *r);
/* Breaks off: resets the stream (closes an HTTP/1 connection). */
void http_cancel(struct http_request *r);

/* A parameter of a query or form, decoded; NULL if absent. Caller frees. */
char *http_param(const char *query, const char *name);

/* Channels open for @machine now. */
size_t http_server_channels(const struct http_server *s,
			    const struct key *machine);
/* Closes every channel of @machine: its node was deleted, say. */
void http_server_close_machine(struct http_server *s,
			       const struct key *machine, const char *why);

struct metrics;
/* Appends the transport's own metrics (lib/metrics.h). */
void http_server_metrics(const struct http_server *s, struct metrics *m);

#endif
