/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The compiled form of a policy.
 *
 * A clause is a rule and one of its port ranges with the destinations that
 * have it. Every dimension (source, destination, port, protocol) maps a value
 * to the set of clauses that hold it; a packet matches when the sets of its
 * values have a clause in common. The cost is a binary search a dimension and
 * a walk over the few parts of the sets that are not empty.
 */
#ifndef _TR_CLASSIFY_H
#define _TR_CLASSIFY_H

#include <linux/types.h>

#include "interval.h"
#include "ruleset.h"

struct tr_packet;
struct tr_policy;

/* Index of the maps that are kept per family. */
enum { TR_V4, TR_V6 };

/**
 * struct tr_classifier - lookup structures of a policy
 * @sets: all sets below; members are clauses
 * @local: not the empty set: in the local set
 * @src: by source address
 * @cap: by capability of the source peer
 * @dst: by destination address
 * @port: by destination port
 * @proto: by protocol number
 * @all_ports: clauses whose ports are exactly 0 to 65535
 * @family: clauses with a destination in the family
 * @rule: index of a clause's rule in the policy
 */
struct tr_classifier {
	struct tr_sets sets;
	struct tr_map local[2];
	struct tr_map src[2];
	struct tr_map dst[2];
	struct tr_map port;
	struct tr_map cap;
	u32 proto[256];
	u32 all_ports;
	u32 family[2];
	u32 *rule;
};

/**
 * tr_classifier_build() - compile a policy
 * @c: all zero
 * @policy: complete
 *
 * Process context. Return: 0, -ENOMEM or -E2BIG; on error @c is empty.
 */
int tr_classifier_build(struct tr_classifier *c,
			const struct tr_policy *policy);
void tr_classifier_free(struct tr_classifier *c);

/* Whether a packet of a known family is to the local set. Any context. */
bool tr_classifier_is_local(const struct tr_classifier *c,
			    const struct tr_packet *pkt);

/* Whether any rule names a capability, that is, the source's can matter. */
static inline bool tr_classifier_uses_caps(const struct tr_classifier *c)
{
	return c->cap.n > 1;
}

/**
 * tr_classifier_match() - find the rule that lets a packet in
 * @c: built
 * @pkt: neither unknown nor a fragment, to a local address
 * @caps: the source peer's capabilities
 * @n_caps: their number
 * @rule: index of the deciding rule on success
 *
 * Rules alone: the stateless cases (TCP without SYN, ICMP replies, TSMP) are
 * the caller's. Any context.
 *
 * Return: true when a rule matches.
 */
bool tr_classifier_match(const struct tr_classifier *c,
			 const struct tr_packet *pkt, const u32 *caps,
			 u32 n_caps, u32 *rule);

#endif
