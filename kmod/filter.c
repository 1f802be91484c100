// SPDX-License-Identifier: GPL-2.0
#include "filter.h"

#include <linux/errno.h>
#include <linux/in.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/netlink.h>

#include "flow.h"
#include "judge.h"
#include "packet.h"
#include "peer.h"
#include "policy.h"
#include "strict.h"

/* Jailed peers only ever get replies; few have many. */
#define JAIL_FLOWS 4096

int tr_filter_init(struct tr_filter *filter)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;
	u32 flows = TR_FLOW_MAX_DEFAULT;

	/* 72 bytes each: at most half a percent of a small machine. */
	while (flows > TAILRACE_MIN_FLOWS && flows * 72ULL > ram / 200)
		flows /= 2;
	*filter = (struct tr_filter){};
	RCU_INIT_POINTER(filter->flows, tr_flow_new(flows));
	filter->jail = tr_flow_new(JAIL_FLOWS);
	if (rcu_access_pointer(filter->flows) && filter->jail)
		return 0;
	tr_filter_uninit(filter);
	return -ENOMEM;
}

void tr_filter_uninit(struct tr_filter *filter)
{
	tr_policy_free(rcu_dereference_protected(filter->policy, true));
	tr_policy_free(rcu_dereference_protected(filter->before, true));
	tr_flow_free(rcu_dereference_protected(filter->flows, true));
	tr_flow_free(filter->jail);
	tr_hits_free(&filter->hits);
	*filter = (struct tr_filter){};
}

static bool in_grace(const struct tr_filter *filter)
{
	return filter->strict && tr_flow_now() < filter->grace_end;
}

u32 tr_filter_commit(struct tr_filter *filter, struct tr_policy *policy)
{
	struct tr_policy *old = rcu_dereference_protected(filter->policy, true);
	struct tr_policy *before;

	if (tr_hits_assign(&filter->hits, policy, old)) {
		tr_hits_settle(&filter->hits, old);
		return 0;
	}
	policy->generation = filter->generation + 1;
	if (!policy->generation)
		policy->generation = 1;
	policy->flow_epoch = old ? old->flow_epoch : 1;
	/* Raising the shields ends every conversation, lowering them none. */
	if (old && policy->flags & TAILRACE_POLICY_SHIELDS_UP &&
	    !(old->flags & TAILRACE_POLICY_SHIELDS_UP))
		policy->flow_epoch++;

	if (!old && filter->strict)
		filter->grace_end = tr_flow_now() + TR_STRICT_GRACE;
	before = rcu_dereference_protected(filter->before, true);
	if (!in_grace(filter))
		RCU_INIT_POINTER(filter->before, NULL);
	else if (!before)
		rcu_assign_pointer(filter->before, old);

	WRITE_ONCE(filter->generation, policy->generation);
	rcu_assign_pointer(filter->policy, policy);
	synchronize_rcu();
	tr_hits_settle(&filter->hits, policy);
	if (!rcu_access_pointer(filter->before))
		tr_policy_free(before);
	if (rcu_access_pointer(filter->before) != old)
		tr_policy_free(old);
	return filter->generation;
}

/* By which flows are alive now, whatever their verdicts; for writers. */
static struct tr_flow_era era_now(const struct tr_filter *filter)
{
	const struct tr_policy *policy =
		rcu_dereference_protected(filter->policy, true);

	return (struct tr_flow_era){
		.epoch = policy ? policy->flow_epoch : 0,
		.strict = filter->strict,
	};
}

int tr_filter_resize(struct tr_filter *filter, u32 flows,
		     struct netlink_ext_ack *extack)
{
	const struct tr_flow_era era = era_now(filter);
	struct tr_flow_table *old, *table;

	if (flows > TAILRACE_MAX_FLOWS) {
		NL_SET_ERR_MSG(extack, "too many flows");
		return -E2BIG;
	}
	old = rcu_dereference_protected(filter->flows, true);
	flows = roundup_pow_of_two(flows);
	if (flows == tr_flow_max(old))
		return 0;
	/* Better than to have others killed for it. */
	if (flows * 72ULL > (u64)totalram_pages() << PAGE_SHIFT >> 2) {
		NL_SET_ERR_MSG(extack, "more than a quarter of the memory");
		return -ENOMEM;
	}
	table = tr_flow_new(flows);
	if (!table)
		return -ENOMEM;
	tr_flow_succeed(table, old);
	rcu_assign_pointer(filter->flows, table);
	/* From here on the old one gets no more flows. */
	synchronize_rcu();
	tr_flow_take_over(table, &era);
	synchronize_rcu();
	tr_flow_let_go(table);
	synchronize_rcu();
	tr_flow_free(old);
	return 0;
}

void tr_filter_set_strict(struct tr_filter *filter, bool strict)
{
	struct tr_policy *before =
		rcu_dereference_protected(filter->before, true);

	if (strict == !!filter->strict)
		return;
	/* A connection may have got another owner while nobody looked. */
	if (strict && !++filter->periods)
		filter->periods = 1;
	WRITE_ONCE(filter->grace_end, tr_flow_now() + TR_STRICT_GRACE);
	WRITE_ONCE(filter->strict, strict ? filter->periods : 0);
	RCU_INIT_POINTER(filter->before, NULL);
	if (before) {
		synchronize_rcu();
		tr_policy_free(before);
	}
}

static enum tr_flow_kind find(struct tr_flow_table *table,
			      const struct tr_packet *pkt,
			      const struct tr_flow_key *key,
			      const struct tr_flow_era *era,
			      struct tr_flow_found *found)
{
	return pkt->question ? tr_flow_peek(table, key, era, found) :
			       tr_flow_find(table, key, era, found);
}

static void vouch(struct tr_flow_table *table, const struct tr_packet *pkt,
		  const struct tr_flow_key *key, const struct tr_flow_era *era,
		  const struct tr_peer *peer, bool in)
{
	if (!pkt->question)
		tr_flow_vouch(table, key, era, peer ? peer->id : 0, in);
}

/* Return: bits TR_RESULT_FLOW_*. */
static u8 enter(struct tr_flow_table *table, const struct tr_packet *pkt,
		const struct tr_flow_key *key, const struct tr_flow_era *era,
		enum tr_flow_kind kind, u32 rule, const struct tr_peer *peer)
{
	if (pkt->question)
		return 0;
	return tr_judge_flow_flags(
		tr_flow_add(table, key, era, kind, rule, peer ? peer->id : 0));
}

/* Whose packets ask the flow table first. */
static bool has_flow(const struct tr_packet *pkt)
{
	switch (pkt->proto) {
	case TR_PROTO_UNKNOWN:
	case TR_PROTO_FRAGMENT:
	case TR_PROTO_TSMP:
	/* The first packet of a TCP connection is also the last to ask. */
	case IPPROTO_TCP:
		return false;
	}
	return !pkt->icmp_reply;
}

/* What passes without any rule but is not in a flow table either. */
static bool is_stateless(const struct tr_packet *pkt)
{
	if (pkt->proto == IPPROTO_TCP)
		return !tr_packet_is_syn(pkt);
	if (tr_packet_is_icmp(pkt))
		return pkt->icmp_reply;
	return pkt->proto == TR_PROTO_TSMP;
}

static bool jailed_in(struct tr_filter *filter, const struct tr_packet *pkt,
		      struct tr_result *res)
{
	const struct tr_flow_era era = { .epoch = TR_JAIL_EPOCH };
	struct tr_flow_found found;
	struct tr_flow_key key;

	if (tr_judge_has_replies(pkt)) {
		tr_judge_key(pkt, &key);
		if (find(filter->jail, pkt, &key, &era, &found)) {
			res->flow = TR_RESULT_FLOW_HIT;
			return tr_judge_pass(res, TAILRACE_CAUSE_REPLY);
		}
	}
	return tr_judge_drop(res, TAILRACE_DROP_JAILED);
}

bool tr_judge_match(const struct tr_policy *policy, struct tr_peers *peers,
		    const struct tr_packet *pkt, u32 *slot)
{
	const struct tr_classifier *c = &policy->classifier;
	const struct tr_peer_config *config;
	const struct tr_peer *owner = NULL;
	const u32 *caps = NULL;
	u32 rule, n_caps = 0;

	if (tr_classifier_uses_caps(c))
		owner = tr_peers_owner(peers, pkt->family, &pkt->src);
	if (owner) {
		config = rcu_dereference(owner->config);
		if (!(config->flags & TAILRACE_PEER_UNSIGNED)) {
			caps = config->caps;
			n_caps = config->n_caps;
		}
	}
	if (!tr_classifier_match(c, pkt, caps, n_caps, &rule))
		return false;
	*slot = policy->slot[rule];
	return true;
}

static bool pass_known(struct tr_filter *filter, enum tr_flow_kind kind,
		       const struct tr_flow_found *found,
		       struct tr_result *res)
{
	res->flow = TR_RESULT_FLOW_HIT;
	if (kind == TR_FLOW_REPLY)
		return tr_judge_pass(res, TAILRACE_CAUSE_REPLY);
	res->slot = found->rule;
	return tr_judge_pass_by_rule(filter, res, TAILRACE_CAUSE_CACHE);
}

/* What a packet is judged by. */
static void judge_of(struct tr_judge *j, struct tr_filter *filter,
		     const struct tr_policy *policy, struct tr_peers *peers,
		     u32 peers_generation)
{
	j->filter = filter;
	j->policy = policy;
	j->peers = peers;
	j->flows = rcu_dereference(filter->flows);
	j->era.epoch = policy->flow_epoch;
	j->era.strict = READ_ONCE(filter->strict);
	j->era.verdict = (u64)policy->generation << 32 | peers_generation;
}

/* Whether it lets nothing pass. */
static bool is_shut(const struct tr_filter *filter,
		    const struct tr_policy *policy, struct tr_result *res)
{
	if (!policy)
		tr_judge_drop(res, TAILRACE_DROP_NO_POLICY);
	else if (READ_ONCE(filter->expired))
		tr_judge_drop(res, TAILRACE_DROP_EXPIRED);
	else
		return false;
	return true;
}

static struct tr_peer *route(struct tr_peers *peers,
			     const struct tr_packet *pkt,
			     const struct in6_addr *addr)
{
	return pkt->family ? tr_peers_route(peers, pkt->family, addr) : NULL;
}

/*
 * What the flow table alone cannot decide. @key unless it is not asked, and
 * then @kind is TR_FLOW_FREE. Apart for the sake of the other packets' stack.
 */
static noinline bool judge_in(const struct tr_judge *j,
			      const struct tr_packet *pkt,
			      const struct tr_flow_key *key,
			      enum tr_flow_kind kind,
			      const struct tr_flow_found *found,
			      struct tr_result *res)
{
	if (tr_judge_pre(pkt, res))
		return res->accept;
	if (!tr_classifier_is_local(&j->policy->classifier, pkt))
		return tr_judge_drop(res, TAILRACE_DROP_NOT_LOCAL);
	if (is_stateless(pkt))
		return tr_judge_pass(res, TAILRACE_CAUSE_STATELESS);
	if (res->peer && tr_peer_is_jailed(res->peer))
		return jailed_in(j->filter, pkt, res);
	if (kind == TR_FLOW_REPLY) {
		vouch(j->flows, pkt, key, &j->era, res->peer, true);
		return pass_known(j->filter, kind, found, res);
	}
	if (!tr_judge_match(j->policy, j->peers, pkt, &res->slot))
		return tr_judge_drop_by_rule(j->policy, res);
	if (has_flow(pkt))
		res->flow = enter(j->flows, pkt, key, &j->era, TR_FLOW_VERDICT,
				  res->slot, res->peer);
	return tr_judge_pass_by_rule(j->filter, res, TAILRACE_CAUSE_RULE);
}

bool tr_filter_in(struct tr_filter *filter, struct tr_peers *peers,
		  const struct tr_packet *pkt, struct tr_result *res)
{
	const struct tr_policy *policy = rcu_dereference(filter->policy);
	/* Before any look at the peers: they may be newer than it, not older. */
	u32 peers_generation = tr_peers_generation(peers);
	enum tr_flow_kind kind = TR_FLOW_FREE;
	struct tr_flow_found found __uninitialized;
	struct tr_flow_key key __uninitialized;
	struct tr_judge j __uninitialized;

	*res = (struct tr_result){};
	if (policy)
		res->generation = policy->generation;
	if (is_shut(filter, policy, res)) {
		res->peer = route(peers, pkt, &pkt->src);
		return false;
	}
	judge_of(&j, filter, policy, peers, peers_generation);
	if (unlikely(j.era.strict)) {
		res->peer = route(peers, pkt, &pkt->src);
		return tr_strict_in(&j, pkt, res);
	}
	if (has_flow(pkt)) {
		tr_judge_key(pkt, &key);
		kind = find(j.flows, pkt, &key, &j.era, &found);
		/* Nothing that was looked at then has changed. */
		if (found.vouched) {
			res->peer = tr_peers_get(peers, found.peer);
			return pass_known(filter, kind, &found, res);
		}
	}
	res->peer = route(peers, pkt, &pkt->src);
	return judge_in(&j, pkt, &key, kind, &found, res);
}

static noinline bool judge_out(const struct tr_judge *j,
			       const struct tr_packet *pkt,
			       const struct tr_flow_key *key,
			       enum tr_flow_kind kind, struct tr_result *res)
{
	const struct tr_flow_era jail_era = { .epoch = TR_JAIL_EPOCH };
	struct tr_flow_found found;

	if (tr_judge_pre(pkt, res))
		return res->accept;
	if (!tr_judge_has_replies(pkt))
		return tr_judge_pass(res, TAILRACE_CAUSE_OUTBOUND);

	if (res->peer && tr_peer_is_jailed(res->peer)) {
		if (find(j->filter->jail, pkt, key, &jail_era, &found))
			res->flow = TR_RESULT_FLOW_HIT;
		else
			res->flow = enter(j->filter->jail, pkt, key, &jail_era,
					  TR_FLOW_REPLY, 0, res->peer);
	} else if (kind == TR_FLOW_REPLY) {
		res->flow = TR_RESULT_FLOW_HIT;
		vouch(j->flows, pkt, key, &j->era, res->peer, false);
	} else {
		res->flow = enter(j->flows, pkt, key, &j->era, TR_FLOW_REPLY,
				  0, res->peer);
	}
	return tr_judge_pass(res, TAILRACE_CAUSE_OUTBOUND);
}

bool tr_filter_out(struct tr_filter *filter, struct tr_peers *peers,
		   const struct tr_packet *pkt, struct tr_result *res)
{
	const struct tr_policy *policy = rcu_dereference(filter->policy);
	u32 peers_generation = tr_peers_generation(peers);
	enum tr_flow_kind kind = TR_FLOW_FREE;
	struct tr_flow_found found __uninitialized;
	struct tr_flow_key key __uninitialized;
	struct tr_judge j __uninitialized;

	*res = (struct tr_result){};
	if (policy)
		res->generation = policy->generation;
	if (is_shut(filter, policy, res)) {
		res->peer = route(peers, pkt, &pkt->dst);
		return false;
	}
	if (pkt->proto == TR_PROTO_TSMP) {
		res->peer = route(peers, pkt, &pkt->dst);
		return tr_judge_drop(res, TAILRACE_DROP_TSMP_OUT);
	}
	judge_of(&j, filter, policy, peers, peers_generation);
	if (unlikely(j.era.strict)) {
		res->peer = route(peers, pkt, &pkt->dst);
		return tr_strict_out(&j, pkt, res);
	}
	if (tr_judge_has_replies(pkt)) {
		tr_judge_reversed_key(pkt, &key);
		kind = find(j.flows, pkt, &key, &j.era, &found);
		if (kind == TR_FLOW_REPLY && found.peer_holds) {
			res->peer = tr_peers_get(peers, found.peer);
			res->flow = TR_RESULT_FLOW_HIT;
			return tr_judge_pass(res, TAILRACE_CAUSE_OUTBOUND);
		}
	}
	res->peer = route(peers, pkt, &pkt->dst);
	return judge_out(&j, pkt, &key, kind, res);
}

u32 tr_filter_flows(struct tr_filter *filter)
{
	const struct tr_flow_era era = era_now(filter);

	return tr_flow_count(rcu_dereference_protected(filter->flows, true),
			     &era);
}

u32 tr_filter_flows_max(const struct tr_filter *filter)
{
	return tr_flow_max(rcu_dereference_protected(filter->flows, true));
}
