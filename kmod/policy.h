/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy: the rules as the agent gave them, and their compiled form.
 *
 * Built in process context (tr_policy_new, tr_policy_add_*, tr_policy_compile),
 * immutable from then on and read under RCU. struct tr_filter publishes it.
 */
#ifndef _TR_POLICY_H
#define _TR_POLICY_H

#include <linux/types.h>

#include "../uapi/tailrace.h"

struct netlink_ext_ack;
struct tr_packet;
struct tr_policy;

/**
 * struct tr_rule - a rule as the agent gave it
 * @id: chosen by the agent, need not be unique
 * @n_protos: 0 stands for TCP, UDP, ICMP and ICMPv6
 * @n_srcs: may be 0
 * @n_caps: may be 0
 * @n_dsts: may be 0, the rule then matches nothing
 * @protos: IP protocol numbers
 * @srcs: source addresses
 * @caps: capabilities of the source peer, alternative to @srcs
 * @dsts: destinations
 */
struct tr_rule {
	u32 id;
	u32 n_protos;
	u32 n_srcs;
	u32 n_caps;
	u32 n_dsts;
	const u8 *protos;
	const struct tailrace_addr *srcs;
	const u32 *caps;
	const struct tailrace_dst *dsts;
};

/**
 * tr_policy_new() - an empty policy under construction
 *
 * Process context. Return: for tr_policy_free() or tr_filter_commit(), or NULL.
 */
struct tr_policy *tr_policy_new(void);

/**
 * tr_policy_free() - free a policy no reader can see
 * @policy: may be NULL
 *
 * Process context.
 */
void tr_policy_free(struct tr_policy *policy);

/**
 * tr_policy_add_local() - extend the local set
 * @policy: not compiled yet
 * @addrs: copied
 * @n: number of @addrs
 * @extack: text on error
 *
 * Return: 0, -EINVAL, -E2BIG or -ENOMEM.
 */
int tr_policy_add_local(struct tr_policy *policy,
			const struct tailrace_addr *addrs, u32 n,
			struct netlink_ext_ack *extack);

/**
 * tr_policy_add_rule() - append a rule
 * @policy: not compiled yet
 * @rule: deep-copied
 * @extack: text on error
 *
 * Rules are tried in the order of addition; all of them accept, so the order
 * decides only which one is named.
 *
 * Return: 0, -EINVAL, -E2BIG (limits of uapi) or -ENOMEM.
 */
int tr_policy_add_rule(struct tr_policy *policy, const struct tr_rule *rule,
		       struct netlink_ext_ack *extack);

/**
 * tr_policy_compile() - build the lookup structures
 * @policy: complete
 * @flags: enum tailrace_policy_flags; with SHIELDS_UP rules are kept but void
 * @extack: text on error
 *
 * Process context, may take long for a large policy (sleeps between steps).
 *
 * Return: 0, -EINVAL for an unknown flag, -E2BIG when the compiled form would
 * pass its bound, or -ENOMEM.
 */
int tr_policy_compile(struct tr_policy *policy, u32 flags,
		      struct netlink_ext_ack *extack);

/* What was put in, for dumps. */
u32 tr_policy_flags(const struct tr_policy *policy);
u32 tr_policy_generation(const struct tr_policy *policy);
u32 tr_policy_n_rules(const struct tr_policy *policy);
/* The rule at @index below tr_policy_n_rules(), in order of addition. */
const struct tr_rule *tr_policy_rule(const struct tr_policy *policy, u32 index);
/* The local set in order of addition; *@n entries. */
const struct tailrace_addr *tr_policy_local(const struct tr_policy *policy,
					    u32 *n);

/**
 * tr_policy_is_local() - whether a packet's destination is in the local set
 * @policy: compiled
 * @pkt: of a known family
 *
 * RCU read side.
 */
bool tr_policy_is_local(const struct tr_policy *policy,
			const struct tr_packet *pkt);

/**
 * tr_policy_match() - find the rule that lets a packet in
 * @policy: compiled
 * @pkt: neither unknown nor a fragment, to a local address
 * @caps: the source peer's capabilities, ascending
 * @n_caps: their number
 * @rule: id of the deciding rule on success
 *
 * Rules alone: the stateless cases (TCP without SYN, ICMP replies, TSMP) are
 * the caller's. RCU read side.
 *
 * Return: true when a rule matches.
 */
bool tr_policy_match(const struct tr_policy *policy,
		     const struct tr_packet *pkt, const u32 *caps, u32 n_caps,
		     u32 *rule);

/* Whether any rule names a capability, that is, @caps can matter. */
bool tr_policy_uses_caps(const struct tr_policy *policy);

#endif
