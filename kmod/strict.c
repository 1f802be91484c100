// SPDX-License-Identifier: GPL-2.0
#include "strict.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>

#include "judge.h"
#include "peer.h"
#include "policy.h"

/*
 * A flow of echo requests has their id as its source port, and this as its
 * destination port: verdicts on ICMP have none.
 */
#define ECHO_PORT 1

static bool is_jailed(const struct tr_peer *peer)
{
	return peer && tr_peer_is_jailed(peer);
}

static u32 peer_id(const struct tr_peer *peer)
{
	return peer ? peer->id : 0;
}

/* Flows of TCP know no jail: they are opened packet by packet. */
static enum tr_flow_kind track(const struct tr_judge *j,
			       const struct tr_flow_key *key, bool jailed,
			       enum tr_flow_use use,
			       struct tr_flow_found *found)
{
	struct tr_flow_era era = j->era;

	if (!jailed || key->proto == IPPROTO_TCP)
		return tr_flow_track(j->flows, key, &era, use, found);
	era.epoch = TR_JAIL_EPOCH;
	return tr_flow_track(j->filter->jail, key, &era, use, found);
}

static enum tr_flow_added open_flow(const struct tr_judge *j,
				    const struct tr_flow_key *key, bool jailed,
				    const struct tr_flow_opening *opening,
				    struct tr_result *res)
{
	struct tr_flow_era era = j->era;
	enum tr_flow_added added;

	if (!jailed || key->proto == IPPROTO_TCP) {
		added = tr_flow_open(j->flows, key, &era, opening);
	} else {
		era.epoch = TR_JAIL_EPOCH;
		added = tr_flow_open(j->filter->jail, key, &era, opening);
	}
	res->flow |= tr_judge_flow_flags(added);
	return added;
}

static bool pass_reply(struct tr_result *res)
{
	res->flow |= TR_RESULT_FLOW_HIT;
	return tr_judge_pass(res, TAILRACE_CAUSE_REPLY);
}

static bool pass_cached(const struct tr_judge *j,
			const struct tr_flow_found *found,
			struct tr_result *res)
{
	res->flow |= TR_RESULT_FLOW_HIT;
	res->slot = found->rule;
	return tr_judge_pass_by_rule(j->filter, res, TAILRACE_CAUSE_CACHE);
}

/* A rule lets @pkt in: so do what it says, if it can be remembered. */
static bool pass_matched(const struct tr_judge *j, const struct tr_packet *pkt,
			 const struct tr_peer *peer,
			 const struct tr_flow_key *key, u8 tcp,
			 struct tr_result *res)
{
	const struct tr_flow_opening opening = { .kind = TR_FLOW_VERDICT,
						 .tcp = tcp,
						 .rule = res->slot,
						 .peer = peer_id(peer) };

	/*
	 * Our answer to what is not remembered would open a flow of ours. That
	 * is so with UDP, and TCP would get no further.
	 */
	if (!pkt->question &&
	    open_flow(j, key, false, &opening, res) == TR_FLOW_REFUSED &&
	    (pkt->proto == IPPROTO_TCP || tr_judge_has_replies(pkt)))
		return tr_judge_drop(res, TAILRACE_DROP_FLOWS_FULL);
	return tr_judge_pass_by_rule(j->filter, res, TAILRACE_CAUSE_RULE);
}

static bool in_grace(const struct tr_judge *j)
{
	return tr_flow_now() < READ_ONCE(j->filter->grace_end);
}

/* Whether a rule did when the grace began, but does no longer. */
static bool was_allowed(const struct tr_judge *j, const struct tr_packet *pkt)
{
	const struct tr_policy *before = rcu_dereference(j->filter->before);
	u32 slot;

	return before && tr_judge_match(before, j->peers, pkt, &slot);
}

static u8 tcp_bits(const struct tr_packet *pkt, u8 fin)
{
	u8 bits = 0;

	if (pkt->tcp_flags & TR_TCP_FIN)
		bits |= fin;
	if (pkt->tcp_flags & TR_TCP_RST)
		bits |= TR_FLOW_TCP_RST;
	return bits;
}

static void note_end(const struct tr_judge *j, const struct tr_packet *pkt,
		     const struct tr_flow_key *key, u8 bits)
{
	if (bits && !pkt->question)
		tr_flow_close(j->flows, key, &j->era, bits);
}

static bool syn_in(const struct tr_judge *j, const struct tr_packet *pkt,
		   const struct tr_peer *peer, struct tr_result *res)
{
	struct tr_flow_key key;

	if (is_jailed(peer))
		return tr_judge_drop(res, TAILRACE_DROP_JAILED);
	if (!tr_judge_match(j->policy, j->peers, pkt, &res->slot))
		return tr_judge_drop_by_rule(j->policy, res);
	tr_judge_key(pkt, &key);
	return pass_matched(j, pkt, peer, &key,
			    TR_FLOW_TCP_SYN |
				    tcp_bits(pkt, TR_FLOW_TCP_FIN_IN),
			    res);
}

/* TCP that opens nothing. */
static bool tcp_in(const struct tr_judge *j, const struct tr_packet *pkt,
		   const struct tr_peer *peer, struct tr_result *res)
{
	const u8 bits = tcp_bits(pkt, TR_FLOW_TCP_FIN_IN);
	struct tr_flow_found found;
	struct tr_flow_key key;
	bool unknown = false;

	tr_judge_key(pkt, &key);
	switch (track(j, &key, false, pkt->question ? TR_FLOW_ASK : TR_FLOW_IN,
		      &found)) {
	case TR_FLOW_REPLY:
		note_end(j, pkt, &key, bits);
		return pass_reply(res);
	case TR_FLOW_VERDICT:
		if (is_jailed(peer))
			break;
		note_end(j, pkt, &key, bits);
		return pass_cached(j, &found, res);
	case TR_FLOW_STALE:
		break;
	case TR_FLOW_FREE:
	case TR_FLOW_FRAGMENT:
		if (!in_grace(j))
			return tr_judge_drop(res, TAILRACE_DROP_NO_FLOW);
		unknown = true;
		break;
	}
	if (!is_jailed(peer) &&
	    tr_judge_match(j->policy, j->peers, pkt, &res->slot))
		return pass_matched(j, pkt, peer, &key, bits, res);
	/* Ours, it seems: our answer will tell. */
	if (unknown && !was_allowed(j, pkt))
		return tr_judge_pass(res, TAILRACE_CAUSE_STATELESS);
	if (is_jailed(peer))
		return tr_judge_drop(res, TAILRACE_DROP_JAILED);
	return tr_judge_drop_by_rule(j->policy, res);
}

/* All else that may open a flow or belong to one. */
static bool flow_in(const struct tr_judge *j, const struct tr_packet *pkt,
		    const struct tr_peer *peer, struct tr_result *res)
{
	bool jailed = is_jailed(peer);
	struct tr_flow_found found;
	enum tr_flow_kind kind;
	struct tr_flow_key key;

	tr_judge_key(pkt, &key);
	kind = track(j, &key, jailed, pkt->question ? TR_FLOW_ASK : TR_FLOW_IN,
		     &found);
	if (kind == TR_FLOW_REPLY)
		return pass_reply(res);
	if (jailed)
		return tr_judge_drop(res, TAILRACE_DROP_JAILED);
	if (kind == TR_FLOW_VERDICT)
		return pass_cached(j, &found, res);
	if (!tr_judge_match(j->policy, j->peers, pkt, &res->slot))
		return tr_judge_drop_by_rule(j->policy, res);
	return pass_matched(j, pkt, peer, &key, 0, res);
}

static bool echo_response_in(const struct tr_judge *j,
			     const struct tr_packet *pkt,
			     const struct tr_peer *peer, u16 id,
			     struct tr_result *res)
{
	struct tr_flow_found found;
	struct tr_flow_key key;

	tr_judge_key(pkt, &key);
	key.sport = id;
	key.dport = ECHO_PORT;
	if (track(j, &key, is_jailed(peer),
		  pkt->question ? TR_FLOW_ASK : TR_FLOW_IN,
		  &found) != TR_FLOW_REPLY)
		return tr_judge_drop(res, TAILRACE_DROP_NO_FLOW);
	return pass_reply(res);
}

static bool is_echo_request(u8 family, u8 type)
{
	return type == (family == AF_INET ? ICMP_ECHO : ICMPV6_ECHO_REQUEST);
}

static bool is_echo_response(u8 family, u8 type)
{
	return type == (family == AF_INET ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY);
}

static bool error_in(const struct tr_judge *j, const struct tr_packet *pkt,
		     struct tr_result *res)
{
	const struct tr_peer *peer;
	struct tr_result of_flow = {};
	struct tr_quote quote;
	struct tr_packet flow;
	bool known;

	if (!tr_packet_quote(pkt, &quote) ||
	    memcmp(&quote.src, &pkt->dst, sizeof(quote.src)))
		return tr_judge_drop(res, TAILRACE_DROP_NO_FLOW);
	/* What would answer what is quoted. */
	flow = (struct tr_packet){ .family = quote.family,
				   .proto = quote.proto,
				   .tcp_flags = TR_TCP_ACK,
				   .question = true,
				   .sport = quote.dport,
				   .dport = quote.sport,
				   .src = quote.dst,
				   .dst = quote.src };
	peer = tr_peers_route(j->peers, flow.family, &flow.src);
	if (flow.proto == IPPROTO_TCP) {
		known = tcp_in(j, &flow, peer, &of_flow);
	} else if (tr_packet_is_icmp(&flow)) {
		flow.dport = 0;
		known = is_echo_request(flow.family, quote.icmp_type) ?
				echo_response_in(j, &flow, peer, quote.sport,
						 &of_flow) :
				flow_in(j, &flow, peer, &of_flow);
	} else {
		known = flow_in(j, &flow, peer, &of_flow);
	}
	if (!known)
		return tr_judge_drop(res, TAILRACE_DROP_NO_FLOW);
	return pass_reply(res);
}

/* An echo response or an error. */
static bool icmp_reply_in(const struct tr_judge *j, const struct tr_packet *pkt,
			  struct tr_result *res)
{
	u8 type;
	u16 id;

	if (!tr_packet_icmp(pkt, &type, &id))
		return tr_judge_drop(res, TAILRACE_DROP_NO_FLOW);
	if (is_echo_response(pkt->family, type))
		return echo_response_in(j, pkt, res->peer, id, res);
	return error_in(j, pkt, res);
}

/* Fragments. */

static bool fragment_key(const struct tr_packet *pkt, struct tr_flow_key *key)
{
	u32 id;

	if (!tr_packet_fragment_id(pkt, &id))
		return false;
	*key = (struct tr_flow_key){ .src = pkt->src,
				     .dst = pkt->dst,
				     .sport = id >> 16,
				     .dport = id,
				     .proto = TR_PROTO_FRAGMENT,
				     .family = pkt->family };
	return true;
}

/* The others will want to know what the first one was. */
static void first_fragment_in(const struct tr_judge *j,
			      const struct tr_packet *pkt,
			      struct tr_result *res)
{
	struct tr_flow_opening opening = { .kind = TR_FLOW_FRAGMENT,
					   .peer = peer_id(res->peer) };
	u16 sport = pkt->sport, dport = pkt->dport;
	struct tr_flow_key key;
	u8 type;

	if (pkt->question || !fragment_key(pkt, &key))
		return;
	if (pkt->icmp_reply) {
		if (!tr_packet_icmp(pkt, &type, &sport) ||
		    !is_echo_response(pkt->family, type))
			return;
		dport = ECHO_PORT;
	}
	opening.value = (u64)pkt->proto << 32 | (u32)sport << 16 | dport;
	open_flow(j, &key, false, &opening, res);
}

static bool later_fragment_in(const struct tr_judge *j,
			      const struct tr_packet *pkt,
			      struct tr_result *res)
{
	struct tr_packet first = *pkt;
	struct tr_flow_found found;
	struct tr_flow_key key;

	if (!fragment_key(pkt, &key) ||
	    track(j, &key, false, pkt->question ? TR_FLOW_ASK : TR_FLOW_IN,
		  &found) != TR_FLOW_FRAGMENT)
		return tr_judge_drop(res, TAILRACE_DROP_NO_FLOW);
	first.proto = found.value >> 32;
	first.sport = found.value >> 16;
	first.dport = found.value;
	first.tcp_flags = TR_TCP_ACK;
	if (first.proto == IPPROTO_TCP)
		return tcp_in(j, &first, res->peer, res);
	if (tr_packet_is_icmp(&first) && first.dport == ECHO_PORT)
		return echo_response_in(j, &first, res->peer, first.sport, res);
	return flow_in(j, &first, res->peer, res);
}

bool tr_strict_in(const struct tr_judge *j, const struct tr_packet *pkt,
		  struct tr_result *res)
{
	bool accept;

	if (tr_judge_pre(pkt, res)) {
		if (!res->accept || pkt->proto != TR_PROTO_FRAGMENT)
			return res->accept;
		res->accept = false;
		res->cause = TAILRACE_CAUSE_DROPPED;
	}
	if (!tr_classifier_is_local(&j->policy->classifier, pkt))
		return tr_judge_drop(res, TAILRACE_DROP_NOT_LOCAL);
	if (pkt->proto == TR_PROTO_TSMP)
		return tr_judge_pass(res, TAILRACE_CAUSE_STATELESS);
	if (pkt->proto == TR_PROTO_FRAGMENT)
		return later_fragment_in(j, pkt, res);

	if (pkt->proto == IPPROTO_TCP)
		accept = tr_packet_is_syn(pkt) ?
				 syn_in(j, pkt, res->peer, res) :
				 tcp_in(j, pkt, res->peer, res);
	else if (pkt->icmp_reply)
		accept = icmp_reply_in(j, pkt, res);
	else
		accept = flow_in(j, pkt, res->peer, res);
	if (accept && pkt->fragmented)
		first_fragment_in(j, pkt, res);
	return accept;
}

/* Outbound. */

/* TCP whose beginning we have not seen: whose is it? */
static void adopt(const struct tr_judge *j, const struct tr_packet *pkt,
		  const struct tr_flow_key *key, u8 bits,
		  struct tr_result *res)
{
	struct tr_flow_opening opening = { .kind = TR_FLOW_REPLY,
					   .tcp = bits,
					   .peer = peer_id(res->peer) };
	const struct tr_packet answer = { .family = pkt->family,
					  .proto = pkt->proto,
					  .tcp_flags = TR_TCP_ACK,
					  .sport = pkt->dport,
					  .dport = pkt->sport,
					  .src = pkt->dst,
					  .dst = pkt->src };
	struct tr_flow_found found;

	if (track(j, key, false, TR_FLOW_ASK, &found) != TR_FLOW_FREE)
		return;
	if (!is_jailed(res->peer) &&
	    tr_judge_match(j->policy, j->peers, &answer, &opening.rule))
		opening.kind = TR_FLOW_VERDICT;
	else if (was_allowed(j, &answer))
		return;
	open_flow(j, key, false, &opening, res);
}

static void tcp_out(const struct tr_judge *j, const struct tr_packet *pkt,
		    struct tr_result *res)
{
	const u8 bits = tcp_bits(pkt, TR_FLOW_TCP_FIN_OUT);
	struct tr_flow_opening opening = { .kind = TR_FLOW_REPLY,
					   .tcp = TR_FLOW_TCP_SYN | bits,
					   .peer = peer_id(res->peer) };
	struct tr_flow_key key;

	tr_judge_reversed_key(pkt, &key);
	if (tr_packet_is_syn(pkt)) {
		open_flow(j, &key, false, &opening, res);
		return;
	}
	note_end(j, pkt, &key, bits);
	if (in_grace(j) && !(bits & TR_FLOW_TCP_RST))
		adopt(j, pkt, &key, bits, res);
}

/* @key is of a flow that we open, unless the peer has. */
static void flow_out(const struct tr_judge *j, const struct tr_packet *pkt,
		     const struct tr_flow_key *key, struct tr_result *res)
{
	const struct tr_flow_opening opening = { .kind = TR_FLOW_REPLY,
						 .peer = peer_id(res->peer) };
	bool jailed = is_jailed(res->peer);
	struct tr_flow_found found;
	enum tr_flow_kind kind;

	kind = track(j, key, jailed, TR_FLOW_OUT, &found);
	if (kind == TR_FLOW_REPLY)
		res->flow |= TR_RESULT_FLOW_HIT;
	if (kind != TR_FLOW_FREE)
		return;
	/* He may have opened it before he was jailed. */
	if (jailed) {
		kind = track(j, key, false, TR_FLOW_OUT, &found);
		if (kind == TR_FLOW_VERDICT || kind == TR_FLOW_STALE)
			return;
	}
	open_flow(j, key, jailed, &opening, res);
}

bool tr_strict_out(const struct tr_judge *j, const struct tr_packet *pkt,
		   struct tr_result *res)
{
	struct tr_flow_key key;
	u8 type;
	u16 id;

	if (tr_judge_pre(pkt, res))
		return res->accept;
	tr_judge_pass(res, TAILRACE_CAUSE_OUTBOUND);
	if (pkt->question)
		return true;
	if (pkt->proto == IPPROTO_TCP) {
		tcp_out(j, pkt, res);
	} else if (tr_judge_has_replies(pkt)) {
		tr_judge_reversed_key(pkt, &key);
		flow_out(j, pkt, &key, res);
	} else if (tr_packet_is_icmp(pkt) && tr_packet_icmp(pkt, &type, &id) &&
		   is_echo_request(pkt->family, type)) {
		tr_judge_reversed_key(pkt, &key);
		key.sport = id;
		key.dport = ECHO_PORT;
		flow_out(j, pkt, &key, res);
	}
	return true;
}
