// SPDX-License-Identifier: GPL-2.0
/*
 * Hits of rules over replacements of policies: what goes on, what starts
 * anew, what a flow's cached verdict counts for, and what it all takes.
 */
#include <stdio.h>

#include "../../kmod/filter.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "tap.h"

static struct tr_filter filter;
static struct tr_peers peers;

/* Lets in UDP from 10.0.@net/24 to @port. */
static int add(struct tr_policy *policy, u32 id, u32 net, u16 port)
{
	struct tailrace_addr src = { .kind = TAILRACE_ADDR_PREFIX4,
				     .prefix_len = 24,
				     .first = { 10, net >> 8, net } };
	struct tailrace_dst dst = { {}, port, port };

	return tr_policy_add_rule(policy,
				  &(struct tr_rule){ .id = id,
						     .srcs = &src,
						     .n_srcs = 1,
						     .dsts = &dst,
						     .n_dsts = 1 },
				  NULL);
}

static struct tr_policy *begin(void)
{
	struct tr_policy *policy = tr_policy_new();
	struct tailrace_addr any = {};

	if (!policy || tr_policy_add_local(policy, &any, 1, NULL))
		exit(1);
	return policy;
}

static u32 commit(struct tr_policy *policy)
{
	if (tr_policy_compile(policy, 0, NULL))
		exit(1);
	return tr_filter_commit(&filter, policy);
}

/* @sport makes a flow of its own. What inside.c does with a verdict. */
static u32 receive(u32 net, u16 sport, u16 dport, u32 packets)
{
	u8 b[28] = { 0x45, [3] = 28, [9] = 17, [12] = 10, net >> 8, net, 1, 192,
		     0, 2, 1, sport >> 8, sport, dport >> 8, dport };
	struct sk_buff skb = { .head = b, .headlen = 28, .len = 28 };
	struct tr_packet pkt;
	struct tr_result res;

	tr_packet_parse(&skb, &pkt);
	if (!tr_filter_in(&filter, &peers, &pkt, &res))
		return 0;
	tr_hits_add(&filter.hits, res.slot, packets);
	return res.rule;
}

/* Of the rule at @index in the policy in force. */
static u64 hits(u32 index)
{
	return tr_hits_read(&filter.hits, filter.policy->slot[index]);
}

static void test_replacement(void)
{
	struct tr_policy *p = begin();

	add(p, 7, 1, 80);
	add(p, 9, 2, 80);
	commit(p);
	tap_ok(!hits(0) && !hits(1), "rules begin at 0");
	tap_ok(receive(1, 1, 80, 3) == 7 && receive(1, 1, 80, 4) == 7 &&
	       receive(2, 1, 80, 1) == 9 && !receive(3, 1, 80, 1),
	       "packets, looked up and cached, have their rule");
	tap_ok(hits(0) == 7 && hits(1) == 1, "and count, GRO's by the piece");

	p = begin();
	add(p, 11, 3, 80);
	add(p, 9, 2, 80);
	add(p, 7, 1, 80);
	commit(p);
	tap_ok(hits(2) == 7 && hits(1) == 1 && !hits(0),
	       "rules keep their hits wherever they go");
	tap_ok(receive(1, 1, 80, 1) == 7 && hits(2) == 8, "and go on");

	p = begin();
	add(p, 7, 1, 81);
	add(p, 10, 2, 80);
	add(p, 11, 3, 80);
	commit(p);
	tap_ok(!hits(0) && !hits(1), "other contents or another id begin at 0");
	tap_ok(receive(1, 1, 81, 2) == 7 && receive(2, 1, 80, 5) == 10 &&
	       hits(0) == 2 && hits(1) == 5, "and count");

	p = begin();
	add(p, 7, 1, 80);
	commit(p);
	tap_ok(!hits(0), "what was gone does not come back");

	p = begin();
	add(p, 7, 1, 80);
	add(p, 7, 1, 80);
	add(p, 7, 1, 80);
	commit(p);
	receive(1, 2, 80, 6);
	p = begin();
	add(p, 7, 1, 80);
	add(p, 7, 1, 80);
	commit(p);
	tap_ok(hits(0) == 6 && !hits(1), "of equal rules one has the hits, once");
	commit(begin());
	p = begin();
	add(p, 7, 1, 80);
	commit(p);
	tap_ok(!hits(0), "an empty policy forgets them all");
}

/* A reader that still has the old policy counts where the new one reads. */
static void test_late_packets(void)
{
	struct tr_policy *p = begin();
	u32 slot;

	add(p, 7, 1, 80);
	commit(p);
	slot = filter.policy->slot[0];
	p = begin();
	add(p, 8, 2, 80);
	add(p, 7, 1, 80);
	commit(p);
	tr_hits_add(&filter.hits, slot, 3);
	tap_ok(hits(1) == 3 && !hits(0), "late packets are not lost");
	p = begin();
	add(p, 8, 2, 80);
	commit(p);
	tr_hits_add(&filter.hits, slot, 100);
	p = begin();
	add(p, 8, 2, 80);
	add(p, 12, 1, 80);
	commit(p);
	tap_ok(!hits(0) && !hits(1) && filter.policy->slot[1] == slot,
	       "nor do they count for who gets the place next");
}

static u32 chunks(void)
{
	u32 n = 0;

	while (n < TR_HITS_CHUNKS && filter.hits.chunk[n])
		n++;
	return n;
}

static void test_many(void)
{
	u32 round, i, wrong = 0;
	struct tr_policy *p;

	/* Full policies that share a half, as often as places must be reused. */
	for (round = 0; round < 5; round++) {
		p = begin();
		for (i = 0; i < TAILRACE_MAX_RULES; i++) {
			u32 n = i + round * TAILRACE_MAX_RULES / 2;

			if (add(p, n, n & 0xffff, n >> 16))
				exit(1);
		}
		if (!commit(p))
			exit(1);
		for (i = 0; i < TAILRACE_MAX_RULES; i++) {
			u32 slot = filter.policy->slot[i];
			bool old = round && i < TAILRACE_MAX_RULES / 2;

			wrong += tr_hits_read(&filter.hits, slot) != old ||
				 tr_hits_rule(&filter.hits, slot) !=
					 filter.policy->rule[i]->id;
			/* Half a policy is one round old, the other half new. */
			if (!old)
				tr_hits_add(&filter.hits, slot, 1);
		}
	}
	tap_ok(!wrong, "65,536 rules, half of them replaced at a time");
	tap_ok(chunks() <= TR_HITS_CHUNKS, "in %u chunks of %zu + %zu a CPU",
	       chunks(), sizeof(struct tr_hits_chunk),
	       sizeof(struct tr_hits_pcpu));
}

static void test_memory(void)
{
	u32 failed = 0, generation = 0, before;
	struct tr_policy *p = begin();
	u32 i;

	add(p, 7, 1, 80);
	before = commit(p);
	receive(1, 9, 80, 5);
	while (!generation) {
		p = begin();
		for (i = 0; i < 3 * TR_HITS_CHUNK; i++)
			add(p, i == 5 ? 7 : 1000 + i, i == 5 ? 1 : i + 2, 80);
		if (tr_policy_compile(p, 0, NULL))
			exit(1);
		shim_allocations = failed;
		generation = tr_filter_commit(&filter, p);
		shim_allocations = -1;
		if (generation)
			break;
		tr_policy_free(p);
		failed++;
		if (filter.generation != before || hits(0) != 5)
			break;
		if (receive(1, 9, 80, 0) != 7)
			break;
	}
	tap_ok(generation == before + 1 && failed >= 4,
	       "%u commits that ran out of memory changed nothing", failed);
	tap_ok(hits(5) == 5, "the one that did not kept the hits");
}

int main(void)
{
	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL))
		return 1;
	test_replacement();
	test_late_packets();
	tr_filter_uninit(&filter);
	if (tr_filter_init(&filter))
		return 1;
	test_memory();
	test_many();
	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	return tap_done();
}
