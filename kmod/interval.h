/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_INTERVAL_H
#define _TR_INTERVAL_H

#include <linux/in6.h>
#include <linux/types.h>

#include "../uapi/tailrace.h"

struct netlink_ext_ack;

/* A point on a dimension: an address (IPv4: @lo) or a port, host byte order. */
struct tr_point {
	u64 hi;
	u64 lo;
};

static inline int tr_point_cmp(struct tr_point a, struct tr_point b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	if (a.lo != b.lo)
		return a.lo < b.lo ? -1 : 1;
	return 0;
}

/* The point of an address of a struct tr_packet. */
struct tr_point tr_point_of(u8 family, const struct in6_addr *addr);

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
 * @first: lowest address
 * @last: highest address
 *
 * Return: false when the set has no address of the family.
 */
bool tr_addr_bounds(const struct tailrace_addr *addr, u8 family,
		    struct tr_point *first, struct tr_point *last);

#endif
