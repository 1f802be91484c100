/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_DERP_MAP_H
#define UNIT_DERP_MAP_H

/* DERP maps for tests; strings are literals, nothing is freed. */

#include <stdio.h>
#include <string.h>

#include "engine/netmap.h"

#define MAP_REGIONS 8
#define MAP_NODES 4

struct test_map {
	struct derp_region *regions;
	struct derp_region region[MAP_REGIONS];
	struct derp_node node[MAP_REGIONS][MAP_NODES];
	char names[MAP_REGIONS][MAP_NODES][16];
};

/* Adds a node to region @id (1 to MAP_REGIONS), and the region with it. */
static inline struct derp_node *test_map_node(struct test_map *m, int id,
					      const char *ipv4,
					      const char *ipv6)
{
	struct derp_region *r = &m->region[id - 1];
	struct derp_node *n = &m->node[id - 1][r->n_nodes];

	snprintf(m->names[id - 1][r->n_nodes], 16, "%d%c", id,
		 (char)('a' + r->n_nodes));
	n->name = m->names[id - 1][r->n_nodes];
	n->host_name = "derp.test";
	n->cert_name = n->stun_test_ip = "";
	n->ipv4 = (char *)ipv4;
	n->ipv6 = (char *)ipv6;
	if (!r->n_nodes) {
		r->id = id;
		r->score = 1.0;
		r->code = r->name = "r";
		r->nodes = n;
		HASH_ADD_INT(m->regions, id, r);
	}
	r->n_nodes++;
	return n;
}

static inline void test_map_clear(struct test_map *m)
{
	HASH_CLEAR(hh, m->regions);
	memset(m, 0, sizeof(*m));
}

#endif
