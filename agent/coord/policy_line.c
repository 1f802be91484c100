// SPDX-License-Identifier: GPL-2.0
/* The lines of a compiled policy: whom they concern, what they let through. */
#include "coord/policy_result.h"
#include "lib/util.h"

void policy_line_free(struct policy_line *line)
{
	free(line->ports);
	free(line->nodes);
	free(line->via);
	free(line->ranges);
	free(line->concerns);
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

static bool subnets_overlap(const struct policy_member *m,
			    const struct ip_range *r)
{
	size_t i;

	for (i = 0; i < m->n_subnets; i++)
		if (ip_range_overlaps(&m->subnets[i], r))
			return true;
	return false;
}

static void add_routers(const struct policy_result *r,
			const struct ip_range *range, uint64_t *nodes)
{
	size_t i;

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

/* Nodes that a packet for @line might go to, exit nodes left out. */
static void add_receivers(const struct policy_result *r,
			  const struct policy_line *line, uint64_t *nodes)
{
	size_t i;

	if (line->nodes)
		bits_or(nodes, line->nodes, r->words);
	for (i = 0; i < r->n && line->any; i++)
		bits_set(nodes, i);
	for (i = 0; i < line->n_ranges; i++) {
		if (!line->via)
			policy_resolve_range(r, &line->ranges[i], nodes);
		add_routers(r, &line->ranges[i], nodes);
	}
}

static bool touches_internet(const struct policy_line *line)
{
	size_t i;

	for (i = 0; i < line->n_ranges; i++)
		if (ip_set_overlaps(policy_internet(), &line->ranges[i]))
			return true;
	return line->to_internet;
}

/* What it comes to for the routes that senders may be told of. */
static void add_targets(struct policy_source *source,
			const struct policy_line *line)
{
	size_t i;

	for (i = 0; i < line->n_ranges; i++)
		ip_set_add(&source->targets, &line->ranges[i]);
	source->to_any = source->to_any || line->any;
	source->to_internet = source->to_internet || line->to_internet;
}

void policy_add_line(struct policy_result *r, struct policy_source *source,
		     uint8_t proto, struct policy_line *line)
{
	_cleanup_free_ uint64_t *receivers = xcalloc(r->words,
						     sizeof(uint64_t));

	line->key = intern_key(r, source, proto);
	line->to_internet = line->any ||
			    policy_is_internet(line->ranges, line->n_ranges);
	line->concerns = xcalloc(r->words, sizeof(uint64_t));
	add_receivers(r, line, receivers);
	bits_or(line->concerns, receivers, r->words);
	if (touches_internet(line))
		add_exit_nodes(r, line->concerns);
	if (line->to_internet)
		add_exit_nodes(r, receivers);
	if (line->via) {
		bits_and(line->concerns, line->via, r->words);
		bits_and(receivers, line->via, r->words);
	} else {
		add_targets(source, line);
	}
	bits_or(source->receivers, receivers, r->words);
	if (r->n_lines == r->max_lines) {
		r->max_lines = r->max_lines ? 2 * r->max_lines : 16;
		r->lines = xrealloc(r->lines, r->max_lines, sizeof(*r->lines));
	}
	r->lines[r->n_lines++] = *line;
}

bool policy_line_opens(const struct policy_line *line, uint8_t proto,
		       uint16_t port)
{
	size_t i, have = line->key->key.proto;

	if (have && proto ? have != proto :
	    have	  ? have != PROTO_TCP && have != PROTO_UDP :
			    proto && proto != PROTO_TCP && proto != PROTO_UDP &&
				    proto != PROTO_ICMP && proto != PROTO_ICMPV6)
		return false;
	for (i = 0; i < line->n_ports; i++)
		if (line->ports[i].first <= port && port <= line->ports[i].last)
			return true;
	return false;
}

bool policy_line_leads_to(const struct policy_line *line,
			  const struct ip_addr *dst, ssize_t node)
{
	size_t i;

	if (line->any)
		return true;
	if (node >= 0 && line->via)
		return false;
	if (node >= 0 && line->nodes && bits_test(line->nodes, (size_t)node))
		return true;
	for (i = 0; i < line->n_ranges; i++)
		if (ip_range_contains(&line->ranges[i], dst))
			return true;
	return false;
}
