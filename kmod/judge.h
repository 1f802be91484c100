/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the filter (filter.c) and the strict filter (strict.c) share.
 */
#ifndef _TR_JUDGE_H
#define _TR_JUDGE_H

#include <linux/in.h>

#include "filter.h"
#include "flow.h"
#include "packet.h"
#include "policy.h"

/* The jail has no rules, so nothing ever ends its flows. */
#define TR_JAIL_EPOCH 1

/**
 * struct tr_judge - what a packet is judged by
 * @filter: filter
 * @policy: in force
 * @peers: of the same device
 * @flows: of peers that are not jailed
 * @era: now
 *
 * Valid in the caller's RCU section.
 */
struct tr_judge {
	struct tr_filter *filter;
	const struct tr_policy *policy;
	struct tr_peers *peers;
	struct tr_flow_table *flows;
	struct tr_flow_era era;
};

static inline bool tr_judge_pass(struct tr_result *res,
				 enum tailrace_cause cause)
{
	res->accept = true;
	res->cause = cause;
	return true;
}

static inline bool tr_judge_drop(struct tr_result *res,
				 enum tailrace_drop why)
{
	res->drop = why;
	return false;
}

/* Whether sending it opens a flow in which replies come. */
static inline bool tr_judge_has_replies(const struct tr_packet *pkt)
{
	return pkt->proto == IPPROTO_UDP || pkt->proto == IPPROTO_SCTP;
}

static inline void tr_judge_key(const struct tr_packet *pkt,
				struct tr_flow_key *key)
{
	*key = (struct tr_flow_key){ .src = pkt->src,
				     .dst = pkt->dst,
				     .sport = pkt->sport,
				     .dport = pkt->dport,
				     .proto = pkt->proto,
				     .family = pkt->family };
}

static inline void tr_judge_reversed_key(const struct tr_packet *pkt,
					 struct tr_flow_key *key)
{
	*key = (struct tr_flow_key){ .src = pkt->dst,
				     .dst = pkt->src,
				     .sport = pkt->dport,
				     .dport = pkt->sport,
				     .proto = pkt->proto,
				     .family = pkt->family };
}

/* Return: bits TR_RESULT_FLOW_*. */
static inline u8 tr_judge_flow_flags(enum tr_flow_added added)
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

static inline bool tr_judge_is_multicast(const struct tr_packet *pkt)
{
	if (pkt->family == AF_INET)
		return pkt->dst.s6_addr[12] >> 4 == 0xe;
	return pkt->dst.s6_addr[0] == 0xff;
}

static inline bool tr_judge_is_link_local(const struct tr_packet *pkt)
{
	const u8 *b = pkt->dst.s6_addr;

	if (pkt->family == AF_INET6)
		return b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
	/* Clouds' metadata service is reached through subnet routers. */
	return b[12] == 169 && b[13] == 254 && !(b[14] == 169 && b[15] == 254);
}

/**
 * tr_judge_pre() - what does not depend on the direction
 * @pkt: parsed
 * @res: the verdict if that decides
 *
 * Return: whether it does.
 */
static inline bool tr_judge_pre(const struct tr_packet *pkt,
				struct tr_result *res)
{
	if (!pkt->len)
		tr_judge_pass(res, TAILRACE_CAUSE_KEEPALIVE);
	else if (pkt->proto == TR_PROTO_UNKNOWN)
		tr_judge_drop(res, TAILRACE_DROP_MALFORMED);
	else if (tr_judge_is_multicast(pkt))
		tr_judge_drop(res, TAILRACE_DROP_MULTICAST);
	else if (tr_judge_is_link_local(pkt))
		tr_judge_drop(res, TAILRACE_DROP_LINK_LOCAL);
	else if (pkt->proto == TR_PROTO_FRAGMENT)
		tr_judge_pass(res, TAILRACE_CAUSE_FRAGMENT);
	else
		return false;
	return true;
}

/**
 * tr_judge_match() - whether a rule lets an inbound packet in
 * @policy: whose rules
 * @peers: for capabilities
 * @pkt: parsed
 * @slot: of the rule
 */
bool tr_judge_match(const struct tr_policy *policy, struct tr_peers *peers,
		    const struct tr_packet *pkt, u32 *slot);

/* The rule that has @res->slot decides. */
static inline bool tr_judge_pass_by_rule(struct tr_filter *filter,
					 struct tr_result *res,
					 enum tailrace_cause cause)
{
	res->by_rule = true;
	res->rule = tr_hits_rule(&filter->hits, res->slot);
	return tr_judge_pass(res, cause);
}

/* No rule does. */
static inline bool tr_judge_drop_by_rule(const struct tr_policy *policy,
					 struct tr_result *res)
{
	return tr_judge_drop(res, policy->flags & TAILRACE_POLICY_SHIELDS_UP ?
					  TAILRACE_DROP_SHIELDS_UP :
					  TAILRACE_DROP_NO_RULE);
}

#endif
