// SPDX-License-Identifier: GPL-2.0
/* What a stream is to be told of its node's peers. */
#include <string.h>

#include "coord/map_encoder.h"
#include "coord/map_route.h"
#include "lib/util.h"

bool map_in_set(const uint64_t *set, uint32_t slot)
{
	return set[slot / 64] >> (slot % 64) & 1;
}

static void add_op(struct map_encoder *e, enum op_kind kind, struct member *m,
		   const struct member *to)
{
	uint32_t slot = m->slot;
	uint8_t k = (uint8_t)kind;

	if (e->n_ops == e->cap_ops) {
		e->cap_ops = e->cap_ops ? 2 * e->cap_ops : 64;
		e->ops = xrealloc(e->ops, e->cap_ops, sizeof(*e->ops));
	}
	text_add(&e->key, &slot, sizeof(slot));
	text_add(&e->key, &k, sizeof(k));
	e->ops[e->n_ops++] =
		(struct op){.kind = kind, .m = m, .told = e->key.len};
	if (kind == OP_WHOLE)
		map_routes_told(e->t, to, m->node, e->via, &e->key);
}

static void put_whole(struct map_encoder *e, const struct op *op)
{
	const struct text *peer = tailnet_peer_text(e->t, op->m);

	text_add(&e->plain, peer->s, peer->len);
	if (op->m->node->n_effective)
		map_routes_put(&e->plain, op->m->node,
			       (uint8_t *)e->key.s + op->told);
	text_puts(&e->plain, "}");
	map_put_profile(e, op->m->node);
}

void map_put_op_list(struct map_encoder *e, const char *name, enum op_kind kind)
{
	bool any = false;
	size_t i;

	for (i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];

		if (op->kind != kind)
			continue;
		if (!any)
			map_member(e, name);
		text_puts(&e->plain, any ? "," : "[");
		any = true;
		switch (kind) {
		case OP_REMOVED:
			text_printf(&e->plain, "%lld", (long long)op->m->id);
			break;
		case OP_WHOLE:
			put_whole(e, op);
			break;
		case OP_PATCH:
			text_add(&e->plain, op->m->patch.s, op->m->patch.len);
			break;
		}
	}
	if (any)
		text_puts(&e->plain, "]");
}

static void visible_set(struct map_encoder *e, const struct member *m)
{
	size_t words = tailnet_words(e->t);

	if (words != e->words) {
		e->words = words;
		e->visible = xrealloc(e->visible, words, sizeof(*e->visible));
	}
	tailnet_visible(e->t, m->slot, e->visible);
}

void map_view_grow(struct map_encoder *e, struct map_view *v)
{
	size_t words = tailnet_words(e->t);

	if (words == v->words)
		return;
	v->told = xrealloc(v->told, words, sizeof(*v->told));
	memset(v->told + v->words, 0, (words - v->words) * sizeof(*v->told));
	v->words = words;
}

/* What a known peer's changes come to for the others. */
static void add_change(struct map_encoder *e, struct member *m,
		       const struct member *to)
{
	switch (tailnet_change(m)) {
	case CHANGE_PATCH:
		add_op(e, OP_PATCH, m, to);
		break;
	case CHANGE_WHOLE:
		add_op(e, OP_WHOLE, m, to);
		break;
	case CHANGE_NOTHING:
	case CHANGE_UNKNOWN:
		break;
	}
}

/* Which routes @to is told of has to be compared for every router it sees. */
static void routes_next(struct map_encoder *e, size_t *n, uint32_t slot,
			uint64_t visible)
{
	if (*n == e->cap_routes) {
		e->cap_routes = e->cap_routes ? 2 * e->cap_routes : 16;
		e->routes = xrealloc(e->routes, e->cap_routes,
				     sizeof(*e->routes));
	}
	e->routes[(*n)++] = (struct map_view_routes){slot, visible};
}

static void routes_keep(struct map_encoder *e, struct map_view *v, size_t n)
{
	v->routes = xrealloc(v->routes, n, sizeof(*v->routes));
	if (n)
		memcpy(v->routes, e->routes, n * sizeof(*v->routes));
	v->n_routes = n;
}

/* One peer that @to sees now. */
static void compare_peer(struct map_encoder *e, struct map_view *v,
			 struct member *m, const struct member *to,
			 size_t *known, size_t *n_routes)
{
	bool router = m->node->n_effective, same = true;
	uint64_t visible;

	if (router) {
		text_reset(&e->part);
		visible = map_routes_told(e->t, to, m->node, e->via, &e->part);
		while (*known < v->n_routes &&
		       v->routes[*known].slot < m->slot)
			++*known;
		same = *known < v->n_routes &&
		       v->routes[*known].slot == m->slot &&
		       v->routes[*known].visible == visible;
		routes_next(e, n_routes, m->slot, visible);
	}
	if (!map_in_set(v->told, m->slot) || !same)
		add_op(e, OP_WHOLE, m, to);
	else
		add_change(e, m, to);
}

void map_compare_all(struct map_encoder *e, struct member *to,
			struct map_view *v)
{
	size_t i, known = 0, n_routes = 0;

	visible_set(e, to);
	for (i = 0; i < e->words; i++) {
		uint64_t all = e->visible[i] | v->told[i];

		for (; all; all &= all - 1) {
			uint32_t slot = (uint32_t)(i * 64) +
					(uint32_t)__builtin_ctzll(all);
			struct member *m = tailnet_member(e->t, slot);

			if (map_in_set(e->visible, slot))
				compare_peer(e, v, m, to, &known, &n_routes);
			else
				add_op(e, OP_REMOVED, m, to);
		}
	}
	memcpy(v->told, e->visible, e->words * sizeof(*v->told));
	routes_keep(e, v, n_routes);
}

void map_compare_changed(struct map_encoder *e, struct member *to,
			    struct map_view *v,
			    const struct tailnet_changes *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (map_in_set(v->told, c->slots[i]))
			add_change(e, tailnet_member(e->t, c->slots[i]), to);
}

void map_put_ops(struct map_encoder *e)
{
	map_put_op_list(e, "PeersRemoved", OP_REMOVED);
	map_put_op_list(e, "PeersChanged", OP_WHOLE);
	map_put_op_list(e, "PeersChangedPatch", OP_PATCH);
}
