// SPDX-License-Identifier: GPL-2.0
#include "coord/map_response.h"

#include <errno.h>
#include <json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coord/map_encoder.h"
#include "coord/map_node.h"
#include "lib/json.h"
#include "lib/util.h"

#define SIZE_LEN 4
#define ZSTD_LEVEL 1

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

void map_put_profile(struct map_encoder *e, const struct coord_node *n)
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

void map_member(struct map_encoder *e, const char *name)
{
	text_printf(&e->plain, "%s\"%s\":", e->plain.len > 1 ? "," : "", name);
}

static void end(struct map_encoder *e)
{
	if (e->profiles.len) {
		map_member(e, "UserProfiles");
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
	map_member(e, "Node");
	text_json(&e->plain, map_node_self(m->node, tailnet_domain(e->t), attrs,
					   n));
	map_put_profile(e, m->node);
}

static void put_filter(struct map_encoder *e)
{
	map_member(e, "PacketFilters");
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
	map_member(e, "DERPMap");
	text_puts(&e->plain, tailnet_derp_map(e->t));
}

/* ── Messages ── */

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
		map_put_ops(e);
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
	map_view_grow(e, v);
	if (c.visibility)
		map_compare_all(e, m, v);
	else
		map_compare_changed(e, m, v, &c);
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
	map_put_ops(e);
	if (c.users) {
		size_t i;

		for (i = 0; i < tailnet_slots(e->t) && i < v->words * 64; i++)
			if (map_in_set(v->told, (uint32_t)i))
				map_put_profile(e, tailnet_member(e->t,
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
	map_view_grow(e, v);
	map_compare_all(e, m, v);
	if (!first && !e->n_ops)
		return NULL;
	map_member(e, "ControlTime");
	text_printf(&e->plain, "\"%s\"", time_format_rfc3339(time(NULL), now));
	put_self(e, m);
	put_derp_map(e);
	map_member(e, "DNSConfig");
	text_puts(&e->plain, tailnet_dns_config(e->t));
	if (*tailnet_domain(e->t)) {
		map_member(e, "Domain");
		text_printf(&e->plain, "\"%s\"", tailnet_domain(e->t));
	}
	filter_differs(e, m, v);
	put_filter(e);
	/* Nobody collects logs here. */
	text_puts(&e->plain, ",\"Debug\":{\"DisableLogTail\":true}");
	map_put_op_list(e, "Peers", OP_WHOLE);
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
