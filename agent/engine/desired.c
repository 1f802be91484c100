// SPDX-License-Identifier: GPL-2.0
#include "engine/desired.h"

#include <stdio.h>
#include <string.h>

#include "kernel/addrset.h"
#include "kernel/list.h"
#include "kernel/ruleid.h"
#include "lib/ids.h"
#include "lib/util.h"

#define TUNNEL_MTU 1280

static struct tailrace_addr addr_of(const struct prefix *p)
{
	struct prefix m = prefix_masked(p);

	return addrset_prefix(&m);
}

static int by_name(const void *a, const void *b)
{
	const struct desired_cap *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/*
 * Numbers for the capabilities that rules name. A rule that stays must not
 * change in the kernel because another one with a capability came or went.
 */
static void intern_caps(struct desired *d, const struct netmap *nm)
{
	_cleanup_free_ struct id *ids = NULL;
	const struct filter_list *list;
	size_t i, j;

	for (list = nm->filters; list; list = list->hh.next)
		for (i = 0; i < list->n_rules; i++)
			for (j = 0; j < list->rules[i].n_src_caps; j++)
				list_add(d->caps, &d->n_caps)->name =
					list->rules[i].src_caps[j];
	d->n_caps = list_unique(d->caps, d->n_caps, sizeof(*d->caps), by_name);
	ids = xcalloc(d->n_caps, sizeof(*ids));
	for (i = 0; i < d->n_caps; i++) {
		ids_digest(ids[i].digest, d->caps[i].name,
			   strlen(d->caps[i].name));
		ids[i].index = i;
	}
	ids_assign(ids, d->n_caps);
	for (i = 0; i < d->n_caps; i++)
		d->caps[ids[i].index].id = ids[i].id;
}

/* 0: no rule asks for this capability. */
static uint32_t interned(const struct desired *d, const char *name)
{
	struct desired_cap wanted = { .name = name }, *found;

	if (!d->n_caps)
		return 0;
	found = bsearch(&wanted, d->caps, d->n_caps, sizeof(wanted), by_name);
	return found ? found->id : 0;
}

static void build_rules(struct desired *d, const struct netmap *nm)
{
	const struct filter_list *list;
	size_t i, j, n = 0;

	intern_caps(d, nm);
	for (list = nm->filters; list; list = list->hh.next)
		n += list->n_rules;
	d->state.rules = xcalloc(n, sizeof(*d->state.rules));
	for (list = nm->filters; list; list = list->hh.next) {
		for (i = 0; i < list->n_rules; i++) {
			const struct filter_rule *r = &list->rules[i];
			struct kernel_rule *k =
				&d->state.rules[d->state.n_rules];
			uint32_t *caps;

			if (!r->n_dst || (!r->n_src && !r->n_src_caps))
				continue;
			d->state.n_rules++;
			/* No number in it is a protocol that packets have. */
			k->protos = r->no_proto ? (const uint8_t *)"\xff" :
						  r->protos;
			k->n_protos = r->no_proto ? 1 : r->n_protos;
			k->src = r->src;
			k->n_src = r->n_src;
			k->dst = r->dst;
			k->n_dst = r->n_dst;
			caps = r->n_src_caps ?
				       xcalloc(r->n_src_caps, sizeof(*caps)) :
				       NULL;
			for (j = 0; j < r->n_src_caps; j++)
				caps[j] = interned(d, r->src_caps[j]);
			k->src_caps = caps;
			k->n_src_caps = r->n_src_caps;
		}
	}
	ruleid_assign(d->state.rules, d->state.n_rules);
}

/* control.md 7.5: our addresses and what we route for. */
static void build_local(struct desired *d, const struct node *self,
			const struct prefs *prefs)
{
	size_t i;

	d->state.local = xcalloc(self->n_addresses + prefs->n_routes,
				 sizeof(*d->state.local));
	for (i = 0; i < self->n_addresses; i++)
		d->state.local[d->state.n_local++] =
			addr_of(&self->addresses[i]);
	for (i = 0; i < prefs->n_routes; i++)
		d->state.local[d->state.n_local++] = addr_of(&prefs->routes[i]);
}

static bool is_own(const struct node *self, const struct prefix *p)
{
	size_t i;

	for (i = 0; i < self->n_addresses; i++)
		if (prefix_contains(p, &self->addresses[i].ip))
			return true;
	return false;
}

static bool is_address(const struct node *n, const struct prefix *p)
{
	size_t i;

	for (i = 0; i < n->n_addresses; i++)
		if (prefix_equal(&n->addresses[i], p))
			return true;
	return false;
}

/*
 * Subnets only when the user accepts them, default routes only through a
 * chosen exit node (there is none yet), never what covers our own address.
 */
static bool ip_is_allowed(const struct desired_input *in, const struct node *n,
			  const struct prefix *p)
{
	if (prefix_is_default(p) || is_own(in->netmap->self, p))
		return false;
	return in->prefs->accept_routes || is_address(n, p);
}

/* So that the module can stand in for us. */
static void build_disco(struct desired *d, const struct paths *paths,
			const struct node *n, struct kernel_peer *k)
{
	struct disco_shared shared;

	if (!paths_peer_disco(paths, &n->key, &d->state.disco, &k->disco,
			      &shared))
		return;
	k->disco_shared = shared.k;
	key_wipe(&shared.k);
}

static void build_peer(struct desired *d, const struct desired_input *in,
		       const struct node *n, uint32_t id)
{
	struct kernel_peer *k = &d->state.peers[d->state.n_peers++];
	size_t i;

	k->id = id;
	k->public_key = n->key;
	k->flags = (n->jailed ? TAILRACE_PEER_JAILED : 0) |
		   (n->unsigned_peerapi_only ? TAILRACE_PEER_UNSIGNED : 0);
	k->addrs = xcalloc(n->n_addresses, sizeof(*k->addrs));
	for (i = 0; i < n->n_addresses; i++)
		k->addrs[k->n_addrs++] = prefix_masked(&n->addresses[i]);
	k->allowed_ips = xcalloc(n->n_allowed_ips, sizeof(*k->allowed_ips));
	for (i = 0; i < n->n_allowed_ips; i++)
		if (ip_is_allowed(in, n, &n->allowed_ips[i]))
			k->allowed_ips[k->n_allowed_ips++] =
				prefix_masked(&n->allowed_ips[i]);
	k->caps = xcalloc(n->n_caps, sizeof(*k->caps));
	for (i = 0; i < n->n_caps && k->n_caps < TAILRACE_MAX_CAPS; i++) {
		uint32_t cap = interned(d, n->caps[i].name);

		if (cap)
			k->caps[k->n_caps++] = cap;
	}
	build_disco(d, in->paths, n, k);
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void build_routes(struct desired *d)
{
	struct kernel_state *s = &d->state;
	size_t i, j, n = 0;

	for (i = 0; i < s->n_peers; i++)
		n += s->peers[i].n_allowed_ips;
	s->routes = xcalloc(n, sizeof(*s->routes));
	for (i = 0; i < s->n_peers; i++)
		for (j = 0; j < s->peers[i].n_allowed_ips; j++)
			s->routes[s->n_routes++] = s->peers[i].allowed_ips[j];
	qsort(s->routes, s->n_routes, sizeof(*s->routes), by_prefix);
	for (i = 0, n = 0; i < s->n_routes; i++)
		if (!i || !prefix_equal(&s->routes[i], &s->routes[i - 1]))
			s->routes[n++] = s->routes[i];
	s->n_routes = n;
}

void desired_build(struct desired *d, const struct desired_input *in)
{
	const struct netmap *nm = in->netmap;
	struct kernel_state *s = &d->state;
	const struct node *n;
	size_t i;

	memset(d, 0, sizeof(*d));
	s->up = true;
	snprintf(s->ifname, sizeof(s->ifname), "%s", in->ifname);
	s->private_key = *in->node_private;
	s->port = in->port;
	s->mtu = TUNNEL_MTU;
	s->addrs = xcalloc(nm->self->n_addresses, sizeof(*s->addrs));
	for (i = 0; i < nm->self->n_addresses; i++)
		s->addrs[s->n_addrs++] = nm->self->addresses[i];

	settings_resolve(&in->prefs->settings, in->defaults, &s->settings);
	s->have_policy = true;
	build_local(d, nm->self, in->prefs);
	if (nm->filter_invalid)
		d->filter_problem =
			"control's packet filter names a peer that tailnet lock has not signed, or is of an obsolete form: all is blocked";
	if (in->prefs->shields_up)
		s->policy_flags = TAILRACE_POLICY_SHIELDS_UP;
	else if (!d->filter_problem)
		build_rules(d, nm);

	/* An expired node key, or no approval: present, but reaching no one. */
	s->peers = xcalloc(HASH_COUNT(nm->peers), sizeof(*s->peers));
	if (node_is_expired(nm, nm->self, in->unix_now) ||
	    !nm->self->machine_authorized)
		return;
	for (n = nm->peers; n; n = n->hh.next) {
		uint32_t id = paths_peer_id(in->paths, &n->key);

		/* Masquerading is not built: such a peer would see a stranger. */
		if (id && !n->masqueraded)
			build_peer(d, in, n, id);
	}
	build_routes(d);
}

void desired_uninit(struct desired *d)
{
	struct kernel_state *s = &d->state;
	size_t i;

	for (i = 0; i < s->n_peers; i++) {
		free(s->peers[i].addrs);
		free(s->peers[i].allowed_ips);
		free(s->peers[i].caps);
		key_wipe(&s->peers[i].disco_shared);
	}
	for (i = 0; i < s->n_rules; i++)
		free((void *)(uintptr_t)s->rules[i].src_caps);
	free(d->caps);
	free(s->peers);
	free(s->rules);
	free(s->local);
	free(s->addrs);
	free(s->routes);
	key_wipe(&s->private_key);
}
