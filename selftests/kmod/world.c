// SPDX-License-Identifier: GPL-2.0
#include "world.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t state;

void world_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ULL + 1;
}

uint32_t world_rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % n;
}

bool world_chance(uint32_t percent)
{
	return world_rnd(100) < percent;
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
		memcpy(out,
		       nets4[world_rnd(world_chance(60) ? 5 : COUNT(nets4))],
		       4);
		out[3] |= world_rnd(8);
		if (world_chance(5))
			out[world_rnd(4)] = world_rnd(256);
	} else {
		memcpy(out,
		       nets6[world_rnd(world_chance(60) ? 3 : COUNT(nets6))],
		       16);
		out[15] |= world_rnd(8);
		if (world_chance(5))
			out[world_rnd(16)] = world_rnd(256);
	}
}

static uint16_t random_port(void)
{
	return world_chance(90) ? ports[world_rnd(COUNT(ports))] :
				  world_rnd(65536);
}

static void cut(uint8_t *addr, unsigned int bits, unsigned int len)
{
	for (; len < bits; len++)
		addr[len / 8] &= ~(0x80 >> len % 8);
}

static struct tailrace_addr random_set(bool prefix_only)
{
	struct tailrace_addr a = {};
	int family = world_chance(60) ? 4 : 6;
	unsigned int bits = family == 4 ? 32 : 128;
	uint8_t tmp[16];

	if (!prefix_only && world_chance(10))
		return a;
	random_addr(family, a.first);
	if (!prefix_only && world_chance(30)) {
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
	a.prefix_len = world_chance(50) ? bits - world_rnd(4) :
					  world_rnd(bits + 1);
	cut(a.first, bits, a.prefix_len);
	return a;
}

static void random_rule(struct oracle_rule *r, struct world_rule *m,
			uint32_t id)
{
	size_t i;

	*r = (struct oracle_rule){ .id = id,
				   .protos = m->protos,
				   .srcs = m->srcs,
				   .caps = m->caps,
				   .dsts = m->dsts };
	r->n_protos = world_chance(50) ? 0 : 1 + world_rnd(COUNT(m->protos));
	for (i = 0; i < r->n_protos; i++)
		m->protos[i] = protos[world_rnd(COUNT(protos))];
	r->n_srcs = world_chance(10) ? 0 : 1 + world_rnd(WORLD_MAX_ADDRS);
	for (i = 0; i < r->n_srcs; i++)
		m->srcs[i] = random_set(false);
	r->n_caps = world_chance(70) ? 0 : 1 + world_rnd(COUNT(m->caps));
	for (i = 0; i < r->n_caps; i++)
		m->caps[i] = world_rnd(6) * 0x33333333;
	r->n_dsts = world_chance(5) ? 0 : 1 + world_rnd(WORLD_MAX_ADDRS);
	for (i = 0; i < r->n_dsts; i++) {
		uint16_t a = random_port(), b = random_port();

		m->dsts[i].addr = random_set(false);
		if (world_chance(30)) {
			a = 0;
			b = 65535;
		}
		m->dsts[i].port_first = a < b ? a : b;
		m->dsts[i].port_last = a < b ? b : a;
	}
}

void world_policy(struct world *w)
{
	size_t i;

	w->policy = (struct oracle_policy){
		.rules = w->rules,
		.n_rules = world_rnd(WORLD_MAX_RULES + 1),
		.local = w->local,
		.n_local = world_rnd(WORLD_MAX_ADDRS + 1),
		.shields_up = world_chance(10),
	};
	/* Few rules are as telling as many. */
	if (world_chance(50))
		w->policy.n_rules = w->policy.n_rules ? 1 + world_rnd(3) : 0;
	for (i = 0; i < w->policy.n_rules; i++)
		random_rule(&w->rules[i], &w->rule_memory[i], 1000 + i);
	for (i = 0; i < w->policy.n_local; i++)
		w->local[i] = random_set(false);
	if (w->policy.n_local && world_chance(60))
		w->local[0] = (struct tailrace_addr){};
}

size_t world_peers(struct world *w)
{
	size_t i, k, n = world_rnd(WORLD_MAX_PEERS + 1);

	for (i = 0; i < n; i++) {
		struct oracle_peer *p = &w->peers[i];

		*p = (struct oracle_peer){ .id = i + 1,
					   .jailed = world_chance(20),
					   .is_unsigned = world_chance(20),
					   .addrs = w->peer_memory[i].addrs,
					   .n_addrs = world_rnd(3),
					   .routes = w->peer_memory[i].routes,
					   .n_routes = world_rnd(4),
					   .caps = w->peer_memory[i].caps,
					   .n_caps = world_rnd(4) };
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
			w->peer_memory[i].caps[k] = world_rnd(6) * 0x33333333;
	}
	return n;
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
	size_t i, len = world_chance(70) ? 20 + world_rnd(20) : world_rnd(24);

	for (i = 0; i < 40; i++)
		b[i] = world_rnd(256);
	put16(b, random_port());
	put16(b + 2, random_port());
	if (proto == 6)
		b[13] = world_chance(80) ?
				tcp_flags[world_rnd(sizeof(tcp_flags))] :
				world_rnd(256);
	if (proto == 1 || proto == 58) {
		b[0] = family == 4 ? types4[world_rnd(sizeof(types4))] :
				     types6[world_rnd(sizeof(types6))];
		b[1] = world_chance(70) ? 0 : world_rnd(3);
	}
	return len;
}

static uint8_t random_proto(void)
{
	if (world_chance(75))
		return common_protos[world_rnd(sizeof(common_protos))];
	return world_chance(80) ? protos[world_rnd(sizeof(protos))] :
				  world_rnd(256);
}

static uint16_t random_offset(void)
{
	if (world_chance(80))
		return 0;
	return world_rnd(world_chance(80) ? 14 : 8192);
}

static size_t packet4(uint8_t *b)
{
	size_t header = 20, len;
	uint8_t proto = random_proto();

	if (world_chance(15))
		header += 4 * world_rnd(11);
	memset(b, 0, header);
	b[0] = 0x40 | header / 4;
	put16(b + 6, random_offset() | (world_chance(15) ? 0x2000 : 0) |
		     (world_chance(30) ? 0x4000 : 0));
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
	if (world_chance(25)) {
		b[6] = 44;
		b[40] = proto;
		put16(b + 42, random_offset() << 3 | world_chance(50));
		header = 48;
	}
	len = header + put_transport(b + header, 6, proto);
	put16(b + 4, len - 40);
	return len;
}

static size_t random_packet(uint8_t *b)
{
	size_t len;

	memset(b, 0, WORLD_MAX_PACKET);
	len = world_chance(60) ? packet4(b) : packet6(b);
	if (world_chance(5))
		b[world_rnd(len)] = world_rnd(256);
	if (world_chance(3))
		b[0] = world_rnd(256);
	if (world_chance(4))
		len = world_rnd(len + 1);
	if (world_chance(4))
		len += world_rnd(9);
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

static const uint8_t *header_of(const uint8_t *b, size_t len, size_t *header,
				uint8_t *proto)
{
	*header = b[0] >> 4 == 6 ? 40 : (b[0] & 15) * 4;
	*proto = b[b[0] >> 4 == 6 ? 6 : 9];
	if (b[0] >> 4 == 6 && *proto == 44 && len >= 48) {
		*header = 48;
		*proto = b[40];
	}
	return len >= *header + 8 && *header >= 20 ? b + *header : NULL;
}

/* An ICMP error to the sender of a packet, from anyone. */
static size_t make_error(uint8_t *b, const uint8_t *of, size_t quote)
{
	static const uint8_t types4[] = { 3, 11, 18, 12 };
	bool is6 = of[0] >> 4 == 6;
	size_t header = is6 ? 40 : 20;

	memset(b, 0, WORLD_MAX_PACKET);
	b[0] = is6 ? 0x60 : 0x45;
	b[is6 ? 6 : 9] = is6 ? 58 : 1;
	random_addr(is6 ? 6 : 4, b + (is6 ? 8 : 12));
	memcpy(b + (is6 ? 24 : 16), of + (is6 ? 8 : 12), is6 ? 16 : 4);
	b[header] = is6 ? 1 + world_rnd(4) : types4[world_rnd(4)];
	memcpy(b + header + 8, of, quote);
	put16(b + (is6 ? 4 : 2), 8 + quote + (is6 ? 0 : header));
	return header + 8 + quote;
}

/* What may come after a packet: flags, fragments, responses, errors. */
static size_t follow(uint8_t *b, size_t len)
{
	static const uint8_t flags[] = { 0x10, 0x12, 0x02, 0x11, 0x14, 0x18 };
	uint8_t proto, copy[WORLD_MAX_PACKET];
	bool is6 = b[0] >> 4 == 6;
	size_t header;

	if (!header_of(b, len, &header, &proto))
		return len;
	if (world_chance(25) && header + 36 < sizeof(copy) - 48) {
		memcpy(copy, b, sizeof(copy));
		return make_error(b, copy, world_chance(80) ?
						   header + 8 :
						   world_rnd(header + 8));
	}
	if (world_chance(20)) {
		/* Into fragments, and then another of them. */
		if (is6 && header == 48)
			put16(b + 42, world_chance(50) ? 1 : 12 << 3);
		else if (!is6)
			put16(b + 6, world_chance(50) ? 0x2000 : 12);
		return len;
	}
	if (proto == 6 && len >= header + 14)
		b[header + 13] = flags[world_rnd(sizeof(flags))];
	if ((proto == 1 && !is6) || (proto == 58 && is6)) {
		bool request = world_chance(50);

		b[header] = is6 ? (request ? 128 : 129) : (request ? 8 : 0);
		b[header + 1] = 0;
	}
	return len;
}

size_t world_packet(uint8_t *b)
{
	static struct {
		uint8_t b[WORLD_MAX_PACKET];
		size_t len;
	} recent[32];
	unsigned int i = world_rnd(COUNT(recent));
	size_t len;

	if (world_chance(40) && recent[i].len) {
		memcpy(b, recent[i].b, recent[i].len);
		len = recent[i].len;
		if (world_chance(30))
			reverse(b, len);
		return world_chance(40) ? follow(b, len) : len;
	}
	len = random_packet(b);
	memcpy(recent[i].b, b, len);
	recent[i].len = len;
	return len;
}

