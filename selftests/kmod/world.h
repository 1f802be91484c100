/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small world of addresses, ports, peers, rules and packets in which random
 * ones meet often. One generator for the tests that compare the filter with
 * the oracle, in user space and in the kernel.
 */
#ifndef KMOD_WORLD_H
#define KMOD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oracle.h"

#define WORLD_MAX_RULES 24
#define WORLD_MAX_ADDRS 6
#define WORLD_MAX_PEERS 6
#define WORLD_MAX_PACKET 160

struct world_rule {
	uint8_t protos[4];
	struct tailrace_addr srcs[WORLD_MAX_ADDRS];
	uint32_t caps[3];
	struct tailrace_dst dsts[WORLD_MAX_ADDRS];
};

/* A policy and peers with the memory they point to. */
struct world {
	struct oracle_policy policy;
	struct oracle_rule rules[WORLD_MAX_RULES];
	struct world_rule rule_memory[WORLD_MAX_RULES];
	struct tailrace_addr local[WORLD_MAX_ADDRS];
	struct oracle_peer peers[WORLD_MAX_PEERS];
	struct {
		struct tailrace_addr addrs[2], routes[3];
		uint32_t caps[3];
	} peer_memory[WORLD_MAX_PEERS];
};

/* The same seed makes the same world. */
void world_seed(uint64_t seed);
/* Below @n. */
uint32_t world_rnd(uint32_t n);
bool world_chance(uint32_t percent);

/* Fill @w->policy; ids of rules ascend from 1000. */
void world_policy(struct world *w);
/* Fill @w->peers, ids ascending from 1; returns how many. */
size_t world_peers(struct world *w);
/*
 * A packet in @b[WORLD_MAX_PACKET]; often one like one before, if possible:
 * what was cached for it, maybe under another policy, must not be believed
 * any more. Returns its length.
 */
size_t world_packet(uint8_t *b);

#endif
