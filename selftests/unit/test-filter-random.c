// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's filter against the oracle: random policies, peers and packets
 * from a small world, so that they meet often. TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <time.h>

#include "../../kmod/filter.h"
#include "../../kmod/packet.h"
#include "../../kmod/peer.h"
#include "../../kmod/policy.h"
#include "../kmod/compile.h"
#include "../kmod/world.h"
#include "tap.h"

#define POLICIES 1200
#define PACKETS 1000

static void random_peers(struct world *w, struct oracle *o,
			 struct tr_peers *peers)
{
	size_t i;

	for (i = 0; i < o->n_peers; i++)
		tr_peers_del(peers, o->peers[i].id);
	o->peers = w->peers;
	o->n_peers = world_peers(w);
	for (i = 0; i < o->n_peers; i++)
		if (compile_peer(peers, &w->peers[i]))
			abort();
	o->changes++;
}

static void commit(struct world *w, struct oracle *o, struct tr_filter *filter)
{
	struct tr_policy *policy;

	if (compile_policy(&policy, &w->policy))
		abort();
	tr_filter_commit(filter, policy);
	oracle_commit(o, &w->policy);
}

struct tally {
	unsigned long accepted, by_rule, hits, new, drop[__TAILRACE_DROP_MAX];
};

/* The packet through the kernel's filter, its bytes split at random. */
static int kernel_verdict(struct tr_filter *filter, struct tr_peers *peers,
			  const uint8_t *packet, size_t len, bool in,
			  struct tr_packet *pkt, struct tr_result *res)
{
	size_t headlen = world_rnd(len + 1);
	uint8_t *head = malloc(headlen + !headlen);
	uint8_t *pages = malloc(len - headlen + 1);
	struct sk_buff skb = {
		.head = head, .headlen = headlen, .pages = pages, .len = len
	};
	bool accept;

	memcpy(head, packet, headlen);
	memcpy(pages, packet + headlen, len - headlen);
	tr_packet_parse(&skb, pkt);
	accept = in ? tr_filter_in(filter, peers, pkt, res) :
		      tr_filter_out(filter, peers, pkt, res);
	free(head);
	free(pages);
	return accept ? -1 : (int)res->drop;
}

static void count(struct tally *t, int verdict, const struct tr_result *res)
{
	if (verdict < 0)
		t->accepted++;
	else
		t->drop[verdict]++;
	t->by_rule += res->by_rule;
	t->hits += !!(res->flow & TR_RESULT_FLOW_HIT);
	t->new += !!(res->flow & TR_RESULT_FLOW_NEW);
}

static void explain(const uint8_t *b, size_t len, bool in, int want, int got)
{
	size_t i;

	printf("# %s: oracle %d, kernel %d:", in ? "in" : "out", want, got);
	for (i = 0; i < len; i++)
		printf(" %02x", b[i]);
	putchar('\n');
}

/*
 * Time goes in steps whose sums do not meet the ages at which flows end: the
 * oracle and the filter need not agree upon seconds.
 */
static void sleep_some(struct oracle *o)
{
	static const unsigned int steps[] = { 1, 1, 2, 3, 10, 20, 30, 20000 };
	unsigned int s = 7 * steps[world_rnd(ARRAY_SIZE(steps))];

	o->now += s;
	shim_jiffies += s * HZ;
}

/* One policy's packets; false on the first difference. */
static bool run_packets(struct world *w, struct oracle *o,
			struct tr_filter *filter, struct tr_peers *peers,
			struct tally *tally)
{
	uint8_t b[WORLD_MAX_PACKET];
	struct tr_packet pkt;
	struct tr_result res;
	int i, want, got;
	size_t len;

	for (i = 0; i < PACKETS; i++) {
		bool in = world_chance(75);

		len = world_packet(b);
		if (world_chance(1))
			random_peers(w, o, peers);
		if (o->strict && world_chance(2))
			sleep_some(o);
		want = in ? oracle_in(o, b, len) : oracle_out(o, b, len);
		got = kernel_verdict(filter, peers, b, len, in, &pkt, &res);
		count(tally, got, &res);
		if (want != got) {
			explain(b, len, in, want, got);
			return false;
		}
		/* The rule of a later fragment is that of the first one. */
		if (res.by_rule && pkt.proto != TR_PROTO_FRAGMENT &&
		    !oracle_rule_accepts(o, res.rule, b, len)) {
			printf("# rule %u does not accept:\n", res.rule);
			explain(b, len, in, want, got);
			return false;
		}
	}
	return true;
}

enum mode { ORDINARY, STRICT, CHANGING };

/* As many random policies; @tally is of all runs in this mode. */
static void run(enum mode mode, int policies, struct tally *tally)
{
	static const char *const names[] = {
		"ordinary", "strict", "now strict, now ordinary",
	};
	/* Those in force, next, and at the beginning of a grace. */
	static struct world worlds[3];
	struct tr_filter filter;
	struct tr_peers peers;
	struct oracle o;
	bool same = true;
	int i, k = 0;

	oracle_init(&o);
	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL))
		abort();
	if (mode == STRICT) {
		tr_filter_set_strict(&filter, true);
		oracle_set_strict(&o, true);
	}
	random_peers(&worlds[0], &o, &peers);
	tap_ok(run_packets(&worlds[0], &o, &filter, &peers, tally) &&
		       !tally->accepted,
	       "nothing passes before the first policy");
	for (i = 0; same && i < policies; i++) {
		do
			k = (k + 1) % 3;
		while (o.policy == &worlds[k].policy ||
		       o.before == &worlds[k].policy);
		world_policy(&worlds[k]);
		commit(&worlds[k], &o, &filter);
		random_peers(&worlds[k], &o, &peers);
		if (mode == CHANGING && world_chance(40)) {
			bool strict = world_chance(50);

			tr_filter_set_strict(&filter, strict);
			oracle_set_strict(&o, strict);
		}
		/* Keep the oracle's linear search short. */
		if (o.flows.n + o.jail.n + o.memories.n > 3000) {
			o.flows.n = 0;
			o.jail.n = 0;
			o.memories.n = 0;
			o.policy = NULL;
			o.before = NULL;
			tr_filter_uninit(&filter);
			if (tr_filter_init(&filter))
				abort();
			tr_filter_set_strict(&filter, o.strict);
			commit(&worlds[k], &o, &filter);
		}
		same = run_packets(&worlds[k], &o, &filter, &peers, tally);
	}
	tap_ok(same, "%s: %d policies with %d packets each: as the oracle says",
	       names[mode], i, PACKETS);
	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	oracle_uninit(&o);
}

int main(void)
{
	const char *env = getenv("TEST_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	enum mode mode;
	int i;

	printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
	world_seed(seed);
	for (mode = ORDINARY; mode <= CHANGING; mode++) {
		struct tally tally = {};

		run(mode, mode == ORDINARY ? POLICIES : POLICIES / 3, &tally);
		printf("# %lu accepted (%lu named a rule, %lu hits), %lu flows entered\n",
		       tally.accepted, tally.by_rule, tally.hits, tally.new);
		for (i = 0; i < __TAILRACE_DROP_MAX; i++)
			printf("# drop reason %d: %lu\n", i, tally.drop[i]);
		for (i = 0; i < TAILRACE_DROP_DISCO_INSIDE; i++)
			if (tally.drop[i] <= 100)
				break;
		tap_ok(i == TAILRACE_DROP_DISCO_INSIDE,
		       "all drop reasons were met");
		tap_ok((tally.drop[TAILRACE_DROP_NO_FLOW] > 100) ==
			       (mode != ORDINARY),
		       "that of the strict in its place");
		tap_ok(tally.by_rule > 1000 && tally.hits > 1000,
		       "rules and flows were met");
	}
	return tap_done();
}
