// SPDX-License-Identifier: GPL-2.0
/* Who sees whom, and who has a use for which route. */
#include "coord/policy_result.h"
#include "lib/util.h"

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
			bits_or(r->exit_users, s->senders, r->words);
		HASH_ITER(hh, r->subnets, net, next_net) {
			if (s->to_any ||
			    ip_set_overlaps(&s->targets, &net->range))
				bits_or(net->users, s->senders, r->words);
			if (ip_set_overlaps(&s->set, &net->range))
				bits_or(net->served, s->receivers, r->words);
		}
	}
}

static void add_steer(struct policy_steers *list,
		      const struct policy_line *line)
{
	list->lines = xrealloc(list->lines, list->n + 1, sizeof(*list->lines));
	list->lines[list->n++] = line;
}

static bool line_overlaps(const struct policy_line *line,
			  const struct ip_range *range)
{
	size_t i;

	for (i = 0; i < line->n_ranges; i++)
		if (ip_range_overlaps(&line->ranges[i], range))
			return true;
	return false;
}

static void find_steers(struct policy_result *r)
{
	struct policy_subnet *net, *next;
	size_t i;

	for (i = 0; i < r->n_lines; i++) {
		const struct policy_line *line = &r->lines[i];

		if (!line->via)
			continue;
		r->steers = true;
		if (line->to_internet)
			add_steer(&r->exit_steers, line);
		HASH_ITER(hh, r->subnets, net, next) {
			if (line_overlaps(line, &net->range))
				add_steer(&net->steers, line);
		}
	}
}

void policy_find_views(struct policy_result *r)
{
	find_peers(r);
	find_viewers(r);
	find_steers(r);
}

bool policy_sees(const struct policy_result *r, size_t a, size_t b)
{
	return bits_test(policy_peers(r, a), b);
}

const uint64_t *policy_peers(const struct policy_result *r, size_t i)
{
	return &r->peers[i * r->words];
}

bool policy_steers(const struct policy_result *r)
{
	return r->steers;
}

/* Adds the routers that @steers send node @i by to @via; false: it is not. */
static bool is_steered(const struct policy_result *r,
		       const struct policy_steers *steers, size_t i,
		       uint64_t *via)
{
	bool steered = false;
	size_t k;

	for (k = 0; k < steers->n; k++) {
		const struct policy_line *line = steers->lines[k];

		if (!bits_test(line->key->key.source->senders, i))
			continue;
		steered = true;
		bits_or(via, line->via, r->words);
	}
	return steered;
}

enum policy_use policy_route_use(const struct policy_result *r, size_t i,
				 const struct prefix *route, uint64_t *via)
{
	struct ip_range range = ip_range_of(route);
	struct policy_subnet *s;
	size_t k;

	for (k = 0; k < r->words; k++)
		via[k] = 0;
	if (prefix_is_default(route))
		return bits_test(r->exit_users, i)	    ? POLICY_USE_ANY :
		       is_steered(r, &r->exit_steers, i, via) ? POLICY_USE_VIA :
								POLICY_USE_NONE;
	HASH_FIND(hh, r->subnets, &range, sizeof(range), s);
	if (!s)
		return POLICY_USE_NONE;
	return bits_test(s->users, i)		  ? POLICY_USE_ANY :
	       is_steered(r, &s->steers, i, via) ? POLICY_USE_VIA :
	       bits_test(s->served, i)		  ? POLICY_USE_ANY :
						    POLICY_USE_NONE;
}
