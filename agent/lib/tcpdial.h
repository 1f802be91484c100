/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_TCPDIAL_H
#define LIB_TCPDIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/proxy.h"

/*
 * Opens a TCP connection to a host, both address families at once, the first
 * to succeed wins; through an HTTP proxy's CONNECT if one is given.
 */

struct event_base;
struct evdns_base;
struct tcp_dial;

struct tcp_dial_spec {
	const char *host; /* name or literal; copied */
	uint16_t port;
	/* Instead of asking the DNS for the family; .family 0: ask. */
	struct ip_addr v4, v6;
	bool no_v4, no_v6; /* this family is not to be tried */
	unsigned int v4_delay_ms; /* head start of IPv6 */
	unsigned int timeout_ms; /* for the TCP part */
	/*
	 * NULL: direct. Else @host is named to the proxy, and v4, v6 and the
	 * flags are not used. -EPROTONOSUPPORT as failure for a TLS proxy.
	 */
	const struct proxy *proxy;
	/* A non-blocking socket for AF_INET or AF_INET6; NULL: plain. */
	int (*socket)(void *ctx, int family);
	void *socket_ctx;
};

/*
 * Calls @done once: a connected non-blocking socket with TCP_NODELAY, owned by
 * the callee, or a negative errno and one line in @why. Never from inside this
 * function. The dial is gone by then. @dns may be NULL: literals only.
 */
struct tcp_dial *tcp_dial_start(struct event_base *base,
				struct evdns_base *dns,
				const struct tcp_dial_spec *spec,
				void (*done)(void *ctx, int fd,
					     const char *why),
				void *ctx);
/* Ends it without the callback. */
void tcp_dial_cancel(struct tcp_dial *t);

#endif
