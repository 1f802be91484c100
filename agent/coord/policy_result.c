// SPDX-License-Identifier: GPL-2.0
/* A compiled policy's life, and what is read off it. */
#include "coord/policy_result.h"

#include <json.h>

#include "lib/util.h"

void policy_line_free(struct policy_line *line)
{
	free(line->ports);
	free(line->nodes);
	free(line->ranges);
	free(line->concerns);
}

void policy_result_free(struct policy_result *r)
{
	struct policy_source *s, *next_source;
	struct policy_subnet *net, *next_net;
	struct policy_key *k, *next_key;
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n_lines; i++)
		policy_line_free(&r->lines[i]);
	HASH_ITER(hh, r->keys, k, next_key) {
		HASH_DEL(r->keys, k);
		free(k);
	}
	HASH_ITER(hh, r->sources, s, next_source) {
		HASH_DEL(r->sources, s);
		ip_set_clear(&s->set);
		ip_set_clear(&s->targets);
		json_object_put(s->json);
		free(s->senders);
		free(s->receivers);
		free(s);
	}
	HASH_ITER(hh, r->subnets, net, next_net) {
		HASH_DEL(r->subnets, net);
		free(net->viewers);
		free(net);
	}
	for (i = 0; i < r->n; i++) {
		free(r->members[i].addresses);
		free(r->members[i].subnets);
		free(r->members[i].attrs);
	}
	for (i = 0; i < r->n_attr_names; i++)
		free(r->attr_names[i]);
	free(r->attr_names);
	free(r->members);
	free(r->addresses);
	free(r->lines);
	free(r->peers);
	free(r->exit_viewers);
	free(r);
}

bool policy_sees(const struct policy_result *r, size_t a, size_t b)
{
	return bits_test(policy_peers(r, a), b);
}

const uint64_t *policy_peers(const struct policy_result *r, size_t i)
{
	return &r->peers[i * r->words];
}

bool policy_route_visible(const struct policy_result *r, size_t i,
			  const struct prefix *route)
{
	struct ip_range range = ip_range_of(route);
	struct policy_subnet *s;

	if (prefix_is_default(route))
		return bits_test(r->exit_viewers, i);
	HASH_FIND(hh, r->subnets, &range, sizeof(range), s);
	return s && bits_test(s->viewers, i);
}

const char *const *policy_attrs(const struct policy_result *r, size_t i,
				size_t *n)
{
	*n = r->members[i].n_attrs;
	return r->members[i].attrs;
}
