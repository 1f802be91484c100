// SPDX-License-Identifier: GPL-2.0
/* Subnet routes: who has which, and who is primary. */
#include <string.h>

#include "coord/model_internal.h"
#include "lib/util.h"

static int compare(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

size_t prefixes_normalize(struct prefix *p, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++)
		p[i] = prefix_masked(&p[i]);
	if (n)
		qsort(p, n, sizeof(*p), compare);
	for (i = 0; i < n; i++)
		if (!kept || !prefix_equal(&p[kept - 1], &p[i]))
			p[kept++] = p[i];
	return kept;
}

bool prefixes_equal(const struct prefix *a, size_t n_a, const struct prefix *b,
		    size_t n_b)
{
	size_t i;

	if (n_a != n_b)
		return false;
	for (i = 0; i < n_a; i++)
		if (!prefix_equal(&a[i], &b[i]))
			return false;
	return true;
}

static bool has(const struct prefix *list, size_t n, const struct prefix *p)
{
	return n && bsearch(p, list, n, sizeof(*p), compare);
}

struct coord_route *model_routes(struct model *m)
{
	return m->routes;
}

struct coord_route *model_route(struct model *m, const struct prefix *p)
{
	struct coord_route *r;

	HASH_FIND(hh, m->routes, p, sizeof(*p), r);
	return r;
}

static void drop_primary(struct coord_node *n, const struct prefix *p)
{
	size_t i;

	for (i = 0; i < n->n_primary && !prefix_equal(&n->primary[i], p); i++)
		;
	if (i == n->n_primary)
		return;
	n->n_primary--;
	memmove(&n->primary[i], &n->primary[i + 1],
		(n->n_primary - i) * sizeof(*p));
}

static void add_primary(struct coord_node *n, const struct prefix *p)
{
	size_t i;

	n->primary = xrealloc(n->primary, n->n_primary + 1, sizeof(*p));
	for (i = n->n_primary; i && prefix_compare(&n->primary[i - 1], p) > 0;
	     i--)
		n->primary[i] = n->primary[i - 1];
	n->primary[i] = *p;
	n->n_primary++;
}

int model_route_fitness(const struct coord_node *n)
{
	return n->online || n->awaited ? 1 + n->healthy : 0;
}

/*
 * Who is to be primary of @r: the present one unless somebody is fitter. NULL
 * only of a route without nodes.
 */
static struct coord_node *elect(const struct coord_route *r)
{
	struct coord_node *best = r->primary;
	size_t i;

	for (i = 0; i < r->n_nodes; i++)
		if (!best || model_route_fitness(r->nodes[i]) >
				     model_route_fitness(best))
			best = r->nodes[i];
	return best;
}

/* Returns NODE_PRIMARY if something changed for @self; others are told. */
static unsigned int settle(struct model *m, struct coord_route *r,
			   struct coord_node *self)
{
	struct coord_node *old = r->primary, *now = elect(r);

	if (old == now)
		return 0;
	r->primary = now;
	m->primaries_dirty = true;
	if (old)
		drop_primary(old, &r->prefix);
	if (now)
		add_primary(now, &r->prefix);
	if (old && old != self)
		model_emit(m, MODEL_NODE_CHANGED, old, NODE_PRIMARY, NULL);
	if (now && now != self)
		model_emit(m, MODEL_NODE_CHANGED, now, NODE_PRIMARY, NULL);
	return old == self || now == self ? NODE_PRIMARY : 0;
}

static void route_free(struct model *m, struct coord_route *r)
{
	HASH_DELETE(hh, m->routes, r);
	free(r->nodes);
	free(r);
}

static unsigned int leave(struct model *m, struct coord_node *n,
			  const struct prefix *p)
{
	struct coord_route *r = model_route(m, p);
	unsigned int aspects;
	size_t i;

	if (!r)
		return 0;
	for (i = 0; i < r->n_nodes && r->nodes[i] != n; i++)
		;
	if (i == r->n_nodes)
		return 0;
	r->n_nodes--;
	memmove(&r->nodes[i], &r->nodes[i + 1],
		(r->n_nodes - i) * sizeof(r->nodes[0]));
	aspects = 0;
	if (r->primary == n) {
		r->primary = NULL;
		drop_primary(n, p);
		aspects = NODE_PRIMARY;
	}
	aspects |= settle(m, r, n);
	if (!r->n_nodes)
		route_free(m, r);
	return aspects;
}

static unsigned int join(struct model *m, struct coord_node *n,
			 const struct prefix *p)
{
	struct coord_route *r = model_route(m, p);
	size_t i;

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->prefix = *p;
		HASH_ADD(hh, m->routes, prefix, sizeof(r->prefix), r);
	}
	r->nodes = xrealloc(r->nodes, r->n_nodes + 1, sizeof(r->nodes[0]));
	for (i = r->n_nodes; i && r->nodes[i - 1]->id > n->id; i--)
		r->nodes[i] = r->nodes[i - 1];
	r->nodes[i] = n;
	r->n_nodes++;
	return settle(m, r, n);
}

unsigned int routes_refresh(struct model *m, struct coord_node *n)
{
	size_t i, n_old = n->n_effective, n_new = 0;
	struct prefix *old = n->effective, *new;
	unsigned int aspects = 0;

	new = xmalloc(n->n_advertised * sizeof(*new));
	for (i = 0; i < n->n_advertised; i++)
		if (has(n->approved, n->n_approved, &n->advertised[i]))
			new[n_new++] = n->advertised[i];
	n->effective = new;
	n->n_effective = n_new;
	if (!prefixes_equal(old, n_old, new, n_new))
		aspects |= NODE_APPROVED;
	for (i = 0; i < n_old; i++)
		if (!prefix_is_default(&old[i]) && !has(new, n_new, &old[i]))
			aspects |= leave(m, n, &old[i]);
	for (i = 0; i < n_new; i++)
		if (!prefix_is_default(&new[i]) && !has(old, n_old, &new[i]))
			aspects |= join(m, n, &new[i]);
	free(old);
	return aspects;
}

unsigned int routes_elect(struct model *m, struct coord_node *n)
{
	unsigned int aspects = n->n_effective ? NODE_FITNESS : 0;
	struct coord_route *r;
	size_t i;

	for (i = 0; i < n->n_effective && !m->closing; i++) {
		r = model_route(m, &n->effective[i]);
		if (r)
			aspects |= settle(m, r, n);
	}
	return aspects;
}

void route_restore(struct model *m, struct coord_route *r, struct coord_node *n)
{
	size_t i;

	for (i = 0; i < r->n_nodes && r->nodes[i] != n; i++)
		;
	if (i == r->n_nodes || r->primary == n)
		return;
	drop_primary(r->primary, &r->prefix);
	r->primary = n;
	add_primary(n, &r->prefix);
}

void routes_give_up(struct model *m, struct coord_node *n)
{
	unsigned int aspects;

	n->awaited = false;
	aspects = routes_elect(m, n);
	if (aspects)
		model_emit(m, MODEL_NODE_CHANGED, n, aspects, NULL);
}

void routes_remove(struct model *m, struct coord_node *n)
{
	size_t i;

	for (i = 0; i < n->n_effective; i++)
		leave(m, n, &n->effective[i]);
}

void routes_free(struct model *m)
{
	struct coord_route *r, *next;

	for (r = m->routes; r; r = next) {
		next = r->hh.next;
		route_free(m, r);
	}
}
