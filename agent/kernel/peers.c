// SPDX-License-Identifier: GPL-2.0
#include "kernel/peers.h"

#include <string.h>

#include "kernel/list.h"
#include "kernel/state.h"
#include "lib/util.h"

#define PEERS_MAX (2 * TAILRACE_MAX_PEERS)

static void remove_entry(struct peers *p, struct peer_entry *e)
{
	HASH_DEL(p->by_id, e);
	free(e->alias.seen);
	free(e);
}

void peers_free(struct peers *p)
{
	struct peer_entry *e, *next;

	HASH_ITER(hh, p->by_id, e, next)
		remove_entry(p, e);
}

struct peer_entry *peers_find(const struct peers *p, uint32_t id)
{
	struct peer_entry *e;

	HASH_FIND(hh, p->by_id, &id, sizeof(id), e);
	return e;
}

struct peer_entry *peers_get(struct peers *p, uint32_t id)
{
	struct peer_entry *e = peers_find(p, id);

	if (e || HASH_COUNT(p->by_id) >= PEERS_MAX)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->id = id;
	HASH_ADD(hh, p->by_id, id, sizeof(e->id), e);
	return e;
}

void peers_remove(struct peers *p, uint32_t id)
{
	struct peer_entry *e = peers_find(p, id);

	if (e)
		remove_entry(p, e);
}

static bool path_equal(const struct kernel_path *a, const struct kernel_path *b)
{
	return endpoint_equal(&a->canonical, &b->canonical) &&
	       a->n_seen == b->n_seen &&
	       !memcmp(a->seen, b->seen, a->n_seen * sizeof(*a->seen));
}

void peers_set_path(struct peers *p, const struct kernel_path *path)
{
	struct peer_entry *e = peers_get(p, path->peer);

	if (!e || (e->age && path_equal(&e->path, path)))
		return;
	e->path = *path;
	e->age = ++p->clock;
	e->dirty = true;
}

void peers_put_endpoints(const struct peers *p,
			 const struct kernel_state *state,
			 const struct wg_device *have, struct wg_device *want)
{
	size_t i;

	for (i = 0; i < state->n_peers; i++) {
		const struct kernel_peer *k = &state->peers[i];
		const struct peer_entry *e = peers_find(p, k->id);
		struct wg_peer *has = wg_find(have, &k->public_key);

		if (e && e->path.canonical.ip.family &&
		    (e->dirty || !has || !has->endpoint.ip.family))
			wg_find(want, &k->public_key)->endpoint =
				e->path.canonical;
	}
}

void peers_note_alias(struct peers *p, uint32_t id, const struct alias *a)
{
	static const struct alias none;
	struct peer_entry *e = a ? peers_get(p, id) : peers_find(p, id);

	if (!e)
		return;
	free(e->alias.seen);
	e->alias = a ? *a : none;
	if (a)
		e->alias.seen = list_copy(a->seen, a->n_seen, sizeof(*a->seen));
}

void peers_endpoints_set(struct peers *p, const struct kernel_state *state)
{
	size_t i;

	for (i = 0; i < state->n_peers; i++) {
		struct peer_entry *e = peers_find(p, state->peers[i].id);

		if (!e || !e->dirty)
			continue;
		if (e->path.canonical.ip.family)
			e->known = e->path.canonical;
		e->dirty = false;
	}
}

void peers_want_aliases(const struct peers *p,
			const struct kernel_state *state,
			struct alias_list *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < state->n_peers; i++) {
		const struct peer_entry *e = peers_find(p, state->peers[i].id);

		if (e && e->path.canonical.ip.family)
			alias_want(out, &e->path, e->age);
	}
	alias_settle(out);
}

void peers_compare_endpoints(struct peers *p, const struct kernel_state *state,
			     const struct wg_device *have,
			     void (*roamed)(void *ctx, uint32_t peer,
					    const struct endpoint *e),
			     void *ctx)
{
	size_t i;

	for (i = 0; i < state->n_peers; i++) {
		const struct kernel_peer *k = &state->peers[i];
		const struct wg_peer *has = wg_find(have, &k->public_key);
		struct peer_entry *e;

		if (!has || !has->endpoint.ip.family)
			continue;
		e = peers_get(p, k->id);
		if (!e || e->dirty ||
		    endpoint_equal(&e->known, &has->endpoint))
			continue;
		e->known = has->endpoint;
		if (roamed)
			roamed(ctx, k->id, &e->known);
	}
}
