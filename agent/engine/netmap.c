// SPDX-License-Identifier: GPL-2.0
#include "engine/netmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/map_update.h"
#include "lib/json.h"
#include "lib/util.h"

/* Clocks closer than this count as equal; earlier ones were never set. */
#define CLOCK_TOLERANCE 60
#define CLOCK_MIN 1673373066

void node_free_caps(struct cap *caps, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(caps[i].name);
		free(caps[i].values);
	}
	free(caps);
}

void node_free(struct node *n)
{
	if (!n)
		return;
	free(n->stable_id);
	free(n->name);
	free(n->addresses);
	free(n->allowed_ips);
	free(n->primary_routes);
	free(n->endpoints);
	free(n->os);
	free(n->host_name);
	free_strings(n->tags, n->n_tags);
	node_free_caps(n->caps, n->n_caps);
	free(n->by_addr);
	free(n);
}

void user_profile_free(struct user_profile *u)
{
	if (!u)
		return;
	free(u->login_name);
	free(u->display_name);
	free(u);
}

void dns_config_clear(struct dns_config *dns)
{
	free_strings(dns->nameservers, dns->n_nameservers);
	free_strings(dns->domains, dns->n_domains);
	memset(dns, 0, sizeof(*dns));
}

static void index_node(struct netmap *nm, struct node *n)
{
	size_t i;

	HASH_ADD(hh, nm->peers, id, sizeof(n->id), n);
	HASH_ADD(hh_key, nm->by_key, key, sizeof(n->key), n);
	n->by_addr = xcalloc(n->n_addresses, sizeof(*n->by_addr));
	for (i = 0; i < n->n_addresses; i++) {
		struct node_addr *a = &n->by_addr[i];

		a->ip = n->addresses[i].ip;
		a->node = n;
		HASH_ADD(hh, nm->by_addr, ip, sizeof(a->ip), a);
	}
}

static void remove_peer(struct netmap *nm, struct node *n)
{
	size_t i;

	for (i = 0; i < n->n_addresses; i++)
		HASH_DELETE(hh, nm->by_addr, &n->by_addr[i]);
	HASH_DELETE(hh_key, nm->by_key, n);
	HASH_DELETE(hh, nm->peers, n);
	node_free(n);
}

static void clear_peers(struct netmap *nm)
{
	struct node *n, *tmp;

	HASH_ITER(hh, nm->peers, n, tmp)
	remove_peer(nm, n);
}

static void clear_regions(struct netmap *nm)
{
	struct derp_region *r, *tmp;

	HASH_ITER(hh, nm->derp_regions, r, tmp)
	{
		HASH_DELETE(hh, nm->derp_regions, r);
		derp_region_free(r);
	}
}

static void clear_filters(struct netmap *nm)
{
	struct filter_list *list, *tmp;

	HASH_ITER(hh, nm->filters, list, tmp)
	{
		HASH_DELETE(hh, nm->filters, list);
		filter_list_free(list);
	}
}

/* Everything but the clock. */
static void netmap_clear(struct netmap *nm)
{
	struct user_profile *u, *tmp;

	clear_peers(nm);
	clear_regions(nm);
	clear_filters(nm);
	HASH_ITER(hh, nm->users, u, tmp)
	{
		HASH_DELETE(hh, nm->users, u);
		user_profile_free(u);
	}
	node_free(nm->self);
	nm->self = NULL;
	free(nm->derp_scores);
	nm->derp_scores = NULL;
	nm->n_derp_scores = 0;
	dns_config_clear(&nm->dns);
	free(nm->domain);
	nm->domain = xstrdup("");
	free_strings(nm->health, nm->n_health);
	nm->health = NULL;
	nm->n_health = 0;
	nm->filter_invalid = false;
}

struct netmap *netmap_new(void)
{
	struct netmap *nm = xcalloc(1, sizeof(*nm));

	nm->domain = xstrdup("");
	return nm;
}

void netmap_free(struct netmap *nm)
{
	if (!nm)
		return;
	netmap_clear(nm);
	free(nm->domain);
	free(nm);
}

static struct node *find_peer(const struct netmap *nm, int64_t id)
{
	struct node *n;

	HASH_FIND(hh, nm->peers, &id, sizeof(id), n);
	return n;
}

struct node *netmap_peer_by_key(const struct netmap *nm, const struct key *k)
{
	struct node *n;

	HASH_FIND(hh_key, nm->by_key, k, sizeof(*k), n);
	return n;
}

struct node *netmap_peer_by_addr(const struct netmap *nm,
				 const struct ip_addr *ip)
{
	struct node_addr *a;

	HASH_FIND(hh, nm->by_addr, ip, sizeof(*ip), a);
	return a ? a->node : NULL;
}

const struct cap *node_cap(const struct node *n, const char *name)
{
	size_t i;

	for (i = 0; i < n->n_caps; i++)
		if (!strcmp(n->caps[i].name, name))
			return &n->caps[i];
	return NULL;
}

bool node_is_expired(const struct netmap *nm, const struct node *n,
		     int64_t unix_now)
{
	int64_t now = unix_now + nm->clock_offset;

	if (n->expired)
		return true;
	return n->key_expiry && now >= CLOCK_MIN && n->key_expiry <= now;
}

const struct user_profile *netmap_user(const struct netmap *nm, int64_t id)
{
	struct user_profile *u;

	HASH_FIND(hh, nm->users, &id, sizeof(id), u);
	return u;
}

/* A peer may not claim an address that is ours. */
static void drop_own_addresses(struct node *n, const struct node *self)
{
	size_t i, j, kept = 0;

	for (i = 0; i < n->n_allowed_ips; i++) {
		const struct prefix *p = &n->allowed_ips[i];
		bool own = false;

		for (j = 0; j < self->n_addresses; j++)
			own |= p->bits == ip_bits(&p->ip) &&
			       ip_equal(&p->ip, &self->addresses[j].ip);
		if (!own)
			n->allowed_ips[kept++] = *p;
	}
	n->n_allowed_ips = kept;
}

/* Takes *@slot over; a later node of the same id or key wins. */
static void put_peer(struct netmap *nm, struct node **slot)
{
	struct node *n = *slot, *old = find_peer(nm, n->id);

	*slot = NULL;
	if (old)
		remove_peer(nm, old);
	old = netmap_peer_by_key(nm, &n->key);
	if (old)
		remove_peer(nm, old);
	if (n->id == nm->self->id) {
		node_free(n);
		return;
	}
	drop_own_addresses(n, nm->self);
	index_node(nm, n);
}

static unsigned int apply_patch(struct netmap *nm, struct peer_change *c)
{
	struct node *n = find_peer(nm, c->id), *other;
	unsigned int changed = 0;

	if (!n)
		return 0;
	if (c->home_derp > 0) {
		n->home_derp = c->home_derp;
		changed |= NETMAP_PEER_PATHS;
	}
	if (c->has_endpoints) {
		free(n->endpoints);
		n->endpoints = c->endpoints;
		n->n_endpoints = c->n_endpoints;
		c->endpoints = NULL;
		changed |= NETMAP_PEER_PATHS;
	}
	/*
	 * A disco key that comes with the news that its owner has left, no
	 * newer than what we know, is that of an earlier run.
	 */
	if (c->has_disco && !(c->online == 0 && c->has_last_seen &&
			      c->last_seen <= n->last_seen)) {
		n->disco = c->disco;
		changed |= NETMAP_PEER_PATHS;
	}
	if (c->online >= 0) {
		n->online = c->online;
		changed |= NETMAP_PEER_PATHS;
	}
	if (c->has_last_seen) {
		n->last_seen = c->last_seen;
		changed |= NETMAP_PEER_PATHS;
	}
	if (c->cap_version) {
		n->cap_version = c->cap_version;
		changed |= NETMAP_PEER_PATHS;
	}
	if (c->has_caps) {
		node_free_caps(n->caps, n->n_caps);
		n->caps = c->caps;
		n->n_caps = c->n_caps;
		c->caps = NULL;
		c->n_caps = 0;
		changed |= NETMAP_PEERS;
	}
	if (c->has_expiry) {
		n->key_expiry = c->key_expiry;
		changed |= NETMAP_PEERS;
	}
	if (c->has_key && !key_equal(&c->key, &n->key)) {
		other = netmap_peer_by_key(nm, &c->key);
		if (other)
			remove_peer(nm, other);
		HASH_DELETE(hh_key, nm->by_key, n);
		n->key = c->key;
		HASH_ADD(hh_key, nm->by_key, key, sizeof(n->key), n);
		changed |= NETMAP_PEERS;
	}
	return changed;
}

static unsigned int apply_peers(struct netmap *nm, struct map_update *u,
				int64_t now)
{
	unsigned int changed = 0;
	struct node *n;
	size_t i;

	if (u->has_peers) {
		clear_peers(nm);
		for (i = 0; i < u->n_peers; i++)
			put_peer(nm, &u->peers[i]);
		return NETMAP_PEERS;
	}
	for (i = 0; i < u->n_removed; i++) {
		n = find_peer(nm, u->removed[i]);
		if (n) {
			remove_peer(nm, n);
			changed |= NETMAP_PEERS;
		}
	}
	for (i = 0; i < u->n_changed; i++) {
		put_peer(nm, &u->changed[i]);
		changed |= NETMAP_PEERS;
	}
	for (i = 0; i < u->n_seen; i++) {
		n = find_peer(nm, u->seen[i].id);
		if (n) {
			n->last_seen = u->seen[i].on ? now : 0;
			changed |= NETMAP_PEER_PATHS;
		}
	}
	for (i = 0; i < u->n_online; i++) {
		n = find_peer(nm, u->online[i].id);
		if (n) {
			n->online = u->online[i].on;
			changed |= NETMAP_PEER_PATHS;
		}
	}
	for (i = 0; i < u->n_patches; i++)
		changed |= apply_patch(nm, &u->patches[i]);
	return changed;
}

static unsigned int apply_self(struct netmap *nm, struct map_update *u)
{
	struct node *n, *tmp;

	if (!u->self)
		return 0;
	node_free(nm->self);
	nm->self = u->self;
	u->self = NULL;
	n = find_peer(nm, nm->self->id);
	if (n)
		remove_peer(nm, n);
	HASH_ITER(hh, nm->peers, n, tmp)
	drop_own_addresses(n, nm->self);
	return NETMAP_SELF;
}

static unsigned int apply_derp(struct netmap *nm, struct map_update *u)
{
	struct derp_region *r, *old, *tmp;
	size_t i;

	if (!u->has_derp)
		return 0;
	if (u->has_regions) {
		clear_regions(nm);
		for (i = 0; i < u->n_regions; i++) {
			r = u->regions[i];
			HASH_FIND_INT(nm->derp_regions, &r->id, old);
			if (old) { /* "1" and "01" */
				HASH_DELETE(hh, nm->derp_regions, old);
				derp_region_free(old);
			}
			HASH_ADD_INT(nm->derp_regions, id, r);
		}
		u->n_regions = 0;
	}
	if (u->has_scores) {
		free(nm->derp_scores);
		nm->derp_scores = u->scores;
		nm->n_derp_scores = u->n_scores;
		u->scores = NULL;
	}
	HASH_ITER(hh, nm->derp_regions, r, tmp)
	r->score = 1.0;
	for (i = 0; i < nm->n_derp_scores; i++) {
		HASH_FIND_INT(nm->derp_regions, &nm->derp_scores[i].region, r);
		if (r)
			r->score = nm->derp_scores[i].factor;
	}
	return NETMAP_DERP;
}

static bool remove_filter(struct netmap *nm, const char *name)
{
	struct filter_list *list;

	HASH_FIND_STR(nm->filters, name, list);
	if (!list)
		return false;
	HASH_DELETE(hh, nm->filters, list);
	filter_list_free(list);
	return true;
}

static void put_filter(struct netmap *nm, struct filter_list **slot)
{
	struct filter_list *list = *slot;

	*slot = NULL;
	remove_filter(nm, list->name);
	HASH_ADD_KEYPTR(hh, nm->filters, list->name, strlen(list->name), list);
}

static int by_name(const struct filter_list *a, const struct filter_list *b)
{
	return strcmp(a->name, b->name);
}

/* control.md 7.1 and 7.6: one bad rule blocks all. */
static bool filter_is_invalid(const struct netmap *nm)
{
	struct filter_list *list, *tmp;
	struct node *n, *tmp_n;
	size_t i;

	HASH_ITER(hh, nm->filters, list, tmp)
	{
		if (list->invalid)
			return true;
	}
	HASH_ITER(hh, nm->peers, n, tmp_n)
	{
		if (!n->unsigned_peerapi_only)
			continue;
		HASH_ITER(hh, nm->filters, list, tmp)
		for (i = 0; i < n->n_allowed_ips; i++)
			if (filter_list_overlaps(list, &n->allowed_ips[i]))
				return true;
	}
	return false;
}

static unsigned int apply_filters(struct netmap *nm, struct map_update *u)
{
	unsigned int changed = 0;
	size_t i;

	if (u->base) {
		put_filter(nm, &u->base);
		changed = NETMAP_FILTER;
	}
	if (u->filters_cleared) {
		clear_filters(nm);
		changed = NETMAP_FILTER;
	}
	for (i = 0; i < u->n_filters_removed; i++)
		if (remove_filter(nm, u->filters_removed[i]))
			changed = NETMAP_FILTER;
	for (i = 0; i < u->n_filters; i++) {
		put_filter(nm, &u->filters[i]);
		changed = NETMAP_FILTER;
	}
	HASH_SORT(nm->filters, by_name);
	return changed;
}

static unsigned int apply_rest(struct netmap *nm, struct map_update *u)
{
	unsigned int changed = 0;
	struct user_profile *old;
	size_t i;

	if (u->dns) {
		dns_config_clear(&nm->dns);
		nm->dns = *u->dns;
		memset(u->dns, 0, sizeof(*u->dns));
		changed |= NETMAP_DNS;
	}
	if (u->domain && *u->domain) {
		free(nm->domain);
		nm->domain = u->domain;
		u->domain = NULL;
		changed |= NETMAP_OTHER;
	}
	for (i = 0; i < u->n_users; i++) {
		HASH_FIND(hh, nm->users, &u->users[i]->id,
			  sizeof(u->users[i]->id), old);
		if (old) {
			HASH_DELETE(hh, nm->users, old);
			user_profile_free(old);
		}
		HASH_ADD(hh, nm->users, id, sizeof(u->users[i]->id),
			 u->users[i]);
		changed |= NETMAP_OTHER;
	}
	u->n_users = 0;
	if (u->has_health) {
		free_strings(nm->health, nm->n_health);
		nm->health = u->health;
		nm->n_health = u->n_health;
		u->health = NULL;
		u->n_health = 0;
		changed |= NETMAP_OTHER;
	}
	return changed;
}

static int apply_update(struct netmap *nm, struct map_update *u, bool first,
			int64_t now)
{
	unsigned int changed = first ? NETMAP_ALL : 0;
	bool was_invalid = nm->filter_invalid;

	if (u->control_time) {
		int64_t offset = u->control_time - now;

		nm->clock_offset = llabs(offset) > CLOCK_TOLERANCE ? offset : 0;
	}
	if (u->keep_alive)
		return 0;
	if (first)
		netmap_clear(nm);
	changed |= apply_self(nm, u);
	changed |= apply_peers(nm, u, now);
	changed |= apply_derp(nm, u);
	changed |= apply_filters(nm, u);
	changed |= apply_rest(nm, u);
	if (changed & (NETMAP_PEERS | NETMAP_FILTER))
		nm->filter_invalid = filter_is_invalid(nm);
	if (nm->filter_invalid != was_invalid)
		changed |= NETMAP_FILTER;
	return (int)changed;
}

int netmap_apply(struct netmap *nm, struct json_object *msg, bool first,
		 int64_t unix_now, const char **why)
{
	struct map_update u;
	int ret;

	ret = map_update_decode(&u, msg, why);
	if (!ret && !u.keep_alive && !u.self && (first || !nm->self)) {
		*why = "Node";
		ret = -EPROTO;
	}
	if (!ret)
		ret = apply_update(nm, &u, first, unix_now);
	map_update_clear(&u);
	return ret;
}
