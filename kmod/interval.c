// SPDX-License-Identifier: GPL-2.0
/*
 * Dimensions of the classifier as sorted intervals. Built by a sweep: every
 * range of every rule becomes two events, and between two neighbouring events
 * nothing changes, so the set found there serves a whole interval.
 */
#include "interval.h"

#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/prefetch.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "ruleset.h"

static u64 read_be(const u8 *b, u32 n)
{
	u64 v = 0;

	while (n--)
		v = v << 8 | *b++;
	return v;
}

static struct tr_point point4(const u8 *b)
{
	return (struct tr_point){ .lo = read_be(b, 4) };
}

static struct tr_point point6(const u8 *b)
{
	return (struct tr_point){ .hi = read_be(b, 8),
				  .lo = read_be(b + 8, 8) };
}

/* The address's bits below the prefix length. */
static struct tr_point host_bits(u32 address_bits, u32 prefix_len)
{
	u32 n = address_bits - prefix_len;

	if (n > 64)
		return (struct tr_point){ .hi = U64_MAX >> (128 - n),
					  .lo = U64_MAX };
	return (struct tr_point){ .lo = n ? U64_MAX >> (64 - n) : 0 };
}

int tr_addr_check(const struct tailrace_addr *addr,
		  struct netlink_ext_ack *extack)
{
	u32 used = 0, bits = 0;
	bool range = false;
	struct tr_point first, last, host;

	switch (addr->kind) {
	case TAILRACE_ADDR_ANY:
		break;
	case TAILRACE_ADDR_RANGE4:
		range = true;
		fallthrough;
	case TAILRACE_ADDR_PREFIX4:
		used = 4;
		bits = 32;
		break;
	case TAILRACE_ADDR_RANGE6:
		range = true;
		fallthrough;
	case TAILRACE_ADDR_PREFIX6:
		used = 16;
		bits = 128;
		break;
	default:
		NL_SET_ERR_MSG(extack, "unknown kind of address");
		return -EINVAL;
	}
	if (addr->reserved || memchr_inv(addr->first + used, 0, 16 - used) ||
	    memchr_inv(addr->last + (range ? used : 0), 0,
		       16 - (range ? used : 0)) ||
	    (addr->prefix_len && (range || !bits))) {
		NL_SET_ERR_MSG(extack, "unused bytes of an address are not 0");
		return -EINVAL;
	}
	if (!bits)
		return 0;
	first = bits == 32 ? point4(addr->first) : point6(addr->first);
	last = bits == 32 ? point4(addr->last) : point6(addr->last);
	if (range) {
		if (!tr_point_less(last, first))
			return 0;
		NL_SET_ERR_MSG(extack, "address range ends before it begins");
		return -EINVAL;
	}
	if (addr->prefix_len > bits) {
		NL_SET_ERR_MSG(extack, "prefix is too long for its family");
		return -EINVAL;
	}
	host = host_bits(bits, addr->prefix_len);
	if (first.hi & host.hi || first.lo & host.lo) {
		NL_SET_ERR_MSG(extack, "prefix has host bits");
		return -EINVAL;
	}
	return 0;
}

bool tr_addr_bounds(const struct tailrace_addr *addr, u8 family,
		    struct tr_range *bounds)
{
	u32 bits = family == AF_INET ? 32 : 128;
	struct tr_point host;

	switch (addr->kind) {
	case TAILRACE_ADDR_ANY:
		bounds->first = (struct tr_point){};
		bounds->last = host_bits(bits, 0);
		return true;
	case TAILRACE_ADDR_PREFIX4:
	case TAILRACE_ADDR_PREFIX6:
		if ((addr->kind == TAILRACE_ADDR_PREFIX4) != (bits == 32))
			return false;
		bounds->first = bits == 32 ? point4(addr->first) :
					     point6(addr->first);
		host = host_bits(bits, addr->prefix_len);
		bounds->last.hi = bounds->first.hi | host.hi;
		bounds->last.lo = bounds->first.lo | host.lo;
		return true;
	case TAILRACE_ADDR_RANGE4:
	case TAILRACE_ADDR_RANGE6:
		if ((addr->kind == TAILRACE_ADDR_RANGE4) != (bits == 32))
			return false;
		bounds->first = bits == 32 ? point4(addr->first) :
					     point6(addr->first);
		bounds->last = bits == 32 ? point4(addr->last) :
					    point6(addr->last);
		return true;
	}
	return false;
}

/* Whether there is a point after @p; 2^32 serves as the one after IPv4's. */
static bool next_point(struct tr_point p, struct tr_point *next)
{
	next->lo = p.lo + 1;
	next->hi = p.hi + !next->lo;
	return next->hi || next->lo;
}

static int compare_ranges(const void *va, const void *vb)
{
	const struct tr_range *a = va, *b = vb;

	if (tr_point_less(a->first, b->first))
		return -1;
	return tr_point_less(b->first, a->first);
}

static int compare_events(const void *va, const void *vb)
{
	const struct tr_event *a = va, *b = vb;

	if (tr_point_less(a->at, b->at))
		return -1;
	if (tr_point_less(b->at, a->at))
		return 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

/* Sort, and join ranges that overlap or touch. Returns how many remain. */
static u32 merge_ranges(struct tr_range *ranges, u32 n)
{
	struct tr_point next;
	u32 i, out = 0;

	if (!n)
		return 0;
	sort_nonatomic(ranges, n, sizeof(*ranges), compare_ranges, NULL);
	for (i = 1; i < n; i++) {
		if (!next_point(ranges[out].last, &next))
			break;
		if (tr_point_less(next, ranges[i].first))
			ranges[++out] = ranges[i];
		else if (tr_point_less(ranges[out].last, ranges[i].last))
			ranges[out].last = ranges[i].last;
	}
	return out + 1;
}

static int reserve_events(struct tr_events *events, u32 more)
{
	struct tr_event *event;
	u32 max;

	if (events->max - events->n >= more)
		return 0;
	max = max_t(u32, events->n + more, events->max * 2);
	event = kvmalloc_array(max, sizeof(*event), GFP_KERNEL_ACCOUNT);
	if (!event)
		return -ENOMEM;
	if (events->n)
		memcpy(event, events->event, events->n * sizeof(*event));
	kvfree(events->event);
	events->event = event;
	events->max = max;
	return 0;
}

int tr_events_add(struct tr_events *events, struct tr_range *ranges, u32 n,
		  u32 first, u32 last)
{
	struct tr_event *e;
	u32 i;

	n = merge_ranges(ranges, n);
	if (reserve_events(events, 2 * n))
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		e = &events->event[events->n++];
		*e = (struct tr_event){ .at = ranges[i].first,
					.first = first,
					.last = last,
					.add = true };
		e[1] = (struct tr_event){ .first = first, .last = last };
		if (next_point(ranges[i].last, &e[1].at))
			events->n++;
	}
	return 0;
}

void tr_events_free(struct tr_events *events)
{
	kvfree(events->event);
	*events = (struct tr_events){};
}

/* The events from @i on that happen at the same point. */
static u32 count_simultaneous(const struct tr_events *events, u32 i)
{
	u32 n = 1;

	while (i + n < events->n &&
	       tr_point_equal(events->event[i].at, events->event[i + n].at))
		n++;
	return n;
}

/* Lay out the index over at most @n intervals, and make room for both. */
static int reserve_intervals(struct tr_map *map, u32 n, bool wide)
{
	u32 fan = wide ? TR_MAP_WIDE : TR_MAP_NARROW, total = 0, i = 0;

	map->set = kvmalloc_array(n, sizeof(*map->set), GFP_KERNEL_ACCOUNT);
	for (;;) {
		map->level[i].start = total;
		total += round_up(n, fan);
		i++;
		if (n <= fan)
			break;
		n = DIV_ROUND_UP(n, fan);
	}
	map->depth = i;
	if (wide)
		map->key = kvmalloc_array(total, sizeof(*map->key),
					  GFP_KERNEL_ACCOUNT);
	else
		map->key32 = kvmalloc_array(total, sizeof(*map->key32),
					    GFP_KERNEL_ACCOUNT);
	return map->set && (map->key || map->key32) ? 0 : -ENOMEM;
}

static void set_interval(struct tr_map *map, u32 i, struct tr_point at, u32 set)
{
	map->set[i] = set;
	if (map->key)
		map->key[i] = at;
	else
		map->key32[i] = at.lo;
}

/* Fill the levels above the intervals; what is left over is never read. */
static void build_index(struct tr_map *map)
{
	u32 fan = map->key ? TR_MAP_WIDE : TR_MAP_NARROW, l, i;

	map->level[0].n = map->n;
	for (l = 1; map->level[l - 1].n > fan; l++) {
		u32 below = map->level[l - 1].start;
		u32 here = map->level[l].start;

		map->level[l].n = DIV_ROUND_UP(map->level[l - 1].n, fan);
		for (i = 0; i < map->level[l].n; i++) {
			if (map->key)
				map->key[here + i] = map->key[below + i * fan];
			else
				map->key32[here + i] =
					map->key32[below + i * fan];
		}
	}
	map->depth = l;
}

/* The point after IPv4's last address is not one of a narrow dimension. */
static bool is_past(struct tr_point at, bool wide)
{
	return !wide && at.lo > U32_MAX;
}

int tr_map_build(struct tr_map *map, struct tr_events *events,
		 struct tr_sets *sets, bool wide)
{
	u32 i, n, set = 0;
	int ret;

	sort_nonatomic(events->event, events->n, sizeof(*events->event),
		       compare_events, NULL);
	n = 1;
	for (i = 0; i < events->n; i += count_simultaneous(events, i))
		n++;
	ret = reserve_intervals(map, n, wide);
	if (ret)
		goto err;

	set_interval(map, 0, (struct tr_point){}, 0);
	map->n = 1;
	for (i = 0; i < events->n && !is_past(events->event[i].at, wide);
	     i += n) {
		const struct tr_event *event = &events->event[i];

		n = count_simultaneous(events, i);
		ret = tr_sets_apply(sets, &set, event, n);
		if (ret)
			goto err;
		if (map->set[map->n - 1] == set)
			continue;
		/* An event at 0 overwrites the interval it begins. */
		if (event->at.hi || event->at.lo)
			map->n++;
		set_interval(map, map->n - 1, event->at, set);
		cond_resched();
	}
	build_index(map);
	return 0;
err:
	tr_map_free(map);
	return ret;
}

void tr_map_free(struct tr_map *map)
{
	kvfree(map->key);
	kvfree(map->key32);
	kvfree(map->set);
	*map = (struct tr_map){};
}

/*
 * The last key that is not above @at, of ascending ones of which the first is
 * not. Without a branch on the keys, which no predictor could guess.
 */
static u32 search32(const u32 *key, u32 n, u32 at)
{
	u32 low = 0;

	while (n > 1) {
		u32 half = n / 2;

		low += at < key[low + half] ? 0 : half;
		n -= half;
	}
	return low;
}

static u32 search(const struct tr_point *key, u32 n, struct tr_point at)
{
	u32 low = 0;

	while (n > 1) {
		u32 half = n / 2;

		low += tr_point_less(at, key[low + half]) ? 0 : half;
		n -= half;
	}
	return low;
}

u32 tr_map_find(const struct tr_map *map, struct tr_point at)
{
	u32 l = map->depth, i = 0;

	if (map->key) {
		while (l--) {
			i *= TR_MAP_WIDE;
			/* The last two reads that miss the cache at once. */
			if (!l)
				prefetch(&map->set[i]);
			i += search(map->key + map->level[l].start + i,
				    min_t(u32, map->level[l].n - i,
					  TR_MAP_WIDE), at);
		}
	} else {
		while (l--) {
			i *= TR_MAP_NARROW;
			if (!l)
				prefetch(&map->set[i]);
			i += search32(map->key32 + map->level[l].start + i,
				      min_t(u32, map->level[l].n - i,
					    TR_MAP_NARROW), at.lo);
		}
	}
	return map->set[i];
}
