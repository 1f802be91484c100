// SPDX-License-Identifier: GPL-2.0
#include "coord/map_response.h"

#include <errno.h>
#include <json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <uthash.h>
#include <zstd.h>

#include "coord/map_node.h"
#include "coord/map_route.h"
#include "lib/json.h"
#include "lib/util.h"

#define SIZE_LEN 4
#define ZSTD_LEVEL 1

enum op_kind {
	OP_REMOVED,
	OP_WHOLE,
	OP_PATCH,
};

struct op {
	enum op_kind kind;
	struct member *m;
	size_t told; /* of a whole router: offset of its bytes in @key */
};

/* A message that several streams get. */
struct shared {
	struct text key, plain, zstd;
	UT_hash_handle hh;
};

/* A user whose profile is in the message that bears this number. */
struct profile {
	int64_t user;
	uint64_t message;
	UT_hash_handle hh;
};

struct map_encoder {
	struct tailnet *t;
	ZSTD_CCtx *z;
	struct text plain, frame, profiles, part;
	struct op *ops;
	size_t n_ops, cap_ops;
	struct text key; /* says what the ops are, and holds their bytes */
	struct shared *shared;
	struct profile *users;
	uint64_t message;
	uint64_t *visible;
	size_t words;
	uint64_t *via; /* room for map_routes_told() */
	size_t via_words;
	struct map_view_routes *routes; /* a stream's next ones */
	size_t cap_routes;
	struct map_encoder_stats stats;
};

void map_view_clear(struct map_view *v)
{
	free(v->told);
	free(v->routes);
	*v = (struct map_view){0};
}

struct map_encoder *map_encoder_new(struct tailnet *t)
{
	struct map_encoder *e = xcalloc(1, sizeof(*e));

	e->t = t;
	e->z = ZSTD_createCCtx();
	if (!e->z)
		abort();
	ZSTD_CCtx_setParameter(e->z, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	return e;
}

void map_encoder_free(struct map_encoder *e)
{
	struct profile *p, *tmp;

	if (!e)
		return;
	map_encode_end(e);
	HASH_ITER(hh, e->users, p, tmp)
	{
		HASH_DEL(e->users, p);
		free(p);
	}
	text_clear(&e->plain);
	text_clear(&e->frame);
	text_clear(&e->profiles);
	text_clear(&e->part);
	text_clear(&e->key);
	ZSTD_freeCCtx(e->z);
	free(e->ops);
	free(e->visible);
	free(e->via);
	free(e->routes);
	free(e);
}

/* ── Frames ── */

static void frame(struct map_encoder *e, struct text *out,
		  const struct text *json, bool zstd)
{
	uint8_t size[SIZE_LEN] = {0};
	size_t n = json->len;

	text_reset(out);
	text_add(out, size, SIZE_LEN);
	if (zstd) {
		size_t room = ZSTD_compressBound(json->len);

		if (out->cap < SIZE_LEN + room + 1) {
			out->cap = SIZE_LEN + room + 1;
			out->s = xrealloc(out->s, out->cap, 1);
		}
		n = ZSTD_compress2(e->z, out->s + SIZE_LEN, room, json->s,
				   json->len);
		if (ZSTD_isError(n))
			abort(); /* there is room, and no other reason */
		out->len += n;
	} else {
		text_add(out, json->s, json->len);
	}
	out->s[0] = (char)n;
	out->s[1] = (char)(n >> 8);
	out->s[2] = (char)(n >> 16);
	out->s[3] = (char)(n >> 24);
}

static const struct text *framed(struct map_encoder *e, bool zstd)
{
	frame(e, &e->frame, &e->plain, zstd);
	return &e->frame;
}

const struct text *map_encode_keep_alive(struct map_encoder *e, bool zstd)
{
	text_reset(&e->plain);
	text_puts(&e->plain, "{\"KeepAlive\":true}");
	return framed(e, zstd);
}

const struct text *map_encode_ping(struct map_encoder *e, const char *url,
				   bool zstd)
{
	struct json_object *o = json_object_new_object();
	struct json_object *ping = json_object_new_object();

	json_object_object_add(ping, "URL", json_object_new_string(url));
	json_object_object_add(ping, "URLIsNoise", json_object_new_boolean(1));
	json_object_object_add(o, "KeepAlive", json_object_new_boolean(1));
	json_object_object_add(o, "PingRequest", ping);
	text_reset(&e->plain);
	text_json(&e->plain, o);
	return framed(e, zstd);
}

/* ── Parts ── */

static void put_profile(struct map_encoder *e, const struct coord_node *n)
{
	int64_t user = map_node_user(n);
	struct profile *p;

	HASH_FIND(hh, e->users, &user, sizeof(user), p);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->user = user;
		HASH_ADD(hh, e->users, user, sizeof(user), p);
	}
	if (p->message == e->message)
		return;
	p->message = e->message;
	if (e->profiles.len)
		text_puts(&e->profiles, ",");
	tailnet_profile(&e->profiles, n);
}

static void begin(struct map_encoder *e)
{
	text_reset(&e->plain);
	text_reset(&e->profiles);
	text_reset(&e->key);
	text_puts(&e->key, "."); /* never empty */
	e->n_ops = 0;
	e->message++;
	if (e->via_words != tailnet_words(e->t)) {
		e->via_words = tailnet_words(e->t);
		e->via = xrealloc(e->via, e->via_words, sizeof(*e->via));
	}
	text_puts(&e->plain, "{");
}

/* '"name":', with a comma if something is before it. */
static void member(struct map_encoder *e, const char *name)
{
	text_printf(&e->plain, "%s\"%s\":", e->plain.len > 1 ? "," : "", name);
}

static void end(struct map_encoder *e)
{
	if (e->profiles.len) {
		member(e, "UserProfiles");
		text_puts(&e->plain, "[");
		text_add(&e->plain, e->profiles.s, e->profiles.len);
		text_puts(&e->plain, "]");
	}
	text_puts(&e->plain, "}");
}

static void put_self(struct map_encoder *e, const struct member *m)
{
	const char *const *attrs;
	size_t n;

	attrs = policy_attrs(tailnet_result(e->t), m->slot, &n);
	member(e, "Node");
	text_json(&e->plain, map_node_self(m->node, tailnet_domain(e->t), attrs,
					   n));
	put_profile(e, m->node);
}

static void put_filter(struct map_encoder *e)
{
	member(e, "PacketFilters");
	text_puts(&e->plain, "{\"base\":");
	text_add(&e->plain, e->part.s, e->part.len);
	text_puts(&e->plain, "}");
}

/* The filter of @m to e->part; true if it is not the one that @v knows. */
static bool filter_differs(struct map_encoder *e, const struct member *m,
			   struct map_view *v)
{
	uint8_t hash[MAP_FILTER_HASH_LEN];

	text_reset(&e->part);
	text_json(&e->part, policy_filter(tailnet_result(e->t), m->slot));
	crypto_generichash(hash, sizeof(hash), (uint8_t *)e->part.s,
			   e->part.len, NULL, 0);
	if (!memcmp(hash, v->filter, sizeof(hash)))
		return false;
	memcpy(v->filter, hash, sizeof(hash));
	return true;
}

static void put_derp_map(struct map_encoder *e)
{
	if (!*tailnet_derp_map(e->t))
		return;
	member(e, "DERPMap");
	text_puts(&e->plain, tailnet_derp_map(e->t));
}

/* ── Peers ── */

static bool in_set(const uint64_t *set, uint32_t slot)
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
	put_profile(e, op->m->node);
}

/* The list called @name of all ops of @kind, if there are any. */
static void put_ops(struct map_encoder *e, const char *name, enum op_kind kind)
{
	bool any = false;
	size_t i;

	for (i = 0; i < e->n_ops; i++) {
		const struct op *op = &e->ops[i];

		if (op->kind != kind)
			continue;
		if (!any)
			member(e, name);
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

static void view_grow(struct map_encoder *e, struct map_view *v)
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
	if (!in_set(v->told, m->slot) || !same)
		add_op(e, OP_WHOLE, m, to);
	else
		add_change(e, m, to);
}

/* Who is seen has changed: everybody is looked at. */
static void compare_all(struct map_encoder *e, struct member *to,
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

			if (in_set(e->visible, slot))
				compare_peer(e, v, m, to, &known, &n_routes);
			else
				add_op(e, OP_REMOVED, m, to);
		}
	}
	memcpy(v->told, e->visible, e->words * sizeof(*v->told));
	routes_keep(e, v, n_routes);
}

static void compare_changed(struct map_encoder *e, struct member *to,
			    struct map_view *v,
			    const struct tailnet_changes *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (in_set(v->told, c->slots[i]))
			add_change(e, tailnet_member(e->t, c->slots[i]), to);
}

static void put_all_ops(struct map_encoder *e)
{
	put_ops(e, "PeersRemoved", OP_REMOVED);
	put_ops(e, "PeersChanged", OP_WHOLE);
	put_ops(e, "PeersChangedPatch", OP_PATCH);
}

/* The message that consists of the ops and the DERP map only. */
static const struct text *encode_shared(struct map_encoder *e, bool derp_map,
					bool zstd)
{
	struct shared *s;

	HASH_FIND(hh, e->shared, e->key.s, e->key.len, s);
	if (s) {
		e->stats.shared++;
	} else {
		if (derp_map)
			put_derp_map(e);
		put_all_ops(e);
		end(e);
		s = xcalloc(1, sizeof(*s));
		frame(e, &s->plain, &e->plain, false);
		text_add(&s->key, e->key.s, e->key.len);
		HASH_ADD_KEYPTR(hh, e->shared, s->key.s, s->key.len, s);
		e->stats.delta++;
	}
	if (!zstd)
		return &s->plain;
	if (!s->zstd.len) {
		text_reset(&e->plain);
		text_add(&e->plain, s->plain.s + SIZE_LEN,
			 s->plain.len - SIZE_LEN);
		frame(e, &s->zstd, &e->plain, true);
	}
	return &s->zstd;
}

const struct text *map_encode_delta(struct map_encoder *e, struct member *m,
				    struct map_view *v, bool zstd)
{
	struct tailnet_changes c = tailnet_changes(e->t);
	bool self = m->aspects & ~(unsigned int)NODE_SELF_KNOWS;
	bool filter;

	begin(e);
	view_grow(e, v);
	if (c.visibility)
		compare_all(e, m, v);
	else
		compare_changed(e, m, v, &c);
	filter = c.visibility && filter_differs(e, m, v);
	if (!self && !filter && !c.users) {
		if (!e->n_ops && !c.derp_map)
			return NULL;
		return encode_shared(e, c.derp_map, zstd);
	}
	if (self || c.users)
		put_self(e, m);
	if (c.derp_map)
		put_derp_map(e);
	if (filter)
		put_filter(e);
	put_all_ops(e);
	if (c.users) {
		size_t i;

		for (i = 0; i < tailnet_slots(e->t) && i < v->words * 64; i++)
			if (in_set(v->told, (uint32_t)i))
				put_profile(e, tailnet_member(e->t,
							      (uint32_t)i)
						       ->node);
	}
	end(e);
	e->stats.delta++;
	return framed(e, zstd);
}

const struct text *map_encode_full(struct map_encoder *e, struct member *m,
				   struct map_view *v, bool first, bool zstd)
{
	char now[TIME_TEXT_MAX];

	begin(e);
	map_view_clear(v);
	view_grow(e, v);
	compare_all(e, m, v);
	if (!first && !e->n_ops)
		return NULL;
	member(e, "ControlTime");
	text_printf(&e->plain, "\"%s\"", time_format_rfc3339(time(NULL), now));
	put_self(e, m);
	put_derp_map(e);
	member(e, "DNSConfig");
	text_puts(&e->plain, tailnet_dns_config(e->t));
	if (*tailnet_domain(e->t)) {
		member(e, "Domain");
		text_printf(&e->plain, "\"%s\"", tailnet_domain(e->t));
	}
	filter_differs(e, m, v);
	put_filter(e);
	/* Nobody collects logs here. */
	text_puts(&e->plain, ",\"Debug\":{\"DisableLogTail\":true}");
	put_ops(e, "Peers", OP_WHOLE);
	end(e);
	e->stats.full++;
	return framed(e, zstd);
}

void map_encode_end(struct map_encoder *e)
{
	struct shared *s, *tmp;

	HASH_ITER(hh, e->shared, s, tmp)
	{
		HASH_DEL(e->shared, s);
		text_clear(&s->key);
		text_clear(&s->plain);
		text_clear(&s->zstd);
		free(s);
	}
}

struct map_encoder_stats map_encoder_stats(const struct map_encoder *e)
{
	return e->stats;
}
