// SPDX-License-Identifier: GPL-2.0
#include "sizes.h"

#include <stdlib.h>
#include <string.h>

/* Every tenth rule, of at least ten, is for any source. */
#define ANY 10

static uint32_t rnd(struct sizes *s, uint32_t n)
{
	s->state ^= s->state << 13;
	s->state ^= s->state >> 7;
	s->state ^= s->state << 17;
	return (s->state >> 16) % n;
}

/* Something about prefix @i that looks like chance. */
static uint32_t mix(uint32_t i)
{
	i *= 0x9e3779b1;
	i ^= i >> 15;
	i *= 0x85ebca77;
	return i ^ i >> 13;
}

static void *array(uint32_t n, size_t size)
{
	void *p = calloc(n + !n, size);

	if (!p)
		abort();
	return p;
}

static void put16(uint8_t *b, uint32_t v)
{
	b[0] = v >> 8;
	b[1] = v;
}

static void put32(uint8_t *b, uint32_t v)
{
	put16(b, v >> 16);
	put16(b + 2, v);
}

/* Block @i of 8192 addresses from 11.0.0.0 on, or of a /64's in 2001:db8::/32. */
struct tailrace_addr sizes_prefix(const struct sizes *s, uint32_t i)
{
	uint32_t chance = mix(i), addr = (11U << 24) + i * 8192;
	struct tailrace_addr a = {};

	if (s->family == 4) {
		a.kind = TAILRACE_ADDR_PREFIX4;
		a.prefix_len = 20 + chance % 13;
		addr += (chance >> 8) % 8192;
		put32(a.first, addr >> (32 - a.prefix_len)
				       << (32 - a.prefix_len));
		return a;
	}
	a.kind = TAILRACE_ADDR_PREFIX6;
	a.prefix_len = 64 + 16 * (chance % 5);
	put32(a.first, 0x20010db8);
	put32(a.first + 4, i << 8);
	if (a.prefix_len > 64)
		memset(a.first + 8, chance >> 24, (a.prefix_len - 64) / 8);
	return a;
}

/* Host @i of the local set. */
static struct tailrace_addr host(const struct sizes *s, uint32_t i)
{
	struct tailrace_addr a = {};

	if (s->family == 4) {
		a.kind = TAILRACE_ADDR_PREFIX4;
		a.prefix_len = 32;
		put32(a.first, (100U << 24 | 64 << 16) + i);
		return a;
	}
	a.kind = TAILRACE_ADDR_PREFIX6;
	a.prefix_len = 128;
	put32(a.first, 0xfd7a115c);
	put16(a.first + 4, 0xa1e0);
	put32(a.first + 12, i);
	return a;
}

static struct tailrace_addr local(const struct sizes *s)
{
	struct tailrace_addr a = host(s, 0);

	a.prefix_len = s->family == 4 ? 10 : 48;
	return a;
}

static struct tailrace_dst port(const struct sizes *s, uint32_t h,
				uint16_t first, uint16_t last)
{
	return (struct tailrace_dst){ host(s, h), first, last };
}

static bool is_any(const struct sizes *s, uint32_t rule)
{
	return s->n_rules >= ANY && rule % ANY == ANY - 1;
}

const struct oracle_rule *sizes_plain(const struct sizes *s, uint32_t i)
{
	return &s->rules[s->n_rules < ANY ? i : i + i / (ANY - 1)];
}

uint32_t sizes_kinds(const struct sizes *s)
{
	return s->n_prefixes < s->n_plain ? s->n_prefixes : s->n_plain;
}

/* The prefixes of a plain rule, into @srcs. */
static uint32_t sources(const struct sizes *s, uint32_t plain,
			struct tailrace_addr *srcs)
{
	uint32_t i, n = 0;

	for (i = plain % sizes_kinds(s); i < s->n_prefixes; i += s->n_plain)
		srcs[n++] = sizes_prefix(s, i);
	return n;
}

void sizes_init(struct sizes *s, int family, uint32_t n_prefixes,
		uint32_t n_rules, uint64_t seed)
{
	uint32_t i, plain = 0, n_srcs = 0;

	*s = (struct sizes){ .family = family,
			     .n_prefixes = n_prefixes,
			     .n_rules = n_rules,
			     .n_plain = n_rules - (n_rules < ANY ? 0 :
							    n_rules / ANY),
			     .state = seed * 0x9e3779b97f4a7c15ULL + 1 };
	s->rules = array(n_rules, sizeof(*s->rules));
	s->srcs = array(n_prefixes + 2 * n_rules, sizeof(*s->srcs));
	s->dsts = array(3 * n_rules, sizeof(*s->dsts));
	s->local = local(s);
	for (i = 0; i < n_rules; i++) {
		struct oracle_rule *r = &s->rules[i];
		struct tailrace_dst *d = &s->dsts[3 * i];

		*r = (struct oracle_rule){ .id = i + 1,
					   .srcs = s->srcs + n_srcs,
					   .dsts = d,
					   .n_dsts = is_any(s, i) ? 2 : 3 };
		d[0] = port(s, 2 * i, 80, 80);
		d[1] = port(s, 2 * i, 443, 443);
		d[2] = port(s, 2 * i + 1, 1000, 1999);
		r->n_srcs = 1; /* any is all zero */
		if (!is_any(s, i))
			r->n_srcs = sources(s, plain++, s->srcs + n_srcs);
		n_srcs += r->n_srcs;
	}
	s->policy = (struct oracle_policy){ .rules = s->rules,
					    .n_rules = n_rules,
					    .local = &s->local,
					    .n_local = 1 };
}

void sizes_free(struct sizes *s)
{
	free(s->rules);
	free(s->srcs);
	free(s->dsts);
}

/* An address of a prefix. */
static void random_address(struct sizes *s, const struct tailrace_addr *a,
			   uint8_t *out)
{
	uint32_t i, bytes = s->family == 4 ? 4 : 16;

	for (i = 0; i < bytes; i++) {
		uint32_t fixed = a->prefix_len > 8 * i ?
					 a->prefix_len - 8 * i : 0;

		out[i] = a->first[i];
		if (fixed < 8)
			out[i] |= rnd(s, 256) & 0xff >> fixed;
	}
}

/* A source, and a destination of one of its rules. */
static void aim(struct sizes *s, struct tailrace_addr *src,
		struct tailrace_dst *dst)
{
	uint32_t kinds = sizes_kinds(s), prefix = rnd(s, s->n_prefixes);
	uint32_t plain = prefix % s->n_plain, rule;
	const struct oracle_rule *r;

	*src = sizes_prefix(s, prefix);
	if (s->n_rules >= ANY && !rnd(s, ANY)) {
		rule = rnd(s, s->n_rules / ANY) * ANY + ANY - 1;
		r = &s->rules[rule];
	} else {
		if (kinds < s->n_plain)
			plain += rnd(s, (s->n_plain - plain - 1) / kinds + 1) *
				 kinds;
		r = sizes_plain(s, plain);
	}
	*dst = r->dsts[rnd(s, r->n_dsts)];
}

uint32_t sizes_packet(struct sizes *s, uint8_t *b, uint8_t proto, bool allowed)
{
	uint32_t header = s->family == 4 ? 20 : 40, at = s->family == 4 ? 12 : 8;
	uint32_t bytes = s->family == 4 ? 4 : 16;
	uint32_t len = header + (proto == 6 ? 20 : 8), sport, dport;
	struct tailrace_addr src;
	struct tailrace_dst dst;

	aim(s, &src, &dst);
	dport = dst.port_first + rnd(s, dst.port_last - dst.port_first + 1);
	sport = 1024 + rnd(s, 32768);
	memset(b, 0, SIZES_PACKET);
	if (s->family == 4) {
		b[0] = 0x45;
		put16(b + 2, len);
		b[8] = 64;
		b[9] = proto;
	} else {
		b[0] = 0x60;
		put16(b + 4, len - header);
		b[6] = proto;
		b[7] = 64;
	}
	random_address(s, &src, b + at);
	memcpy(b + at + bytes, dst.addr.first, bytes);
	if (!allowed && rnd(s, 4)) {
		dport += 2000; /* nobody's */
	} else if (!allowed) {
		b[at] = s->family == 4 ? 10 : 0xfc;
		dport = 1000;
		memcpy(b + at + bytes, s->dsts[2].addr.first, bytes);
	}
	put16(b + header, sport);
	put16(b + header + 2, dport);
	if (proto == 6) {
		b[header + 12] = 0x50;
		b[header + 13] = 0x02;
	} else {
		put16(b + header + 4, 8);
	}
	return len;
}
