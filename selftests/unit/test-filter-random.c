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
#include "../kmod/oracle.h"
#include "tap.h"

#define POLICIES 1200
#define PACKETS 1000
#define MAX_RULES 24
#define MAX_ADDRS 6
#define MAX_PEERS 6
#define MAX_PACKET 160

static uint64_t state;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % n;
}

static bool chance(uint32_t percent)
{
	return rnd(100) < percent;
}

/* The world. */

static const uint8_t nets4[][4] = {
	{ 100, 64, 0, 0 }, { 100, 64, 1, 0 },	 { 10, 0, 0, 0 },
	{ 10, 0, 128, 0 }, { 192, 168, 1, 0 },	 { 0, 0, 0, 0 },
	{ 169, 254, 1, 0 }, { 169, 254, 169, 252 }, { 224, 0, 0, 0 },
	{ 239, 255, 255, 248 }, { 255, 255, 255, 248 }, { 127, 0, 0, 0 },
};

static const uint8_t nets6[][16] = {
	{ 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 },
	{ 0x20, 0x01, 0x0d, 0xb8 },
	{ 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0x80 },
	{ 0 },
	{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 100, 64, 0, 0 },
	{ 0xfe, 0x80 },
	{ 0xfe, 0xc0 },
	{ 0xff, 0x02 },
	{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	  0xff, 0xff, 0xff, 0xff, 0xf8 },
};

static const uint16_t ports[] = { 0, 1, 22, 53, 80, 443, 444, 65534, 65535 };
static const uint8_t protos[] = { 0,  1,  2,  6,  17, 41, 43, 44,
				  47, 50, 58, 60, 99, 132, 254, 255 };
static const uint8_t common_protos[] = { 1, 6, 17, 58, 99, 132 };

static void random_addr(int family, uint8_t *out)
{
	/* The first few are peers and local addresses: prefer them. */
	if (family == 4) {
		memcpy(out, nets4[chance(60) ? rnd(5) : rnd(ARRAY_SIZE(nets4))],
		       4);
		out[3] |= rnd(8);
		if (chance(5))
			out[rnd(4)] = rnd(256);
	} else {
		memcpy(out, nets6[chance(60) ? rnd(3) : rnd(ARRAY_SIZE(nets6))],
		       16);
		out[15] |= rnd(8);
		if (chance(5))
			out[rnd(16)] = rnd(256);
	}
}

static uint16_t random_port(void)
{
	return chance(90) ? ports[rnd(ARRAY_SIZE(ports))] : rnd(65536);
}

static void cut(uint8_t *addr, unsigned int bits, unsigned int len)
{
	for (; len < bits; len++)
		addr[len / 8] &= ~(0x80 >> len % 8);
}

static struct tailrace_addr random_set(bool prefix_only)
{
	struct tailrace_addr a = {};
	int family = chance(60) ? 4 : 6;
	unsigned int bits = family == 4 ? 32 : 128;
	uint8_t tmp[16];

	if (!prefix_only && chance(10))
		return a;
	random_addr(family, a.first);
	if (!prefix_only && chance(30)) {
		a.kind = family == 4 ? TAILRACE_ADDR_RANGE4 :
				       TAILRACE_ADDR_RANGE6;
		random_addr(family, a.last);
		if (memcmp(a.first, a.last, bits / 8) > 0) {
			memcpy(tmp, a.first, 16);
			memcpy(a.first, a.last, 16);
			memcpy(a.last, tmp, 16);
		}
		return a;
	}
	a.kind = family == 4 ? TAILRACE_ADDR_PREFIX4 : TAILRACE_ADDR_PREFIX6;
	a.prefix_len = chance(50) ? bits - rnd(4) : rnd(bits + 1);
	cut(a.first, bits, a.prefix_len);
	return a;
}

/* Rules with their memory. */

struct rule_memory {
	uint8_t protos[4];
	struct tailrace_addr srcs[MAX_ADDRS];
	uint32_t caps[3];
	struct tailrace_dst dsts[MAX_ADDRS];
};

struct world {
	struct oracle_policy policy;
	struct oracle_rule rules[MAX_RULES];
	struct rule_memory rule_memory[MAX_RULES];
	struct tailrace_addr local[MAX_ADDRS];
	struct oracle_peer peers[MAX_PEERS];
	struct {
		struct tailrace_addr addrs[2], routes[3];
		uint32_t caps[3];
	} peer_memory[MAX_PEERS];
};

static void random_rule(struct oracle_rule *r, struct rule_memory *m,
			uint32_t id)
{
	size_t i;

	*r = (struct oracle_rule){ .id = id,
				   .protos = m->protos,
				   .srcs = m->srcs,
				   .caps = m->caps,
				   .dsts = m->dsts };
	r->n_protos = chance(50) ? 0 : 1 + rnd(ARRAY_SIZE(m->protos));
	for (i = 0; i < r->n_protos; i++)
		m->protos[i] = protos[rnd(ARRAY_SIZE(protos))];
	r->n_srcs = chance(10) ? 0 : 1 + rnd(MAX_ADDRS);
	for (i = 0; i < r->n_srcs; i++)
		m->srcs[i] = random_set(false);
	r->n_caps = chance(70) ? 0 : 1 + rnd(ARRAY_SIZE(m->caps));
	for (i = 0; i < r->n_caps; i++)
		m->caps[i] = rnd(6) * 0x33333333;
	r->n_dsts = chance(5) ? 0 : 1 + rnd(MAX_ADDRS);
	for (i = 0; i < r->n_dsts; i++) {
		uint16_t a = random_port(), b = random_port();

		m->dsts[i].addr = random_set(false);
		if (chance(30)) {
			a = 0;
			b = 65535;
		}
		m->dsts[i].port_first = a < b ? a : b;
		m->dsts[i].port_last = a < b ? b : a;
	}
}

static void random_policy(struct world *w)
{
	size_t i;

	w->policy = (struct oracle_policy){ .rules = w->rules,
					    .n_rules = rnd(MAX_RULES + 1),
					    .local = w->local,
					    .n_local = rnd(MAX_ADDRS + 1),
					    .shields_up = chance(10) };
	/* Few rules are as telling as many. */
	if (chance(50))
		w->policy.n_rules = w->policy.n_rules ? 1 + rnd(3) : 0;
	for (i = 0; i < w->policy.n_rules; i++)
		random_rule(&w->rules[i], &w->rule_memory[i], 1000 + i);
	for (i = 0; i < w->policy.n_local; i++)
		w->local[i] = random_set(false);
	if (w->policy.n_local && chance(60))
		w->local[0] = (struct tailrace_addr){};
}

static void random_peers(struct world *w, struct oracle *o,
			 struct tr_peers *peers)
{
	size_t i, k;

	for (i = 0; i < o->n_peers; i++)
		tr_peers_del(peers, o->peers[i].id);
	o->peers = w->peers;
	o->n_peers = rnd(MAX_PEERS + 1);
	for (i = 0; i < o->n_peers; i++) {
		struct oracle_peer *p = &w->peers[i];

		*p = (struct oracle_peer){ .id = i + 1,
					   .jailed = chance(20),
					   .is_unsigned = chance(20),
					   .addrs = w->peer_memory[i].addrs,
					   .n_addrs = rnd(3),
					   .routes = w->peer_memory[i].routes,
					   .n_routes = rnd(4),
					   .caps = w->peer_memory[i].caps,
					   .n_caps = rnd(4) };
		/* Own addresses are a peer's alone. */
		for (k = 0; k < p->n_addrs; k++) {
			struct tailrace_addr *a = &w->peer_memory[i].addrs[k];

			*a = (struct tailrace_addr){};
			a->kind = k ? TAILRACE_ADDR_PREFIX6 :
				      TAILRACE_ADDR_PREFIX4;
			a->prefix_len = k ? 128 : 32;
			memcpy(a->first, k ? nets6[0] : nets4[0], k ? 16 : 4);
			a->first[k ? 15 : 3] |= i;
		}
		for (k = 0; k < p->n_routes; k++)
			w->peer_memory[i].routes[k] = random_set(true);
		for (k = 0; k < p->n_caps; k++)
			w->peer_memory[i].caps[k] = rnd(6) * 0x33333333;

		if (tr_peers_set(peers,
				 &(struct tr_peer_config){
					 .id = p->id,
					 .flags = (p->jailed ?
						   TAILRACE_PEER_JAILED : 0) |
						  (p->is_unsigned ?
						   TAILRACE_PEER_UNSIGNED : 0),
					 .addrs = p->addrs,
					 .n_addrs = p->n_addrs,
					 .routes = p->routes,
					 .n_routes = p->n_routes,
					 .caps = p->caps,
					 .n_caps = p->n_caps },
				 NULL))
			abort();
	}
}

static void commit(struct world *w, struct oracle *o, struct tr_filter *filter)
{
	struct tr_policy *policy = tr_policy_new();
	size_t i;
	int ret;

	ret = tr_policy_add_local(policy, w->local, w->policy.n_local, NULL);
	for (i = 0; !ret && i < w->policy.n_rules; i++) {
		const struct oracle_rule *r = &w->rules[i];
		struct tr_rule rule = { .id = r->id,
					.protos = r->protos,
					.n_protos = r->n_protos,
					.srcs = r->srcs,
					.n_srcs = r->n_srcs,
					.caps = r->caps,
					.n_caps = r->n_caps,
					.dsts = r->dsts,
					.n_dsts = r->n_dsts };

		ret = tr_policy_add_rule(policy, &rule, NULL);
	}
	if (!ret)
		ret = tr_policy_compile(policy,
					w->policy.shields_up ?
						TAILRACE_POLICY_SHIELDS_UP : 0,
					NULL);
	if (ret)
		abort();
	tr_filter_commit(filter, policy);
	oracle_commit(o, &w->policy);
}

/* Packets. */

static void put16(uint8_t *b, uint32_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

static size_t put_transport(uint8_t *b, int family, uint8_t proto)
{
	static const uint8_t tcp_flags[] = { 0x02, 0x12, 0x10, 0x18, 0x04, 0x01,
					     0x00, 0xc2, 0x03 };
	static const uint8_t types4[] = { 0, 3, 8, 11, 12, 18, 5 };
	static const uint8_t types6[] = { 1, 2, 3, 4, 128, 129, 135 };
	size_t i, len = chance(70) ? 20 + rnd(20) : rnd(24);

	for (i = 0; i < 40; i++)
		b[i] = rnd(256);
	put16(b, random_port());
	put16(b + 2, random_port());
	if (proto == 6)
		b[13] = chance(80) ? tcp_flags[rnd(sizeof(tcp_flags))] :
				     rnd(256);
	if (proto == 1 || proto == 58) {
		b[0] = family == 4 ? types4[rnd(sizeof(types4))] :
				     types6[rnd(sizeof(types6))];
		b[1] = chance(70) ? 0 : rnd(3);
	}
	return len;
}

static uint8_t random_proto(void)
{
	if (chance(75))
		return common_protos[rnd(sizeof(common_protos))];
	return chance(80) ? protos[rnd(sizeof(protos))] : rnd(256);
}

static uint16_t random_offset(void)
{
	return chance(80) ? 0 : chance(80) ? rnd(14) : rnd(8192);
}

static size_t packet4(uint8_t *b)
{
	size_t header = 20, len;
	uint8_t proto = random_proto();

	if (chance(15))
		header += 4 * rnd(11);
	memset(b, 0, header);
	b[0] = 0x40 | header / 4;
	put16(b + 6, random_offset() | (chance(15) ? 0x2000 : 0) |
		     (chance(30) ? 0x4000 : 0));
	b[8] = 64;
	b[9] = proto;
	random_addr(4, b + 12);
	random_addr(4, b + 16);
	len = header + put_transport(b + header, 4, proto);
	put16(b + 2, len);
	return len;
}

static size_t packet6(uint8_t *b)
{
	uint8_t proto = random_proto();
	size_t header = 40, len;

	memset(b, 0, 48);
	b[0] = 0x60;
	b[6] = proto;
	b[7] = 64;
	random_addr(6, b + 8);
	random_addr(6, b + 24);
	if (chance(25)) {
		b[6] = 44;
		b[40] = proto;
		put16(b + 42, random_offset() << 3 | chance(50));
		header = 48;
	}
	len = header + put_transport(b + header, 6, proto);
	put16(b + 4, len - 40);
	return len;
}

static size_t random_packet(uint8_t *b)
{
	size_t len = chance(60) ? packet4(b) : packet6(b);

	if (chance(5))
		b[rnd(len)] = rnd(256);
	if (chance(3))
		b[0] = rnd(256);
	if (chance(4))
		len = rnd(len + 1);
	if (chance(4))
		len += rnd(9);
	return len;
}

/* Turn a packet's addresses and ports round: an answer to it. */
static void reverse(uint8_t *b, size_t len)
{
	uint8_t tmp[16];
	size_t header = b[0] >> 4 == 6 ? 40 : (b[0] & 15) * 4;
	size_t at = b[0] >> 4 == 6 ? 8 : 12, n = b[0] >> 4 == 6 ? 16 : 4;

	if (len < header + 4 || len < at + 2 * n)
		return;
	memcpy(tmp, b + at, n);
	memcpy(b + at, b + at + n, n);
	memcpy(b + at + n, tmp, n);
	memcpy(tmp, b + header, 2);
	memcpy(b + header, b + header + 2, 2);
	memcpy(b + header + 2, tmp, 2);
}

struct tally {
	unsigned long accepted, by_rule, hits, new, drop[__TAILRACE_DROP_MAX];
};

/* The packet through the kernel's filter, its bytes split at random. */
static int kernel_verdict(struct tr_filter *filter, struct tr_peers *peers,
			  const uint8_t *packet, size_t len, bool in,
			  struct tr_result *res)
{
	size_t headlen = rnd(len + 1);
	uint8_t *head = malloc(headlen + !headlen);
	uint8_t *pages = malloc(len - headlen + 1);
	struct sk_buff skb = {
		.head = head, .headlen = headlen, .pages = pages, .len = len
	};
	struct tr_packet pkt;
	bool accept;

	memcpy(head, packet, headlen);
	memcpy(pages, packet + headlen, len - headlen);
	tr_packet_parse(&skb, &pkt);
	accept = in ? tr_filter_in(filter, peers, &pkt, res) :
		      tr_filter_out(filter, peers, &pkt, res);
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
 * A packet like one before, if possible: what was cached for it, maybe under
 * another policy, must not be believed any more.
 */
static size_t next_packet(uint8_t *b)
{
	static struct {
		uint8_t b[MAX_PACKET];
		size_t len;
	} recent[32];
	unsigned int i = rnd(ARRAY_SIZE(recent));
	size_t len;

	if (chance(40) && recent[i].len) {
		memcpy(b, recent[i].b, recent[i].len);
		if (chance(30))
			reverse(b, recent[i].len);
		return recent[i].len;
	}
	len = random_packet(b);
	memcpy(recent[i].b, b, len);
	recent[i].len = len;
	return len;
}

/* One policy's packets; false on the first difference. */
static bool run_packets(struct world *w, struct oracle *o,
			struct tr_filter *filter, struct tr_peers *peers,
			struct tally *tally)
{
	uint8_t b[MAX_PACKET];
	struct tr_result res;
	int i, want, got;
	size_t len;

	for (i = 0; i < PACKETS; i++) {
		bool in = chance(75);

		len = next_packet(b);
		if (chance(1))
			random_peers(w, o, peers);
		want = in ? oracle_in(o, b, len) : oracle_out(o, b, len);
		got = kernel_verdict(filter, peers, b, len, in, &res);
		count(tally, got, &res);
		if (want != got) {
			explain(b, len, in, want, got);
			return false;
		}
		if (res.by_rule && !oracle_rule_accepts(o, res.rule, b, len)) {
			printf("# rule %u does not accept:\n", res.rule);
			explain(b, len, in, want, got);
			return false;
		}
	}
	return true;
}

int main(void)
{
	const char *env = getenv("TEST_SEED");
	uint64_t seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	/* The policy in force and the next one both have their memory. */
	static struct world worlds[2];
	struct tally tally = {};
	struct tr_filter filter;
	struct tr_peers peers;
	struct oracle o;
	bool same = true;
	int i;

	printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
	state = seed * 0x9e3779b97f4a7c15ULL + 1;
	oracle_init(&o);
	if (tr_filter_init(&filter) || tr_peers_init(&peers, NULL))
		return 1;

	random_peers(&worlds[0], &o, &peers);
	tap_ok(run_packets(&worlds[0], &o, &filter, &peers, &tally),
	       "before the first policy");
	tap_ok(!tally.accepted, "nothing passes before the first policy");
	for (i = 0; same && i < POLICIES; i++) {
		struct world *w = &worlds[i % 2];

		random_policy(w);
		commit(w, &o, &filter);
		random_peers(w, &o, &peers);
		/* Keep the oracle's linear search short. */
		if (o.flows.n > 2000 || o.jail.n > 2000) {
			o.flows.n = 0;
			o.jail.n = 0;
			o.policy = NULL;
			tr_filter_uninit(&filter);
			if (tr_filter_init(&filter))
				return 1;
			commit(w, &o, &filter);
		}
		same = run_packets(w, &o, &filter, &peers, &tally);
	}
	tap_ok(same, "%d policies with %d packets each: as the oracle says",
	       i, PACKETS);
	printf("# %lu accepted (%lu named a rule, %lu hits), %lu flows entered\n",
	       tally.accepted, tally.by_rule, tally.hits, tally.new);
	for (i = 0; i < TAILRACE_DROP_DISCO_INSIDE; i++) {
		printf("# drop reason %d: %lu\n", i, tally.drop[i]);
		tap_ok(tally.drop[i] > 100, "drop reason %d was met", i);
	}
	tap_ok(tally.by_rule > 1000 && tally.hits > 1000,
	       "rules and flows were met");

	tr_filter_uninit(&filter);
	tr_peers_uninit(&peers);
	oracle_uninit(&o);
	return tap_done();
}
