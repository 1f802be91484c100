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
 * and the processor time in ms that it takes to copy and compile the policy, and the
 * compiled form's memory in KiB. The policies are those of sizes.h. lookup is
 * the same in the kernel; this one is for callgrind.
 *
 *   filter [FAMILY PREFIXES RULES]
 */
#include <stdio.h>
#include <time.h>

#include "../../kmod/filter.h"
#include "../../kmod/flow.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "../kmod/compile.h"
#include "sizes.h"

#define PACKETS 65536
#define BATCH 64
#ifndef ROUNDS /* fewer for callgrind */
#define ROUNDS 8
#endif

static u64 now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static size_t policy_bytes(const struct tr_classifier *c)
{
	const struct tr_map *maps[] = { &c->local[0], &c->local[1], &c->src[0],
					&c->src[1],   &c->dst[0],   &c->dst[1],
					&c->port,     &c->cap };
	size_t i, n = c->sets.n * sizeof(union tr_set_node);

	for (i = 0; i < ARRAY_SIZE(maps); i++)
		n += maps[i]->n * (sizeof(u32) + (maps[i]->key ?
						  sizeof(struct tr_point) :
						  sizeof(u32)));
	return n;
}

static u8 (*bytes)[SIZES_PACKET];
static u32 *lens;
static struct tr_packet *parsed;

static struct sk_buff skb_of(u32 i)
{
	return (struct sk_buff){ .head = bytes[i],
				 .headlen = lens[i],
				 .len = lens[i] };
}

static void parse_all(void)
{
	u32 i;

	for (i = 0; i < PACKETS; i++) {
		struct sk_buff skb = skb_of(i);

		tr_packet_parse(&skb, &parsed[i]);
	}
}

/* ns a batch. The median counts, since others share the machine. */
static u64 took[ROUNDS * PACKETS / BATCH];

static int compare_times(const void *va, const void *vb)
{
	const u64 *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

static double median(void)
{
	qsort(took, ARRAY_SIZE(took), sizeof(*took), compare_times);
	return (double)took[ARRAY_SIZE(took) / 2] / BATCH;
}

static double time_parse(void)
{
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(took); i++) {
		u64 start = now_ns(CLOCK_MONOTONIC);

		for (k = 0; k < BATCH; k++) {
			u32 n = (i * BATCH + k) % PACKETS;
			struct sk_buff skb = skb_of(n);

			tr_packet_parse(&skb, &parsed[n]);
		}
		took[i] = now_ns(CLOCK_MONOTONIC) - start;
	}
	return median();
}

/* ns a packet; exits if they are not all judged @want. */
static double time_in(struct tr_filter *f, struct tr_peers *peers, bool want)
{
	u32 i, k, bad = 0;

	parse_all();
	for (i = 0; i < ARRAY_SIZE(took); i++) {
		u64 start = now_ns(CLOCK_MONOTONIC);

		for (k = 0; k < BATCH; k++) {
			struct tr_result res;

			bad += tr_filter_in(f, peers,
					    &parsed[(i * BATCH + k) % PACKETS],
					    &res) != want;
		}
		took[i] = now_ns(CLOCK_MONOTONIC) - start;
	}
	if (bad) {
		fprintf(stderr, "%u packets judged wrong\n", bad);
		exit(1);
	}
	return median();
}

/* Packets of @n flows over and over; @flags for TCP. */
static void fill(struct sizes *s, u8 proto, u8 flags, bool allowed, u32 n)
{
	u32 i;

	for (i = 0; i < PACKETS; i++) {
		if (i >= n) {
			memcpy(bytes[i], bytes[i % n], sizeof(bytes[i]));
			lens[i] = lens[i % n];
			continue;
		}
		lens[i] = sizes_packet(s, bytes[i], proto, allowed);
		if (proto == IPPROTO_TCP)
			bytes[i][lens[i] - 7] = flags;
	}
}

/* Outbound packets of flows whose answers no rule would let in. */
static void send_all(struct tr_filter *f, struct tr_peers *peers, u32 n)
{
	struct tr_result res;
	u32 i;

	parse_all();
	for (i = 0; i < n; i++) {
		struct tr_packet out = parsed[i];

		out.src = parsed[i].dst;
		out.dst = parsed[i].src;
		out.sport = parsed[i].dport;
		out.dport = parsed[i].sport;
		tr_filter_out(f, peers, &out, &res);
	}
}

static void measure(struct tr_peers *peers, int family, u32 n_prefixes,
		    u32 n_rules)
{
	double parse, estab, reply, hit, new, deny;
	struct tr_policy *policy;
	struct tr_filter f;
	struct sizes s;
	u64 ns;

	sizes_init(&s, family, n_prefixes, n_rules, 1);
	if (tr_filter_init(&f))
		exit(1);
	ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (compile_policy(&policy, &s.policy))
		exit(1);
	ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - ns;
	tr_filter_commit(&f, policy);

	fill(&s, IPPROTO_TCP, 0x10, true, PACKETS);
	parse = time_parse();
	estab = time_in(&f, peers, true);
	fill(&s, IPPROTO_TCP, 0x02, true, PACKETS);
	new = time_in(&f, peers, true);
	fill(&s, IPPROTO_TCP, 0x02, false, PACKETS);
	deny = time_in(&f, peers, false);
	fill(&s, IPPROTO_UDP, 0, true, 4096);
	hit = time_in(&f, peers, true);
	fill(&s, IPPROTO_UDP, 0, false, 4096);
	send_all(&f, peers, 4096);
	reply = time_in(&f, peers, true);

	printf("%4d %8u %6u %6.0f %6.0f %6.0f %6.0f %6.0f %6.0f %8.1f %8zu\n",
	       family, n_prefixes, n_rules, parse, estab, reply, hit, new, deny,
	       ns / 1e6, policy_bytes(&policy->classifier) / 1024);
	tr_filter_uninit(&f);
	sizes_free(&s);
}

int main(int argc, char **argv)
{
	static const u32 prefixes[] = { 10, 1000, 10000, 100000 };
	static const u32 rules[] = { 1, 100, 1000 };
	struct tailrace_addr routes[] = { { .kind = TAILRACE_ADDR_PREFIX4 },
					  { .kind = TAILRACE_ADDR_PREFIX6 } };
	struct tr_peers peers;
	size_t i, k;
	int family;

	bytes = calloc(PACKETS, sizeof(*bytes));
	lens = calloc(PACKETS, sizeof(*lens));
	parsed = calloc(PACKETS, sizeof(*parsed));
	if (tr_peers_init(&peers, NULL))
		return 1;
	tr_peers_set(&peers, &(struct tr_peer_config){ .id = 1,
						       .n_routes = 2,
						       .routes = routes }, NULL);
	printf("IPv? prefixes  rules  parse  estab  reply    hit    new   deny  "
	       "compile   memory\n");
	if (argc == 4)
		measure(&peers, atoi(argv[1]), atoi(argv[2]), atoi(argv[3]));
	for (family = 4; argc == 1 && family <= 6; family += 2)
		for (i = 0; i < ARRAY_SIZE(prefixes); i++)
			for (k = 0; k < ARRAY_SIZE(rules); k++)
				measure(&peers, family, prefixes[i], rules[k]);
	tr_peers_uninit(&peers);
	free(bytes);
	free(lens);
	free(parsed);
	return 0;
}
