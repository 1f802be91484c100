// SPDX-License-Identifier: GPL-2.0
/* Ranges of addresses as prefixes, and sets of them. */
#include <stdlib.h>
#include <string.h>

#include "coord/ipset.h"
#include "lib/util.h"
#include "tap.h"

static void test_ipset(void)
{
	static const char *const ranges[][2] = {
		{ "10.0.0.0", "10.0.0.0/32 " },
		{ "10.0.0.1-10.0.0.6", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32 " },
		{ "0.0.0.0-255.255.255.255", "0.0.0.0/0 " },
		{ "255.255.255.254-255.255.255.255", "255.255.255.254/31 " },
		{ "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0 " },
		{ "::1-::3", "::1/128 ::2/127 " },
		{ "fd7a::ffff-fd7a::1:0", "fd7a::ffff/128 fd7a::1:0/128 " },
	};
	struct ip_range r, a, b;
	struct ip_set set = { 0 };
	char have[256], text[IP_RANGE_TEXT_MAX];
	struct prefix p;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		char first[IP_RANGE_TEXT_MAX];
		char *dash;
		bool more;

		snprintf(first, sizeof(first), "%s", ranges[i][0]);
		dash = strchr(first, '-');
		if (dash)
			*dash++ = '\0';
		ip_parse(&r.first, first);
		ip_parse(&r.last, dash ? dash : first);
		n = 0;
		do {
			more = ip_range_take_prefix(&r, &p);
			n += (size_t)snprintf(have + n, sizeof(have) - n, "%s ",
					      prefix_format(&p, text));
		} while (more);
		tap_ok(!strcmp(have, ranges[i][1]), "%s: %s", ranges[i][0], have);
	}
	ip_parse(&a.first, "10.0.0.4");
	ip_parse(&a.last, "10.0.0.9");
	ip_parse(&b.first, "10.0.0.1");
	ip_parse(&b.last, "10.0.0.3");
	ip_set_add(&set, &a);
	ip_set_add(&set, &b);
	ip_set_add_ip(&set, &a.last);
	ip_parse(&r.first, "255.255.255.255");
	ip_set_add_ip(&set, &r.first);
	ip_parse(&r.last, "::");
	ip_set_add_ip(&set, &r.last);
	ip_set_seal(&set);
	tap_ok(set.n == 3, "neighbours join, families do not");
	tap_ok(!strcmp(ip_range_format(&set.ranges[0], text),
		       "10.0.0.1-10.0.0.9"),
	       "joined: %s", text);
	ip_parse(&a.first, "10.0.0.2");
	tap_ok(ip_set_covers(&set, &a) && ip_set_contains(&set, &a.first) &&
		       ip_set_overlaps(&set, &b),
	       "covered, contained, overlapped");
	ip_parse(&a.last, "10.0.0.10");
	tap_ok(!ip_set_covers(&set, &a) && ip_set_overlaps(&set, &a) &&
		       !ip_set_contains(&set, &a.last),
	       "one beyond the end");
	ip_set_clear(&set);
}

int main(void)
{
	test_ipset();
	return tap_done();
}
