/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_FETCH_H
#define LIB_FETCH_H

#include <stddef.h>

/*
 * HTTP requests from a libevent loop, by libcurl: http and https with the
 * system's roots, no redirects, no cookies. All calls on the loop's thread.
 */
struct event_base;
struct fetcher;
struct fetch;

struct fetch_request {
	const char *url;
	const char *body;	 /* a POST of this; NULL: GET */
	const char *type;	 /* the body's; NULL: JSON */
	const char *authorization; /* the header's value, or NULL */
	const char *ca_file;	 /* roots, NULL: SSL_CERT_FILE's, the system's */
	const char *unix_socket; /* instead of TCP; NULL */
	unsigned int timeout_ms; /* in all, waiting for its turn included */
	size_t max;		 /* bytes of the answer's body; more fails */
};

/* At most @max_connections at a time; what is over waits. */
struct fetcher *fetcher_new(struct event_base *base,
			    unsigned int max_connections);
/* Ends its requests without their callbacks. NULL is fine. */
void fetcher_free(struct fetcher *f);

/*
 * Calls @done once, never from inside: the status and the body (ended by a NUL
 * that @len does not count), or status 0 and one line in @why. The request is
 * gone by then.
 */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *r,
			  void (*done)(void *ctx, int status, const char *body,
				       size_t len, const char *why),
			  void *ctx);
/* Ends it without the callback. */
void fetch_cancel(struct fetch *r);

#endif
