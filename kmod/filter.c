// SPDX-License-Identifier: GPL-2.0
#include "filter.h"

#include <linux/errno.h>
#include <linux/in.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/netlink.h>

#include "flow.h"
#include "packet.h"
#include "peer.h"
#include "policy.h"

/* Jailed peers only ever get replies; few have many. */
#define JAIL_FLOWS 4096
/* The jail has no rules, so nothing ever ends its flows. */
#define JAIL_EPOCH 1

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
	tr_flow_free(rcu_dereference_protected(filter->flows, true));
	tr_flow_free(filter->jail);
	tr_hits_free(&filter->hits);
	*filter = (struct tr_filter){};
}

u32 tr_filter_commit(struct tr_filter *filter, struct tr_policy *policy)
{
	struct tr_policy *old = rcu_dereference_protected(filter->policy, true);

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

	WRITE_ONCE(filter->generation, policy->generation);
	rcu_assign_pointer(filter->policy, policy);
	synchronize_rcu();
	tr_hits_settle(&filter->hits, policy);
	tr_policy_free(old);
	return filter->generation;
}

/* The one that flows have to be of to be alive; for writers. */
static u32 epoch(const struct tr_filter *filter)
{
	const struct tr_policy *policy =
		rcu_dereference_protected(filter->policy, true);

	return policy ? policy->flow_epoch : 0;
}

int tr_filter_resize(struct tr_filter *filter, u32 flows,
		     struct netlink_ext_ack *extack)
{
	struct tr_flow_table *old, *table;

	if (flows > TAILRACE_MAX_FLOWS) {
		NL_SET_ERR_MSG(extack, "too many flows");
		return -E2BIG;
	}
	old = rcu_dereference_protected(filter->flows, true);
	if (roundup_pow_of_two(flows) == tr_flow_max(old))
		return 0;
	table = tr_flow_new(flows);
	if (!table)
		return -ENOMEM;
	tr_flow_succeed(table, old);
	rcu_assign_pointer(filter->flows, table);
	/* From here on the old one gets no more flows. */
	synchronize_rcu();
	tr_flow_take_over(table, epoch(filter));
	synchronize_rcu();
	tr_flow_free(old);
	return 0;
}

void tr_filter_set_strict(struct tr_filter *filter, bool strict)
{
	WRITE_ONCE(filter->strict, strict);
}

static bool pass(struct tr_result *res, enum tailrace_cause cause)
{
	res->accept = true;
	res->cause = cause;
	return true;
}

static bool drop(struct tr_result *res, enum tailrace_drop why)
{
	res->drop = why;
	return false;
}

static bool is_multicast(const struct tr_packet *pkt)
{
	if (pkt->family == AF_INET)
		return pkt->dst.s6_addr[12] >> 4 == 0xe;
	return pkt->dst.s6_addr[0] == 0xff;
}

static bool is_link_local(const struct tr_packet *pkt)
{
	const u8 *b = pkt->dst.s6_addr;

	if (pkt->family == AF_INET6)
		return b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
	/* Clouds' metadata service is reached through subnet routers. */
	return b[12] == 169 && b[13] == 254 && !(b[14] == 169 && b[15] == 254);
}

/*
 * What does not depend on the direction.
 *
 * Return: true when that decides, with the verdict in @res.
 */
static bool precheck(const struct tr_packet *pkt, struct tr_result *res)
{
	if (!pkt->len)
		pass(res, TAILRACE_CAUSE_KEEPALIVE);
	else if (pkt->proto == TR_PROTO_UNKNOWN)
		drop(res, TAILRACE_DROP_MALFORMED);
	else if (is_multicast(pkt))
		drop(res, TAILRACE_DROP_MULTICAST);
	else if (is_link_local(pkt))
		drop(res, TAILRACE_DROP_LINK_LOCAL);
	else if (pkt->proto == TR_PROTO_FRAGMENT)
		pass(res, TAILRACE_CAUSE_FRAGMENT);
	else
		return false;
	return true;
}

static bool has_replies(const struct tr_packet *pkt)
{
	return pkt->proto == IPPROTO_UDP || pkt->proto == IPPROTO_SCTP;
}

static void flow_key(const struct tr_packet *pkt, struct tr_flow_key *key)
{
	*key = (struct tr_flow_key){ .src = pkt->src,
				     .dst = pkt->dst,
				     .sport = pkt->sport,
				     .dport = pkt->dport,
				     .proto = pkt->proto,
				     .family = pkt->family };
}

static void reversed_flow_key(const struct tr_packet *pkt,
			      struct tr_flow_key *key)
{
	*key = (struct tr_flow_key){ .src = pkt->dst,
				     .dst = pkt->src,
				     .sport = pkt->dport,
				     .dport = pkt->sport,
				     .proto = pkt->proto,
				     .family = pkt->family };
}

static u8 flow_flags(enum tr_flow_added added)
{
	switch (added) {
	case TR_FLOW_ADDED:
		return TR_RESULT_FLOW_NEW;
	case TR_FLOW_EVICTED:
		return TR_RESULT_FLOW_NEW | TR_RESULT_FLOW_EVICTED;
	case TR_FLOW_KNOWN:
	case TR_FLOW_REFUSED:
		break;
	}
	return 0;
}

static enum tr_flow_kind find(struct tr_flow_table *table,
			      const struct tr_packet *pkt,
			      const struct tr_flow_key *key,
			      const struct tr_flow_era *era, u32 *rule)
{
	return pkt->question ? tr_flow_peek(table, key, era, rule) :
			       tr_flow_find(table, key, era, rule);
}

/* Return: bits TR_RESULT_FLOW_*. */
static u8 enter(struct tr_flow_table *table, const struct tr_packet *pkt,
		const struct tr_flow_key *key, const struct tr_flow_era *era,
		enum tr_flow_kind kind, u32 rule)
{
	if (pkt->question)
		return 0;
	return flow_flags(tr_flow_add(table, key, era, kind, rule));
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
	const struct tr_flow_era era = { .epoch = JAIL_EPOCH };
	struct tr_flow_key key;
	u32 rule;

	if (has_replies(pkt)) {
		flow_key(pkt, &key);
		if (find(filter->jail, pkt, &key, &era, &rule)) {
			res->flow = TR_RESULT_FLOW_HIT;
			return pass(res, TAILRACE_CAUSE_REPLY);
		}
	}
	return drop(res, TAILRACE_DROP_JAILED);
}

static bool match(const struct tr_policy *policy, struct tr_peers *peers,
		  const struct tr_packet *pkt, struct tr_result *res)
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
	res->slot = policy->slot[rule];
	return true;
}

/* The rule that has @res->slot decides. */
static bool pass_by_rule(struct tr_filter *filter, struct tr_result *res,
			 enum tailrace_cause cause)
{
	res->by_rule = true;
	res->rule = tr_hits_rule(&filter->hits, res->slot);
	return pass(res, cause);
}

static bool rules_in(struct tr_filter *filter, const struct tr_policy *policy,
		     struct tr_peers *peers, u32 peers_generation,
		     const struct tr_packet *pkt, struct tr_result *res)
{
	const struct tr_flow_era era = {
		.epoch = policy->flow_epoch,
		.verdict = (u64)policy->generation << 32 | peers_generation,
	};
	struct tr_flow_table *flows = rcu_dereference(filter->flows);
	struct tr_flow_key key;

	/* The first packet of a TCP connection is also the last to ask. */
	if (pkt->proto != IPPROTO_TCP) {
		flow_key(pkt, &key);
		switch (find(flows, pkt, &key, &era, &res->slot)) {
		case TR_FLOW_VERDICT:
			res->flow = TR_RESULT_FLOW_HIT;
			return pass_by_rule(filter, res, TAILRACE_CAUSE_CACHE);
		case TR_FLOW_REPLY:
			res->flow = TR_RESULT_FLOW_HIT;
			return pass(res, TAILRACE_CAUSE_REPLY);
		case TR_FLOW_FREE:
			break;
		}
	}
	if (!match(policy, peers, pkt, res))
		return drop(res, policy->flags & TAILRACE_POLICY_SHIELDS_UP ?
					 TAILRACE_DROP_SHIELDS_UP :
					 TAILRACE_DROP_NO_RULE);
	if (pkt->proto != IPPROTO_TCP)
		res->flow = enter(flows, pkt, &key, &era, TR_FLOW_VERDICT,
				  res->slot);
	return pass_by_rule(filter, res, TAILRACE_CAUSE_RULE);
}

bool tr_filter_in(struct tr_filter *filter, struct tr_peers *peers,
		  const struct tr_packet *pkt, struct tr_result *res)
{
	const struct tr_policy *policy = rcu_dereference(filter->policy);
	/* Before any look at the peers: they may be newer than it, not older. */
	u32 peers_generation = tr_peers_generation(peers);

	*res = (struct tr_result){};
	if (pkt->family)
		res->peer = tr_peers_route(peers, pkt->family, &pkt->src);
	if (!policy)
		return drop(res, TAILRACE_DROP_NO_POLICY);
	res->generation = policy->generation;
	if (READ_ONCE(filter->expired))
		return drop(res, TAILRACE_DROP_EXPIRED);
	if (precheck(pkt, res))
		return res->accept;
	if (!tr_classifier_is_local(&policy->classifier, pkt))
		return drop(res, TAILRACE_DROP_NOT_LOCAL);
	if (is_stateless(pkt))
		return pass(res, TAILRACE_CAUSE_STATELESS);
	if (res->peer && tr_peer_is_jailed(res->peer))
		return jailed_in(filter, pkt, res);
	return rules_in(filter, policy, peers, peers_generation, pkt, res);
}

bool tr_filter_out(struct tr_filter *filter, struct tr_peers *peers,
		   const struct tr_packet *pkt, struct tr_result *res)
{
	const struct tr_policy *policy = rcu_dereference(filter->policy);
	struct tr_flow_era era = { .epoch = JAIL_EPOCH };
	struct tr_flow_table *table = filter->jail;
	struct tr_flow_key key;
	u32 rule;

	*res = (struct tr_result){};
	if (pkt->family)
		res->peer = tr_peers_route(peers, pkt->family, &pkt->dst);
	if (!policy)
		return drop(res, TAILRACE_DROP_NO_POLICY);
	res->generation = policy->generation;
	if (READ_ONCE(filter->expired))
		return drop(res, TAILRACE_DROP_EXPIRED);
	if (pkt->proto == TR_PROTO_TSMP)
		return drop(res, TAILRACE_DROP_TSMP_OUT);
	if (precheck(pkt, res))
		return res->accept;
	if (!has_replies(pkt))
		return pass(res, TAILRACE_CAUSE_OUTBOUND);

	if (!res->peer || !tr_peer_is_jailed(res->peer)) {
		table = rcu_dereference(filter->flows);
		era.epoch = policy->flow_epoch;
	}
	reversed_flow_key(pkt, &key);
	if (find(table, pkt, &key, &era, &rule) == TR_FLOW_REPLY)
		res->flow = TR_RESULT_FLOW_HIT;
	else
		res->flow = enter(table, pkt, &key, &era, TR_FLOW_REPLY, 0);
	return pass(res, TAILRACE_CAUSE_OUTBOUND);
}

u32 tr_filter_flows(struct tr_filter *filter)
{
	return tr_flow_count(rcu_dereference_protected(filter->flows, true),
			     epoch(filter));
}

u32 tr_filter_flows_max(const struct tr_filter *filter)
{
	return tr_flow_max(rcu_dereference_protected(filter->flows, true));
}
