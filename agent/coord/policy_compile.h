/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_POLICY_COMPILE_H
#define COORD_POLICY_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/policy.h"

struct json_object;

/*
 * A policy applied to the nodes of a tailnet: who sees whom, and each node's
 * packet filter. Nodes go by their index in the array that was compiled.
 * Compile again when the policy, a node's user, tags, addresses or approved
 * routes change, or nodes come and go; nothing else matters here. The same
 * input gives the same output to the byte.
 */
struct policy_result;

/*
 * @policy NULL allows all. Neither @policy nor @nodes need outlive the call.
 * Takes O(nodes² / 64) steps for each set of sources that rules have, and
 * memory for a bit per pair of nodes and for a few bits per rule and node:
 * 33 ms and 7 MiB for 1,000 nodes and 1,000 rules (selftests/bench/policy.c).
 */
struct policy_result *policy_compile(const struct policy *policy,
				     const struct policy_node *nodes, size_t n);
void policy_result_free(struct policy_result *r);

/*
 * The packet filter of node @i: a JSON list of FilterRule (control.md 7.1), to
 * be sent as PacketFilters["base"]. Never NULL: a node that nobody may reach
 * has an empty list, which blocks all. The caller puts it and changes nothing
 * in it: filters share their parts.
 */
struct json_object *policy_filter(const struct policy_result *r, size_t i);

/* Does some rule connect the two, in either direction? Symmetric. */
bool policy_sees(const struct policy_result *r, size_t a, size_t b);
/*
 * Row @i of the matrix behind policy_sees(): bit j % 64 of word j / 64 is set
 * if nodes i and j see each other; @r owns it. Bit i itself is clear.
 */
const uint64_t *policy_peers(const struct policy_result *r, size_t i);

/* What use a node has for a subnet or exit route of its peers. */
enum policy_use {
	POLICY_USE_NONE, /* leave it out of every peer's AllowedIPs */
	POLICY_USE_ANY, /* subnets: by the primary one; exit routes: by all */
	POLICY_USE_VIA, /* by certain routers only: grants with a via say so */
};

/*
 * What use has node @i for @route: may it send to some address in it, or may
 * some address in it send to node @i? For POLICY_USE_VIA the routers are set in
 * @via, as many words as a row of policy_peers(). A rule without via that
 * covers the same counts more than one with it.
 */
enum policy_use policy_route_use(const struct policy_result *r, size_t i,
				 const struct prefix *route, uint64_t *via);
/* Does any grant have a via? Then it may matter which routers are online. */
bool policy_steers(const struct policy_result *r);

/* Names that nodeAttrs give to node @i, sorted, no repeats; @r owns them. */
const char *const *policy_attrs(const struct policy_result *r, size_t i,
				size_t *n);

#endif
