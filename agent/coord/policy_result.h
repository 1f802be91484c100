/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_POLICY_RESULT_H
#define COORD_POLICY_RESULT_H

#include <uthash.h>

#include "coord/bits.h"
#include "coord/policy_compile.h"
#include "coord/policy_doc.h"

/* A compiled policy; for coord/policy*.c only. Node sets are bits by index. */

/* Who may send. Sources that are the same set of addresses are one. */
struct policy_source {
	struct ip_set set;
	uint64_t *senders; /* nodes with an address or a subnet in it */
	uint64_t *receivers; /* of all lines with this source */
	struct ip_set targets; /* ranges of those without a via */
	bool to_any, to_internet; /* some line is, and has no via */
	struct json_object *json; /* SrcIPs */
	UT_hash_handle hh; /* by the bytes of set */
};

/* A source and a protocol: what lines must share to be one FilterRule. */
struct policy_key {
	struct {
		const struct policy_source *source;
		size_t proto;
	} key;
	unsigned int id;
	UT_hash_handle hh;
};

/* One service of one rule, or for autogroup:self its part for one owner. */
struct policy_line {
	const struct policy_key *key;
	struct policy_ports *ports;
	size_t n_ports;
	bool any; /* "*" */
	bool to_internet; /* to all of it */
	uint64_t *nodes; /* destinations by who they are; NULL: none */
	uint64_t *via; /* only what these route; NULL: wherever it is */
	struct ip_range *ranges; /* destinations by address, sorted */
	size_t n_ranges;
	uint64_t *concerns; /* nodes whose filter has this line */
};

/* A node as it was compiled. */
struct policy_member {
	struct ip_addr *addresses;
	size_t n_addresses;
	struct ip_range *subnets; /* approved routes but exit routes */
	size_t n_subnets;
	bool exit;
	int owner; /* index of its user; -1: tagged or nobody's */
	const char **attrs;
	size_t n_attrs;
};

struct policy_address {
	struct ip_addr ip;
	size_t node;
};

/* Lines with a via that say how to get to the same place. */
struct policy_steers {
	const struct policy_line **lines;
	size_t n;
};

/* Who has a use for a subnet. */
struct policy_subnet {
	struct ip_range range;
	uint64_t *users; /* may send to it, by whatever router */
	struct policy_steers steers; /* who may by certain ones only */
	uint64_t *served; /* it may send to these */
	UT_hash_handle hh; /* by range */
};

struct policy_result {
	struct policy_member *members;
	size_t n, words;
	struct policy_address *addresses; /* of all nodes, sorted */
	size_t n_addresses;
	struct policy_source *sources;
	struct policy_key *keys;
	struct policy_line *lines;
	size_t n_lines, max_lines;
	uint64_t *peers; /* n rows */
	uint64_t *exit_users;
	struct policy_steers exit_steers;
	bool steers; /* some line has a via */
	struct policy_subnet *subnets;
	char **attr_names;
	size_t n_attr_names;
};

/* policy_line.c */

void policy_line_free(struct policy_line *line); /* what it holds */
/*
 * Takes over @line, whose destinations are known, and finds out whom it
 * concerns. An exit node enforces what leads to the internet in any way, but
 * is seen only by those who may use all of that: it would be of little use.
 */
void policy_add_line(struct policy_result *r, struct policy_source *source,
		     uint8_t proto, struct policy_line *line);
/* @proto 0: TCP or UDP. */
bool policy_line_opens(const struct policy_line *line, uint8_t proto,
		       uint16_t port);
/* Is @dst, an address of @node (-1: of none), a destination? */
bool policy_line_leads_to(const struct policy_line *line,
			  const struct ip_addr *dst, ssize_t node);

/* What is called the internet: where exit nodes lead. */
const struct ip_set *policy_internet(void);
/* Whether @ranges leave nothing of the internet out, in one family at least. */
bool policy_is_internet(const struct ip_range *ranges, size_t n);

/*
 * Would a packet to @port go from @src to @dst? @proto 0: TCP or UDP. Whose the
 * addresses are does not matter.
 */
bool policy_allows(const struct policy_result *r, const struct ip_addr *src,
		   const struct ip_addr *dst, uint8_t proto, uint16_t port);

/* policy_views.c: when all lines are there. */
void policy_find_views(struct policy_result *r);

/* policy_nodes.c: who is meant. */

/* The node that has @ip; -1 if none has. */
ssize_t policy_node_at(const struct policy_result *r, const struct ip_addr *ip);

struct policy_resolver;
struct policy_resolver *policy_resolver_new(const struct policy *p,
					    struct policy_result *r,
					    const struct policy_node *nodes);
void policy_resolver_free(struct policy_resolver *rs);
/*
 * Adds the nodes that @s selects by who they are to @nodes; false: it selects
 * by address. Not for autogroup:self and autogroup:internet.
 */
bool policy_resolve(struct policy_resolver *rs, const struct policy_selector *s,
		    uint64_t *nodes);
/* Adds the nodes with an address in @range to @nodes. */
void policy_resolve_range(const struct policy_result *r,
			  const struct ip_range *range, uint64_t *nodes);
/* The nodes of a user; tagged ones are no longer his. */
size_t policy_owners(const struct policy_resolver *rs);
const uint64_t *policy_owner_nodes(struct policy_resolver *rs, size_t owner);

/* policy_attrs.c; @p may be NULL. */
void policy_give_attrs(struct policy_result *r, struct policy_resolver *rs,
		       const struct policy *p);

#endif
