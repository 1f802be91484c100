/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_LIMITS_H
#define COORD_LIMITS_H

#include <stddef.h>

/*
 * What the server lets strangers and machines have. Every limit is a field
 * with a name, a default and a flag of `coord serve` (--limit-<name>=N); what
 * a breach costs is said in its line. "Unproven" is a connection whose peer has
 * not shown a machine key yet: one in TLS or Noise handshake, or plain HTTP/1.
 */
struct http_limits {
	/* connections */
	size_t connections; /* in all; the oldest unproven one makes room */
	size_t unproven; /* of them unproven; the oldest makes room */
	size_t per_machine; /* channels of one machine key; the oldest closes */
	/* deadlines, milliseconds */
	size_t handshake_ms; /* from accept to the first authentic record */
	size_t request_ms; /* from a request's first byte to its last */
	size_t idle_ms; /* an HTTP/1 connection between requests */
	size_t channel_idle_ms; /* a channel without a request open */
	size_t stall_ms; /* an answer of which nothing is taken */
	/* requests */
	size_t head; /* bytes of request line and header; 431 */
	size_t http1_body; /* bytes of body outside of Noise; 413 */
	size_t body; /* bytes of body inside of Noise; 413 */
	size_t bodies; /* bytes of bodies, the whole server; the oldest goes */
	size_t streams; /* requests open at once in a channel; refused */
	size_t requests_per_s; /* in a channel, over time; closes it */
	size_t requests_burst; /* in a channel, at once; closes it */
	/* answers */
	size_t backlog; /* bytes queued for one answer; -ENOBUFS to its writer */
};

extern const struct http_limits http_limits_default;

/* One limit by the name of its flag ("per-machine"); -ENOENT, or -ERANGE. */
int http_limits_set(struct http_limits *l, const char *name, size_t value);

/* Calls @each for every limit: name, value, what it is for in one line. */
void http_limits_each(const struct http_limits *l,
		      void (*each)(void *ctx, const char *name, size_t value,
				   const char *what),
		      void *ctx);

#endif
