/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_ROUTE_H
#define KERNEL_ROUTE_H

#include "kernel/link.h"

/*
 * Table 52 and the policy rules that lead there: nat-traversal.md 15.4.
 */

/* The table's plain routes through interface @link. */
int route_list(struct netlink *nl, uint32_t link, struct prefix_list *out);
int route_add(struct netlink *nl, uint32_t link, const struct prefix *p);
int route_del(struct netlink *nl, uint32_t link, const struct prefix *p);
/* Whether the table has routes of anybody. */
int route_table_used(struct netlink *nl, bool *used);

struct rule {
	uint8_t family; /* 4 or 6 */
	uint8_t action; /* FR_ACT_TO_TBL or FR_ACT_UNREACHABLE */
	bool strange; /* has selectors that ours never have */
	uint32_t priority;
	uint32_t fwmark, fwmask;
	uint32_t table; /* 0: none */
};

#define RULES 4
#define RULES_MAX 64

/* Ours, of one family. */
void rule_wanted(uint8_t family, struct rule out[RULES]);
/*
 * What @have (rules of one family with a priority in ours' range) lacks and
 * has too much: a rule that looks like ours but differs, and doubles of ours.
 * Rules of others that only share the range of priorities are left alone.
 */
void rule_diff(const struct rule *have, size_t n_have,
	       const struct rule want[RULES], struct rule *add, size_t *n_add,
	       struct rule *del, size_t *n_del);

/* Rules with a priority in our range; at most RULES_MAX. */
int rule_list(struct netlink *nl, uint8_t family, struct rule out[RULES_MAX],
	      size_t *n);
int rule_add(struct netlink *nl, const struct rule *r);
int rule_del(struct netlink *nl, const struct rule *r);

#endif
