/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policies of any size, and packets whose verdict under them is known: what
 * the benchmarks of the classifier measure, and what a test compares with the
 * oracle.
 *
 * Prefixes of many lengths lie scattered over the address space. They are dealt
 * to the rules one by one, so that no two neighbours have the same; when there
 * are fewer prefixes than rules, a prefix has several. A rule opens two ports of
 * one host and a thousand ports of another. Of ten rules or more every tenth is
 * for any source.
 */
#ifndef BENCH_SIZES_H
#define BENCH_SIZES_H

#include <stdbool.h>
#include <stdint.h>

#include "../kmod/oracle.h"

/* A record of packets: their length, then the packet, zeros. */
#define SIZES_PACKET 63

/**
 * struct sizes - a policy
 * @policy: as the oracle and selftests/kmod/compile.h take it
 * @family: 4 or 6
 * @n_prefixes: of sources
 * @n_rules: all told
 * @n_plain: of them, rules that name their sources
 */
struct sizes {
	struct oracle_policy policy;
	int family;
	uint32_t n_prefixes;
	uint32_t n_rules;
	uint32_t n_plain;
	uint64_t state;
	struct oracle_rule *rules;
	struct tailrace_addr *srcs;
	struct tailrace_dst *dsts;
	struct tailrace_addr local;
};

/* sizes_free() ends it. Does not return without memory. */
void sizes_init(struct sizes *s, int family, uint32_t n_prefixes,
		uint32_t n_rules, uint64_t seed);
void sizes_free(struct sizes *s);

/**
 * sizes_packet() - a random packet
 * @s: policy
 * @b: SIZES_PACKET bytes, filled in whole
 * @proto: 6 (a SYN) or 17
 * @allowed: the verdict; when not, three of four are from a known source
 *
 * Return: its length.
 */
uint32_t sizes_packet(struct sizes *s, uint8_t *b, uint8_t proto, bool allowed);

/**
 * sizes_sources() - how many chains a ruleset needs that has one a kind of source
 * @s: policy
 *
 * Kind i has the prefixes i, i + n, ... and the plain rules i, i + n, ...
 */
uint32_t sizes_kinds(const struct sizes *s);

/* Prefix @i, and the rule that is @i'th of those that name their sources. */
struct tailrace_addr sizes_prefix(const struct sizes *s, uint32_t i);
const struct oracle_rule *sizes_plain(const struct sizes *s, uint32_t i);

#endif
