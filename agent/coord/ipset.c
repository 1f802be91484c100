// SPDX-License-Identifier: GPL-2.0
#include "coord/ipset.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

static unsigned int bytes_of(const struct ip_addr *a)
{
	return ip_bits(a) / 8;
}

/* The address behind @a; false if there is none in its family. */
static bool successor(struct ip_addr *a)
{
	unsigned int i = bytes_of(a);

	while (i--)
		if (++a->b[i])
			return true;
	return false;
}

/* @a with its last @n bits set. */
static struct ip_addr last_with(const struct ip_addr *a, unsigned int n)
{
	struct ip_addr out = *a;
	unsigned int i = bytes_of(a);

	for (; n >= 8; n -= 8)
		out.b[--i] = 0xff;
	if (n)
		out.b[i - 1] |= (uint8_t)((1u << n) - 1);
	return out;
}

struct ip_range ip_range_of(const struct prefix *p)
{
	struct prefix masked = prefix_masked(p);

	return (struct ip_range){
		.first = masked.ip,
		.last = last_with(&masked.ip, ip_bits(&p->ip) - p->bits),
	};
}

bool ip_range_contains(const struct ip_range *r, const struct ip_addr *a)
{
	return ip_compare(&r->first, a) <= 0 && ip_compare(a, &r->last) <= 0;
}

bool ip_range_overlaps(const struct ip_range *a, const struct ip_range *b)
{
	return ip_compare(&a->first, &b->last) <= 0 &&
	       ip_compare(&b->first, &a->last) <= 0;
}

int ip_range_compare(const struct ip_range *a, const struct ip_range *b)
{
	int c = ip_compare(&a->first, &b->first);

	return c ? c : ip_compare(&a->last, &b->last);
}

bool ip_range_take_prefix(struct ip_range *r, struct prefix *out)
{
	unsigned int bits = ip_bits(&r->first), host = 0;
	struct ip_addr last = r->first, wider;

	/* one more bit as long as it is zero in first and last has it */
	while (host < bits) {
		unsigned int byte = (bits - 1 - host) / 8;

		if (r->first.b[byte] & 1u << host % 8)
			break;
		wider = last_with(&r->first, host + 1);
		if (ip_compare(&wider, &r->last) > 0)
			break;
		last = wider;
		host++;
	}
	out->ip = r->first;
	out->bits = (uint8_t)(bits - host);
	if (ip_equal(&last, &r->last))
		return false;
	r->first = last;
	successor(&r->first);
	return true;
}

const char *ip_range_format(const struct ip_range *r,
			    char out[IP_RANGE_TEXT_MAX])
{
	char first[IP_TEXT_MAX], last[IP_TEXT_MAX];
	struct ip_range rest = *r;
	struct prefix p;

	if (ip_equal(&r->first, &r->last))
		return ip_format(&r->first, out);
	if (!ip_range_take_prefix(&rest, &p))
		return prefix_format(&p, out);
	snprintf(out, IP_RANGE_TEXT_MAX, "%s-%s", ip_format(&r->first, first),
		 ip_format(&r->last, last));
	return out;
}

void ip_set_add(struct ip_set *s, const struct ip_range *r)
{
	if (s->n == s->max) {
		s->max = s->max ? 2 * s->max : 4;
		s->ranges = xrealloc(s->ranges, s->max, sizeof(*s->ranges));
	}
	s->ranges[s->n++] = *r;
}

void ip_set_add_ip(struct ip_set *s, const struct ip_addr *a)
{
	struct ip_range r = { *a, *a };

	ip_set_add(s, &r);
}

static int compare_ranges(const void *a, const void *b)
{
	return ip_range_compare(a, b);
}

void ip_set_seal(struct ip_set *s)
{
	size_t i, n = 0;

	if (!s->n)
		return;
	/* as sets that were made of sorted addresses mostly are */
	for (i = 1; i < s->n; i++)
		if (ip_range_compare(&s->ranges[i - 1], &s->ranges[i]) > 0)
			break;
	if (i < s->n)
		qsort(s->ranges, s->n, sizeof(*s->ranges), compare_ranges);
	for (i = 1; i < s->n; i++) {
		struct ip_range *last = &s->ranges[n];
		struct ip_addr next = last->last;

		/* families do not meet: there is none behind the last address */
		if (ip_compare(&s->ranges[i].first, &last->last) <= 0 ||
		    (successor(&next) &&
		     ip_equal(&next, &s->ranges[i].first))) {
			if (ip_compare(&s->ranges[i].last, &last->last) > 0)
				last->last = s->ranges[i].last;
		} else {
			s->ranges[++n] = s->ranges[i];
		}
	}
	s->n = n + 1;
}

void ip_set_clear(struct ip_set *s)
{
	free(s->ranges);
	memset(s, 0, sizeof(*s));
}

/* The last range that begins at or before @a, or NULL. */
static const struct ip_range *at_or_before(const struct ip_set *s,
					   const struct ip_addr *a)
{
	size_t low = 0, high = s->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (ip_compare(&s->ranges[mid].first, a) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &s->ranges[low - 1] : NULL;
}

bool ip_set_contains(const struct ip_set *s, const struct ip_addr *a)
{
	const struct ip_range *r = at_or_before(s, a);

	return r && ip_range_contains(r, a);
}

bool ip_set_overlaps(const struct ip_set *s, const struct ip_range *r)
{
	const struct ip_range *found = at_or_before(s, &r->last);

	return found && ip_range_overlaps(found, r);
}

bool ip_set_covers(const struct ip_set *s, const struct ip_range *r)
{
	const struct ip_range *found = at_or_before(s, &r->first);

	return found && ip_compare(&r->last, &found->last) <= 0;
}

bool ip_set_equal(const struct ip_set *a, const struct ip_set *b)
{
	return a->n == b->n &&
	       (!a->n || !memcmp(a->ranges, b->ranges, a->n * sizeof(*a->ranges)));
}
