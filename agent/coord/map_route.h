/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MAP_ROUTE_H
#define COORD_MAP_ROUTE_H

#include "coord/tailnet.h"

/*
 * Which of its effective routes (coord_node.effective) a router's peers are
 * told of. A peer gets every subnet from one router at most: from the primary
 * one; or, where grants with a via are all that leads there, from the primary
 * one if it is among their routers, else from the first of these (by id) that
 * is online and healthy. Exit routes it gets from all it may use.
 */

/*
 * To @out one byte for each effective route of @n: is it for @to? @via is room
 * for tailnet_words() words. Returns a hash of the bytes.
 */
uint64_t map_routes_told(struct tailnet *t, const struct member *to,
			 const struct coord_node *n, uint64_t *via,
			 struct text *out);
/*
 * ',"AllowedIPs":[...],"PrimaryRoutes":[...]' with the routes whose byte in
 * @told is not 0.
 */
void map_routes_put(struct text *t, const struct coord_node *n,
		    const uint8_t *told);

#endif
