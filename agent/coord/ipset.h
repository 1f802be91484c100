/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_IPSET_H
#define COORD_IPSET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/addr.h"

/*
 * A set of addresses of both families as ranges. Ranges are added in any
 * order; sealed, a set is in its one minimal form (sorted, disjoint, not
 * adjacent), which all questions need.
 */
struct ip_range {
	struct ip_addr first, last; /* of one family, in order */
};

struct ip_set {
	struct ip_range *ranges;
	size_t n, max;
};

#define IP_RANGE_TEXT_MAX (2 * IP_TEXT_MAX)

struct ip_range ip_range_of(const struct prefix *p); /* host bits ignored */
bool ip_range_contains(const struct ip_range *r, const struct ip_addr *a);
bool ip_range_overlaps(const struct ip_range *a, const struct ip_range *b);
int ip_range_compare(const struct ip_range *a, const struct ip_range *b);
/* As a FilterRule has it: an address, a prefix or "first-last". */
const char *ip_range_format(const struct ip_range *r,
			    char out[IP_RANGE_TEXT_MAX]);
/*
 * Takes the largest prefix that begins at @r->first off it. True: @r has more;
 * false: that was the last one.
 */
bool ip_range_take_prefix(struct ip_range *r, struct prefix *out);

void ip_set_add(struct ip_set *s, const struct ip_range *r);
void ip_set_add_ip(struct ip_set *s, const struct ip_addr *a);
void ip_set_seal(struct ip_set *s);
void ip_set_clear(struct ip_set *s);

bool ip_set_contains(const struct ip_set *s, const struct ip_addr *a);
bool ip_set_overlaps(const struct ip_set *s, const struct ip_range *r);
bool ip_set_covers(const struct ip_set *s, const struct ip_range *r);
bool ip_set_equal(const struct ip_set *a, const struct ip_set *b);

#endif
