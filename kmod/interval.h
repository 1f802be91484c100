/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_INTERVAL_H
#define _TR_INTERVAL_H

#include <asm/byteorder.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/types.h>

#include "../uapi/tailrace.h"

struct netlink_ext_ack;
struct tr_sets;

/* A point on a dimension: an address (IPv4: @lo) or a port, host byte order. */
struct tr_point {
	u64 hi;
	u64 lo;
};

/* Points from @first to @last inclusive. */
struct tr_range {
	struct tr_point first;
	struct tr_point last;
};

static inline bool tr_point_less(struct tr_point a, struct tr_point b)
{
	return (a.hi < b.hi) | ((a.hi == b.hi) & (a.lo < b.lo));
}

static inline bool tr_point_equal(struct tr_point a, struct tr_point b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* The point of an address of a struct tr_packet. */
static inline struct tr_point tr_point_of(u8 family,
					  const struct in6_addr *addr)
{
	struct tr_point p = { .lo = be32_to_cpu(addr->s6_addr32[3]) };

	if (family == AF_INET)
		return p;
	p.lo |= (u64)be32_to_cpu(addr->s6_addr32[2]) << 32;
	p.hi = (u64)be32_to_cpu(addr->s6_addr32[0]) << 32 |
	       be32_to_cpu(addr->s6_addr32[1]);
	return p;
}

/**
 * tr_addr_check() - validate an address set that came over netlink
 * @addr: as received
 * @extack: says what is wrong
 *
 * Return: 0 or -EINVAL: unknown kind, reserved or unused bytes not zero, host
 * bits in a prefix, first address of a range above its last.
 */
int tr_addr_check(const struct tailrace_addr *addr,
		  struct netlink_ext_ack *extack);

/**
 * tr_addr_bounds() - the part of an address set in one family
 * @addr: checked
 * @family: AF_INET or AF_INET6
 * @bounds: lowest and highest address
 *
 * Return: false when the set has no address of the family.
 */
bool tr_addr_bounds(const struct tailrace_addr *addr, u8 family,
		    struct tr_range *bounds);

/* From @at on, the members @first to @last are in or out of the set. */
struct tr_event {
	struct tr_point at;
	u32 first;
	u32 last;
	bool add;
};

/* What a map is built from. */
struct tr_events {
	struct tr_event *event;
	u32 n;
	u32 max;
};

/*
 * Keys to a node of a map's index: a cache line of narrow ones, two of wide
 * ones, which are fetched together.
 */
#define TR_MAP_NARROW 16
#define TR_MAP_WIDE 8
/* Enough for all events of TAILRACE_MAX_RULE_ADDRS: 8^8 > 2^21 + 1. */
#define TR_MAP_LEVELS 8

/**
 * struct tr_map - a dimension cut into intervals of equal set
 * @n: intervals, at least 1; 0 in an unbuilt map
 * @depth: levels of the index
 * @level: level 0 says where the intervals start, ascending from 0; each next
 *	one has the first key of every node of the one before
 * @level.start: where its keys are
 * @level.n: how many
 * @key32: the keys of a dimension of 32 bits
 * @key: of a wide dimension, else NULL
 * @set: root of the interval's set in a struct tr_sets
 */
struct tr_map {
	u32 n;
	u32 depth;
	struct {
		u32 start;
		u32 n;
	} level[TR_MAP_LEVELS];
	u32 *key32;
	struct tr_point *key;
	u32 *set;
};

/**
 * tr_events_add() - put members into the set of every point of some ranges
 * @events: all zero at first, tr_events_free() at the end
 * @ranges: may overlap; reordered and merged in place
 * @n: number of ranges
 * @first: lowest member
 * @last: highest member
 *
 * The members of different calls must not overlap. Process context.
 *
 * Return: 0 or -ENOMEM.
 */
int tr_events_add(struct tr_events *events, struct tr_range *ranges, u32 n,
		  u32 first, u32 last);
void tr_events_free(struct tr_events *events);

/**
 * tr_map_build() - sweep over a dimension
 * @map: unbuilt
 * @events: reordered
 * @sets: where the sets are put
 * @wide: points may pass 32 bits
 *
 * Return: 0, -ENOMEM or -E2BIG.
 */
int tr_map_build(struct tr_map *map, struct tr_events *events,
		 struct tr_sets *sets, bool wide);
void tr_map_free(struct tr_map *map);

/* Root of the set at a point; any context. @map is built. */
u32 tr_map_find(const struct tr_map *map, struct tr_point at);

#endif
