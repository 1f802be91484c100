// SPDX-License-Identifier: GPL-2.0
/* The end of a compiled policy. */
#include "coord/policy_result.h"

#include <json.h>

#include "lib/util.h"

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
		free(net->users);
		free(net->served);
		free(net->steers.lines);
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
	free(r->exit_users);
	free(r->exit_steers.lines);
	free(r);
}
