/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_POLICY_H
#define KERNEL_POLICY_H

#include "kernel/kernel.h"
#include "kernel/netlink.h"

/*
 * The packet filter's policy in one canonical form: lists sorted and without
 * doubles, rules sorted by id and contents. A netlink attribute holds 64 KiB
 * and one message of a dump 32 KiB, so a rule with many addresses is several
 * with its id: all rules accept, thus sources x destinations may be split.
 */
struct policy {
	uint32_t flags;
	uint32_t generation; /* of a dump; 0: nothing committed yet */
	struct tailrace_addr *local;
	size_t n_local;
	struct kernel_rule *rules; /* own their lists */
	size_t n_rules;
};

/* Most addresses in a source or destination list of a split rule. */
#define POLICY_PART 350

void policy_from_state(struct policy *out, const struct kernel_state *state);
bool policy_equal(const struct policy *a, const struct policy *b);
void policy_clear(struct policy *p);

/* The dump, brought into canonical form. @family is tailrace's. */
int policy_get(struct netlink *nl, uint16_t family, uint32_t link,
	       struct policy *out);
/*
 * A dump's rules as they were before they were split: what has the same id is
 * one rule, with the hits of all its parts.
 */
void policy_join(struct policy *p);
/* One transaction; on an error the old policy stays in force. */
int policy_commit(struct netlink *nl, uint16_t family, uint32_t link,
		  const struct policy *p);

#endif
