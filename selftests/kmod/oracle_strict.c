// SPDX-License-Identifier: GPL-2.0
/* The oracle when it is strict: kmod/strict.h, packet by packet. */
#include "oracle_inside.h"

#include <assert.h>
#include <string.h>

/* Seconds; those of kmod/flow.h and kmod/strict.h. */
enum {
	GRACE = 300,
	KEPT = 180,
	TCP_IDLE = 86400,
	TCP_OPENING = 120,
	TCP_CLOSED = 120,
	TCP_RESET = 10,
	FRAGMENT_IDLE = 30,
};

/* What a flow of echo requests has for a destination port. */
#define ECHO_PORT 1

static struct oracle_memory *recall(struct oracle *o,
				    const struct oracle_flow *f)
{
	size_t i;

	for (i = 0; i < o->memories.n; i++)
		if (!memcmp(&o->memories.memory[i].flow, f, sizeof(*f)))
			return &o->memories.memory[i];
	return NULL;
}

/* What there was before is forgotten. */
static struct oracle_memory *memorize(struct oracle *o,
				      const struct oracle_flow *f)
{
	struct oracle_memory *m = recall(o, f);

	if (!m) {
		assert(o->memories.n < ORACLE_FLOWS);
		m = &o->memories.memory[o->memories.n++];
	}
	*m = (struct oracle_memory){ .flow = *f,
				     .last = o->now,
				     .period = o->strict ? o->period : 0 };
	return m;
}

static void forget(struct oracle *o, struct oracle_memory *m)
{
	*m = o->memories.memory[--o->memories.n];
}

static uint64_t idle(const struct oracle *o, const struct oracle_memory *m)
{
	return o->now - m->last;
}

static bool in_grace(const struct oracle *o)
{
	return o->strict && o->now < o->grace_end;
}

static bool is_jailed(const struct oracle_peer *peer)
{
	return peer && peer->jailed;
}

static bool has_flows(int proto)
{
	return proto == UDP || proto == SCTP;
}

void oracle_set_strict(struct oracle *o, bool strict)
{
	if (o->strict == strict)
		return;
	o->strict = strict;
	o->before = NULL;
	if (strict) {
		o->period++;
		o->grace_end = o->now + GRACE;
	}
}

void oracle_strict_commit(struct oracle *o, const struct oracle_policy *policy)
{
	o->changes++;
	if (o->strict && !o->policy)
		o->grace_end = o->now + GRACE;
	if (!in_grace(o))
		o->before = NULL;
	else if (!o->before)
		o->before = o->policy;
}

/* Not strict. */

void oracle_strict_by_rule(struct oracle *o, const struct oracle_flow *f)
{
	memorize(o, f)->changes = o->changes;
}

void oracle_strict_used(struct oracle *o, const struct oracle_flow *f)
{
	struct oracle_memory *m = recall(o, f);

	if (m)
		m->last = o->now;
}

void oracle_strict_answered(struct oracle *o, const struct oracle_flow *f)
{
	struct oracle_memory *m = recall(o, f);

	if (m) {
		m->last = o->now;
		m->changes = 0;
	}
}

/* Strict. */

static int no_rule(const struct oracle *o)
{
	return o->policy->shields_up ? TAILRACE_DROP_SHIELDS_UP :
				       TAILRACE_DROP_NO_RULE;
}

static bool tcp_lives(const struct oracle *o, const struct oracle_memory *m)
{
	if (!m || m->period != o->period)
		return false;
	if (m->rst)
		return idle(o, m) <= TCP_RESET;
	if (m->fin_in && m->fin_out)
		return idle(o, m) <= TCP_CLOSED;
	return idle(o, m) <= (m->confirmed ? TCP_IDLE : TCP_OPENING);
}

static bool was_allowed(const struct oracle *o, const struct oracle_packet *p)
{
	return o->before && oracle_rules_accept(o, o->before, p);
}

static int syn_in(struct oracle *o, const struct oracle_packet *p)
{
	const struct oracle_flow f = oracle_flow_of(p, false);
	struct oracle_memory *m;

	if (is_jailed(oracle_peer_of(o, p->family, p->src)))
		return TAILRACE_DROP_JAILED;
	if (!oracle_rules_accept(o, o->policy, p))
		return no_rule(o);
	m = memorize(o, &f);
	m->fin_in = p->data[13] & 0x01;
	m->rst = p->data[13] & 0x04;
	return ACCEPT;
}

/*
 * TCP that does not open anything, with such flags; @looks: it is not really
 * a packet of the flow, but asks whether one would be let in.
 */
static int tcp_in(struct oracle *o, const struct oracle_packet *p, int flags,
		  bool looks)
{
	bool jailed = is_jailed(oracle_peer_of(o, p->family, p->src));
	const struct oracle_flow f = oracle_flow_of(p, false);
	struct oracle_memory *m = recall(o, &f);
	bool allowed = !jailed && oracle_rules_accept(o, o->policy, p);

	if (!tcp_lives(o, m)) {
		if (!in_grace(o))
			return TAILRACE_DROP_NO_FLOW;
		if (!allowed && !was_allowed(o, p))
			return ACCEPT;
		m = NULL;
	} else if (!looks) {
		m->confirmed = true;
		m->last = o->now;
	}
	if (!allowed && !(m && m->ours))
		return jailed ? TAILRACE_DROP_JAILED : no_rule(o);
	if (looks)
		return ACCEPT;
	if (!m)
		m = memorize(o, &f);
	m->confirmed = true;
	m->fin_in |= flags & 0x01;
	m->rst |= !!(flags & 0x04);
	return ACCEPT;
}

/* Whether the flow is known to be the peer's. */
static struct oracle_memory *owned(struct oracle *o,
				   const struct oracle_flow *f)
{
	struct oracle_memory *m = recall(o, f);

	if (m && m->changes != o->changes && idle(o, m) > KEPT)
		return NULL;
	return m;
}

static int flow_in(struct oracle *o, const struct oracle_packet *p, bool looks)
{
	const struct oracle_flow f = oracle_flow_of(p, false);
	struct oracle_memory *m;

	if (is_jailed(oracle_peer_of(o, p->family, p->src)))
		return has_flows(p->proto) && oracle_flow_known(&o->jail, &f) ?
			       ACCEPT :
			       TAILRACE_DROP_JAILED;
	if (has_flows(p->proto) && !recall(o, &f) &&
	    oracle_flow_known(&o->flows, &f))
		return ACCEPT;
	m = owned(o, &f);
	if (m && !looks)
		m->last = o->now;
	if (!oracle_rules_accept(o, o->policy, p))
		return no_rule(o);
	if (has_flows(p->proto) && !looks) {
		memorize(o, &f)->changes = o->changes;
		oracle_flows_del(&o->flows, &f);
	}
	return ACCEPT;
}

static int echo_response_in(struct oracle *o, const struct oracle_packet *p,
			    int id)
{
	struct oracle_flow f = oracle_flow_of(p, false);

	f.sport = id;
	f.dport = ECHO_PORT;
	return oracle_flow_known(is_jailed(oracle_peer_of(o, p->family,
							  p->src)) ?
					 &o->jail :
					 &o->flows,
				 &f) ?
		       ACCEPT :
		       TAILRACE_DROP_NO_FLOW;
}

/* The packet that @p quotes, as it was sent; false: that cannot be told. */
static bool quoted(const struct oracle_packet *p, struct oracle_packet *q)
{
	const uint8_t *b = p->data + 8;
	size_t len = p->len - 8, header;
	bool ports, icmp;

	*q = (struct oracle_packet){ .family = p->family };
	if (p->family == 4) {
		if (len < 20 || b[0] >> 4 != 4)
			return false;
		header = (b[0] & 15) * 4;
		if (header < 20 || header > len ||
		    oracle_get16(b + 6) & 0x1fff)
			return false;
		q->proto = b[9];
		memcpy(q->src, b + 12, 4);
		memcpy(q->dst, b + 16, 4);
	} else {
		if (len < 40 || b[0] >> 4 != 6)
			return false;
		header = 40;
		q->proto = b[6];
		memcpy(q->src, b + 8, 16);
		memcpy(q->dst, b + 24, 16);
		if (q->proto == FRAGMENT_HEADER) {
			if (len < 48 || oracle_get16(b + 42) >> 3)
				return false;
			q->proto = b[40];
			header = 48;
		}
	}
	if (q->proto == 0 || q->proto == 255)
		return false;
	q->data = b + header;
	q->len = len - header;
	ports = q->proto == TCP || has_flows(q->proto);
	icmp = q->proto == ICMP4 || q->proto == ICMP6;
	if ((ports || icmp) && q->len < 8)
		return false;
	if (ports) {
		q->sport = oracle_get16(q->data);
		q->dport = oracle_get16(q->data + 2);
	}
	return true;
}

static int error_in(struct oracle *o, const struct oracle_packet *p)
{
	struct oracle_packet q, answer;
	int ret;

	if (!quoted(p, &q) || memcmp(q.src, p->dst, p->family == 4 ? 4 : 16))
		return TAILRACE_DROP_NO_FLOW;
	answer = q;
	memcpy(answer.src, q.dst, 16);
	memcpy(answer.dst, q.src, 16);
	answer.sport = q.dport;
	answer.dport = q.sport;
	if (q.proto == TCP)
		ret = tcp_in(o, &answer, 0x10, true);
	else if (oracle_is_icmp(&q) && q.data[0] == (q.family == 4 ? 8 : 128))
		ret = echo_response_in(o, &answer,
				       oracle_get16(q.data + 4));
	else
		ret = flow_in(o, &answer, true);
	return ret == ACCEPT ? ACCEPT : TAILRACE_DROP_NO_FLOW;
}

static struct oracle_flow fragments_of(const struct oracle_packet *p)
{
	struct oracle_flow f = oracle_flow_of(p, false);

	f.proto = FRAGMENT;
	f.sport = p->id >> 16;
	f.dport = p->id;
	return f;
}

static int later_fragment_in(struct oracle *o, const struct oracle_packet *p)
{
	const struct oracle_flow f = fragments_of(p);
	struct oracle_memory *m = recall(o, &f);
	struct oracle_packet first = *p;

	if (!m || m->period != o->period || idle(o, m) > FRAGMENT_IDLE)
		return TAILRACE_DROP_NO_FLOW;
	m->last = o->now;
	first.proto = m->proto;
	first.sport = m->sport;
	first.dport = m->dport;
	if (first.proto == TCP)
		return tcp_in(o, &first, 0x10, false);
	if (oracle_is_icmp(&first) && first.dport == ECHO_PORT)
		return echo_response_in(o, &first, first.sport);
	return flow_in(o, &first, false);
}

int oracle_strict_in(struct oracle *o, const struct oracle_packet *p)
{
	bool reply = oracle_is_icmp(p) && oracle_is_icmp_reply_or_error(p);
	bool echo = reply && p->data[0] == (p->family == 4 ? 0 : 129);
	struct oracle_memory *m;
	struct oracle_flow f;
	int ret;

	if (p->proto == TSMP)
		return ACCEPT;
	if (p->proto == FRAGMENT)
		return later_fragment_in(o, p);
	if (p->proto == TCP)
		ret = oracle_is_syn(p) ? syn_in(o, p) :
					 tcp_in(o, p, p->data[13], false);
	else if (echo)
		ret = echo_response_in(o, p, oracle_get16(p->data + 4));
	else if (reply)
		ret = error_in(o, p);
	else
		ret = flow_in(o, p, false);
	if (ret == ACCEPT && p->fragmented && (echo || !reply)) {
		f = fragments_of(p);
		m = memorize(o, &f);
		m->proto = p->proto;
		m->sport = echo ? oracle_get16(p->data + 4) : p->sport;
		m->dport = echo ? ECHO_PORT : p->dport;
	}
	return ret;
}

static void tcp_out(struct oracle *o, const struct oracle_packet *p)
{
	bool jailed = is_jailed(oracle_peer_of(o, p->family, p->dst));
	const struct oracle_flow f = oracle_flow_of(p, true);
	bool fin = p->data[13] & 0x01, rst = p->data[13] & 0x04;
	struct oracle_memory *m = recall(o, &f);
	struct oracle_packet answer = *p;
	bool ours = true;

	if (!oracle_is_syn(p)) {
		if (m) {
			m->fin_out |= fin;
			m->rst |= rst;
		}
		if (tcp_lives(o, m) || !in_grace(o) || rst)
			return;
		memcpy(answer.src, p->dst, 16);
		memcpy(answer.dst, p->src, 16);
		answer.sport = p->dport;
		answer.dport = p->sport;
		ours = jailed || !oracle_rules_accept(o, o->policy, &answer);
		if (ours && was_allowed(o, &answer))
			return;
	}
	m = memorize(o, &f);
	m->ours = ours;
	m->confirmed = !oracle_is_syn(p);
	m->fin_out = fin;
	m->rst = rst;
}

/* We open the flow, unless the peer has. */
static void flow_out(struct oracle *o, const struct oracle_packet *p,
		     const struct oracle_flow *f)
{
	bool jailed = is_jailed(oracle_peer_of(o, p->family, p->dst));
	struct oracle_memory *m;

	if (jailed && oracle_flow_known(&o->jail, f))
		return;
	m = owned(o, f);
	if (m) {
		m->last = o->now;
		return;
	}
	if (!jailed) {
		m = recall(o, f);
		if (m)
			forget(o, m);
	}
	oracle_flows_add(jailed ? &o->jail : &o->flows, f);
}

void oracle_strict_out(struct oracle *o, const struct oracle_packet *p)
{
	struct oracle_flow f = oracle_flow_of(p, true);

	if (p->proto == TCP) {
		tcp_out(o, p);
	} else if (has_flows(p->proto)) {
		flow_out(o, p, &f);
	} else if (oracle_is_icmp(p) && p->len >= 8 &&
		   p->data[0] == (p->family == 4 ? 8 : 128)) {
		f.sport = oracle_get16(p->data + 4);
		f.dport = ECHO_PORT;
		flow_out(o, p, &f);
	}
}
