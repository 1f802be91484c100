// SPDX-License-Identifier: GPL-2.0
#include "kernel/state.h"

#include <string.h>

#include "kernel/list.h"
#include "lib/log.h"
#include "lib/util.h"

static int compare_ids(const void *a, const void *b)
{
	const struct kernel_peer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static int compare_keys(const void *a, const void *b)
{
	const struct kernel_peer *const *x = a, *const *y = b;
	int c = key_compare(&(*x)->public_key, &(*y)->public_key);

	/* equal keys: in order of id, which is the order in memory */
	return c ? c : (*x > *y) - (*x < *y);
}

static size_t normalize_prefixes(struct prefix *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = prefix_masked(&p[i]);
	return list_unique(p, n, sizeof(*p), compare_prefixes);
}

static void free_peer(struct kernel_peer *p)
{
	free(p->addrs);
	free(p->allowed_ips);
	free(p->caps);
	key_wipe(&p->disco_shared);
}

/* Frees the peers that are marked by id 0. */
static void sweep(struct kernel_state *s)
{
	size_t i, kept = 0;

	for (i = 0; i < s->n_peers; i++) {
		if (!s->peers[i].id)
			free_peer(&s->peers[i]);
		else
			s->peers[kept++] = s->peers[i];
	}
	/* secrets have moved */
	if (kept < s->n_peers)
		explicit_bzero(&s->peers[kept],
			       (s->n_peers - kept) * sizeof(*s->peers));
	s->n_peers = kept;
}

static void drop_bad_peers(struct kernel_state *s)
{
	struct kernel_peer **by_key;
	size_t i;

	for (i = 0; i < s->n_peers; i++) {
		struct kernel_peer *p = &s->peers[i];

		if (p->id > 0xffffff || key_is_zero(&p->public_key)) {
			log_error("engine: peer with bad id %u or no key",
				  p->id);
			p->id = 0;
		}
	}
	sweep(s);
	if (!s->n_peers)
		return;
	qsort(s->peers, s->n_peers, sizeof(*s->peers), compare_ids);
	by_key = xcalloc(s->n_peers, sizeof(struct kernel_peer *));
	for (i = 0; i < s->n_peers; i++)
		by_key[i] = &s->peers[i];
	qsort(by_key, s->n_peers, sizeof(struct kernel_peer *), compare_keys);
	for (i = s->n_peers; i-- > 1;) {
		if (!key_compare(&by_key[i - 1]->public_key,
				 &by_key[i]->public_key)) {
			log_error("engine: two peers with one key");
			by_key[i]->id = 0;
		}
	}
	for (i = s->n_peers; i-- > 1;) {
		if (s->peers[i].id && s->peers[i - 1].id == s->peers[i].id) {
			log_error("engine: two peers with id %u",
				  s->peers[i].id);
			s->peers[i].id = 0;
		}
	}
	free(by_key);
	sweep(s);
}

/* A prefix and who claims it. */
struct claim {
	struct prefix prefix;
	uint32_t peer; /* index */
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = prefix_compare(&x->prefix, &y->prefix);

	return c ? c : (x->peer > y->peer) - (x->peer < y->peer);
}

/* The list of a peer that @member says: its addresses or its allowed IPs. */
struct member {
	struct prefix *(*list)(const struct kernel_peer *p);
	size_t *(*count)(struct kernel_peer *p);
};

static struct prefix *addrs_of(const struct kernel_peer *p)
{
	return p->addrs;
}

static size_t *n_addrs_of(struct kernel_peer *p)
{
	return &p->n_addrs;
}

static struct prefix *allowed_ips_of(const struct kernel_peer *p)
{
	return p->allowed_ips;
}

static size_t *n_allowed_ips_of(struct kernel_peer *p)
{
	return &p->n_allowed_ips;
}

static void remove_prefix(struct prefix *list, size_t *n,
			  const struct prefix *p)
{
	struct prefix *at = bsearch(p, list, *n, sizeof(*p), compare_prefixes);

	memmove(at, at + 1, (size_t)(list + *n - (at + 1)) * sizeof(*p));
	--*n;
}

/* Of several claims to one prefix only the first peer's stays. */
static void settle_claims(struct kernel_state *s, const struct member *m)
{
	struct claim *claims;
	size_t n = 0, i, j;

	for (i = 0; i < s->n_peers; i++)
		n += *m->count(&s->peers[i]);
	claims = xcalloc(n, sizeof(*claims));
	n = 0;
	for (i = 0; i < s->n_peers; i++)
		for (j = 0; j < *m->count(&s->peers[i]); j++)
			claims[n++] = (struct claim){
				m->list(&s->peers[i])[j], (uint32_t)i
			};
	qsort(claims, n, sizeof(*claims), compare_claims);
	for (i = 1; i < n; i++) {
		struct kernel_peer *p = &s->peers[claims[i].peer];

		if (prefix_equal(&claims[i].prefix, &claims[i - 1].prefix))
			remove_prefix(m->list(p), m->count(p),
				      &claims[i].prefix);
	}
	free(claims);
}

/* As the module rounds it, so that comparing works. */
static uint32_t flow_table_size(uint32_t wanted)
{
	uint32_t size = KERNEL_FLOWS_MIN;

	if (!wanted)
		return KERNEL_FLOWS_DEFAULT;
	while (size < wanted && size < KERNEL_FLOWS_MAX)
		size *= 2;
	return size;
}

void state_normalize(struct kernel_state *s)
{
	static const struct member addrs = { addrs_of, n_addrs_of };
	static const struct member allowed = { allowed_ips_of,
					       n_allowed_ips_of };
	size_t i;

	drop_bad_peers(s);
	for (i = 0; i < s->n_peers; i++) {
		struct kernel_peer *p = &s->peers[i];

		p->n_addrs = normalize_prefixes(p->addrs, p->n_addrs);
		p->n_allowed_ips =
			normalize_prefixes(p->allowed_ips, p->n_allowed_ips);
		p->n_caps = list_unique(p->caps, p->n_caps, sizeof(*p->caps),
				   list_compare_u32);
	}
	settle_claims(s, &addrs);
	settle_claims(s, &allowed);
	s->n_routes = normalize_prefixes(s->routes, s->n_routes);
	s->n_addrs = list_unique(s->addrs, s->n_addrs, sizeof(*s->addrs),
			    compare_prefixes);
	if (!s->mtu)
		s->mtu = 1280; /* nat-traversal.md 14 */
	s->settings.flows_max = flow_table_size(s->settings.flows_max);
	/* as WireGuard stores it, so that comparing works */
	if (!key_is_zero(&s->private_key)) {
		s->private_key.b[0] &= 248;
		s->private_key.b[31] = (s->private_key.b[31] & 127) | 64;
	}
}

struct kernel_peer *state_peer(const struct kernel_state *state, uint32_t id)
{
	struct kernel_peer wanted = { .id = id };

	return state->n_peers ? bsearch(&wanted, state->peers, state->n_peers,
					sizeof(wanted), compare_ids) :
				NULL;
}

void state_to_wg(const struct kernel_state *state, struct wg_device *out)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	out->private_key = state->private_key;
	out->port = state->port;
	out->fwmark = FWMARK_BYPASS;
	out->peers = xcalloc(state->n_peers, sizeof(*out->peers));
	out->n_peers = state->n_peers;
	for (i = 0; i < state->n_peers; i++) {
		const struct kernel_peer *from = &state->peers[i];
		struct wg_peer *to = &out->peers[i];

		to->public_key = from->public_key;
		to->n_allowed_ips = from->n_allowed_ips;
		if (!from->n_allowed_ips)
			continue;
		to->allowed_ips =
			xcalloc(from->n_allowed_ips, sizeof(struct prefix));
		memcpy(to->allowed_ips, from->allowed_ips,
		       from->n_allowed_ips * sizeof(struct prefix));
	}
	wg_sort(out);
}
