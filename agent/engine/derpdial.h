/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DERPDIAL_H
#define ENGINE_DERPDIAL_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "engine/netmap.h"

/*
 * TCP to a region (spec/derp.md 3.1): its nodes in the map's order, 1.5 s each,
 * both families at once, through the proxy of the environment. A node that
 * takes connections but fails afterwards would hide the ones behind it: the
 * caller may begin with another, the order then goes round.
 */

struct event_base;
struct evdns_base;
struct derp_dial;

/* What every dial of this node shares; outlives the dials. */
struct derp_dial_env {
	struct event_base *base;
	struct evdns_base *dns; /* may be NULL: literals only */
	SSL_CTX *tls;
	int (*tcp_socket)(void *ctx, int family); /* may be NULL */
	void *socket_ctx;
	bool prefer_ipv6;
};

/*
 * Calls @done once, never from inside: a connected socket, owned by the callee,
 * and the node of @region it leads to; or a negative errno and the first
 * failure in @why. @region must outlive the dial.
 */
struct derp_dial *derp_dial_start(const struct derp_dial_env *env,
				  const struct derp_region *region,
				  size_t first,
				  void (*done)(void *ctx, int fd,
					       const struct derp_node *node,
					       const char *why),
				  void *ctx);
void derp_dial_cancel(struct derp_dial *d); /* NULL is fine */

/* The TCP port and the value of the Host header ("name[:port]"). */
uint16_t derp_node_port(const struct derp_node *n);
#define DERP_HOST_MAX 300
const char *derp_node_host(const struct derp_node *n, char out[DERP_HOST_MAX]);

#endif
