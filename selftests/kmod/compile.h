/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_COMPILE_H
#define KMOD_COMPILE_H

/* What the oracle has, given to the module's filter. */

#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "oracle.h"

/* 0 with *@out, the caller's; or the filter's error. */
static inline int compile_policy(struct tr_policy **out,
				 const struct oracle_policy *from)
{
	struct tr_policy *policy = tr_policy_new();
	size_t i;
	int ret;

	if (!policy)
		return -ENOMEM;
	ret = tr_policy_add_local(policy, from->local, from->n_local, NULL);
	for (i = 0; !ret && i < from->n_rules; i++) {
		const struct oracle_rule *r = &from->rules[i];
		struct tr_rule rule = { .id = r->id,
					.protos = r->protos,
					.n_protos = r->n_protos,
					.srcs = r->srcs,
					.n_srcs = r->n_srcs,
					.caps = r->caps,
					.n_caps = r->n_caps,
					.dsts = r->dsts,
					.n_dsts = r->n_dsts };

		ret = tr_policy_add_rule(policy, &rule, NULL);
	}
	if (!ret)
		ret = tr_policy_compile(
			policy,
			from->shields_up ? TAILRACE_POLICY_SHIELDS_UP : 0,
			NULL);
	if (ret) {
		tr_policy_free(policy);
		return ret;
	}
	*out = policy;
	return 0;
}

static inline int compile_peer(struct tr_peers *peers,
			       const struct oracle_peer *p)
{
	struct tr_peer_config config = {
		.id = p->id,
		.flags = (p->jailed ? TAILRACE_PEER_JAILED : 0) |
			 (p->is_unsigned ? TAILRACE_PEER_UNSIGNED : 0),
		.addrs = p->addrs,
		.n_addrs = p->n_addrs,
		.routes = p->routes,
		.n_routes = p->n_routes,
		.caps = p->caps,
		.n_caps = p->n_caps,
	};

	return tr_peers_set(peers, &config, NULL);
}

#endif
