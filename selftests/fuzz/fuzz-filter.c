// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's packet filter against the oracle, a fixed policy and up to
 * eight packets, so that answers and cached verdicts are reached. A packet is
 * a byte that says whether it goes in (bit 0) and how many of its bytes are
 * in the skb's head (the other bits), a length byte, and its bytes. All is
 * played three times: ordinary, newly strict, and strict.
 */
#include "../../kmod/filter.h"
#include "../../kmod/flow.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "../../kmod/strict.h"
#include "../kmod/compile.h"

#define MAX_PACKETS 8
/* So many that no bucket gets full: the oracle knows none. */
#define MAX_FLOWS 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADDR4(a, b, c, d, len) \
	{ TAILRACE_ADDR_PREFIX4, len, 0, { a, b, c, d }, {} }
#define ADDR6(last, len) \
	{ TAILRACE_ADDR_PREFIX6, len, 0, { 0xfd, 0x7a, [15] = last }, {} }

static const struct tailrace_addr local[] = { ADDR4(100, 64, 0, 1, 32),
					      ADDR4(10, 0, 0, 0, 8),
					      ADDR6(1, 128) };
static const struct tailrace_addr any, host = ADDR4(100, 64, 0, 2, 32);
static const struct tailrace_dst web = { ADDR4(100, 64, 0, 1, 32), 80, 90 };
static const struct tailrace_dst web6 = { ADDR6(1, 128), 80, 90 };
static const struct tailrace_dst net = { ADDR4(10, 1, 0, 0, 16), 0, 65535 };
static const u8 protos[] = { 6, 17, 47, 50, 132 };
static const u32 cap = 7;
static const struct oracle_rule rules[] = {
	{ .id = 1, .srcs = &host, .n_srcs = 1, .dsts = &web, .n_dsts = 1 },
	{ .id = 2, .srcs = &any, .n_srcs = 1, .dsts = &web6, .n_dsts = 1 },
	{ .id = 3, .protos = protos, .n_protos = sizeof(protos), .srcs = &any,
	  .n_srcs = 1, .dsts = &net, .n_dsts = 1 },
	{ .id = 4, .caps = &cap, .n_caps = 1, .dsts = &net, .n_dsts = 1 },
};
static const struct oracle_policy policy = {
	.rules = rules, .n_rules = ARRAY_SIZE(rules),
	.local = local, .n_local = ARRAY_SIZE(local),
};
static const struct tailrace_addr addrs[] = { ADDR4(100, 64, 0, 2, 32),
					      ADDR4(100, 64, 0, 3, 32),
					      ADDR4(100, 64, 0, 4, 32) };
static const struct oracle_peer peer_list[] = {
	{ .id = 2, .addrs = addrs, .n_addrs = 1 },
	{ .id = 3, .addrs = addrs + 1, .n_addrs = 1, .jailed = true },
	{ .id = 4, .addrs = addrs + 2, .n_addrs = 1, .caps = &cap, .n_caps = 1 },
};

static struct tr_filter filter;
static struct tr_peers peers;
static struct oracle oracle;

static void require(bool good)
{
	if (!good)
		abort();
}

static void prepare(void)
{
	struct tr_policy *compiled;
	size_t i;

	require(!tr_peers_init(&peers, NULL) && !tr_filter_init(&filter));
	oracle_init(&oracle);
	oracle.peers = peer_list;
	oracle.n_peers = ARRAY_SIZE(peer_list);
	for (i = 0; i < ARRAY_SIZE(peer_list); i++)
		require(!compile_peer(&peers, &peer_list[i]));
	require(!compile_policy(&compiled, &policy));
	tr_filter_commit(&filter, compiled);
	oracle_commit(&oracle, &policy);
}

/* Every input starts without flows. */
static void forget(void)
{
	tr_flow_free(filter.flows);
	tr_flow_free(filter.jail);
	filter.flows = tr_flow_new(MAX_FLOWS);
	filter.jail = tr_flow_new(MAX_FLOWS);
	oracle.flows.n = 0;
	oracle.jail.n = 0;
	oracle.memories.n = 0;
}

static void compare(const u8 *b, u32 len, u32 headlen, bool in)
{
	u8 *head = malloc(headlen + !headlen);
	u8 *pages = malloc(len - headlen + 1);
	struct sk_buff skb = {
		.head = head, .headlen = headlen, .pages = pages, .len = len
	};
	struct tr_result res;
	struct tr_packet pkt;
	int want, got;
	bool accept;

	memcpy(head, b, headlen);
	memcpy(pages, b + headlen, len - headlen);
	tr_packet_parse(&skb, &pkt);
	accept = in ? tr_filter_in(&filter, &peers, &pkt, &res) :
		      tr_filter_out(&filter, &peers, &pkt, &res);
	free(head);
	free(pages);
	got = accept ? -1 : (int)res.drop;
	want = in ? oracle_in(&oracle, b, len) : oracle_out(&oracle, b, len);
	require(got == want);
	/* The rule of a later fragment is that of the first one. */
	if (res.by_rule && pkt.proto != TR_PROTO_FRAGMENT)
		require(oracle_rule_accepts(&oracle, res.rule, b, len));
}

static void set_strict(bool strict)
{
	tr_filter_set_strict(&filter, strict);
	oracle_set_strict(&oracle, strict);
}

static void play(const uint8_t *data, size_t size)
{
	u32 i, len;

	forget();
	for (i = 0; i < MAX_PACKETS && size >= 2; i++) {
		len = min_t(u32, data[1], size - 2);
		compare(data + 2, len, min_t(u32, data[0] >> 1, len),
			data[0] & 1);
		data += 2 + len;
		size -= 2 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!oracle.policy)
		prepare();
	play(data, size);
	set_strict(true);
	play(data, size);
	shim_jiffies += TR_STRICT_GRACE * HZ;
	oracle.now += TR_STRICT_GRACE;
	play(data, size);
	set_strict(false);
	return 0;
}
