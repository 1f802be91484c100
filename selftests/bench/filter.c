// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet costs in the filter, by the size of the policy, in user space
 * at native speed. Columns in ns a packet:
 *
 *   parse  headers of a TCP packet
 *   estab  TCP without SYN: local set and peer only
 *   reply  UDP, known flow
 *   hit    UDP, cached verdict
 *   new    TCP SYN that a rule accepts: the classifier, random sources
 *   deny   TCP SYN that no rule accepts
 *
 * and the policy's compile time in ms and memory in KiB. The sources' prefixes
 * are spread over the rules; every tenth rule has all sources.
 */
#include <stdio.h>
#include <time.h>

#include "../../kmod/filter.h"
#include "../../kmod/flow.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"

#define PACKETS 65536
#define ROUNDS 24 /* the best one counts: others share the machine */

static u64 state = 88172645463325252ULL;

static u32 rnd(u32 n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % n;
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void put32(u8 *b, u32 v)
{
	b[0] = v >> 24;
	b[1] = v >> 16;
	b[2] = v >> 8;
	b[3] = v;
}

/* The source of prefix @i: a /28 each, all over 10/8 and beyond. */
static u32 prefix_addr(u32 i)
{
	return (10U << 24) + (i << 6);
}

static struct tailrace_addr prefix4(u32 addr, u8 len)
{
	struct tailrace_addr a = { .kind = TAILRACE_ADDR_PREFIX4,
				   .prefix_len = len };

	put32(a.first, addr);
	return a;
}

static size_t policy_bytes(const struct tr_classifier *c)
{
	const struct tr_map *maps[] = { &c->local[0], &c->local[1], &c->src[0],
					&c->src[1],   &c->dst[0],   &c->dst[1],
					&c->port,     &c->cap };
	size_t i, n = c->sets.n * sizeof(union tr_set_node);

	for (i = 0; i < ARRAY_SIZE(maps); i++)
		n += maps[i]->n * (sizeof(u32) + (maps[i]->first ?
						  sizeof(struct tr_point) :
						  sizeof(u32)));
	return n;
}

static struct tr_policy *make_policy(u32 n_prefixes, u32 n_rules, u64 *ns)
{
	struct tr_policy *policy = tr_policy_new();
	struct tailrace_addr *srcs = calloc(n_prefixes, sizeof(*srcs));
	struct tailrace_addr local = prefix4(100U << 24 | 64 << 16, 10);
	u32 i, k, n;
	u64 start;
	int ret;

	ret = tr_policy_add_local(policy, &local, 1, NULL);
	for (i = 0; !ret && i < n_rules; i++) {
		struct tailrace_dst dsts[] = {
			{ prefix4(100U << 24 | 64 << 16 | i % 64, 32), 80, 80 },
			{ prefix4(100U << 24 | 64 << 16 | i % 64, 32), 443, 443 },
			{ prefix4(100U << 24 | 65 << 16 | i, 32), 1000, 2000 },
		};
		struct tr_rule rule = { .id = i, .dsts = dsts, .n_dsts = 3 };
		struct tailrace_addr any = {};

		for (k = i, n = 0; k < n_prefixes; k += n_rules)
			srcs[n++] = prefix4(prefix_addr(k), 28);
		rule.srcs = srcs;
		rule.n_srcs = n;
		if (i % 10 == 9 || !n) {
			/* From anyone, but to ports nobody asks for here. */
			rule.srcs = &any;
			rule.n_srcs = 1;
			dsts[0].port_first = dsts[0].port_last = 7;
			rule.n_dsts = 1;
		}
		ret = tr_policy_add_rule(policy, &rule, NULL);
	}
	start = now_ns();
	if (!ret)
		ret = tr_policy_compile(policy, 0, NULL);
	*ns = now_ns() - start;
	free(srcs);
	if (ret)
		exit(1);
	return policy;
}

static void make_packet(u8 *b, u8 proto, u32 src, u32 dst, u16 dport, u8 flags)
{
	memset(b, 0, 40);
	b[0] = 0x45;
	b[3] = 40;
	b[9] = proto;
	put32(b + 12, src);
	put32(b + 16, dst);
	put32(b + 20, 4000 << 16 | dport);
	b[33] = flags;
}

static u8 (*bytes)[40];
static struct tr_packet *parsed;

static struct sk_buff skb_of(u32 i)
{
	return (struct sk_buff){ .head = bytes[i], .headlen = 40, .len = 40 };
}

static void parse_all(void)
{
	u32 i;

	for (i = 0; i < PACKETS; i++) {
		struct sk_buff skb = skb_of(i);

		tr_packet_parse(&skb, &parsed[i]);
	}
}

static double time_parse(void)
{
	u64 start, best = U64_MAX;
	int r;

	for (r = 0; r < ROUNDS; r++) {
		start = now_ns();
		parse_all();
		best = min_t(u64, best, now_ns() - start);
	}
	return (double)best / PACKETS;
}

/* ns a packet; exits if they are not all judged @want. */
static double time_in(struct tr_filter *f, struct tr_peers *peers, bool want)
{
	u64 start, best = U64_MAX;
	u32 i, bad = 0;
	int r;

	parse_all();
	for (r = 0; r < ROUNDS; r++) {
		start = now_ns();
		for (i = 0; i < PACKETS; i++) {
			struct tr_result res;

			bad += tr_filter_in(f, peers, &parsed[i], &res) != want;
		}
		best = min_t(u64, best, now_ns() - start);
	}
	if (bad) {
		fprintf(stderr, "%u packets judged wrong\n", bad);
		exit(1);
	}
	return (double)best / PACKETS;
}

/* The rule of prefix @k, and a destination of it. */
static bool aim(u32 k, u32 n_rules, u32 *dst)
{
	u32 rule = k % n_rules;

	*dst = 100U << 24 | 64 << 16 | rule % 64;
	return rule % 10 != 9;
}

static void fill(u8 proto, u8 flags, u16 port, u32 n_prefixes, u32 n_rules,
		 u32 flows)
{
	u32 i, k, dst;

	for (i = 0; i < PACKETS; i++) {
		if (i >= flows) {
			memcpy(bytes[i], bytes[i % flows], 40);
			continue;
		}
		do {
			k = rnd(n_prefixes);
		} while (!aim(k, n_rules, &dst));
		make_packet(bytes[i], proto, prefix_addr(k) + rnd(16), dst,
			    port, flags);
	}
}

static void measure(struct tr_peers *peers, u32 n_prefixes, u32 n_rules)
{
	double parse, estab, reply, hit, new, deny;
	struct tr_filter f;
	struct tr_policy *policy;
	struct tr_result res;
	u64 ns;
	u32 i;

	if (tr_filter_init(&f))
		exit(1);
	policy = make_policy(n_prefixes, n_rules, &ns);
	tr_filter_commit(&f, policy);

	fill(6, 0x10, 80, n_prefixes, n_rules, PACKETS);
	parse = time_parse();
	estab = time_in(&f, peers, true);
	fill(6, 0x02, 80, n_prefixes, n_rules, PACKETS);
	new = time_in(&f, peers, true);
	fill(6, 0x02, 81, n_prefixes, n_rules, PACKETS);
	deny = time_in(&f, peers, false);
	fill(17, 0, 443, n_prefixes, n_rules, 4096);
	hit = time_in(&f, peers, true);

	/* Outbound packets of flows whose answers no rule would let in. */
	fill(17, 0, 9, n_prefixes, n_rules, 4096);
	parse_all();
	for (i = 0; i < 4096; i++) {
		struct tr_packet out = parsed[i];

		out.src = parsed[i].dst;
		out.dst = parsed[i].src;
		out.sport = parsed[i].dport;
		out.dport = parsed[i].sport;
		tr_filter_out(&f, peers, &out, &res);
	}
	reply = time_in(&f, peers, true);

	printf("%8u %6u %6.0f %6.0f %6.0f %6.0f %6.0f %6.0f %8.1f %8zu\n",
	       n_prefixes, n_rules, parse, estab, reply, hit, new, deny,
	       ns / 1e6, policy_bytes(&policy->classifier) / 1024);
	tr_filter_uninit(&f);
}

int main(void)
{
	static const u32 prefixes[] = { 10, 1000, 10000, 100000 };
	static const u32 rules[] = { 1, 100, 1000 };
	struct tailrace_addr route = prefix4(0, 0);
	struct tr_peers peers;
	size_t i, k;

	bytes = calloc(PACKETS, sizeof(*bytes));
	parsed = calloc(PACKETS, sizeof(*parsed));
	if (tr_peers_init(&peers, NULL))
		return 1;
	tr_peers_set(&peers, &(struct tr_peer_config){ .id = 1,
						       .n_routes = 1,
						       .routes = &route }, NULL);
	printf("prefixes  rules  parse  estab  reply    hit    new   deny  "
	       "compile   memory\n");
	for (i = 0; i < ARRAY_SIZE(prefixes); i++)
		for (k = 0; k < ARRAY_SIZE(rules); k++)
			measure(&peers, prefixes[i], rules[k]);
	tr_peers_uninit(&peers);
	free(bytes);
	free(parsed);
	return 0;
}
