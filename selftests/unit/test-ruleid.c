// SPDX-License-Identifier: GPL-2.0
/* Rules: ids that follow from contents, and the parts of a large one. */
#include <string.h>

#include "kernel/addrset.h"
#include "kernel/policy.h"
#include "kernel/ruleid.h"
#include "lib/ids.h"
#include "lib/util.h"
#include "tap.h"

static struct tailrace_addr addr(const char *text)
{
	struct tailrace_addr a;

	if (addrset_parse(&a, text))
		abort();
	return a;
}

static void test_ids_assign(void)
{
	struct id ids[] = {
		{ .digest = { 0xff, 0xff, 0xff, 0xff, 2 }, .index = 0 },
		{ .digest = { 0, 0, 0, 0, 7 }, .index = 1 },
		{ .digest = { 1, 2, 3, 4, 9 }, .index = 2 },
		{ .digest = { 1, 2, 3, 4, 8 }, .index = 3 },
		{ .digest = { 0xff, 0xff, 0xff, 0xff, 1 }, .index = 4 },
		{ .digest = { 1, 2, 3, 4, 8 }, .index = 5 },
		{ .digest = { 1, 2, 3, 6, 0 }, .index = 6 },
	};
	uint32_t want[] = { 0xfffffff9, 1, 0x01020306, 0x01020304, 0xfffffff8,
			    0x01020305, 0x01020307 };
	uint32_t got[ARRAY_SIZE(ids)];
	struct id lone = { .digest = { 1, 2, 3, 4, 9 } };
	size_t i;

	ids_assign(ids, ARRAY_SIZE(ids));
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		got[ids[i].index] = ids[i].id;
	tap_ok(!memcmp(got, want, sizeof(want)),
	       "who shares the first bits gets the next number");
	ids_assign(&lone, 1);
	tap_ok(lone.id == 0x01020304, "alone each has its own");
	ids_assign(NULL, 0);
}

#define RULES 5

/* Five rules; the arrays belong to the caller. */
struct five {
	struct tailrace_addr src[4];
	struct tailrace_dst dst[3];
	uint32_t caps[2];
	struct kernel_rule r[RULES];
};

static void make_five(struct five *f)
{
	static const uint8_t tcp_udp[] = { 6, 17 }, udp_tcp[] = { 17, 6, 6 };

	memset(f, 0, sizeof(*f));
	f->src[0] = addr("100.64.0.1");
	f->src[1] = addr("10.0.0.0/8");
	f->src[2] = addr("100.64.0.1");
	f->src[3] = addr("fd7a::1-fd7a::9");
	f->dst[0] = (struct tailrace_dst){ addr("*"), 0, 65535 };
	f->dst[1] = (struct tailrace_dst){ addr("100.64.0.2"), 22, 22 };
	f->dst[2] = (struct tailrace_dst){ addr("fd7a::/16"), 8000, 8010 };
	f->caps[0] = 0x1f;
	f->caps[1] = 0xdeadbeef;
	f->r[0] = (struct kernel_rule){ .src = f->src, .n_src = 2,
					.dst = f->dst, .n_dst = 1 };
	f->r[1] = (struct kernel_rule){ .src = f->src, .n_src = 2,
					.dst = f->dst, .n_dst = 2,
					.protos = tcp_udp, .n_protos = 2 };
	/* the same in another order, with doubles */
	f->r[2] = (struct kernel_rule){ .src = f->src + 1, .n_src = 2,
					.dst = f->dst, .n_dst = 2,
					.protos = udp_tcp, .n_protos = 3 };
	f->r[3] = (struct kernel_rule){ .src = f->src, .n_src = 4,
					.src_caps = f->caps, .n_src_caps = 2,
					.dst = f->dst + 1, .n_dst = 2,
					.protos = tcp_udp, .n_protos = 1 };
	f->r[4] = (struct kernel_rule){ .src = f->src, .n_src = 2,
					.dst = f->dst, .n_dst = 1,
					.protos = tcp_udp, .n_protos = 0 };
}

static void test_rule_ids(void)
{
	struct kernel_rule some[2], swapped[RULES];
	struct five f, g;
	size_t i, j, alike = 0;

	make_five(&f);
	make_five(&g);
	ruleid_assign(f.r, RULES);
	ruleid_assign(g.r, RULES);
	for (i = 0; i < RULES; i++)
		for (j = 0; j < i; j++)
			alike += f.r[i].id == f.r[j].id;
	tap_ok(!alike, "no two rules have the same id");
	for (i = 0; i < RULES && f.r[i].id == g.r[i].id; i++)
		;
	tap_ok(i == RULES, "the same rules have the same");
	tap_ok(f.r[2].id == f.r[1].id + 1 || f.r[1].id == f.r[2].id + 1,
	       "order and doubles in lists mean nothing");
	some[0] = g.r[3];
	some[1] = g.r[0];
	ruleid_assign(some, 2);
	tap_ok(some[0].id == f.r[3].id && some[1].id == f.r[0].id,
	       "whatever else there is");
	for (i = 0; i < RULES; i++)
		swapped[i] = g.r[RULES - 1 - i];
	ruleid_assign(swapped, RULES);
	tap_ok(swapped[1].id == f.r[3].id && swapped[4].id == f.r[0].id,
	       "and wherever they are");
	tap_ok(f.r[0].id != f.r[4].id,
	       "no protocol is not the default protocols");
	g.dst[0].port_last = 65534;
	ruleid_assign(g.r, RULES);
	tap_ok(g.r[0].id != f.r[0].id && g.r[3].id == f.r[3].id,
	       "what changed has another");
}

/* A rule of 1,000 sources and 700 destinations, and a small one. */
static void test_parts(void)
{
	static struct tailrace_addr src[1000];
	static struct tailrace_dst dst[700];
	uint32_t caps[] = { 3, 4 };
	struct tailrace_addr local = addr("*");
	struct kernel_rule rules[] = {
		{ .src = src, .n_src = 1000, .src_caps = caps, .n_src_caps = 2,
		  .dst = dst, .n_dst = 700 },
		{ .src = src, .n_src = 1, .dst = dst, .n_dst = 1 },
	};
	struct kernel_state state = { .local = &local, .n_local = 1,
				      .rules = rules, .n_rules = 2 };
	struct kernel_rule *big, *small;
	struct policy p, again;
	uint64_t sum = 0;
	char text[32];
	size_t i;

	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.0.%zu.%zu", i / 250, i % 250);
		src[i] = addr(text);
	}
	for (i = 0; i < 700; i++)
		dst[i] = (struct tailrace_dst){ addr("*"), (uint16_t)i,
						(uint16_t)i };
	ruleid_assign(rules, 2);
	policy_from_state(&p, &state);
	tap_ok(p.n_rules == 7, "a large rule is cut into parts");
	for (i = 0; i < p.n_rules; i++) {
		p.rules[i].hits = 1ull << i;
		sum += p.rules[i].hits;
	}
	policy_from_state(&again, &state);
	tap_ok(policy_equal(&p, &again), "hits make no difference");
	policy_clear(&again);
	policy_join(&p);
	if (!tap_ok(p.n_rules == 2, "which become one again"))
		exit(tap_done());
	big = &p.rules[p.rules[0].id == rules[1].id];
	small = &p.rules[p.rules[0].id != rules[1].id];
	tap_ok(big->id == rules[0].id && big->n_src == 1000 &&
	       big->n_src_caps == 2 && big->n_dst == 700 &&
	       small->n_src == 1 && small->n_dst == 1, "with all of both lists");
	tap_ok(big->hits + small->hits == sum && small->hits,
	       "and the hits of all parts");
	policy_clear(&p);
	policy_join(&p);
	tap_ok(!p.n_rules, "nothing is joined of nothing");
}

int main(void)
{
	test_ids_assign();
	test_rule_ids();
	test_parts();
	return tap_done();
}
