/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_CONN_H
#define COORD_CONN_H

#include <openssl/ssl.h>
#include <uthash.h>

#include "coord/http.h"
#include "lib/util.h"

/*
 * Inside of the transport: what http.c (server), conn.c (connections),
 * request.c, http1.c and channel.c share. Nobody else includes this.
 *
 * A connection is only ever freed by the reaper, from the loop: conn_close()
 * marks it, and everything in between looks at @closing.
 */

struct bufferevent;
struct channel;
struct conn;
struct evbuffer;
struct event;
struct request;

/* Why we closed a connection; for metrics. */
enum drop {
	DROP_END, /* the other side's, or nothing wrong */
	DROP_LIMIT, /* made room */
	DROP_DEADLINE,
	DROP_STALL,
	DROP_TLS,
	DROP_HTTP1,
	DROP_NOISE,
	DROP_HTTP2,
	DROP_FLOOD, /* requests faster than the limit */
	DROP_OWNER, /* http_server_close_machine(), drain, too many channels */
	DROPS
};

enum conn_state {
	CONN_SILENT, /* accepted, nothing read yet: no buffers, no TLS state */
	CONN_HTTP1,
	CONN_CHANNEL,
	CONN_LINGER, /* our last word is out, waiting for the other's end */
};

struct conn {
	struct http_server *server;
	enum http_side side; /* of the listener */
	bool tls;
	enum conn_state state;
	bool proven, closing;
	enum drop why; /* of conn_finish() */
	bool last; /* linger when what is queued is out */
	bool reading; /* http1_read() is on the stack */
	struct endpoint remote;
	int fd;
	struct event *first; /* of CONN_SILENT */
	struct bufferevent *bev; /* of the others */
	uint64_t deadline; /* ns, 0: none */
	size_t out_seen; /* output at the last tick, and since when */
	uint64_t out_since;
	size_t scanned; /* HTTP/1: input without a head's end */
	struct request *requests;
	size_t n_requests;
	struct channel *channel;
	struct conn *prev, *next; /* in unproven, proven or dying */
};

/* How a request is answered where it came from. */
struct answer_io {
	/* Sends the head; @body_len -1: streamed. No body at all with @bare. */
	void (*head)(struct request *r, int status, const char *type,
		     ssize_t body_len, bool bare);
	void (*write)(struct request *r, const void *data, size_t n);
	size_t (*queued)(const struct request *r);
	void (*end)(struct request *r);
	void (*cancel)(struct request *r);
};

#define EXTRA_HEADERS_MAX 8

struct request {
	struct http_request pub; /* first: handlers hold a pointer to it */
	const struct answer_io *io;
	struct conn *conn;
	char *method, *target, *host, *authorization, *cookie;
	uint8_t *body;
	size_t body_len, body_cap;
	uint64_t since; /* of its first byte */
	bool dispatched, started, ended;
	bool bare; /* HEAD */
	size_t n_extra;
	struct {
		char *name, *value;
	} extra[EXTRA_HEADERS_MAX];
	/* HTTP/1 */
	bool keep_alive, chunked;
	size_t body_want;
	/* HTTP/2 */
	int32_t stream;
	int refuse; /* status to answer instead of a handler, 0: none */
	size_t head_bytes;
	struct evbuffer *queue;
	bool deferred, now_empty;
	uint64_t progress;
	struct request *prev, *next; /* conn->requests */
	struct request *body_prev, *body_next; /* server->receiving */
};

struct listener {
	struct http_server *server;
	enum http_side side;
	bool tls;
	int fd;
	struct event *readable;
	struct listener *next;
};

/* Channels of one machine key, the oldest first. */
struct machine {
	struct key key;
	struct channel *channels;
	size_t n;
	UT_hash_handle hh;
};

struct http_server {
	struct event_base *base;
	struct key noise_private, noise_public;
	uint16_t min_version;
	struct http_limits limits;
	const struct http_route *routes;
	size_t n_routes;
	void *ctx;
	SSL_CTX *tls; /* NULL: none loaded */
	struct listener *listeners;
	struct event *tick, *reaper;
	struct conn *unproven, *proven, *dying;
	size_t n_conns, n_unproven;
	struct machine *machines;
	size_t bodies; /* bytes in request bodies */
	struct request *receiving; /* with unfinished ones, the oldest first */
	bool draining, accept_paused;
	/* log lines: a token bucket, and what it swallowed */
	unsigned int log_tokens, log_dropped;
	/* metrics */
	uint64_t accepted, drops[DROPS], channels_opened, requests[2],
		answers[6]; /* by status / 100 */
	uint64_t bytes_in, bytes_out; /* inside of Noise */
};

/* conn.c */
struct conn *conn_new(struct listener *l, int fd, const struct endpoint *from);
/* @fmt NULL: nothing to log. */
void conn_close(struct conn *c, enum drop why, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* One rate-limited line about @c. */
void conn_log(struct conn *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Sends what is queued, then closes in an orderly way. */
void conn_finish(struct conn *c, enum drop why);
/* The peer has shown its machine key. */
void conn_proven(struct conn *c);
void conn_tick(struct conn *c, uint64_t now);
void conn_reap(struct http_server *s);
/* Closes the oldest connection that is no machine's; false: there is none. */
bool conn_evict(struct http_server *s);

/* request.c */
struct request *request_new(struct conn *c, enum http_side side,
			    const struct answer_io *io);
/* No callback. */
void request_free(struct request *r);
/*
 * Adds to the body; a status to refuse with, or 0. At the server's limit the
 * oldest unfinished one of all is broken off: an honest body is there within a
 * round trip.
 */
int request_body(struct request *r, const uint8_t *data, size_t n, size_t max);
/* Finds the handler and calls it; may free @r. */
void request_dispatch(struct request *r);
/* The reason phrase. */
const char *http_reason(int status);

/* http.c */
extern const struct http_route http_key_route;

/* http1.c */
void http1_read(struct conn *c);
void http1_drained(struct conn *c); /* the output is empty */
extern const struct answer_io http1_io;

/* channel.c */
/*
 * Answers an initiation frame on @c's output and makes it a channel; 0, or
 * -EPROTO, -EBADMSG, -EPROTONOSUPPORT after having queued a refusal.
 */
int channel_start(struct conn *c, const uint8_t *initiation);
void channel_read(struct conn *c);
void channel_write(struct conn *c); /* the output has room */
void channel_tick(struct conn *c, uint64_t now);
/* GOAWAY; the connection closes when no request is open. */
void channel_goaway(struct conn *c);
void channel_detach(struct channel *ch); /* from its machine */
void channel_free(struct channel *ch); /* NULL is fine */
struct conn *channel_conn(const struct channel *ch);

#endif
