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
	s->viewers = xcalloc(r->words, sizeof(uint64_t));
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

/* ── sources and keys ── */

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

static const struct policy_key *intern_key(struct policy_result *r,
					   const struct policy_source *source,
					   uint8_t proto)
{
	struct policy_key *k, probe = { .key = { source, proto } };

	HASH_FIND(hh, r->keys, &probe.key, sizeof(probe.key), k);
	if (k)
		return k;
	k = xcalloc(1, sizeof(*k));
	k->key.source = source;
	k->key.proto = proto;
	k->id = HASH_COUNT(r->keys);
	HASH_ADD(hh, r->keys, key, sizeof(k->key), k);
	return k;
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

static bool subnets_overlap(const struct policy_member *m,
			    const struct ip_range *r)
{
	size_t i;

	for (i = 0; i < m->n_subnets; i++)
		if (ip_range_overlaps(&m->subnets[i], r))
			return true;
	return false;
}

/* Nodes that a packet to some address in @range might go to. */
static void add_receivers(const struct policy_result *r,
			  const struct ip_range *range, uint64_t *nodes)
{
	size_t i;

	policy_resolve_range(r, range, nodes);
	for (i = 0; i < r->n; i++)
		if (subnets_overlap(&r->members[i], range))
			bits_set(nodes, i);
}

static void add_exit_nodes(const struct policy_result *r, uint64_t *nodes)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->members[i].exit)
			bits_set(nodes, i);
}

/*
 * Takes over @line, whose destinations are known, and finds out whom it
 * concerns. An exit node enforces what leads to the internet in any way, but
 * is seen only by those who may use all of that: it would be of little use.
 */
static void add_line(struct policy_result *r, struct policy_source *source,
		     uint8_t proto, struct policy_line *line)
{
	bool to_internet = line->any ||
			   policy_is_internet(line->ranges, line->n_ranges);
	bool touches_internet = to_internet;
	size_t i;

	line->key = intern_key(r, source, proto);
	line->concerns = xcalloc(r->words, sizeof(uint64_t));
	if (line->nodes)
		bits_or(line->concerns, line->nodes, r->words);
	for (i = 0; i < r->n && line->any; i++)
		bits_set(line->concerns, i);
	for (i = 0; i < line->n_ranges; i++) {
		add_receivers(r, &line->ranges[i], line->concerns);
		ip_set_add(&source->targets, &line->ranges[i]);
		touches_internet = touches_internet ||
				   ip_set_overlaps(policy_internet(),
						   &line->ranges[i]);
	}
	bits_or(source->receivers, line->concerns, r->words);
	source->to_any = source->to_any || line->any;
	source->to_internet = source->to_internet || to_internet;
	if (touches_internet)
		add_exit_nodes(r, line->concerns);
	if (to_internet)
		add_exit_nodes(r, source->receivers);
	if (r->n_lines == r->max_lines) {
		r->max_lines = r->max_lines ? 2 * r->max_lines : 16;
		r->lines = xrealloc(r->lines, r->max_lines, sizeof(*r->lines));
	}
	r->lines[r->n_lines++] = *line;
}

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

/* The destinations but autogroup:self; false if there are none. */
static bool resolve_destinations(struct compiler *c,
				 const struct policy_selector *dst, size_t n,
				 struct policy_line *line)
{
	struct ip_set ranges = { 0 };
	bool some = false;
	size_t i;

	line->nodes = xcalloc(c->r->words, sizeof(uint64_t));
	for (i = 0; i < n; i++) {
		if (dst[i].what == POLICY_SELF)
			continue;
		some = true;
		if (dst[i].what == POLICY_ANY)
			line->any = true;
		else if (dst[i].what == POLICY_INTERNET)
			add_all(&ranges, policy_internet());
		else if (dst[i].what == POLICY_RANGE)
			ip_set_add(&ranges, &dst[i].range);
		else
			policy_resolve(c->resolver, &dst[i], line->nodes);
	}
	/* not sealed: each destination as it was written */
	if (ranges.n)
		qsort(ranges.ranges, ranges.n, sizeof(*ranges.ranges),
		      compare_ranges);
	line->ranges = ranges.ranges;
	line->n_ranges = ranges.n;
	return some;
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
		add_line(r, intern_source(r, &set), s->proto, &line);
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

		if (resolve_destinations(c, dst, s->n_dst, &line)) {
			line.ports = copy_ports(s);
			add_line(r, source, s->proto, &line);
		} else {
			policy_line_free(&line);
		}
		if (has_self(dst, s->n_dst))
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

/* ── what follows from the lines ── */

static void find_peers(struct policy_result *r)
{
	struct policy_source *s, *next;
	size_t i;

	HASH_ITER(hh, r->sources, s, next) {
		bits_for_each(s->senders, i, r->n) {
			bits_or(&r->peers[i * r->words], s->receivers,
				r->words);
		}
		bits_for_each(s->receivers, i, r->n) {
			bits_or(&r->peers[i * r->words], s->senders, r->words);
		}
	}
	for (i = 0; i < r->n; i++)
		bits_clear(&r->peers[i * r->words], i);
}

static void find_viewers(struct policy_result *r)
{
	struct policy_source *s, *next;
	struct policy_subnet *net, *next_net;

	HASH_ITER(hh, r->sources, s, next) {
		ip_set_seal(&s->targets);
		if (s->to_internet)
			bits_or(r->exit_viewers, s->senders, r->words);
		HASH_ITER(hh, r->subnets, net, next_net) {
			if (s->to_any ||
			    ip_set_overlaps(&s->targets, &net->range))
				bits_or(net->viewers, s->senders, r->words);
			if (ip_set_overlaps(&s->set, &net->range))
				bits_or(net->viewers, s->receivers, r->words);
		}
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_attrs(struct policy_member *m)
{
	size_t i, n = 0;

	if (!m->n_attrs)
		return;
	qsort(m->attrs, m->n_attrs, sizeof(*m->attrs), by_text);
	for (i = 1; i < m->n_attrs; i++)
		if (strcmp(m->attrs[n], m->attrs[i]))
			m->attrs[++n] = m->attrs[i];
	m->n_attrs = n + 1;
}

static void add_attrs(struct compiler *c, const struct policy_attr_rule *a)
{
	struct policy_result *r = c->r;
	_cleanup_free_ uint64_t *nodes = xcalloc(r->words, sizeof(uint64_t));
	size_t i, k;

	for (i = 0; i < a->n_targets; i++)
		if (!policy_resolve(c->resolver, &a->targets[i], nodes))
			policy_resolve_range(r, &a->targets[i].range, nodes);
	r->attr_names = xrealloc(r->attr_names, r->n_attr_names + a->n_names,
				 sizeof(char *));
	for (k = 0; k < a->n_names; k++)
		r->attr_names[r->n_attr_names + k] = xstrdup(a->names[k]);
	bits_for_each(nodes, i, r->n) {
		struct policy_member *m = &r->members[i];

		m->attrs = xrealloc(m->attrs, m->n_attrs + a->n_names,
				    sizeof(*m->attrs));
		for (k = 0; k < a->n_names; k++)
			m->attrs[m->n_attrs++] =
				r->attr_names[r->n_attr_names + k];
	}
	r->n_attr_names += a->n_names;
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
	r->exit_viewers = xcalloc(r->words, sizeof(uint64_t));
	copy_nodes(r, nodes);
	make_tailnet(&c);
	c.resolver = policy_resolver_new(policy, r, nodes);
	if (policy && policy->has_rules)
		for (i = 0; i < policy->n_rules; i++)
			compile_rule(&c, &policy->rules[i]);
	else
		allow_all(&c);
	find_peers(r);
	find_viewers(r);
	for (i = 0; policy && i < policy->n_attrs; i++)
		add_attrs(&c, &policy->attrs[i]);
	for (i = 0; i < n; i++)
		sort_attrs(&r->members[i]);
	policy_resolver_free(c.resolver);
	ip_set_clear(&c.tailnet);
	return r;
}
