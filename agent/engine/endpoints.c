// SPDX-License-Identifier: GPL-2.0
#include "engine/endpoints.h"

#include <string.h>

#include "lib/util.h"

#define CACHE_LIFE (310 * SEC_NS)
#define IPV6_PER_SUBNET_MAX 2

struct list {
	struct own_endpoint *out;
	size_t n;
};

/* The first mention of an address decides its type. */
static void add(struct list *l, const struct endpoint *ep,
		enum endpoint_type type)
{
	size_t i;

	if (!ep->ip.family || !ep->port || l->n == ENDPOINTS_MAX)
		return;
	for (i = 0; i < l->n; i++)
		if (endpoint_equal(&l->out[i].ep, ep))
			return;
	l->out[l->n++] = (struct own_endpoint){ .ep = *ep, .type = type };
}

/* The mapped addresses beyond the first: those a hard NAT makes are seen once. */
static void add_mapped(struct list *l, const struct endpoint *global,
		       const struct net_mapped *mapped, size_t n)
{
	size_t i;

	add(l, global, ENDPOINT_STUN);
	for (i = 0; i < n; i++)
		if (mapped[i].count > 1)
			add(l, &mapped[i].ep, ENDPOINT_STUN);
}

static void add_stun(struct list *l, const struct endpoints_input *in)
{
	const struct net_report *r = in->report;
	struct endpoint guess;

	if (!r)
		return;
	add_mapped(l, &r->global_v4, r->mapped4, r->n_mapped4);
	add_mapped(l, &r->global_v6, r->mapped6, r->n_mapped6);
	/* A hard NAT with a port forward made by hand, perhaps. */
	if (r->global_v4.ip.family && r->mapping_varies == 1 &&
	    in->fixed_port) {
		guess = r->global_v4;
		guess.port = in->local_port;
		add(l, &guess, ENDPOINT_STUN4_LOCAL_PORT);
	}
}

static void cache_remove(struct endpoint_cache *c, size_t i)
{
	c->entry[i] = c->entry[--c->n];
}

/* Makes room for @ep: at most so many per address, the oldest goes. */
static void cache_evict(struct endpoint_cache *c, const struct endpoint *ep)
{
	size_t i, same = 0, oldest = 0, oldest_same = 0;
	bool found = false;

	for (i = 0; i < c->n; i++) {
		if (c->entry[i].expires < c->entry[oldest].expires)
			oldest = i;
		if (!ip_equal(&c->entry[i].own.ep.ip, &ep->ip))
			continue;
		same++;
		if (!found ||
		    c->entry[i].expires < c->entry[oldest_same].expires)
			oldest_same = i;
		found = true;
	}
	if (same >= ENDPOINT_CACHE_PER_IP)
		cache_remove(c, oldest_same);
	else if (c->n == ENDPOINT_CACHE_MAX)
		cache_remove(c, oldest);
}

static void cache_put(struct endpoint_cache *c, const struct own_endpoint *own,
		      uint64_t now)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (endpoint_equal(&c->entry[i].own.ep, &own->ep))
			break;
	if (i == c->n) {
		cache_evict(c, &own->ep);
		i = c->n++;
	}
	c->entry[i].own = *own;
	c->entry[i].expires = now + CACHE_LIFE;
}

/* Remembers what was found, and adds what is remembered but was not found. */
static void merge_cache(struct list *l, struct endpoint_cache *c, uint64_t now)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		cache_put(c, &l->out[i], now);
	for (i = 0; i < c->n;) {
		if (c->entry[i].expires <= now)
			cache_remove(c, i);
		else
			i++;
	}
	for (i = 0; i < c->n; i++)
		add(l, &c->entry[i].own.ep, c->entry[i].own.type);
}

enum scope {
	SCOPE_NEVER,
	SCOPE_LOOPBACK, /* if there is nothing else at all */
	SCOPE_LAST_RESORT, /* IPv4 link-local, IPv6 ULA: no regular address */
	SCOPE_REGULAR,
};

static enum scope scope_of(const struct interface_addr *a)
{
	const struct ip_addr *ip = &a->addr.ip;

	if (!a->up || !strncmp(a->name, "zt", 2) || !strcmp(a->name, "wt0") ||
	    ip_is_tailscale(ip) || ip_is_multicast(ip))
		return SCOPE_NEVER;
	if (a->loopback || ip_is_loopback(ip))
		return SCOPE_LOOPBACK;
	if (ip_is_link_local(ip))
		return ip->family == 4 ? SCOPE_LAST_RESORT : SCOPE_NEVER;
	if (ip->family == 6 && ip_is_private(ip))
		return SCOPE_LAST_RESORT;
	return SCOPE_REGULAR;
}

static int compare_ip(const void *a, const void *b)
{
	return ip_compare(a, b);
}

/* Privacy addresses pile up in one subnet: two stand for all. */
static bool subnet_is_full(const struct endpoints_input *in, size_t upto,
			   enum scope scope)
{
	const struct prefix *p = &in->interfaces[upto].addr;
	struct prefix subnet = prefix_masked(p);
	unsigned int n = 0;
	size_t i;

	if (p->ip.family != 6)
		return false;
	for (i = 0; i < upto; i++)
		if (scope_of(&in->interfaces[i]) == scope &&
		    in->interfaces[i].addr.bits == p->bits &&
		    prefix_contains(&subnet, &in->interfaces[i].addr.ip))
			n++;
	return n >= IPV6_PER_SUBNET_MAX;
}

static void add_interfaces(struct list *l, const struct endpoints_input *in)
{
	struct ip_addr ips[ENDPOINTS_MAX];
	enum scope best = SCOPE_NEVER;
	struct endpoint ep;
	size_t i, n = 0;

	for (i = 0; i < in->n_interfaces; i++)
		if (scope_of(&in->interfaces[i]) > best)
			best = scope_of(&in->interfaces[i]);
	if (best == SCOPE_NEVER || (best == SCOPE_LOOPBACK && l->n))
		return;
	for (i = 0; i < in->n_interfaces && n < ENDPOINTS_MAX; i++)
		if (scope_of(&in->interfaces[i]) == best &&
		    !subnet_is_full(in, i, best))
			ips[n++] = in->interfaces[i].addr.ip;
	qsort(ips, n, sizeof(ips[0]), compare_ip);
	for (i = 0; i < n; i++) {
		ep = (struct endpoint){ .ip = ips[i], .port = in->local_port };
		add(l, &ep, ENDPOINT_LOCAL);
	}
}

size_t endpoints_assemble(const struct endpoints_input *in,
			  struct endpoint_cache *cache,
			  struct own_endpoint out[ENDPOINTS_MAX])
{
	struct list l = { .out = out };
	size_t i;

	add(&l, &in->portmap, ENDPOINT_PORTMAPPED);
	add_stun(&l, in);
	merge_cache(&l, cache, in->now);
	for (i = 0; i < in->n_explicit; i++)
		add(&l, &in->explicit_eps[i], ENDPOINT_EXPLICIT);
	add_interfaces(&l, in);
	return l.n;
}

bool endpoints_equal(const struct own_endpoint *a, size_t n_a,
		     const struct own_endpoint *b, size_t n_b)
{
	size_t i, j;

	if (n_a != n_b)
		return false;
	for (i = 0; i < n_a; i++) {
		for (j = 0; j < n_b; j++)
			if (a[i].type == b[j].type &&
			    endpoint_equal(&a[i].ep, &b[j].ep))
				break;
		if (j == n_b)
			return false;
	}
	return true;
}
