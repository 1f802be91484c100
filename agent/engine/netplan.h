/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_NETPLAN_H
#define ENGINE_NETPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/netreport.h"

/*
 * Which STUN probes a netcheck sends, and when (spec/nat-traversal.md 4.3).
 */
#define NET_TRIES_MAX 4
#define NET_PLAN_MAX (2 * NETREPORT_REGIONS_MAX)

/* Probes to one region over one family; the first answer ends them. */
struct net_sequence {
	int region;
	int family; /* 4 or 6 */
	size_t n;
	struct {
		const struct derp_node *node; /* in the map given */
		uint64_t delay; /* ns after the start */
	} probe[NET_TRIES_MAX];
};

struct net_plan_input {
	const struct derp_region *regions;
	const struct net_report *last; /* NULL: a full plan */
	int home;
	bool have_v4, have_v6;
};

/* Returns how many sequences were written; @regions must outlive them. */
size_t net_plan(const struct net_plan_input *in,
		struct net_sequence out[NET_PLAN_MAX]);

#endif
