// SPDX-License-Identifier: GPL-2.0
/* What a report says, and which region becomes home. */
#include "engine/netreport.h"

#include <stdlib.h>

#include "addrs.h"
#include "derp-map.h"
#include "lib/util.h"
#include "tap.h"

#define T0 (1000 * SEC_NS)

static void test_fields(void)
{
	static struct net_report r;
	struct endpoint a = ep("203.0.113.1:1000"), b = ep("203.0.113.1:1001");
	struct endpoint v6a = ep("[2001:db8::1]:1"), v6b = ep("[2001:db8::1]:2");
	const struct net_latency *l;
	char text[16];
	size_t i;

	net_report_init(&r, T0);
	tap_ok(!r.udp && r.mapping_varies == -1 && r.upnp == -1 &&
		       !net_report_latency(&r, 1),
	       "nothing is known at first");
	net_report_add_stun(&r, 1, 4, 20 * MS_NS, &a);
	tap_ok(r.udp && r.ipv4 && !r.ipv6 && r.mapping_varies == -1 &&
		       endpoint_equal(&r.global_v4, &a),
	       "one answer leaves the kind of NAT open");
	net_report_add_stun(&r, 2, 4, 30 * MS_NS, &a);
	tap_ok(r.mapping_varies == 0, "two equal answers: an easy NAT");
	net_report_add_stun(&r, 3, 4, 30 * MS_NS, &b);
	net_report_add_stun(&r, 3, 4, 25 * MS_NS, &a);
	tap_ok(r.mapping_varies == 1 && endpoint_equal(&r.global_v4, &a) &&
		       r.n_mapped4 == 2 && r.mapped4[0].count == 3,
	       "another port: a hard NAT, whatever follows");
	net_report_add_stun(&r, 1, 6, 10 * MS_NS, &v6a);
	net_report_add_stun(&r, 2, 6, 10 * MS_NS, &v6b);
	tap_ok(r.ipv6 && endpoint_equal(&r.global_v6, &v6b),
	       "the latest IPv6 address counts");
	l = net_report_latency(&r, 1);
	tap_ok(l && l->ns == 10 * MS_NS && l->v4_ns == 20 * MS_NS &&
		       l->v6_ns == 10 * MS_NS,
	       "latencies by family and of both");
	l = net_report_latency(&r, 3);
	tap_ok(l && l->ns == 25 * MS_NS && !l->v6_ns, "the least one counts");
	for (i = 0; i < 2 * NETREPORT_MAPPED_MAX; i++) {
		snprintf(text, sizeof(text), "1.2.3.4:%zu", i + 1);
		b = ep(text);
		net_report_add_stun(&r, (int)i + 1, 4, 1, &b);
	}
	for (i = 0; i < 2 * NETREPORT_REGIONS_MAX; i++)
		net_report_add_latency(&r, (int)i + 1, 1);
	tap_ok(r.n_mapped4 == NETREPORT_MAPPED_MAX &&
		       r.n_regions == NETREPORT_REGIONS_MAX,
	       "lists are bounded");
}

/* Home choice, one row a report; a new group starts with fresh = true. */
struct row {
	const char *what;
	bool fresh;
	unsigned int at_s; /* after T0 */
	unsigned int ms[4]; /* latency of regions 1 to 4, 0: none */
	unsigned int frame_s; /* age of the last frame of home + 1; 0: never */
	double score2; /* of region 2; 0: not set */
	int forced;
	int want;
};

static const struct row rows[] = {
	{ "the nearest", true, 0, { 30, 20, 40 }, 0, 0, 0, 2 },
	{ "nothing heard, no frames", true, 0, { 0 }, 0, 0, 0, 0 },
	{ "first pick", true, 0, { 50, 60 }, 0, 0, 0, 1 },
	{ "less than 10 ms better: stay", false, 400, { 60, 51 }, 0, 0, 0, 1 },
	{ "less than a third better: stay", false, 800, { 90, 70 }, 0, 0, 0,
	  1 },
	{ "much better: move", false, 1200, { 90, 50 }, 0, 0, 0, 2 },
	{ "first pick", true, 0, { 20, 80 }, 0, 0, 0, 1 },
	{ "a bad moment is outweighed by the history", false, 60, { 500, 80 },
	  0, 0, 0, 1 },
	{ "which is forgotten after five minutes", false, 400, { 500, 80 }, 0,
	  0, 0, 2 },
	{ "first pick", true, 0, { 20, 80 }, 0, 0, 0, 1 },
	{ "home silent in STUN but frames arrive: stay", false, 60, { 0, 30 },
	  4, 0, 0, 1 },
	{ "no frames either: move", false, 120, { 0, 30 }, 12, 0, 0, 2 },
	{ "first pick", true, 0, { 20, 80 }, 0, 0, 0, 1 },
	{ "nobody answers, a frame within 2 min: stay", false, 60, { 0 }, 100,
	  0, 0, 1 },
	{ "nobody answers, no frame for long: none", false, 120, { 0 }, 130, 0,
	  0, 0 },
	{ "a score makes a region dearer", true, 0, { 50, 40 }, 0, 2.0, 0, 1 },
	{ "or cheaper", true, 0, { 50, 80 }, 0, 0.5, 0, 2 },
	{ "a score of zero or less is ignored", true, 0, { 50, 40 }, 0, -1.0,
	  0, 2 },
	{ "a forced region with a latency", true, 0, { 50, 40, 90 }, 0, 0, 3,
	  3 },
	{ "a forced region without", true, 0, { 50, 40 }, 0, 0, 3, 2 },
};

struct frames {
	int region;
	uint64_t at;
};

static uint64_t last_frame(const void *ctx, int region)
{
	const struct frames *f = ctx;

	return region == f->region ? f->at : 0;
}

static void test_home(void)
{
	static struct net_report r;
	struct net_history h = { 0 };
	struct test_map m = { 0 };
	size_t i;
	int id;

	for (id = 1; id <= 4; id++)
		test_map_node(&m, id, "", "");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		uint64_t now = T0 + row->at_s * SEC_NS;
		struct frames f = { 0 };
		struct net_home_input in = { .regions = m.regions,
					     .now = now,
					     .last_frame = last_frame,
					     .ctx = &f,
					     .forced = row->forced };

		if (row->fresh)
			net_history_free(&h);
		if (row->frame_s) {
			f.region = h.preferred;
			f.at = now - (row->frame_s - 1) * SEC_NS;
		}
		m.region[1].score = row->score2 != 0 ? row->score2 : 1.0;
		net_report_init(&r, now - SEC_NS);
		for (id = 1; id <= 4; id++)
			if (row->ms[id - 1])
				net_report_add_latency(&r, id,
						       row->ms[id - 1] * MS_NS);
		id = net_history_choose(&h, &r, &in);
		tap_ok(id == row->want && r.preferred_derp == id,
		       "home: %s (%d)", row->what, id);
	}
	net_report_init(&r, T0);
	for (i = 0; i < 3 * NET_HISTORY_MAX; i++) {
		struct net_home_input in = { .regions = m.regions,
					     .now = T0 + i };

		net_history_choose(&h, &r, &in);
	}
	tap_ok(h.n == NET_HISTORY_MAX, "the history is bounded");
	net_history_free(&h);
	test_map_clear(&m);
}

static void test_settle(void)
{
	struct test_map m = { 0 };
	int a, b;

	test_map_node(&m, 1, "", "");
	test_map_node(&m, 2, "", "");
	test_map_node(&m, 3, "", "");
	m.region[0].no_measure_no_home = true;
	tap_ok(net_home_settle(3, 2, true, false, m.regions, 0) == 3,
	       "a preference is followed");
	tap_ok(net_home_settle(3, 2, false, false, m.regions, 0) == 2 &&
		       net_home_settle(3, 2, false, true, m.regions, 0) == 3 &&
		       net_home_settle(3, 0, false, false, m.regions, 0) == 3,
	       "not away from a home while control cannot tell the peers");
	tap_ok(net_home_settle(0, 2, true, false, m.regions, 0) == 2,
	       "no preference: stay");
	a = net_home_settle(0, 0, true, false, m.regions, 4);
	b = net_home_settle(0, 9, true, false, m.regions, 5);
	tap_ok(a != b && a >= 2 && b >= 2,
	       "no home, or one that is gone: any by the seed (%d, %d)", a, b);
	tap_ok(!net_home_settle(2, 2, true, false, NULL, 0), "no map");
	tap_ok(!net_home_only(m.regions), "two regions are a choice");
	m.region[1].no_measure_no_home = true;
	tap_ok(net_home_only(m.regions) == 3, "one is none");
	m.region[2].no_measure_no_home = true;
	tap_ok(!net_home_only(m.regions) && !net_home_only(NULL), "nor zero");
	test_map_clear(&m);
}

int main(void)
{
	test_fields();
	test_home();
	test_settle();
	return tap_done();
}
