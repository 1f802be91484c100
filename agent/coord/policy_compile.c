// SPDX-License-Identifier: GPL-2.0
/* From a policy and the nodes to lines: who may send what to whom. */
#include "coord/policy_compile.h"

#include <json.h>
#include <string.h>

#include "coord/policy_result.h"
#include "lib/util.h"

struct compiler {
	const struct policy *policy;
	struct policy_result *r;
	struct policy_resolver *resolver;
	struct ip_set tailnet; /* what "*" is as a source */
};

static struct ip_range range_of(const char *first, const char *last)
{
	struct ip_range r;

	ip_parse(&r.first, first);
	ip_parse(&r.last, last);
	return r;
}

static struct ip_range all_addresses(unsigned int family)
{
	return family == 4 ?
		       range_of("0.0.0.0", "255.255.255.255") :
		       range_of("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static int by_address(const void *a, const void *b)
{
	const struct policy_address *x = a, *y = b;
	int c = ip_compare(&x->ip, &y->ip);

	return c ? c : (x->node > y->node) - (x->node < y->node);
}

/* ── nodes ── */

static void copy_node(struct policy_member *m, const struct policy_node *node)
{
	size_t i;

	m->addresses = xcalloc(node->n_addresses, sizeof(*m->addresses));
	m->n_addresses = node->n_addresses;
	for (i = 0; i < node->n_addresses; i++)
		m->addresses[i] = node->addresses[i];
	m->subnets = xcalloc(node->n_routes, sizeof(*m->subnets));
	for (i = 0; i < node->n_routes; i++) {
		if (prefix_is_default(&node->routes[i]))
			m->exit = true;
		else
			m->subnets[m->n_subnets++] =
				ip_range_of(&node->routes[i]);
	}
}

static void add_subnet(struct policy_result *r, const struct ip_range *range)
{
	struct policy_subnet *s;

	HASH_FIND(hh, r->subnets, range, sizeof(*range), s);
	if (s)
		return;
	s = xcalloc(1, sizeof(*s));
	s->range = *range;
	s->users = xcalloc(r->words, sizeof(uint64_t));
	s->served = xcalloc(r->words, sizeof(uint64_t));
	HASH_ADD(hh, r->subnets, range, sizeof(s->range), s);
}

static void copy_nodes(struct policy_result *r, const struct policy_node *nodes)
{
	size_t i, k, n = 0;

	for (i = 0; i < r->n; i++) {
		copy_node(&r->members[i], &nodes[i]);
		n += nodes[i].n_addresses;
		for (k = 0; k < r->members[i].n_subnets; k++)
			add_subnet(r, &r->members[i].subnets[k]);
	}
	r->addresses = xcalloc(n, sizeof(*r->addresses));
	for (i = 0; i < r->n; i++)
		for (k = 0; k < nodes[i].n_addresses; k++) {
			r->addresses[r->n_addresses].ip = nodes[i].addresses[k];
			r->addresses[r->n_addresses++].node = i;
		}
	if (n)
		qsort(r->addresses, n, sizeof(*r->addresses), by_address);
}

/* 100.64/10 less what ChromeOS uses of it, fd7a:115c:a1e0::/48, and our own. */
static void make_tailnet(struct compiler *c)
{
	struct ip_range ranges[] = {
		range_of("100.64.0.0", "100.115.91.255"),
		range_of("100.115.94.0", "100.127.255.255"),
		range_of("fd7a:115c:a1e0::",
			 "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff"),
	};
	struct policy_subnet *s, *next;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ip_set_add(&c->tailnet, &ranges[i]);
	for (i = 0; i < c->r->n_addresses; i++)
		ip_set_add_ip(&c->tailnet, &c->r->addresses[i].ip);
	HASH_ITER(hh, c->r->subnets, s, next) {
		ip_set_add(&c->tailnet, &s->range);
	}
	ip_set_seal(&c->tailnet);
}

static void add_all(struct ip_set *to, const struct ip_set *from)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		ip_set_add(to, &from->ranges[i]);
}

/* ── sources ── */

/* The addresses of @nodes, already in order. */
static void add_addresses(const struct policy_result *r, const uint64_t *nodes,
			  struct ip_set *to)
{
	size_t i;

	for (i = 0; i < r->n_addresses; i++)
		if (bits_test(nodes, r->addresses[i].node))
			ip_set_add_ip(to, &r->addresses[i].ip);
}

static bool has_subnet_in(const struct policy_member *m,
			  const struct ip_set *set)
{
	size_t i;

	for (i = 0; i < m->n_subnets; i++)
		if (ip_set_overlaps(set, &m->subnets[i]))
			return true;
	return false;
}

static void find_senders(const struct policy_result *r, struct policy_source *s)
{
	size_t i = 0, k = 0;

	/* both are in order */
	while (i < r->n_addresses && k < s->set.n) {
		if (ip_compare(&r->addresses[i].ip, &s->set.ranges[k].last) > 0) {
			k++;
			continue;
		}
		if (ip_compare(&r->addresses[i].ip,
			       &s->set.ranges[k].first) >= 0)
			bits_set(s->senders, r->addresses[i].node);
		i++;
	}
	for (i = 0; i < r->n; i++)
		if (has_subnet_in(&r->members[i], &s->set))
			bits_set(s->senders, i);
}

/* The source that is @set, which is taken over. */
static struct policy_source *intern_source(struct policy_result *r,
					   struct ip_set *set)
{
	struct policy_source *s;

	ip_set_seal(set);
	HASH_FIND(hh, r->sources, set->ranges, set->n * sizeof(*set->ranges),
		  s);
	if (s) {
		ip_set_clear(set);
		return s;
	}
	s = xcalloc(1, sizeof(*s));
	s->set = *set;
	memset(set, 0, sizeof(*set));
	s->senders = xcalloc(r->words, sizeof(uint64_t));
	s->receivers = xcalloc(r->words, sizeof(uint64_t));
	HASH_ADD_KEYPTR(hh, r->sources, s->set.ranges,
			s->set.n * sizeof(*s->set.ranges), s);
	find_senders(r, s);
	return s;
}

/* What @list is as a source; @people, if any, gets the nodes meant by name. */
static void resolve_sources(struct compiler *c,
			    const struct policy_selector *list, size_t n,
			    struct ip_set *set, uint64_t *people)
{
	struct ip_range all4 = all_addresses(4), all6 = all_addresses(6);
	size_t i;

	for (i = 0; i < n; i++)
		policy_resolve(c->resolver, &list[i], people);
	add_addresses(c->r, people, set);
	for (i = 0; i < n; i++) {
		if (list[i].what == POLICY_ANY) {
			add_all(set, &c->tailnet);
		} else if (list[i].what == POLICY_DANGER_ALL) {
			ip_set_add(set, &all4);
			ip_set_add(set, &all6);
		} else if (list[i].what == POLICY_RANGE) {
			ip_set_add(set, &list[i].range);
		}
	}
}

/* ── lines ── */

static struct policy_ports *copy_ports(const struct policy_service *s)
{
	struct policy_ports *p = xcalloc(s->n_ports, sizeof(*p));

	memcpy(p, s->ports, s->n_ports * sizeof(*p));
	return p;
}

static int compare_ranges(const void *a, const void *b)
{
	return ip_range_compare(a, b);
}

/* Destinations by address, each as it was written; false if there are none. */
static bool resolve_ranges(const struct policy_selector *dst, size_t n,
			   struct policy_line *line)
{
	struct ip_set ranges = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		if (dst[i].what == POLICY_INTERNET)
			add_all(&ranges, policy_internet());
		else if (dst[i].what == POLICY_RANGE)
			ip_set_add(&ranges, &dst[i].range);
	if (ranges.n)
		qsort(ranges.ranges, ranges.n, sizeof(*ranges.ranges),
		      compare_ranges);
	line->ranges = ranges.ranges;
	line->n_ranges = ranges.n;
	return ranges.n;
}

/* The destinations but autogroup:self; false if there are none. */
static bool resolve_destinations(struct compiler *c,
				 const struct policy_selector *dst, size_t n,
				 struct policy_line *line)
{
	bool some = resolve_ranges(dst, n, line);
	size_t i;

	line->nodes = xcalloc(c->r->words, sizeof(uint64_t));
	for (i = 0; i < n; i++) {
		if (dst[i].what == POLICY_SELF ||
		    dst[i].what == POLICY_INTERNET ||
		    dst[i].what == POLICY_RANGE)
			continue;
		some = true;
		if (dst[i].what == POLICY_ANY)
			line->any = true;
		else
			policy_resolve(c->resolver, &dst[i], line->nodes);
	}
	return some;
}

/* What lies behind the routers of a via; users and tags do not. */
static bool resolve_via(struct compiler *c, const struct policy_rule *rule,
			const struct policy_service *s,
			struct policy_line *line)
{
	size_t i;

	line->via = xcalloc(c->r->words, sizeof(uint64_t));
	for (i = 0; i < rule->n_via; i++)
		policy_resolve(c->resolver, &rule->via[i], line->via);
	return resolve_ranges(&rule->dst[s->first_dst], s->n_dst, line);
}

/* autogroup:self: for each user, from those of his nodes that are sources. */
static void add_self_lines(struct compiler *c, const struct policy_service *s,
			   const uint64_t *people)
{
	struct policy_result *r = c->r;
	size_t owner, n = policy_owners(c->resolver), i;

	for (owner = 0; owner < n; owner++) {
		const uint64_t *own = policy_owner_nodes(c->resolver, owner);
		struct policy_line line = { .n_ports = s->n_ports };
		struct ip_set set = { 0 };

		line.nodes = xcalloc(r->words, sizeof(uint64_t));
		for (i = 0; i < r->words; i++)
			line.nodes[i] = own[i] & people[i];
		add_addresses(r, line.nodes, &set);
		if (!set.n) {
			free(line.nodes);
			continue;
		}
		memcpy(line.nodes, own, r->words * sizeof(uint64_t));
		line.ports = copy_ports(s);
		policy_add_line(r, intern_source(r, &set), s->proto, &line);
	}
}

static bool has_self(const struct policy_selector *dst, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (dst[i].what == POLICY_SELF)
			return true;
	return false;
}

static void compile_rule(struct compiler *c, const struct policy_rule *rule)
{
	struct policy_result *r = c->r;
	_cleanup_free_ uint64_t *people = xcalloc(r->words, sizeof(uint64_t));
	struct policy_source *source;
	struct ip_set set = { 0 };
	size_t i;

	resolve_sources(c, rule->src, rule->n_src, &set, people);
	if (!set.n)
		return; /* nobody yet */
	source = intern_source(r, &set);
	for (i = 0; i < rule->n_services; i++) {
		const struct policy_service *s = &rule->services[i];
		const struct policy_selector *dst = &rule->dst[s->first_dst];
		struct policy_line line = { .n_ports = s->n_ports };

		if (rule->n_via ? resolve_via(c, rule, s, &line) :
				  resolve_destinations(c, dst, s->n_dst, &line)) {
			line.ports = copy_ports(s);
			policy_add_line(r, source, s->proto, &line);
		} else {
			policy_line_free(&line);
		}
		if (!rule->n_via && has_self(dst, s->n_dst))
			add_self_lines(c, s, people);
	}
}

/*
 * No rules at all are one that allows everything: from anywhere without a
 * policy, from the tailnet with one that leaves its rules out.
 */
static void allow_all(struct compiler *c)
{
	struct policy_selector from = { .what = c->policy ? POLICY_ANY :
							    POLICY_DANGER_ALL };
	struct policy_selector to = { .what = POLICY_ANY };
	struct policy_ports ports = { 0, 65535 };
	struct policy_service service = { .ports = &ports, .n_ports = 1,
					  .n_dst = 1 };
	struct policy_rule rule = { .src = &from, .n_src = 1, .dst = &to,
				    .n_dst = 1, .services = &service,
				    .n_services = 1 };

	compile_rule(c, &rule);
}

struct policy_result *policy_compile(const struct policy *policy,
				     const struct policy_node *nodes, size_t n)
{
	struct policy_result *r = xcalloc(1, sizeof(*r));
	struct compiler c = { .policy = policy, .r = r };
	size_t i;

	r->n = n;
	r->words = bits_words(n);
	r->members = xcalloc(n, sizeof(*r->members));
	r->peers = xcalloc(n * r->words, sizeof(uint64_t));
	r->exit_users = xcalloc(r->words, sizeof(uint64_t));
	copy_nodes(r, nodes);
	make_tailnet(&c);
	c.resolver = policy_resolver_new(policy, r, nodes);
	if (policy && policy->has_rules)
		for (i = 0; i < policy->n_rules; i++)
			compile_rule(&c, &policy->rules[i]);
	else
		allow_all(&c);
	policy_find_views(r);
	policy_give_attrs(r, c.resolver, policy);
	policy_resolver_free(c.resolver);
	ip_set_clear(&c.tailnet);
	return r;
}
