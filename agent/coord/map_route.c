// SPDX-License-Identifier: GPL-2.0
#include "coord/map_route.h"

#include "coord/bits.h"
#include "lib/util.h"

static bool is_primary(const struct coord_node *n, const struct prefix *route)
{
	size_t i;

	for (i = 0; i < n->n_primary; i++)
		if (prefix_equal(&n->primary[i], route))
			return true;
	return false;
}

static bool is_among(const uint64_t *via, const struct coord_node *n)
{
	const struct member *m = n->session;

	return bits_test(via, m->slot);
}

/* The router of @via that is to be used for @route; NULL: none has it. */
static const struct coord_node *elect(struct tailnet *t,
				      const struct prefix *route,
				      const uint64_t *via)
{
	const struct coord_route *r = model_route(tailnet_model(t), route);
	const struct coord_node *best = NULL;
	size_t i;

	if (!r)
		return NULL;
	if (is_among(via, r->primary))
		best = r->primary;
	for (i = 0; i < r->n_nodes; i++)
		if (is_among(via, r->nodes[i]) &&
		    (!best || model_route_fitness(r->nodes[i]) >
				      model_route_fitness(best)))
			best = r->nodes[i];
	return best;
}

static bool is_told(struct tailnet *t, const struct member *to,
		    const struct coord_node *n, const struct prefix *route,
		    uint64_t *via)
{
	const struct policy_result *r = tailnet_result(t);
	bool exit = prefix_is_default(route);
	bool primary = exit || is_primary(n, route);

	if (!primary && !policy_steers(r))
		return false;
	switch (policy_route_use(r, to->slot, route, via)) {
	case POLICY_USE_ANY:
		return primary;
	case POLICY_USE_VIA:
		return exit ? is_among(via, n) : elect(t, route, via) == n;
	case POLICY_USE_NONE:
		break;
	}
	return false;
}

uint64_t map_routes_told(struct tailnet *t, const struct member *to,
			 const struct coord_node *n, uint64_t *via,
			 struct text *out)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	uint8_t told;
	size_t i;

	for (i = 0; i < n->n_effective; i++) {
		told = is_told(t, to, n, &n->effective[i], via);
		hash = (hash ^ told) * 0x100000001b3ull;
		text_add(out, &told, 1);
	}
	return hash;
}

static void put_prefix(struct text *t, const char *before,
		       const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];

	text_printf(t, "%s\"%s\"", before, prefix_format(p, text));
}

void map_routes_put(struct text *t, const struct coord_node *n,
		    const uint8_t *told)
{
	bool any = false;
	struct prefix p;
	size_t i;

	text_puts(t, ",\"AllowedIPs\":[");
	for (i = 0; i < n->n_addresses; i++) {
		p.ip = n->addresses[i];
		p.bits = (uint8_t)ip_bits(&p.ip);
		put_prefix(t, i ? "," : "", &p);
	}
	for (i = 0; i < n->n_effective; i++)
		if (told[i])
			put_prefix(t, ",", &n->effective[i]);
	text_puts(t, "]");
	for (i = 0; i < n->n_effective; i++) {
		if (!told[i] || prefix_is_default(&n->effective[i]))
			continue;
		put_prefix(t, any ? "," : ",\"PrimaryRoutes\":[", &n->effective[i]);
		any = true;
	}
	if (any)
		text_puts(t, "]");
}
