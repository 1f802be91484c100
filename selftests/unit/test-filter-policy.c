// SPDX-License-Identifier: GPL-2.0
/*
 * Policies: what is refused, what running out of memory does, what dumps give
 * back, and that large ones decide as the oracle does.
 */
#include <stdio.h>

#include "../../kmod/filter.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "../kmod/compile.h"
#include "tap.h"

static uint64_t state = 88172645463325252ULL;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % n;
}

static void test_addresses(void)
{
	static const struct {
		const char *what;
		struct tailrace_addr addr;
		bool good;
	} t[] = {
		{ "any", { .kind = 0 }, true },
		{ "any with a prefix", { .kind = 0, .prefix_len = 1 } },
		{ "any with an address", { .kind = 0, .first = { 1 } } },
		{ "unknown kind", { .kind = 5 } },
		{ "reserved bytes", { .kind = 1, .reserved = 1 } },
		{ "0.0.0.0/0", { .kind = 1 }, true },
		{ "0.0.0.0/33", { .kind = 1, .prefix_len = 33 } },
		{ "10.0.0.0/8", { 1, 8, 0, { 10 } }, true },
		{ "10.0.0.1/8", { 1, 8, 0, { 10, 0, 0, 1 } } },
		{ "10.0.0.1/32", { 1, 32, 0, { 10, 0, 0, 1 } }, true },
		{ "128.0.0.0/0", { 1, 0, 0, { 128 } } },
		{ "five bytes of IPv4", { 1, 32, 0, { 10, 0, 0, 1, 1 } } },
		{ "a prefix with an end", { 1, 8, 0, { 10 }, { 11 } } },
		{ "::/0", { .kind = 2 }, true },
		{ "8000::/0", { 2, 0, 0, { 0x80 } } },
		{ "2000::/3", { 2, 3, 0, { 0x20 } }, true },
		{ "2000::/2", { 2, 2, 0, { 0x20 } } },
		{ "::/64 with bit 64", { 2, 64, 0, { [8] = 0x80 } } },
		{ "::8000:0:0:0/65", { 2, 65, 0, { [8] = 0x80 } }, true },
		{ "::1/128", { 2, 128, 0, { [15] = 1 } }, true },
		{ "::/129", { 2, 129, 0 } },
		{ "10.0.0.1-10.0.0.9",
		  { 3, 0, 0, { 10, 0, 0, 1 }, { 10, 0, 0, 9 } }, true },
		{ "10.0.0.9-10.0.0.9",
		  { 3, 0, 0, { 10, 0, 0, 9 }, { 10, 0, 0, 9 } }, true },
		{ "10.0.0.9-10.0.0.1",
		  { 3, 0, 0, { 10, 0, 0, 9 }, { 10, 0, 0, 1 } } },
		{ "a range with a prefix",
		  { 3, 8, 0, { 10, 0, 0, 1 }, { 10, 0, 0, 9 } } },
		{ "::1-8000::", { 4, 0, 0, { [15] = 1 }, { 0x80 } }, true },
		{ "8000::-::1", { 4, 0, 0, { 0x80 }, { [15] = 1 } } },
	};
	struct netlink_ext_ack ack;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct tr_policy *policy = tr_policy_new();
		int ret;

		ack.text = NULL;
		ret = tr_policy_add_local(policy, &t[i].addr, 1, &ack);
		tap_ok(ret == (t[i].good ? 0 : -EINVAL) &&
		       !ack.text == t[i].good,
		       "%s: %s", t[i].what, ack.text ? ack.text : "taken");
		tr_policy_free(policy);
	}
}

static void test_limits(void)
{
	struct tailrace_addr *many = calloc(TAILRACE_MAX_RULE_ADDRS + 1,
					    sizeof(*many));
	struct tailrace_dst dst = { .port_first = 2, .port_last = 1 };
	struct tr_policy *policy = tr_policy_new();
	struct tr_rule rule = { .srcs = many,
				.n_srcs = TAILRACE_MAX_RULE_ADDRS + 1 };
	u32 caps[TAILRACE_MAX_CAPS + 1] = {};
	u8 protos[257] = {};
	u32 i;
	int ret = 0;

	tap_ok(tr_policy_add_rule(policy, &rule, NULL) == -E2BIG,
	       "too many sources");
	rule.n_srcs--;
	tap_ok(!tr_policy_add_rule(policy, &rule, NULL), "just as many");
	rule.n_srcs = 1;
	tap_ok(tr_policy_add_rule(policy, &rule, NULL) == -E2BIG &&
	       tr_policy_add_local(policy, many, 1, NULL) == -E2BIG,
	       "and not one more");
	tr_policy_free(policy);
	free(many);

	policy = tr_policy_new();
	rule = (struct tr_rule){ .caps = caps, .n_caps = ARRAY_SIZE(caps) };
	tap_ok(tr_policy_add_rule(policy, &rule, NULL) == -E2BIG,
	       "too many capabilities");
	rule = (struct tr_rule){ .protos = protos, .n_protos = 257 };
	tap_ok(tr_policy_add_rule(policy, &rule, NULL) == -E2BIG,
	       "too many protocols");
	rule = (struct tr_rule){ .dsts = &dst, .n_dsts = 1 };
	tap_ok(tr_policy_add_rule(policy, &rule, NULL) == -EINVAL,
	       "ports the wrong way round");
	rule = (struct tr_rule){};
	for (i = 0; !ret && i < TAILRACE_MAX_RULES; i++)
		ret = tr_policy_add_rule(policy, &rule, NULL);
	tap_ok(!ret && tr_policy_add_rule(policy, &rule, NULL) == -E2BIG,
	       "%u rules and not one more", i);
	tap_ok(!tr_policy_compile(policy, 0, NULL), "empty rules compile");
	tr_policy_free(policy);
	policy = tr_policy_new();
	tap_ok(tr_policy_compile(policy, 2, NULL) == -EINVAL, "unknown flag");
	tr_policy_free(policy);
}

/* A large random policy, in memory of its own. */

struct large {
	struct oracle_policy policy;
	struct oracle_rule *rules;
	struct tailrace_addr *srcs;
	struct tailrace_dst *dsts;
	struct tailrace_addr local;
};

/* A prefix of 10.64/10 or fd7a::/64, long enough to be one among many. */
static struct tailrace_addr random_prefix(void)
{
	struct tailrace_addr a = { .kind = TAILRACE_ADDR_PREFIX4 };
	u32 i, host;

	if (rnd(3)) {
		a.prefix_len = 20 + rnd(13);
		host = 32 - a.prefix_len;
		i = (10U << 24 | 1 << 22 | rnd(1 << 22)) >> host << host;
		a.first[0] = i >> 24;
		a.first[1] = i >> 16;
		a.first[2] = i >> 8;
		a.first[3] = i;
		return a;
	}
	a = (struct tailrace_addr){ .kind = TAILRACE_ADDR_PREFIX6,
				    .prefix_len = 112 + 8 * rnd(3),
				    .first = { 0xfd, 0x7a } };
	for (i = 13; i < a.prefix_len / 8; i++)
		a.first[i] = rnd(256);
	return a;
}

static void make_large(struct large *l, u32 n_rules, u32 n_srcs, u32 n_dsts)
{
	u32 i, k;

	*l = (struct large){ .rules = calloc(n_rules, sizeof(*l->rules)),
			     .srcs = calloc(n_rules * n_srcs, sizeof(*l->srcs)),
			     .dsts = calloc(n_rules * n_dsts,
					    sizeof(*l->dsts)) };
	l->policy = (struct oracle_policy){ .rules = l->rules,
					    .n_rules = n_rules,
					    .local = &l->local,
					    .n_local = 1 };
	for (i = 0; i < n_rules; i++) {
		struct oracle_rule *r = &l->rules[i];

		*r = (struct oracle_rule){ .id = i,
					   .srcs = l->srcs + i * n_srcs,
					   .n_srcs = n_srcs,
					   .dsts = l->dsts + i * n_dsts,
					   .n_dsts = n_dsts };
		for (k = 0; k < n_srcs; k++)
			l->srcs[i * n_srcs + k] = random_prefix();
		for (k = 0; k < n_dsts; k++) {
			struct tailrace_dst *d = &l->dsts[i * n_dsts + k];

			if (rnd(4))
				d->addr = random_prefix();
			d->port_first = rnd(65536);
			d->port_last = d->port_first +
				       rnd(65536 - d->port_first);
		}
	}
}

static void free_large(struct large *l)
{
	free(l->rules);
	free(l->srcs);
	free(l->dsts);
}

static void random_host(struct tailrace_addr *a)
{
	u32 bits = a->kind == TAILRACE_ADDR_PREFIX4 ? 32 : 128, i;

	for (i = a->prefix_len; i < bits; i++)
		if (rnd(2))
			a->first[i / 8] |= 0x80 >> i % 8;
}

/* A TCP SYN between prefixes of one family that some rules have. */
static u32 make_packet(u8 *b, const struct large *l, u32 n_srcs, u32 n_dsts)
{
	struct tailrace_addr src, dst;
	u32 header, port;

	do {
		src = l->srcs[rnd(l->policy.n_rules * n_srcs)];
		dst = l->dsts[rnd(l->policy.n_rules * n_dsts)].addr;
		if (dst.kind == TAILRACE_ADDR_ANY)
			dst = random_prefix();
	} while (src.kind != dst.kind);
	random_host(&src);
	random_host(&dst);

	memset(b, 0, 60);
	if (src.kind == TAILRACE_ADDR_PREFIX4) {
		header = 20;
		b[0] = 0x45;
		b[3] = 40;
		b[9] = 6;
		memcpy(b + 12, src.first, 4);
		memcpy(b + 16, dst.first, 4);
	} else {
		header = 40;
		b[0] = 0x60;
		b[5] = 20;
		b[6] = 6;
		memcpy(b + 8, src.first, 16);
		memcpy(b + 24, dst.first, 16);
	}
	port = rnd(65536);
	b[header + 2] = port >> 8;
	b[header + 3] = port;
	b[header + 13] = 2;
	return header + 20;
}

static void test_large(u32 n_rules, u32 n_srcs, u32 n_dsts, u32 n_packets)
{
	u32 i, len, accepted = 0, wrong = 0, first = 0;
	struct tr_policy *policy;
	struct tr_filter filter;
	struct tr_peers peers;
	struct oracle o;
	struct large l;
	u8 b[60];

	make_large(&l, n_rules, n_srcs, n_dsts);
	oracle_init(&o);
	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL) ||
	    compile_policy(&policy, &l.policy))
		exit(1);
	tr_filter_commit(&filter, policy);
	oracle_commit(&o, &l.policy);
	for (i = 0; i < n_packets; i++) {
		struct sk_buff skb = { .head = b };
		struct tr_packet pkt;
		struct tr_result res;
		bool want, got;

		len = make_packet(b, &l, n_srcs, n_dsts);
		skb.headlen = len;
		skb.len = len;
		tr_packet_parse(&skb, &pkt);
		want = oracle_in(&o, b, len) < 0;
		got = tr_filter_in(&filter, &peers, &pkt, &res);
		wrong += got != want ||
			 (got && !oracle_rule_accepts(&o, res.rule, b, len));
		accepted += want;
		/* Rules are named in their order. */
		while (first < res.rule && got &&
		       !oracle_rule_accepts(&o, first, b, len))
			first++;
		wrong += got && first != res.rule;
		first = 0;
	}
	tap_ok(!wrong, "%u rules with %u sources and %u destinations: "
	       "%u of %u packets accepted", n_rules, n_srcs, n_dsts, accepted,
	       n_packets);
	tap_ok(accepted * 200 > n_packets && accepted < n_packets,
	       "some pass and some do not");
	printf("# %u clauses' sets in %u nodes, level %u\n",
	       n_rules * n_dsts, policy->classifier.sets.n,
	       policy->classifier.sets.level);
	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	oracle_uninit(&o);
	free_large(&l);
}

static void test_dump(void)
{
	struct tr_policy *policy;
	struct large l;
	bool same = true;
	u32 i, n;

	make_large(&l, 50, 3, 4);
	if (compile_policy(&policy, &l.policy))
		exit(1);
	for (i = 0; i < tr_policy_n_rules(policy); i++) {
		const struct tr_rule *r = tr_policy_rule(policy, i);

		same = same && r->id == i && r->n_srcs == 3 && r->n_dsts == 4 &&
		       !memcmp(r->srcs, l.rules[i].srcs, 3 * sizeof(*r->srcs)) &&
		       !memcmp(r->dsts, l.rules[i].dsts, 4 * sizeof(*r->dsts));
	}
	tap_ok(same && i == 50, "rules come back as they were given");
	tap_ok(!memcmp(tr_policy_local(policy, &n), &l.local,
		       sizeof(l.local)) && n == 1, "so does the local set");
	tr_policy_free(policy);
	free_large(&l);
}

static void test_memory(void)
{
	struct tr_policy *policy;
	u32 failed = 0;
	struct large l;
	int ret;

	make_large(&l, 40, 3, 3);
	do {
		shim_allocations = failed;
		ret = compile_policy(&policy, &l.policy);
		shim_allocations = -1;
	} while (ret == -ENOMEM && ++failed);
	tap_ok(!ret && failed > 80, "%u ways to run out of memory", failed);
	tr_policy_free(policy);
	free_large(&l);
}

int main(void)
{
	test_addresses();
	test_limits();
	test_dump();
	test_memory();
	test_large(1, 1000, 1, 2000);
	test_large(200, 20, 3, 2000);
	test_large(1000, 10, 10, 1000);
	test_large(4000, 3, 40, 200);
	return tap_done();
}
