/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PORTMAPPER_H
#define ENGINE_PORTMAPPER_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

/* Keeps a mapping on the default gateway, if it is one of a private network. */

struct event_base;
struct portmapper;

/*
 * @changed: a mapping was made, moved or lost; re-determine the endpoints.
 * Comes from the loop, never from inside a call.
 */
struct portmapper *portmapper_new(struct event_base *base,
				  void (*changed)(void *ctx), void *ctx);
/* Gives the mapping back. No callback after this. */
void portmapper_free(struct portmapper *m);

/* WireGuard's port; 0: none. */
void portmapper_set_port(struct portmapper *m, uint16_t port);
/* Part of every netcheck: looks for the gateway and what it speaks. */
void portmapper_probe(struct portmapper *m);
/* The mapping in force; starts to make one if there is none. */
bool portmapper_get(struct portmapper *m, struct endpoint *external);
/* -1 not probed, 0, 1. */
int portmapper_has_pmp(const struct portmapper *m);
int portmapper_has_pcp(const struct portmapper *m);

/*
 * The first default-like route with a private gateway in the text of
 * /proc/net/route. -ENOENT: none.
 */
struct gateway {
	char ifname[IFNAMSIZ];
	struct ip_addr ip;
};
int gateway_parse(struct gateway *g, const char *text);

#endif
