/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DERPMAP_H
#define ENGINE_DERPMAP_H

#include <stdbool.h>

#include "engine/netmap.h"

/* Copies of the regions of a netmap, for those that outlive it. */

/* A deep copy, in the same order, owned by the caller. NULL for NULL. */
struct derp_region *derpmap_copy(const struct derp_region *regions);
void derpmap_free(struct derp_region *regions);
const struct derp_region *derpmap_find(const struct derp_region *regions,
				       int id);
/* One region alone. */
struct derp_region *derp_region_copy(const struct derp_region *from);
void derp_region_free(struct derp_region *r); /* NULL is fine */
/* Whether a connection made by one definition is right for the other. */
bool derp_region_same(const struct derp_region *a,
		      const struct derp_region *b);

/* What an IPv4/IPv6 field of a node says. */
enum derp_family {
	DERP_FAMILY_RESOLVE, /* empty: ask the DNS */
	DERP_FAMILY_LITERAL,
	DERP_FAMILY_OFF, /* "none", or anything else */
};
enum derp_family derp_node_addr(const struct derp_node *n, int family,
				struct ip_addr *out);

#endif
