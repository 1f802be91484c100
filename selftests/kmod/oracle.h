/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The filter's semantics, written for being read: whole packets as bytes,
 * rules one after the other, no cache. What the kernel's filter is compared
 * with. Shares nothing with it but the types of the netlink interface.
 */
#ifndef KMOD_ORACLE_H
#define KMOD_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../uapi/tailrace.h"

struct oracle_rule {
	uint32_t id;
	const uint8_t *protos; /* none: TCP, UDP, ICMP, ICMPv6 */
	size_t n_protos;
	const struct tailrace_addr *srcs;
	size_t n_srcs;
	const uint32_t *caps;
	size_t n_caps;
	const struct tailrace_dst *dsts;
	size_t n_dsts;
};

struct oracle_policy {
	const struct oracle_rule *rules;
	size_t n_rules;
	const struct tailrace_addr *local;
	size_t n_local;
	bool shields_up;
};

struct oracle_peer {
	uint32_t id;
	bool jailed;
	bool is_unsigned;
	const struct tailrace_addr *addrs;
	size_t n_addrs;
	const struct tailrace_addr *routes;
	size_t n_routes;
	const uint32_t *caps;
	size_t n_caps;
};

#define ORACLE_FLOWS 65536

struct oracle_flow {
	uint8_t family, proto;
	uint8_t src[16], dst[16];
	uint16_t sport, dport;
};

/* Flows, unbounded for the purpose of a test; full is an assertion. */
struct oracle_flows {
	struct oracle_flow *flow;
	size_t n;
};

/*
 * What is to be known of a flow beside that replies to it pass: its owner, if
 * that is the peer, all of TCP, and first fragments.
 */
struct oracle_memory {
	struct oracle_flow flow; /* ports of a fragment: its id */
	bool ours;
	bool confirmed; /* another packet came in after the first */
	bool fin_in, fin_out, rst;
	uint64_t last; /* oracle.now */
	uint64_t changes; /* oracle.changes when a rule let it in; 0: never */
	uint32_t period; /* oracle.period; 0: of none */
	/* What a first fragment was. */
	int proto, sport, dport;
};

struct oracle_memories {
	struct oracle_memory *memory;
	size_t n;
};

/* The pointers are the test's; they must outlive the next call. */
struct oracle {
	const struct oracle_policy *policy; /* NULL: none yet */
	const struct oracle_peer *peers;
	size_t n_peers;
	struct oracle_flows flows;
	struct oracle_flows jail;
	/* Strictness, see kmod/strict.h. */
	bool strict;
	uint64_t now; /* seconds, the test's */
	uint64_t changes; /* of policy and peers; the test adds the peers' */
	uint32_t period; /* how often it has become strict */
	uint64_t grace_end;
	const struct oracle_policy *before; /* in force when the grace began */
	struct oracle_memories memories;
};

void oracle_init(struct oracle *o);
void oracle_uninit(struct oracle *o);
/* @policy and oracle.before must live on. */
void oracle_commit(struct oracle *o, const struct oracle_policy *policy);
void oracle_set_strict(struct oracle *o, bool strict);

/* Returns -1 for accept, else an enum tailrace_drop. */
int oracle_in(struct oracle *o, const uint8_t *packet, size_t len);
int oracle_out(struct oracle *o, const uint8_t *packet, size_t len);

/* Whether the rule @id alone lets an inbound packet in. */
bool oracle_rule_accepts(const struct oracle *o, uint32_t id,
			 const uint8_t *packet, size_t len);

#endif
