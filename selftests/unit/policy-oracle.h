/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_POLICY_ORACLE_H
#define UNIT_POLICY_ORACLE_H

/*
 * A naive reader of the rules of policy-world.h, which shares nothing with the
 * compiler but address parsing: who may send what, who sees whom, which routes
 * are of use.
 */

#include "policy-world.h"

static bool in_subnets(const struct ip_addr *a)
{
	int i, k;

	for (i = 0; i < NODES; i++)
		for (k = 0; k < 2; k++) {
			const char *r = hosts[i].routes[k];

			if (r && !strstr(r, "/0") && within(a, r))
				return true;
		}
	return false;
}

static bool in_tailnet(const struct ip_addr *a)
{
	return ip_is_tailscale(a) || owner_of(a) >= 0 || in_subnets(a);
}

static bool in_internet(const struct ip_addr *a)
{
	return a->family == 6 ? within(a, "2000::/3") :
				!ip_is_private(a) && !within(a, "100.64.0.0/10") &&
					!within(a, "169.254.0.0/16");
}

/* Is node @i meant by name? */
static bool is_meant(const char *name, int i)
{
	const struct host *h = i < 0 ? NULL : &hosts[i];
	bool tagged = h && h->tags[0];

	if (!h)
		return false;
	if (!strcmp(name, "autogroup:member"))
		return !tagged;
	if (!strcmp(name, "autogroup:tagged"))
		return tagged;
	if (!strncmp(name, "tag:", 4))
		return (h->tags[0] && !strcmp(h->tags[0], name)) ||
		       (h->tags[1] && !strcmp(h->tags[1], name));
	if (tagged || !h->user)
		return false;
	if (!strcmp(name, "group:ab"))
		return !strcmp(h->user, "ann") || !strcmp(h->user, "bob@x.org");
	return (!strcmp(name, "ann@") && !strcmp(h->user, "ann")) ||
	       (!strcmp(name, "eve@") && !strcmp(h->user, "eve")) ||
	       (!strcmp(name, "bob@x.org") && !strcmp(h->user, "bob@x.org"));
}

static const char *literal(const char *name)
{
	return !strcmp(name, "db") ? "10.1.2.3" : name;
}

static bool is_literal(const char *name)
{
	const char *text = literal(name);

	return (*text >= '0' && *text <= '9') || *text == 'f';
}

static bool is_source(const struct rule *r, const struct ip_addr *a)
{
	int owner = owner_of(a);
	unsigned int i;

	for (i = 0; i < r->n_src; i++) {
		const char *s = r->src[i];

		if (!strcmp(s, "*") ? in_tailnet(a) :
		    !strcmp(s, "autogroup:danger-all") ? true :
		    is_literal(s) ? within(a, literal(s)) :
				    is_meant(s, owner))
			return true;
	}
	return false;
}

/* autogroup:self: both are the same user's, and the source is one of his. */
static bool is_own(const struct rule *r, int from, int to)
{
	unsigned int i;

	if (from < 0 || to < 0 || hosts[from].tags[0] || hosts[to].tags[0] ||
	    !hosts[from].user || !hosts[to].user ||
	    strcmp(hosts[from].user, hosts[to].user) != 0)
		return false;
	for (i = 0; i < r->n_src; i++)
		if (!strcmp(r->src[i], "*") || is_meant(r->src[i], from))
			return true;
	return false;
}

static bool leads_to(const struct rule *r, const char *dst,
		     const struct ip_addr *src, const struct ip_addr *a)
{
	if (!strcmp(dst, "autogroup:self"))
		return is_own(r, owner_of(src), owner_of(a));
	return !strcmp(dst, "*")		  ? true :
	       !strcmp(dst, "autogroup:internet") ? in_internet(a) :
	       is_literal(dst)			  ? within(a, literal(dst)) :
						    is_meant(dst, owner_of(a));
}

static bool is_internet(const char *dst)
{
	const char *text = literal(dst);
	char first[64];
	struct ip_addr a;

	if (!is_literal(dst))
		return !strcmp(dst, "autogroup:internet");
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(text, "/-"), text);
	a = ip(first);
	return in_internet(&a);
}

/* Only subnets and the internet lie behind a router. */
static bool is_behind(const char *dst)
{
	return is_literal(dst) || !strcmp(dst, "autogroup:internet");
}

static bool is_via(const struct rule *r, int i)
{
	unsigned int k;

	for (k = 0; k < r->n_via; k++)
		if (is_meant(r->via[k], i))
			return true;
	return false;
}

static bool is_exit(int i)
{
	return hosts[i].routes[0] && strstr(hosts[i].routes[0], "/0");
}

/* Does the name cover an address of the subnet @r? */
static bool touches(const char *name, const struct prefix *r)
{
	const char *text = literal(name);
	struct prefix p;

	if (!strcmp(name, "*") || !strcmp(name, "autogroup:danger-all"))
		return true;
	if (!strcmp(name, "autogroup:internet"))
		return in_internet(&r->ip);
	if (!is_literal(name) || prefix_parse(&p, text))
		return false; /* ranges lie within the tailnet */
	return prefix_contains(&p, &r->ip) || prefix_contains(r, &p.ip);
}

/* Does node @i, a router of the rule's via, route @o's destination? */
static bool is_router(const struct rule *r, const struct opening *o, int i)
{
	size_t k;

	if (!is_behind(o->dst) || !is_via(r, i))
		return false;
	for (k = 0; k < nodes[i].n_routes; k++)
		if (!prefix_is_default(&nodes[i].routes[k]) &&
		    touches(o->dst, &nodes[i].routes[k]))
			return true;
	return is_exit(i) && is_internet(o->dst);
}

static bool has_proto(int rule, int proto)
{
	return rule ? rule == proto :
		      proto == 6 || proto == 17 || proto == 1 || proto == 58;
}

/* At node @at, or -1: wherever it may go to. */
static inline bool may(const struct ip_addr *src, const struct ip_addr *dst,
		int proto, unsigned int port, int at)
{
	unsigned int i, k;

	for (i = 0; i < n_rules; i++)
		for (k = 0; k < rules[i].n_openings; k++) {
			const struct opening *o = &rules[i].openings[k];

			if (rules[i].n_via &&
			    (at < 0 ? !is_behind(o->dst) || owner_of(dst) >= 0 :
				      !is_router(&rules[i], o, at)))
				continue;
			if (is_source(&rules[i], src) &&
			    has_proto(o->proto, proto) && o->first <= port &&
			    port <= o->last &&
			    leads_to(&rules[i], o->dst, src, dst))
				return true;
		}
	return false;
}

/* Node @i, or a subnet of it, is a source of the rule. */
static bool sends(const struct rule *r, int i)
{
	size_t k;
	unsigned int s;

	for (k = 0; k < nodes[i].n_addresses; k++)
		if (is_source(r, &nodes[i].addresses[k]))
			return true;
	for (k = 0; k < nodes[i].n_routes; k++)
		for (s = 0; s < r->n_src; s++)
			if (!prefix_is_default(&nodes[i].routes[k]) &&
			    touches(r->src[s], &nodes[i].routes[k]))
				return true;
	return false;
}

/* By a destination that is not autogroup:self. */
static bool receives(const struct opening *o, const struct rule *r, int i)
{
	size_t k;

	if (r->n_via)
		return is_router(r, o, i) &&
		       (!is_exit(i) || !strcmp(o->dst, "autogroup:internet"));
	if (!strcmp(o->dst, "autogroup:self"))
		return false;
	for (k = 0; k < nodes[i].n_addresses; k++)
		if (leads_to(r, o->dst, &nodes[i].addresses[k],
			     &nodes[i].addresses[k]))
			return true;
	for (k = 0; k < nodes[i].n_routes; k++)
		if (!prefix_is_default(&nodes[i].routes[k]) &&
		    touches(o->dst, &nodes[i].routes[k]))
			return true;
	return is_exit(i) && (!strcmp(o->dst, "*") ||
			      !strcmp(o->dst, "autogroup:internet"));
}

static inline bool reaches(int a, int b)
{
	unsigned int i, k;

	for (i = 0; i < n_rules; i++)
		for (k = 0; k < rules[i].n_openings; k++) {
			const struct opening *o = &rules[i].openings[k];

			if (sends(&rules[i], a) && receives(o, &rules[i], b))
				return true;
			if (!rules[i].n_via &&
			    !strcmp(o->dst, "autogroup:self") &&
			    is_own(&rules[i], a, b))
				return true;
		}
	return false;
}

/* May node @i send to @route, by a rule's opening? */
static bool may_use(const struct rule *r, const struct opening *o, int i,
		    const struct prefix *route)
{
	bool whole = !strcmp(o->dst, "autogroup:internet") ||
		     (!r->n_via && !strcmp(o->dst, "*"));

	if (r->n_via && !is_behind(o->dst))
		return false;
	return (prefix_is_default(route) ? whole : touches(o->dst, route)) &&
	       sends(r, i);
}

/* May something in @route send to node @i? */
static bool is_served(const struct rule *r, const struct opening *o, int i,
		      const struct prefix *route)
{
	unsigned int s;

	for (s = 0; s < r->n_src && !prefix_is_default(route); s++)
		if (touches(r->src[s], route))
			return receives(o, r, i);
	return false;
}

/* Of what use is @route to node @i? */
static enum policy_use use_of(int i, const struct prefix *route, uint64_t *via)
{
	bool any = false, steered = false, served = false;
	unsigned int k, m;
	int n;

	*via = 0;
	for (k = 0; k < n_rules; k++) {
		const struct rule *r = &rules[k];

		for (m = 0; m < r->n_openings; m++) {
			const struct opening *o = &r->openings[m];
			bool to = may_use(r, o, i, route);

			served = served || is_served(r, o, i, route);
			any = any || (to && !r->n_via);
			steered = steered || (to && r->n_via);
			for (n = 0; n < NODES && to && r->n_via; n++)
				if (is_via(r, n))
					*via |= UINT64_C(1) << n;
		}
	}
	if (any || !steered)
		*via = 0;
	return any || (served && !steered) ? POLICY_USE_ANY :
	       steered			   ? POLICY_USE_VIA :
					     POLICY_USE_NONE;
}

static inline bool agrees_on_use(const struct policy_result *r, int i,
			  const struct prefix *route)
{
	uint64_t via, want_via;

	return policy_route_use(r, (size_t)i, route, &via) ==
		       use_of(i, route, &want_via) && via == want_via;
}

#endif
