/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A policy: the rules as the agent gave them, and their compiled form.
 *
 * Built in process context (tr_policy_new, tr_policy_add_*, tr_policy_compile),
 * immutable from then on and read under RCU. struct tr_filter publishes it.
 */
#ifndef _TR_POLICY_H
#define _TR_POLICY_H

#include <linux/list.h>
#include <linux/types.h>

#include "../uapi/tailrace.h"
#include "classify.h"

struct netlink_ext_ack;

/**
 * struct tr_rule - a rule as the agent gave it
 * @list: the policy's
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
	struct list_head list;
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
 * struct tr_policy - rules and their compiled form
 * @flags: enum tailrace_policy_flags
 * @generation: given by tr_filter_commit()
 * @flow_epoch: likewise; reply flows of another epoch are not this policy's
 * @n_local: entries of @local
 * @n_rules: entries of @rule
 * @max_local: room in @local
 * @n_addrs: addresses and capabilities, of @local and in all rules
 * @local: the local set in order of addition
 * @rule: the rules in order of addition; set by tr_policy_compile()
 * @slot: of each rule, in struct tr_hits; set by tr_filter_commit()
 * @rules: the same while under construction
 * @classifier: set by tr_policy_compile()
 */
struct tr_policy {
	u32 flags;
	u32 generation;
	u32 flow_epoch;
	u32 n_local;
	u32 max_local;
	u32 n_rules;
	u32 n_addrs;
	struct tailrace_addr *local;
	struct tr_rule **rule;
	u32 *slot;
	struct list_head rules;
	struct tr_classifier classifier;
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
static inline u32 tr_policy_flags(const struct tr_policy *policy)
{
	return policy->flags;
}

static inline u32 tr_policy_generation(const struct tr_policy *policy)
{
	return policy->generation;
}

static inline u32 tr_policy_n_rules(const struct tr_policy *policy)
{
	return policy->n_rules;
}

/* The rule at @index below tr_policy_n_rules(), in order of addition. */
static inline const struct tr_rule *
tr_policy_rule(const struct tr_policy *policy, u32 index)
{
	return policy->rule[index];
}

/* The local set in order of addition; *@n entries. */
static inline const struct tailrace_addr *
tr_policy_local(const struct tr_policy *policy, u32 *n)
{
	*n = policy->n_local;
	return policy->local;
}

#endif
