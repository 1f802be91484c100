// SPDX-License-Identifier: GPL-2.0
/* The strict filter, hole by hole; kmod/strict.h says what is right. */
#include <stdio.h>

#include "../../kmod/filter.h"
#include "../../kmod/flow.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "../../kmod/strict.h"
#include "packet.h"
#include "tap.h"

#define PASS (-1)
#define NO_RULE TAILRACE_DROP_NO_RULE
#define NO_FLOW TAILRACE_DROP_NO_FLOW

enum { ICMP = 1, TCP = 6, UDP = 17, SCTP = 132 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, SYNACK = 18 };

#define PEER "\x64\x40\x00\x01"
#define OTHER "\x64\x40\x00\x02"
#define ROUTER "\x64\x40\x00\x03"
#define US "\x64\x40\x00\x0a"

static struct tr_filter filter;
static struct tr_peers peers;
static struct tr_result result;

static int judge(const u8 *b, u32 len, bool in)
{
	struct sk_buff skb = { .head = b, .headlen = len, .len = len };
	struct tr_packet pkt;

	tr_packet_parse(&skb, &pkt);
	if (in ? tr_filter_in(&filter, &peers, &pkt, &result) :
		 tr_filter_out(&filter, &peers, &pkt, &result))
		return PASS;
	return result.drop;
}

/* From a peer's port 5000 to one of ours. */
static int in(u8 proto, const char *peer, u16 port, u8 flags)
{
	u8 b[64];

	return judge(b, make(b, proto, peer, US, 5000, port, flags), true);
}

/* And back. */
static int out(u8 proto, const char *peer, u16 port, u8 flags)
{
	u8 b[64];

	return judge(b, make(b, proto, US, peer, port, 5000, flags), false);
}

/* A fragment of a datagram to our port 53, with more to come or the rest. */
static int fragment(u8 proto, u16 port, u8 id, bool first)
{
	u8 b[64];
	u32 len = make(b, proto, PEER, US, 5000, port, ACK);

	b[5] = id;
	b[6] = first ? 0x20 : 0;
	b[7] = first ? 0 : 100;
	return judge(b, len, true);
}

static u32 make_icmp(u8 *b, const char *src, const char *dst, u8 type, u16 id)
{
	u32 len = make4(b, ICMP, src, dst, 8);

	b[20] = type;
	b[24] = id >> 8;
	b[25] = id;
	return len;
}

static int icmp(const char *src, const char *dst, u8 type, u16 id, bool is_in)
{
	u8 b[64];

	return judge(b, make_icmp(b, src, dst, type, id), is_in);
}

/* What @from says of a packet of ours: its IP header and eight bytes. */
static int error(const char *from, const u8 *about, u32 quote)
{
	u8 b[128];
	u32 len = make4(b, ICMP, from, US, 8 + quote);

	b[20] = 3;
	memcpy(b + 28, about, quote);
	return judge(b, len, true);
}

static int error_about(const char *from, u8 proto, const char *peer, u16 port)
{
	u8 b[64];

	make(b, proto, US, peer, port, 5000, ACK);
	return error(from, b, 28);
}

static struct tailrace_addr host(const char *addr)
{
	struct tailrace_addr a = { .kind = TAILRACE_ADDR_PREFIX4,
				   .prefix_len = 32 };

	memcpy(a.first, addr, 4);
	return a;
}

/* PEER may reach the ports up to @last; or, with a capability, anyone. */
static void commit(u16 last, const u32 *cap, u32 flags)
{
	static const u8 protos[] = { TCP, UDP, SCTP };
	struct tailrace_addr peer = host(PEER), us = host(US);
	struct tailrace_dst dst = { us, 1, last };
	struct tr_rule rule = { .id = 7, .protos = protos, .n_protos = 3,
				.srcs = &peer, .n_srcs = !cap, .caps = cap,
				.n_caps = !!cap, .dsts = &dst, .n_dsts = 1 };
	struct tr_policy *policy = tr_policy_new();

	if (tr_policy_add_local(policy, &us, 1, NULL) ||
	    (last && tr_policy_add_rule(policy, &rule, NULL)) ||
	    tr_policy_compile(policy, flags, NULL) ||
	    !tr_filter_commit(&filter, policy))
		exit(1);
}

static void allow(u16 last)
{
	commit(last, NULL, 0);
}

static void set_peer(u32 id, const char *addr, u32 flags, const u32 *cap)
{
	struct tailrace_addr own = host(addr);
	struct tr_peer_config config = { .id = id, .flags = flags,
					 .addrs = &own, .n_addrs = 1,
					 .caps = cap, .n_caps = !!cap };

	if (tr_peers_set(&peers, &config, NULL))
		exit(1);
}

static void sleep_for(u32 seconds)
{
	shim_jiffies += (unsigned long)seconds * HZ;
}

/* A new filter that allows ports up to 100, strict long since. */
static void begin(void)
{
	tr_filter_uninit(&filter);
	if (tr_filter_init(&filter))
		exit(1);
	set_peer(1, PEER, 0, NULL);
	set_peer(2, OTHER, 0, NULL);
	set_peer(3, ROUTER, 0, NULL);
	tr_filter_set_strict(&filter, true);
	allow(100);
	sleep_for(TR_STRICT_GRACE);
}

static void test_tcp(void)
{
	begin();
	tap_ok(in(TCP, PEER, 80, ACK) == NO_FLOW &&
	       in(TCP, PEER, 80, SYNACK) == NO_FLOW &&
	       in(TCP, PEER, 80, RST) == NO_FLOW &&
	       in(TCP, PEER, 80, 0) == NO_FLOW,
	       "TCP of no flow is dropped, whatever rules say");
	tap_ok(in(TCP, PEER, 80, SYN) == PASS && result.by_rule &&
	       result.cause == TAILRACE_CAUSE_RULE &&
	       out(TCP, PEER, 80, SYNACK) == PASS &&
	       in(TCP, PEER, 80, ACK) == PASS && result.by_rule &&
	       result.rule == 7 && result.cause == TAILRACE_CAUSE_CACHE,
	       "SYN by a rule opens a flow");
	tap_ok(in(TCP, PEER, 101, SYN) == NO_RULE &&
	       in(TCP, PEER, 101, ACK) == NO_FLOW, "without a rule it does not");
	tap_ok(out(TCP, OTHER, 2000, SYN) == PASS &&
	       in(TCP, OTHER, 2000, SYNACK) == PASS && !result.by_rule &&
	       result.cause == TAILRACE_CAUSE_REPLY &&
	       in(TCP, OTHER, 2000, ACK) == PASS, "our SYN opens one");
	tap_ok(out(TCP, OTHER, 2001, ACK) == PASS &&
	       in(TCP, OTHER, 2001, ACK) == NO_FLOW &&
	       out(TCP, OTHER, 2001, SYNACK) == PASS &&
	       in(TCP, OTHER, 2001, ACK) == NO_FLOW, "nothing else does");
}

static void test_revocation(void)
{
	begin();
	in(TCP, PEER, 80, SYN);
	out(TCP, PEER, 80, SYNACK);
	in(TCP, PEER, 80, ACK);
	in(TCP, PEER, 90, SYN);
	in(TCP, PEER, 90, ACK);
	out(TCP, PEER, 2000, SYN);
	in(TCP, PEER, 2000, SYNACK);
	in(UDP, PEER, 80, 0);
	out(UDP, PEER, 80, 0);
	in(SCTP, PEER, 80, 0);
	out(SCTP, PEER, 80, 0);
	out(UDP, PEER, 2000, 0);
	allow(95);
	tap_ok(in(TCP, PEER, 80, ACK) == PASS && result.by_rule &&
	       result.cause == TAILRACE_CAUSE_RULE &&
	       in(TCP, PEER, 80, ACK) == PASS &&
	       result.cause == TAILRACE_CAUSE_CACHE &&
	       in(UDP, PEER, 80, 0) == PASS && result.by_rule,
	       "what the new policy allows goes on under it");
	allow(85);
	tap_ok(in(TCP, PEER, 90, ACK) == NO_RULE &&
	       in(TCP, PEER, 80, ACK) == PASS, "the rest is cut");
	allow(0);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_RULE &&
	       in(TCP, PEER, 80, SYNACK) == NO_RULE &&
	       in(TCP, PEER, 80, RST) == NO_RULE &&
	       in(UDP, PEER, 80, 0) == NO_RULE &&
	       in(SCTP, PEER, 80, 0) == NO_RULE, "all of the peer's");
	out(TCP, PEER, 80, ACK);
	out(TCP, PEER, 80, SYNACK);
	out(UDP, PEER, 80, 0);
	out(SCTP, PEER, 80, 0);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_RULE &&
	       in(UDP, PEER, 80, 0) == NO_RULE &&
	       in(SCTP, PEER, 80, 0) == NO_RULE,
	       "our answers do not make it ours");
	tap_ok(in(TCP, PEER, 2000, ACK) == PASS && !result.by_rule &&
	       in(UDP, PEER, 2000, 0) == PASS, "what we have opened lives on");
	sleep_for(TR_FLOW_KEPT - 10);
	out(UDP, PEER, 80, 0);
	sleep_for(TR_FLOW_KEPT - 10);
	out(UDP, PEER, 80, 0);
	tap_ok(in(UDP, PEER, 80, 0) == NO_RULE,
	       "nor does it become ours as long as somebody speaks");
	sleep_for(TR_FLOW_KEPT + 10);
	tap_ok(in(UDP, PEER, 80, 0) == NO_RULE &&
	       out(UDP, PEER, 80, 0) == PASS && in(UDP, PEER, 80, 0) == PASS,
	       "after that we may open it");
	allow(100);
	tap_ok(in(TCP, PEER, 90, ACK) == PASS, "a rule that is back is back");
}

/* Connections that change hands. */
static void test_owner(void)
{
	begin();
	out(TCP, PEER, 80, SYN);
	tap_ok(in(TCP, PEER, 80, SYN) == PASS && result.by_rule,
	       "both open: by the rule");
	out(TCP, PEER, 80, SYNACK);
	allow(0);
	tap_ok(in(TCP, PEER, 80, SYNACK) == NO_RULE &&
	       in(TCP, PEER, 80, ACK) == NO_RULE,
	       "then it is of the peer, who came last");

	begin();
	out(TCP, OTHER, 80, SYN);
	tap_ok(in(TCP, OTHER, 80, SYN) == NO_RULE &&
	       in(TCP, OTHER, 80, SYNACK) == PASS,
	       "both open without a rule: his answer alone comes in");

	begin();
	out(TCP, PEER, 80, SYN);
	in(TCP, PEER, 80, SYNACK);
	in(TCP, PEER, 80, SYN);
	allow(0);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_RULE,
	       "an old connection of ours is no cover for one of his");

	begin();
	in(TCP, PEER, 80, SYN);
	allow(0);
	tap_ok(out(TCP, PEER, 80, SYN) == PASS &&
	       in(TCP, PEER, 80, SYNACK) == PASS,
	       "our SYN proves that his connection is gone");
}

static void test_ages(void)
{
	begin();
	in(TCP, PEER, 80, SYN);
	sleep_for(TR_FLOW_TCP_OPENING + 10);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_FLOW, "half-open for too long");
	in(TCP, PEER, 80, SYN);
	in(TCP, PEER, 80, ACK);
	sleep_for(TR_FLOW_TCP_IDLE - 10);
	tap_ok(in(TCP, PEER, 80, ACK) == PASS, "idle for most of a day");
	sleep_for(TR_FLOW_TCP_IDLE + 10);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_FLOW, "idle for too long");
	in(TCP, PEER, 80, SYN);
	in(TCP, PEER, 80, FIN | ACK);
	sleep_for(TR_FLOW_TCP_CLOSED + 10);
	tap_ok(in(TCP, PEER, 80, ACK) == PASS, "half-closed goes on");
	out(TCP, PEER, 80, FIN | ACK);
	sleep_for(TR_FLOW_TCP_CLOSED - 10);
	tap_ok(in(TCP, PEER, 80, ACK) == PASS, "closed, for last packets");
	sleep_for(TR_FLOW_TCP_CLOSED + 10);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_FLOW, "and gone");
	out(TCP, OTHER, 2000, SYN);
	in(TCP, OTHER, 2000, RST | ACK);
	sleep_for(TR_FLOW_TCP_RESET + 2);
	tap_ok(in(TCP, OTHER, 2000, ACK) == NO_FLOW, "reset");
	out(UDP, OTHER, 2000, 0);
	in(UDP, PEER, 80, 0);
	sleep_for(10 * TR_FLOW_TCP_IDLE);
	tap_ok(in(UDP, OTHER, 2000, 0) == PASS, "UDP has no age");
	out(UDP, PEER, 80, 0);
	allow(0);
	tap_ok(in(UDP, PEER, 80, 0) == NO_RULE,
	       "and is his while its verdict holds");
}

static void test_icmp(void)
{
	u8 b[64];

	begin();
	tap_ok(icmp(PEER, US, 0, 5, true) == NO_FLOW,
	       "an echo response to nothing");
	icmp(US, OTHER, 8, 5, false);
	tap_ok(icmp(OTHER, US, 0, 5, true) == PASS &&
	       icmp(OTHER, US, 0, 6, true) == NO_FLOW &&
	       icmp(PEER, US, 0, 5, true) == NO_FLOW, "to our request alone");
	icmp(US, OTHER, 0, 9, false);
	tap_ok(icmp(OTHER, US, 0, 9, true) == NO_FLOW,
	       "our response is not a request");
	tap_ok(icmp(PEER, US, 8, 1, true) == PASS &&
	       icmp(OTHER, US, 8, 1, true) == NO_RULE, "requests by rules");
	tap_ok(icmp(PEER, US, 0, 1, true) == NO_FLOW,
	       "which open nothing to responses");

	out(TCP, OTHER, 2000, SYN);
	out(UDP, OTHER, 2000, 0);
	in(TCP, PEER, 80, SYN);
	tap_ok(error_about(ROUTER, TCP, OTHER, 2000) == PASS &&
	       error_about(ROUTER, UDP, OTHER, 2000) == PASS &&
	       error_about(OTHER, UDP, OTHER, 2000) == PASS,
	       "an error about a flow of ours, from anywhere");
	tap_ok(error_about(ROUTER, TCP, OTHER, 2001) == NO_FLOW &&
	       error_about(ROUTER, UDP, OTHER, 2001) == NO_FLOW &&
	       error_about(PEER, TCP, PEER, 81) == NO_FLOW,
	       "about none");
	make_icmp(b, US, OTHER, 8, 5);
	tap_ok(error(ROUTER, b, 28) == PASS, "about our echo request");
	make_icmp(b, US, OTHER, 8, 6);
	tap_ok(error(ROUTER, b, 28) == NO_FLOW, "about none");
	make(b, UDP, ROUTER, OTHER, 2000, 5000, 0);
	judge(b, 40, false);
	tap_ok(error(ROUTER, b, 28) == NO_FLOW,
	       "about a flow of somebody behind us, to us");
	make(b, UDP, US, OTHER, 2000, 5000, 0);
	tap_ok(error(ROUTER, b, 27) == NO_FLOW && error(ROUTER, b, 0) == NO_FLOW,
	       "that quotes too little");
	b[7] = 1;
	tap_ok(error(ROUTER, b, 28) == NO_FLOW, "that quotes a later fragment");
	tap_ok(error_about(PEER, TCP, PEER, 80) == PASS, "about the peer's flow");
	allow(0);
	tap_ok(error_about(PEER, TCP, PEER, 80) == NO_FLOW, "until it is cut");
}

static void test_fragments(void)
{
	begin();
	tap_ok(fragment(UDP, 53, 1, false) == NO_FLOW, "a later one first");
	tap_ok(fragment(UDP, 53, 1, true) == PASS &&
	       fragment(UDP, 53, 1, false) == PASS && result.by_rule,
	       "in order");
	tap_ok(fragment(UDP, 53, 2, false) == NO_FLOW, "of another packet");
	tap_ok(fragment(UDP, 101, 3, true) == NO_RULE &&
	       fragment(UDP, 101, 3, false) == NO_FLOW, "of a dropped one");
	allow(95);
	tap_ok(fragment(UDP, 53, 1, false) == PASS, "the policy changes");
	allow(0);
	tap_ok(fragment(UDP, 53, 1, false) == NO_RULE, "and revokes it");
	out(UDP, PEER, 2000, 0);
	tap_ok(fragment(UDP, 2000, 4, true) == PASS &&
	       fragment(UDP, 2000, 4, false) == PASS && !result.by_rule,
	       "of an answer");
	sleep_for(TR_FLOW_FRAGMENT_IDLE + 5);
	tap_ok(fragment(UDP, 2000, 4, false) == NO_FLOW, "too late");
}

/* Switched on while connections are up. */
static void test_grace(void)
{
	begin();
	tr_filter_set_strict(&filter, false);
	in(TCP, PEER, 80, SYN);
	in(UDP, PEER, 80, 0);
	out(UDP, PEER, 80, 0);
	out(UDP, OTHER, 2000, 0);
	tap_ok(in(TCP, OTHER, 3000, ACK) == PASS &&
	       result.cause == TAILRACE_CAUSE_STATELESS, "not strict");
	tr_filter_set_strict(&filter, true);
	tap_ok(in(TCP, PEER, 80, ACK) == PASS && result.by_rule &&
	       in(TCP, OTHER, 3000, ACK) == PASS && !result.by_rule,
	       "no connection is cut");
	out(TCP, OTHER, 3000, ACK);
	out(TCP, OTHER, 3001, RST);
	out(TCP, PEER, 81, ACK);
	allow(0);
	out(TCP, PEER, 80, ACK);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_RULE &&
	       in(TCP, PEER, 81, ACK) == NO_RULE,
	       "but what a rule allowed can be revoked");
	tap_ok(in(TCP, PEER, 82, ACK) == NO_RULE &&
	       out(TCP, PEER, 82, ACK) == PASS &&
	       in(TCP, PEER, 82, ACK) == NO_RULE,
	       "even if it was silent until then");
	tap_ok(in(UDP, PEER, 80, 0) == NO_RULE,
	       "and UDP that the peer began, answered before or not");
	tap_ok(in(UDP, OTHER, 2000, 0) == PASS, "not what we began");
	sleep_for(TR_STRICT_GRACE);
	tap_ok(in(TCP, OTHER, 3000, ACK) == PASS, "ours is ours after it");
	tap_ok(in(TCP, OTHER, 3001, ACK) == NO_FLOW &&
	       in(TCP, OTHER, 3002, ACK) == NO_FLOW,
	       "what we have not answered is not");
	out(TCP, OTHER, 3002, ACK);
	tap_ok(in(TCP, OTHER, 3002, ACK) == NO_FLOW,
	       "nor do answers help any more");
	allow(100);
	tr_filter_set_strict(&filter, true);
	tap_ok(in(TCP, PEER, 83, ACK) == NO_FLOW,
	       "an agent that starts again begins no grace");

	begin();
	out(TCP, PEER, 80, SYN);
	tr_filter_set_strict(&filter, false);
	in(TCP, PEER, 80, SYN);
	tr_filter_set_strict(&filter, true);
	in(TCP, PEER, 80, ACK);
	allow(0);
	tap_ok(in(TCP, PEER, 80, ACK) == NO_RULE,
	       "who owned it in an earlier strict period does not count");
}

static void test_shields(void)
{
	begin();
	in(TCP, PEER, 80, SYN);
	in(UDP, PEER, 80, 0);
	out(UDP, PEER, 80, 0);
	out(TCP, PEER, 2000, SYN);
	out(UDP, PEER, 2000, 0);
	commit(100, NULL, TAILRACE_POLICY_SHIELDS_UP);
	tap_ok(in(TCP, PEER, 80, ACK) == TAILRACE_DROP_SHIELDS_UP &&
	       in(UDP, PEER, 80, 0) == TAILRACE_DROP_SHIELDS_UP,
	       "raised shields cut what came in");
	out(UDP, PEER, 80, 0);
	tap_ok(in(UDP, PEER, 80, 0) == TAILRACE_DROP_SHIELDS_UP,
	       "whatever we say to it");
	tap_ok(in(TCP, PEER, 2000, ACK) == PASS, "our connections stay");
	tap_ok(in(UDP, PEER, 2000, 0) == TAILRACE_DROP_SHIELDS_UP &&
	       out(UDP, PEER, 2000, 0) == PASS && in(UDP, PEER, 2000, 0) == PASS,
	       "our UDP as soon as we go on");
}

static void test_jail(void)
{
	begin();
	in(TCP, PEER, 80, SYN);
	in(UDP, PEER, 80, 0);
	out(UDP, PEER, 80, 0);
	out(TCP, PEER, 2000, SYN);
	set_peer(1, PEER, TAILRACE_PEER_JAILED, NULL);
	tap_ok(in(TCP, PEER, 80, ACK) == TAILRACE_DROP_JAILED &&
	       in(TCP, PEER, 81, SYN) == TAILRACE_DROP_JAILED &&
	       in(UDP, PEER, 80, 0) == TAILRACE_DROP_JAILED,
	       "what a peer has opened ends when he is jailed");
	out(UDP, PEER, 80, 0);
	tap_ok(in(UDP, PEER, 80, 0) == TAILRACE_DROP_JAILED,
	       "our answers do not let him out");
	tap_ok(in(TCP, PEER, 2000, ACK) == PASS, "our connection goes on");
	out(TCP, PEER, 2001, SYN);
	out(UDP, PEER, 2001, 0);
	icmp(US, PEER, 8, 5, false);
	tap_ok(in(TCP, PEER, 2001, SYNACK) == PASS &&
	       in(UDP, PEER, 2001, 0) == PASS &&
	       icmp(PEER, US, 0, 5, true) == PASS &&
	       error_about(PEER, UDP, PEER, 2001) == PASS,
	       "and new ones are answered");
	tap_ok(in(TCP, PEER, 3000, ACK) == NO_FLOW &&
	       icmp(PEER, US, 0, 6, true) == NO_FLOW, "nothing else is");
	set_peer(1, PEER, 0, NULL);
	tap_ok(in(TCP, PEER, 2001, ACK) == PASS &&
	       in(TCP, PEER, 80, ACK) == PASS, "set free");
}

static void test_capabilities(void)
{
	static const u32 cap = 9;

	begin();
	set_peer(2, OTHER, 0, &cap);
	commit(100, &cap, 0);
	in(TCP, OTHER, 80, SYN);
	in(UDP, OTHER, 80, 0);
	out(UDP, OTHER, 80, 0);
	set_peer(3, ROUTER, 0, &cap);
	tap_ok(in(TCP, OTHER, 80, ACK) == PASS && result.by_rule &&
	       in(UDP, OTHER, 80, 0) == PASS, "another peer changes");
	set_peer(2, OTHER, 0, NULL);
	tap_ok(in(TCP, OTHER, 80, ACK) == NO_RULE &&
	       in(UDP, OTHER, 80, 0) == NO_RULE,
	       "a capability is withdrawn, and the flow with it");
}

/* What looks at the filter does not change it. */
static void test_questions(void)
{
	struct tr_packet q = { .family = AF_INET, .proto = TCP,
			       .tcp_flags = ACK, .question = true,
			       .sport = 5000, .dport = 80, .len = 40,
			       .src = { .s6_addr = { [10] = 0xff, 0xff, 0x64,
						     0x40, 0, 1 } },
			       .dst = { .s6_addr = { [10] = 0xff, 0xff, 0x64,
						     0x40, 0, 10 } } };
	u32 before;

	begin();
	before = tr_filter_flows(&filter);
	tap_ok(!tr_filter_in(&filter, &peers, &q, &result) &&
	       result.drop == NO_FLOW, "a question about no flow");
	q.tcp_flags = SYN;
	tap_ok(tr_filter_in(&filter, &peers, &q, &result) && result.by_rule,
	       "about one to be opened");
	q.proto = UDP;
	tap_ok(tr_filter_in(&filter, &peers, &q, &result) &&
	       tr_filter_out(&filter, &peers, &q, &result) &&
	       tr_filter_flows(&filter) == before, "none opens one");
	q.proto = ICMP;
	q.icmp_reply = true;
	tap_ok(!tr_filter_in(&filter, &peers, &q, &result) &&
	       result.drop == NO_FLOW, "about a response from nowhere");
	in(TCP, PEER, 80, SYN);
	q.proto = TCP;
	q.icmp_reply = false;
	q.tcp_flags = ACK | RST;
	tap_ok(tr_filter_in(&filter, &peers, &q, &result), "about a flow");
	sleep_for(TR_FLOW_TCP_RESET + 5);
	tap_ok(in(TCP, PEER, 80, ACK) == PASS, "which it does not reset");
}

/* A table of the least size, and more flows than that. */
static void test_full(void)
{
	u32 i, full = 0, wrong = 0;
	u8 b[64];

	begin();
	if (tr_filter_resize(&filter, TAILRACE_MIN_FLOWS, NULL))
		exit(1);
	/* Our own go first, and keep their places. */
	for (i = 0; i < 20000; i++)
		judge(b, make(b, UDP, US, OTHER, i, i >> 8, 0), false);
	for (i = 0; i < 1000; i++) {
		int verdict = judge(b, make(b, UDP, PEER, US, i, 50, 0), true);

		if (verdict == TAILRACE_DROP_FLOWS_FULL)
			full++;
		else if (verdict != PASS)
			wrong++;
	}
	tap_ok(full > 900 && !wrong,
	       "%u of 1000 have no place in a table full of ours", full);
	tap_ok(icmp(PEER, US, 8, 1, true) == PASS, "what needs none passes");
}

int main(void)
{
	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL))
		return 1;
	test_tcp();
	test_revocation();
	test_owner();
	test_ages();
	test_icmp();
	test_fragments();
	test_grace();
	test_shields();
	test_jail();
	test_capabilities();
	test_questions();
	test_full();
	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	return tap_done();
}
