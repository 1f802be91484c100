// SPDX-License-Identifier: GPL-2.0
/* The filter's semantics, case by case, with the answers written by hand. */
#include <stdio.h>

#include "../../kmod/filter.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "packet.h"
#include "tap.h"

#define PASS (-1)

enum { ICMP = 1, IGMP = 2, TCP = 6, UDP = 17, GRE = 47, ICMP6 = 58, TSMP = 99,
       SCTP = 132 };

static struct tr_filter filter;
static struct tr_peers peers;
static struct tr_result result;
static bool next_is_gso;
static bool not_us;

/* Peer 1 is ordinary, 2 jailed, 3 has capability 7, 4 has it but is unsigned. */
#define ORDINARY "\x64\x40\x00\x01"
#define JAILED "\x64\x40\x00\x02"
#define CAPABLE "\x64\x40\x00\x03"
#define UNSIGNED "\x64\x40\x00\x04"
#define CAPABLES_SUBNET "\x0a\x03\x00\x01"
#define STRANGER "\x64\x40\x00\x63"
#define US "\x64\x40\x00\x0a"
#define OUR_OTHER "\x64\x40\x00\x0b"
#define NOT_US "\x64\x40\x00\x0c"

static int judge(const u8 *b, u32 len, bool in)
{
	struct sk_buff skb = { .head = b, .headlen = len, .len = len,
			       .gso = next_is_gso };
	struct tr_packet pkt;

	next_is_gso = false;
	tr_packet_parse(&skb, &pkt);
	if (in ? tr_filter_in(&filter, &peers, &pkt, &result) :
		 tr_filter_out(&filter, &peers, &pkt, &result))
		return PASS;
	return result.drop;
}

static int packet(bool in, u8 proto, const char *src, const char *dst,
		  u16 sport, u16 dport, u8 flags)
{
	u8 b[64];

	return judge(b, make(b, proto, src, dst, sport, dport, flags), in);
}

static int in(u8 proto, const char *src, const char *dst, u16 dport)
{
	return packet(true, proto, src, dst, 5000, dport, TR_TCP_SYN);
}

static int icmp(const char *src, const char *dst, u8 type, u8 code, u32 l4_len)
{
	u8 b[64];
	u32 len = make4(b, ICMP, src, dst, l4_len);

	b[20] = type;
	b[21] = code;
	return judge(b, len, true);
}

static int fragment(u8 proto, u16 offset, u32 l4_len)
{
	u8 b[128];
	u32 len = make4(b, proto, STRANGER, NOT_US, l4_len);

	b[6] = offset >> 8;
	b[7] = offset;
	return judge(b, len, true);
}

static struct tailrace_addr host(const char *addr)
{
	struct tailrace_addr a = { .kind = TAILRACE_ADDR_PREFIX4,
				   .prefix_len = 32 };

	memcpy(a.first, addr, 4);
	return a;
}

static u32 commit(const struct tr_rule *rules, u32 n, u32 flags)
{
	struct tailrace_addr local[] = { host(US), host(OUR_OTHER),
					 { .kind = TAILRACE_ADDR_PREFIX6,
					   .prefix_len = 8,
					   .first = { 0xfd } } };
	struct tr_policy *policy = tr_policy_new();
	u32 i;
	int ret;

	ret = tr_policy_add_local(policy, local + not_us,
				  ARRAY_SIZE(local) - not_us, NULL);
	for (i = 0; !ret && i < n; i++)
		ret = tr_policy_add_rule(policy, &rules[i], NULL);
	if (!ret)
		ret = tr_policy_compile(policy, flags, NULL);
	if (ret)
		exit(1);
	return tr_filter_commit(&filter, policy);
}

static void add_peer(u32 id, const char *addr, u32 flags, const u32 *cap,
		     const char *route)
{
	struct tailrace_addr own = host(addr), routed = {};

	if (route)
		routed = host(route);
	if (tr_peers_set(&peers,
			 &(struct tr_peer_config){ .id = id,
						   .flags = flags,
						   .addrs = &own,
						   .n_addrs = 1,
						   .routes = &routed,
						   .n_routes = !!route,
						   .caps = cap,
						   .n_caps = !!cap },
			 NULL))
		exit(1);
}

/* 11: ORDINARY to US, TCP 80-90, UDP 53; 12: GRE; 13: capability 7. */
static void commit_rules(u32 flags)
{
	static const u8 tcp = TCP, udp = UDP, gre_sctp[] = { GRE, SCTP };
	static const u32 cap = 7;
	struct tailrace_addr ordinary = host(ORDINARY);
	struct tailrace_dst web = { host(US), 80, 90 };
	struct tailrace_dst dns = { host(US), 53, 53 };
	struct tailrace_dst all = { host(US), 0, 65535 };
	struct tailrace_dst most[] = { { host(OUR_OTHER), 0, 65534 },
				       { host(OUR_OTHER), 65535, 65535 } };
	struct tailrace_dst other_web = { host(OUR_OTHER), 80, 80 };
	struct tr_rule rules[] = {
		{ .id = 10, .protos = &tcp, .n_protos = 1, .srcs = &ordinary,
		  .n_srcs = 1, .dsts = &web, .n_dsts = 1 },
		{ .id = 11, .protos = &udp, .n_protos = 1, .srcs = &ordinary,
		  .n_srcs = 1, .dsts = &dns, .n_dsts = 1 },
		{ .id = 12, .protos = gre_sctp, .n_protos = 2,
		  .srcs = &ordinary, .n_srcs = 1, .dsts = &all, .n_dsts = 1 },
		{ .id = 13, .protos = gre_sctp, .n_protos = 2,
		  .srcs = &ordinary, .n_srcs = 1, .dsts = most, .n_dsts = 2 },
		{ .id = 14, .caps = &cap, .n_caps = 1, .dsts = &other_web,
		  .n_dsts = 1 },
	};

	commit(rules, ARRAY_SIZE(rules), flags);
}

static void test_closed(void)
{
	tap_ok(in(TCP, ORDINARY, US, 80) == TAILRACE_DROP_NO_POLICY &&
	       in(TSMP, ORDINARY, US, 0) == TAILRACE_DROP_NO_POLICY &&
	       packet(false, TCP, US, ORDINARY, 1, 2, 2) ==
		       TAILRACE_DROP_NO_POLICY,
	       "closed before the first policy, both ways");
	tap_ok(result.peer && result.peer->id == 1,
	       "the peer is known all the same");
}

static void test_tcp(void)
{
	tap_ok(in(TCP, ORDINARY, US, 80) == PASS && result.by_rule &&
	       result.rule == 10 && in(TCP, ORDINARY, US, 90) == PASS,
	       "TCP SYN to a port of a rule");
	tap_ok(in(TCP, ORDINARY, US, 79) == TAILRACE_DROP_NO_RULE &&
	       in(TCP, ORDINARY, US, 91) == TAILRACE_DROP_NO_RULE &&
	       in(TCP, ORDINARY, US, 53) == TAILRACE_DROP_NO_RULE,
	       "TCP SYN to another port");
	tap_ok(in(TCP, STRANGER, US, 80) == TAILRACE_DROP_NO_RULE,
	       "TCP SYN from another source");
	tap_ok(in(TCP, ORDINARY, NOT_US, 80) == TAILRACE_DROP_NOT_LOCAL,
	       "TCP SYN to another host");
	tap_ok(packet(true, TCP, STRANGER, US, 1, 1, 0x12) == PASS &&
	       packet(true, TCP, STRANGER, US, 1, 1, 0x10) == PASS &&
	       packet(true, TCP, STRANGER, US, 1, 1, 0x04) == PASS &&
	       packet(true, TCP, STRANGER, US, 1, 1, 0x00) == PASS,
	       "TCP without SYN passes");
	tap_ok(packet(true, TCP, STRANGER, US, 1, 1, 0x06) ==
	       TAILRACE_DROP_NO_RULE, "SYN with RST is a SYN");
	tap_ok(packet(true, TCP, STRANGER, NOT_US, 1, 1, 0x10) ==
	       TAILRACE_DROP_NOT_LOCAL, "but only to local addresses");
}

static void test_udp(void)
{
	tap_ok(in(UDP, ORDINARY, US, 53) == PASS && result.rule == 11 &&
	       result.flow == TR_RESULT_FLOW_NEW, "UDP by a rule");
	tap_ok(in(UDP, ORDINARY, US, 53) == PASS && result.rule == 11 &&
	       result.flow == TR_RESULT_FLOW_HIT && result.by_rule,
	       "again, from the cache");
	tap_ok(in(UDP, ORDINARY, US, 54) == TAILRACE_DROP_NO_RULE, "UDP denied");
	tap_ok(packet(true, UDP, STRANGER, US, 7, 8, 0) ==
	       TAILRACE_DROP_NO_RULE &&
	       packet(false, UDP, US, STRANGER, 8, 7, 0) == PASS &&
	       packet(true, UDP, STRANGER, US, 7, 8, 0) == PASS &&
	       !result.by_rule, "UDP answer to what we sent");
	tap_ok(packet(true, UDP, STRANGER, US, 7, 9, 0) ==
	       TAILRACE_DROP_NO_RULE &&
	       packet(true, UDP, ORDINARY, US, 7, 8, 0) ==
	       TAILRACE_DROP_NO_RULE &&
	       packet(true, SCTP, STRANGER, US, 7, 8, 0) ==
	       TAILRACE_DROP_NO_RULE, "and to nothing else");
	tap_ok(packet(false, SCTP, US, STRANGER, 8, 7, 0) == PASS &&
	       packet(true, SCTP, STRANGER, US, 7, 8, 0) == PASS,
	       "SCTP likewise");
	commit(NULL, 0, 0);
	tap_ok(packet(true, UDP, STRANGER, US, 7, 8, 0) == PASS,
	       "answers survive a new policy");
	tap_ok(in(UDP, ORDINARY, US, 53) == TAILRACE_DROP_NO_RULE,
	       "verdicts do not");
	commit_rules(0);
}

static void test_icmp(void)
{
	tap_ok(icmp(ORDINARY, US, 8, 0, 8) == PASS, "echo by a TCP rule");
	tap_ok(icmp(STRANGER, US, 8, 0, 8) == TAILRACE_DROP_NO_RULE,
	       "echo from elsewhere");
	tap_ok(icmp(STRANGER, US, 0, 0, 8) == PASS &&
	       icmp(STRANGER, US, 3, 9, 8) == PASS &&
	       icmp(STRANGER, US, 11, 0, 8) == PASS &&
	       icmp(STRANGER, US, 18, 0, 8) == PASS, "replies and errors");
	tap_ok(icmp(STRANGER, US, 0, 1, 8) == TAILRACE_DROP_NO_RULE &&
	       icmp(STRANGER, US, 12, 0, 8) == TAILRACE_DROP_NO_RULE &&
	       icmp(STRANGER, US, 0, 0, 7) == TAILRACE_DROP_NO_RULE,
	       "what does not count as one");
	tap_ok(icmp(STRANGER, US, 0, 0, 3) == TAILRACE_DROP_MALFORMED,
	       "too short for ICMP");
	tap_ok(icmp(CAPABLE, US, 8, 0, 8) == PASS && result.rule == 14,
	       "a capability opens ICMP to any local address");
}

static void test_other(void)
{
	u8 b[64];
	u32 len;

	tap_ok(in(GRE, ORDINARY, US, 0) == PASS && result.rule == 12,
	       "GRE by a rule with all ports");
	tap_ok(in(GRE, ORDINARY, OUR_OTHER, 0) == TAILRACE_DROP_NO_RULE,
	       "two rules' ports do not add up");
	tap_ok(in(SCTP, ORDINARY, OUR_OTHER, 65535) == PASS &&
	       result.rule == 13, "for SCTP they need not");
	tap_ok(in(ICMP6, ORDINARY, US, 0) == TAILRACE_DROP_NO_RULE,
	       "ICMPv6 in IPv4 is any other protocol");
	tap_ok(in(TSMP, STRANGER, US, 0) == PASS &&
	       in(TSMP, STRANGER, NOT_US, 0) == TAILRACE_DROP_NOT_LOCAL,
	       "TSMP to a local address");
	len = make4(b, TSMP, STRANGER, US, 20);
	b[6] = 0x20;
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED,
	       "fragmented TSMP");
	len = make4(b, IGMP, ORDINARY, US, 7);
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED, "short IGMP");
	tap_ok(in(255, ORDINARY, US, 0) == TAILRACE_DROP_MALFORMED &&
	       in(0, ORDINARY, US, 0) == TAILRACE_DROP_MALFORMED,
	       "protocols 0 and 255 are unknown");
	tap_ok(packet(false, TSMP, US, ORDINARY, 0, 0, 0) ==
	       TAILRACE_DROP_TSMP_OUT, "TSMP from the host");
}

static void test_caps(void)
{
	tap_ok(in(TCP, CAPABLE, OUR_OTHER, 80) == PASS && result.rule == 14,
	       "by a capability");
	tap_ok(in(TCP, CAPABLE, US, 80) == TAILRACE_DROP_NO_RULE,
	       "its destination counts for TCP");
	tap_ok(in(TCP, UNSIGNED, OUR_OTHER, 80) == TAILRACE_DROP_NO_RULE &&
	       in(TCP, ORDINARY, OUR_OTHER, 80) == TAILRACE_DROP_NO_RULE,
	       "not for an unsigned peer, nor one without");
	tap_ok(in(TCP, CAPABLES_SUBNET, OUR_OTHER, 80) ==
	       TAILRACE_DROP_NO_RULE, "nor for what the peer routes");
	tap_ok(in(UDP, CAPABLE, OUR_OTHER, 80) == PASS &&
	       in(UDP, CAPABLE, OUR_OTHER, 80) == PASS &&
	       result.flow == TR_RESULT_FLOW_HIT, "UDP, and from the cache");
	add_peer(3, CAPABLE, 0, NULL, NULL);
	tap_ok(in(UDP, CAPABLE, OUR_OTHER, 80) == TAILRACE_DROP_NO_RULE,
	       "a capability withdrawn ends a cached verdict");
}

static void test_fragments(void)
{
	u8 b[128];
	u32 len;

	tap_ok(fragment(TCP, 10, 40) == PASS && fragment(UDP, 0x1fff, 1) == PASS,
	       "later fragments pass, to anywhere");
	tap_ok(fragment(TCP, 9, 40) == TAILRACE_DROP_MALFORMED &&
	       fragment(TCP, 1, 40) == TAILRACE_DROP_MALFORMED,
	       "one that could overwrite the header does not");
	len = make4(b, TCP, ORDINARY, US, 20);
	b[6] = 0x20;
	b[23] = 80;
	b[33] = 2;
	tap_ok(judge(b, len, true) == PASS && result.rule == 10,
	       "a first fragment has ports");
	len = make4(b, TCP, ORDINARY, US, 19);
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED,
	       "an incomplete TCP header");
}

static void test_malformed(void)
{
	u8 b[128];
	u32 i, len;

	tap_ok(judge(b, 0, true) == PASS, "a keepalive");
	len = make4(b, TCP, ORDINARY, US, 20);
	b[33] = 0x10;
	for (i = 1; i < len; i++)
		if (judge(b, i, true) != TAILRACE_DROP_MALFORMED)
			break;
	tap_ok(i == len && judge(b, len, true) == PASS, "cut at every byte");
	tap_ok(judge(b, len + 8, true) == PASS, "trailing bytes are ignored");
	b[0] = 0x44;
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED, "header of 16");
	b[0] = 0x4f;
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED,
	       "header longer than the packet");
	b[0] = 0x55;
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED, "IP version 5");
	b[0] = 0x45;
	b[3] = 0;
	tap_ok(judge(b, len, true) == TAILRACE_DROP_MALFORMED, "no length");
	next_is_gso = true;
	tap_ok(judge(b, len, true) == PASS, "but a merged packet may have none");
}

static void test_destinations(void)
{
	tap_ok(in(TCP, ORDINARY, "\xe0\0\0\1", 80) == TAILRACE_DROP_MULTICAST &&
	       in(TCP, ORDINARY, "\xef\xff\xff\xff", 80) ==
	       TAILRACE_DROP_MULTICAST, "multicast");
	tap_ok(in(TCP, ORDINARY, "\xa9\xfe\1\1", 80) ==
	       TAILRACE_DROP_LINK_LOCAL &&
	       in(TCP, ORDINARY, "\xa9\xfe\xa9\xfe", 80) ==
	       TAILRACE_DROP_NOT_LOCAL, "link-local, but for cloud metadata");
	tap_ok(packet(false, UDP, US, "\xe0\0\0\1", 1, 2, 0) ==
	       TAILRACE_DROP_MULTICAST, "multicast outbound");
	tap_ok(packet(false, TCP, US, STRANGER, 1, 2, 2) == PASS,
	       "outbound is otherwise open");
}

static void test_ipv6(void)
{
	u8 b[128] = { 0x60, 0, 0, 0, 0, 20, TCP, 64, 0x20, [24] = 0xfd };

	b[40 + 13] = 0x10;
	tap_ok(judge(b, 60, true) == PASS, "IPv6 TCP without SYN");
	tap_ok(judge(b, 59, true) == TAILRACE_DROP_MALFORMED, "cut short");
	b[6] = 44;
	b[5] = 28;
	b[40] = TCP;
	b[42] = 0;
	b[43] = 1;
	b[48 + 13] = 0x10;
	tap_ok(judge(b, 68, true) == PASS, "first fragment");
	b[43] = 9 << 3 | 1;
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_MALFORMED, "early fragment");
	b[43] = 10 << 3;
	tap_ok(judge(b, 68, true) == PASS, "last fragment");
	b[6] = 0;
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_MALFORMED, "hop by hop");
	b[6] = 60;
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_NO_RULE,
	       "destination options are a protocol without ports");

	/* A merged packet of more than 64 KiB, as the kernel marks it. */
	b[5] = 0;
	b[6] = 0;
	b[40] = TCP;
	b[41] = 0;
	b[42] = 0xc2;
	b[43] = 4;
	b[44] = 0;
	next_is_gso = true;
	tap_ok(judge(b, 68, true) == PASS, "jumbo TCP of the kernel's making");
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_MALFORMED,
	       "the same from the wire");
	b[24] = 0xff;
	b[5] = 28;
	b[6] = 60;
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_MULTICAST, "multicast");
	b[24] = 0xfe;
	b[25] = 0xbf;
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_LINK_LOCAL, "link-local");
	b[25] = 0xc0;
	tap_ok(judge(b, 68, true) == TAILRACE_DROP_NOT_LOCAL, "site-local");
}

static void test_jail(void)
{
	tap_ok(in(TCP, JAILED, US, 80) == TAILRACE_DROP_JAILED &&
	       in(UDP, JAILED, US, 53) == TAILRACE_DROP_JAILED,
	       "a jailed peer opens nothing");
	tap_ok(packet(true, TCP, JAILED, US, 1, 1, 0x10) == PASS &&
	       icmp(JAILED, US, 0, 0, 8) == PASS &&
	       in(TSMP, JAILED, US, 0) == PASS, "replies pass");
	tap_ok(packet(false, UDP, US, JAILED, 8, 7, 0) == PASS &&
	       packet(true, UDP, JAILED, US, 7, 8, 0) == PASS,
	       "so do answers to what we sent");
	commit_rules(TAILRACE_POLICY_SHIELDS_UP);
	tap_ok(packet(true, UDP, JAILED, US, 7, 8, 0) == PASS,
	       "through every policy");
	commit_rules(0);
	add_peer(2, JAILED, 0, NULL, NULL);
	tap_ok(packet(true, UDP, JAILED, US, 7, 8, 0) == TAILRACE_DROP_NO_RULE,
	       "out of jail its flows are forgotten");
}

/* The answer to what we sent to ORDINARY, and by whom it is. */
static int answer(u32 *peer)
{
	int ret = packet(true, UDP, ORDINARY, US, 7, 8, 0);

	*peer = result.peer ? result.peer->id : 0;
	return ret;
}

/* A flow that needs no second look gets one as soon as anything changes. */
static void test_known(void)
{
	u32 from, to;

	packet(false, UDP, US, ORDINARY, 8, 7, 0);
	tap_ok(answer(&from) == PASS && from == 1 && answer(&from) == PASS &&
	       from == 1 && result.flow == TR_RESULT_FLOW_HIT &&
	       result.cause == TAILRACE_CAUSE_REPLY,
	       "a known flow and its peer");
	tr_peers_del(&peers, 1);
	tap_ok(answer(&from) == PASS && !from, "whose peer goes");
	add_peer(9, ORDINARY, 0, NULL, NULL);
	packet(false, UDP, US, ORDINARY, 8, 7, 0);
	to = result.peer ? result.peer->id : 0;
	tap_ok(to == 9 && result.flow == TR_RESULT_FLOW_HIT,
	       "another gets the address: sent to him");
	tap_ok(answer(&from) == PASS && from == 9 && answer(&from) == PASS &&
	       from == 9, "and received");
	add_peer(9, ORDINARY, TAILRACE_PEER_JAILED, NULL, NULL);
	tap_ok(answer(&from) == TAILRACE_DROP_JAILED && from == 9,
	       "he is jailed: his flow has not been");
	packet(false, UDP, US, ORDINARY, 8, 7, 0);
	tap_ok(result.flow == TR_RESULT_FLOW_NEW && answer(&from) == PASS,
	       "what is sent now is a new flow, of the jail");
	tr_peers_del(&peers, 9);
	add_peer(1, ORDINARY, 0, NULL, NULL);
	tap_ok(answer(&from) == PASS && from == 1 && answer(&from) == PASS,
	       "all as it was");
	not_us = true;
	commit_rules(0);
	tap_ok(answer(&from) == TAILRACE_DROP_NOT_LOCAL && from == 1,
	       "the address is no longer ours");
	packet(false, UDP, US, ORDINARY, 8, 7, 0);
	tap_ok(result.flow == TR_RESULT_FLOW_HIT &&
	       answer(&from) == TAILRACE_DROP_NOT_LOCAL,
	       "and sending from it does not make it so");
	not_us = false;
	commit_rules(0);
	tap_ok(answer(&from) == PASS, "until it is again");
}

static void test_shields(void)
{
	packet(false, UDP, US, STRANGER, 8, 7, 0);
	commit_rules(TAILRACE_POLICY_SHIELDS_UP);
	tap_ok(in(TCP, ORDINARY, US, 80) == TAILRACE_DROP_SHIELDS_UP,
	       "shields up: rules are void");
	tap_ok(packet(true, UDP, STRANGER, US, 7, 8, 0) ==
	       TAILRACE_DROP_SHIELDS_UP, "and flows are forgotten");
	tap_ok(packet(false, UDP, US, STRANGER, 8, 7, 0) == PASS &&
	       packet(true, UDP, STRANGER, US, 7, 8, 0) == PASS,
	       "new ones are not");
	commit_rules(TAILRACE_POLICY_SHIELDS_UP);
	tap_ok(packet(true, UDP, STRANGER, US, 7, 8, 0) == PASS,
	       "another policy with shields up keeps them");
	commit_rules(0);
	tap_ok(packet(true, UDP, STRANGER, US, 7, 8, 0) == PASS &&
	       in(TCP, ORDINARY, US, 80) == PASS,
	       "so does one without, and its rules are back");
	tap_ok(tr_filter_flows(&filter) > 0 &&
	       tr_filter_flows_max(&filter) >= 4096, "flows are counted");
}

static void test_generations(void)
{
	u32 before = filter.generation;

	tap_ok(commit(NULL, 0, 0) == before + 1, "generations ascend");
	filter.generation = U32_MAX;
	tap_ok(commit(NULL, 0, 0) == 1, "and never are 0");
}

static void test_expired(void)
{
	WRITE_ONCE(filter.expired, true);
	tap_ok(in(TCP, ORDINARY, US, 80) == TAILRACE_DROP_EXPIRED &&
	       packet(true, TCP, ORDINARY, US, 1, 1, 0x10) ==
		       TAILRACE_DROP_EXPIRED &&
	       packet(false, TCP, US, ORDINARY, 1, 2, 2) ==
		       TAILRACE_DROP_EXPIRED &&
	       result.peer && result.generation == filter.generation,
	       "an expired policy lets nothing through, either way");
	WRITE_ONCE(filter.expired, false);
	tap_ok(in(TCP, ORDINARY, US, 80) == PASS, "and is in force again after");
}

int main(void)
{
	static const u32 cap = 7;

	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL))
		return 1;
	add_peer(1, ORDINARY, 0, NULL, NULL);
	add_peer(2, JAILED, TAILRACE_PEER_JAILED, NULL, NULL);
	add_peer(3, CAPABLE, 0, &cap, CAPABLES_SUBNET);
	add_peer(4, UNSIGNED, TAILRACE_PEER_UNSIGNED, &cap, NULL);
	test_closed();
	commit_rules(0);
	test_expired();
	test_tcp();
	test_udp();
	test_icmp();
	test_other();
	test_caps();
	test_fragments();
	test_malformed();
	test_destinations();
	test_ipv6();
	test_jail();
	test_known();
	test_shields();
	test_generations();
	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	return tap_done();
}
