// SPDX-License-Identifier: GPL-2.0
/*
 * The policies that the benchmarks measure decide as intended: every packet's
 * verdict as the generator says, as the oracle says and as the filter says.
 */
#include <stdio.h>

#include "../../kmod/filter.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "../bench/sizes.h"
#include "../kmod/compile.h"
#include "tap.h"

#define PACKETS 1000

static bool filter_accepts(struct tr_filter *filter, struct tr_peers *peers,
			   const uint8_t *b, uint32_t len,
			   struct tr_result *res)
{
	struct sk_buff skb = { .head = b, .headlen = len, .len = len };
	struct tr_packet pkt;

	tr_packet_parse(&skb, &pkt);
	return tr_filter_in(filter, peers, &pkt, res);
}

static void test(int family, uint32_t n_prefixes, uint32_t n_rules)
{
	uint32_t i, len, oracle_wrong = 0, filter_wrong = 0, rule_wrong = 0;
	uint8_t b[SIZES_PACKET];
	struct tr_policy *policy;
	struct tr_filter filter;
	struct tr_result res;
	struct tr_peers peers;
	struct oracle o;
	struct sizes s;

	sizes_init(&s, family, n_prefixes, n_rules, 1);
	oracle_init(&o);
	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL) ||
	    compile_policy(&policy, &s.policy))
		exit(1);
	tr_filter_commit(&filter, policy);
	oracle_commit(&o, &s.policy);
	for (i = 0; i < PACKETS; i++) {
		bool want = i & 1;

		len = sizes_packet(&s, b, i & 2 ? 6 : 17, want);
		oracle_wrong += (oracle_in(&o, b, len) == -1) != want;
		filter_wrong += filter_accepts(&filter, &peers, b, len, &res) !=
				want;
		rule_wrong += want && !oracle_rule_accepts(&o, res.rule, b, len);
	}
	tap_ok(!oracle_wrong && !filter_wrong && !rule_wrong,
	       "IPv%d, %u prefixes, %u rules: %u, %u and %u of %u differ", family,
	       n_prefixes, n_rules, oracle_wrong, filter_wrong, rule_wrong, i);
	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	oracle_uninit(&o);
	sizes_free(&s);
}

int main(void)
{
	static const uint32_t sizes[][2] = { { 10, 1 }, { 10, 100 },
					     { 10, 1000 }, { 1000, 1 },
					     { 1000, 100 }, { 1000, 1000 },
					     { 20000, 1000 } };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		test(4, sizes[i][0], sizes[i][1]);
		test(6, sizes[i][0], sizes[i][1]);
	}
	return tap_done();
}
