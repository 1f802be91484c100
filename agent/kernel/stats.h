/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_STATS_H
#define KERNEL_STATS_H

#include "kernel/netlink.h"
#include "kernel/policy.h"
#include "kernel/wire.h"

struct json_object;

/* WireGuard's counters of each peer into @out->peers, the caller's to free. */
void stats_peers(struct netlink *nl, uint32_t link,
		 const struct kernel_state *state, struct wire_stats *out);

/*
 * State, settings and counters of one of tailrace.ko's devices, for people; with
 * @rules their hits, too. An empty object on errors; the caller's.
 */
struct json_object *stats_json(struct netlink *nl, uint16_t family,
			       uint32_t link, bool rules);

/*
 * The same of all devices in this network namespace, by their interfaces'
 * names, without an agent: needs CAP_NET_ADMIN here. NULL with *@why, which
 * says what to do; never loads the module.
 */
struct json_object *stats_all_json(bool rules, const char **why);

/* What the replies to DEV_GET and STATS_GET say, added to @o. */
void stats_add_device(struct json_object *o, const struct nlmsghdr *h);
void stats_add_counters(struct json_object *o, const struct nlmsghdr *h);

/*
 * "rule_hits" by id of those rules of @p (a dump, joined) that were hit most,
 * STATS_RULES of them at most, and "other" for the rest. Sorts @p's rules.
 */
#define STATS_RULES 100
void stats_add_rules(struct json_object *o, struct policy *p);

/* Of an enum tailrace_drop, as in "drops"; NULL when it has no name. */
const char *stats_drop_name(unsigned int drop);

#endif
