/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_DIAL_H
#define CONTROL_DIAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A byte stream to a host: TCP (lib/tcpdial.h), through the environment's
 * proxy, and TLS on top if wanted.
 */

struct bufferevent;
struct event_base;
struct evdns_base;
struct dialer;
struct dial;

/*
 * What all dials share. @ca_file: roots beside the system's, or NULL. @socket
 * as in tcp_dial_spec. NULL if @ca_file cannot be read.
 */
struct dialer *dialer_new(struct event_base *base, struct evdns_base *dns,
			  const char *ca_file,
			  int (*socket)(void *ctx, int family),
			  void *socket_ctx);
void dialer_free(struct dialer *d); /* after its dials */

enum dial_tls {
	DIAL_PLAIN,
	DIAL_TLS, /* verified against the roots and the host's name */
	/* Any certificate: what is inside proves itself (Noise). */
	DIAL_TLS_UNVERIFIED,
};

/*
 * Calls @done once, never from inside: a connected stream, owned by the
 * callee, without callbacks and with reading off; or NULL and one line.
 */
struct dial *dial_start(struct dialer *d, const char *host, uint16_t port,
			enum dial_tls tls, unsigned int timeout_ms,
			void (*done)(void *ctx, struct bufferevent *stream,
				     const char *why),
			void *ctx);
void dial_cancel(struct dial *d);

#endif
