// SPDX-License-Identifier: GPL-2.0
/* Probe plans, and the STUN phase on a clock of its own. */
#include "engine/netplan.h"

#include <errno.h>
#include <stdlib.h>

#include "derp-map.h"
#include "engine/netprobe.h"
#include "lib/util.h"
#include "tap.h"

#define T0 (1000 * SEC_NS)

static struct net_sequence plan[NET_PLAN_MAX];

/* The plan as text: "1v4:1a@0,1b@100 ..." in ms. */
static const char *plan_text(const struct net_plan_input *in)
{
	static char out[4096];
	size_t n = net_plan(in, plan), i, k, len = 0;

	out[0] = '\0';
	for (i = 0; i < n; i++) {
		len += (size_t)snprintf(out + len, sizeof(out) - len,
					"%s%dv%d:", i ? " " : "",
					plan[i].region, plan[i].family);
		for (k = 0; k < plan[i].n; k++)
			len += (size_t)snprintf(
				out + len, sizeof(out) - len, "%s%s@%llu",
				k ? "," : "", plan[i].probe[k].node->name,
				(unsigned long long)(plan[i].probe[k].delay /
						     MS_NS));
	}
	return out;
}

static void is_plan(const struct net_plan_input *in, const char *want,
		    const char *what)
{
	const char *have = plan_text(in);

	if (!tap_ok(!strcmp(have, want), "%s", what))
		printf("# have %s\n# want %s\n", have, want);
}

static void test_full(void)
{
	struct test_map m = { 0 };
	struct net_plan_input in = { .have_v4 = true };

	test_map_node(&m, 1, "192.0.2.1", "2001:db8::1");
	test_map_node(&m, 1, "192.0.2.2", "");
	test_map_node(&m, 2, "", "none");
	in.regions = m.regions;
	is_plan(&in, "1v4:1a@0,1b@100,1a@200 2v4:2a@0,2a@100,2a@200",
		"full plan, IPv4 only");
	in.have_v6 = true;
	is_plan(&in,
		"1v4:1a@0,1b@100,1a@200 1v6:1a@0,1b@100,1a@200 "
		"2v4:2a@0,2a@100,2a@200",
		"both families; \"none\" turns one off");
	in.have_v4 = false;
	m.node[1][0].ipv4 = "127.0.0.1";
	is_plan(&in, "1v6:1a@0,1b@100,1a@200 2v4:2a@0,2a@100,2a@200",
		"the loopback is probed whatever the interfaces say");
	m.node[0][0].stun_port = -1;
	m.region[1].no_measure_no_home = true;
	is_plan(&in, "1v6:1b@100", "nodes without STUN, regions not measured");
	in.have_v6 = false;
	m.node[0][1].stun_test_ip = "198.51.100.1";
	is_plan(&in, "1v4:1b@100", "a test address");
	test_map_clear(&m);
}

static void test_incremental(void)
{
	static struct net_report last;
	struct test_map m = { 0 };
	struct net_plan_input in = { .have_v4 = true,
				     .have_v6 = true,
				     .home = 5,
				     .last = &last };
	int id;

	for (id = 1; id <= 6; id++)
		test_map_node(&m, id, "192.0.2.1", "2001:db8::1");
	in.regions = m.regions;
	net_report_init(&last, T0);
	is_plan(&in,
		"1v4:1a@0,1a@100,1a@200 1v6:1a@0,1a@100,1a@200 "
		"2v4:2a@0,2a@100,2a@200 2v6:2a@0,2a@100,2a@200 "
		"3v4:3a@0,3a@100,3a@200 3v6:3a@0,3a@100,3a@200 "
		"4v4:4a@0,4a@100,4a@200 4v6:4a@0,4a@100,4a@200 "
		"5v4:5a@0,5a@100,5a@200 5v6:5a@0,5a@100,5a@200 "
		"6v4:6a@0,6a@100,6a@200 6v6:6a@0,6a@100,6a@200",
		"a report without latencies gives a full plan");

	net_report_add_latency(&last, 3, 10 * MS_NS);
	net_report_add_latency(&last, 1, 20 * MS_NS);
	net_report_add_latency(&last, 2, 30 * MS_NS);
	net_report_add_latency(&last, 4, 40 * MS_NS);
	net_report_add_latency(&last, 5, 100 * MS_NS);
	last.ipv4 = true;
	is_plan(&in,
		"3v4:3a@0,3a@12 3v6:3a@0 1v4:1a@0,1a@24 1v6:1a@0 2v4:2a@0 "
		"5v4:5a@0,5a@120,5a@340,5a@510 5v6:5a@0",
		"the nearest three and home; IPv6 once, it did not work");
	last.ipv6 = true;
	is_plan(&in,
		"3v4:3a@0,3a@12 3v6:3a@0,3a@12 1v4:1a@0,1a@24 1v6:1a@0,1a@24 "
		"2v4:2a@0 "
		"5v4:5a@0,5a@120,5a@340,5a@510 5v6:5a@0,5a@120,5a@340,5a@510",
		"both families worked: the third has one of them");
	in.home = 6;
	m.region[2].avoid = true;
	m.region[5].avoid = true;
	is_plan(&in,
		"1v4:1a@0,1a@24 1v6:1a@0,1a@24 2v4:2a@0,2a@36 2v6:2a@0,2a@36 "
		"4v4:4a@0 "
		"6v4:6a@0,6a@240,6a@580,6a@870 6v6:6a@0,6a@240,6a@580,6a@870",
		"avoided regions drop out, but for home; 200 ms if unknown");
	test_map_clear(&m);
}

/* What the fake network was given, in order. */
struct net {
	unsigned int sent;
	uint8_t last[STUN_REQUEST_LEN];
	int family;
	const char *node;
	int error;
};

static int net_send(void *ctx, const struct derp_node *node, int family,
		    const uint8_t *data, size_t n)
{
	struct net *net = ctx;

	net->sent++;
	net->family = family;
	net->node = node->name;
	memcpy(net->last, data, n);
	return net->error;
}

static const uint8_t *txid(const struct net *net)
{
	return net->last + 8;
}

static void test_probes(void)
{
	struct net_probes *p = malloc(sizeof(*p));
	static struct net_report r;
	struct test_map m = { 0 };
	struct net net = { 0 };
	struct net_plan_input in = { .have_v4 = true };
	struct endpoint mapped;
	uint8_t first[STUN_TXID_LEN], wrong[STUN_TXID_LEN] = { 0 };

	endpoint_parse(&mapped, "203.0.113.1:1000");
	test_map_node(&m, 1, "192.0.2.1", "none");
	in.regions = m.regions;

	net_report_init(&r, T0);
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0, net_send, &net);
	tap_ok(net.sent == 1 && net_probes_next(p, T0) == T0 + 100 * MS_NS &&
		       r.ipv4_can_send,
	       "the first probe at once, the next after 100 ms");
	memcpy(first, txid(&net), sizeof(first));
	net_probes_run(p, T0 + 99 * MS_NS, net_send, &net);
	net_probes_run(p, T0 + 100 * MS_NS, net_send, &net);
	tap_ok(net.sent == 2, "not earlier");
	tap_ok(!net_probes_answer(p, wrong, &mapped, T0 + 110 * MS_NS) &&
		       !r.udp,
	       "an answer nobody asked for");
	tap_ok(net_probes_answer(p, first, &mapped, T0 + 120 * MS_NS) &&
		       net_report_latency(&r, 1)->ns == 120 * MS_NS,
	       "the answer to the first probe, timed from its sending");
	tap_ok(!net_probes_answer(p, first, &mapped, T0 + 121 * MS_NS),
	       "counts once");
	tap_ok(net_probes_next(p, T0 + 120 * MS_NS) == T0 + 120 * MS_NS,
	       "with all sequences done, the phase is over");
	net_probes_run(p, T0 + 300 * MS_NS, net_send, &net);
	tap_ok(net.sent == 2, "and no more is sent");

	net_report_init(&r, T0);
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0 + 500 * MS_NS, net_send, &net);
	tap_ok(net.sent == 5 && net_probes_next(p, T0 + 500 * MS_NS) ==
					T0 + NET_PROBE_LIMIT,
	       "silence: all three tries, then the limit of 3 s");
	tap_ok(net_probes_next(p, T0 + NET_PROBE_LIMIT) <=
		       T0 + NET_PROBE_LIMIT,
	       "which ends it");

	net_report_init(&r, T0);
	net.error = -ENETUNREACH;
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0 + 300 * MS_NS, net_send, &net);
	tap_ok(!r.ipv4_can_send && net_probes_next(p, T0 + 300 * MS_NS) ==
					   T0 + 300 * MS_NS,
	       "nothing can be sent: no waiting");
	net_report_init(&r, T0);
	net.error = -EPERM;
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0, net_send, &net);
	tap_ok(r.ipv4_can_send, "EPERM is a firewall, not a missing route");
	net_report_init(&r, T0);
	net.error = -EINPROGRESS;
	net.sent = 0;
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0, net_send, &net);
	tap_ok(net.sent == 1 && net_probes_next(p, T0) > T0 &&
		       net_probes_next(p, T0) < T0 + 100 * MS_NS,
	       "a name still being resolved is tried again soon");
	net.error = 0;
	net_probes_run(p, T0 + 50 * MS_NS, net_send, &net);
	net_probes_answer(p, txid(&net), &mapped, T0 + 60 * MS_NS);
	tap_ok(net_report_latency(&r, 1) &&
		       net_report_latency(&r, 1)->ns == 10 * MS_NS,
	       "and timed from when it went out");

	/* An answer over IPv6 does not tell what IPv4 does to ports. */
	net_report_init(&r, T0);
	net.sent = 0;
	in.have_v6 = true;
	m.node[0][0].ipv6 = "2001:db8::1";
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0, net_send, &net);
	net_probes_answer(p, txid(&net), &mapped, T0 + 10 * MS_NS);
	net_probes_run(p, T0 + 100 * MS_NS, net_send, &net);
	tap_ok(net.sent == 3 && net.family == 4,
	       "a known region is probed for the kind of NAT");

	test_map_clear(&m);
	free(p);
}

/* Answers all probes sent at T0 for regions up to @n, 20 ms times their id. */
static void test_enough(void)
{
	struct net_probes *p = malloc(sizeof(*p));
	static struct net_report r;
	struct test_map m = { 0 };
	struct net net = { 0 };
	struct net_plan_input in = { .have_v4 = true };
	struct endpoint mapped;
	size_t i;
	int id;

	endpoint_parse(&mapped, "203.0.113.1:1000");
	for (id = 1; id <= 5; id++)
		test_map_node(&m, id, "192.0.2.1", "none");
	in.regions = m.regions;
	net_report_init(&r, T0);
	net_probes_start(p, &in, &r, true, T0);
	net_probes_run(p, T0, net_send, &net);
	for (i = 0; i < 3; i++)
		net_probes_answer(p, p->seq[i].probe[0].txid, &mapped,
				  T0 + (i + 1) * 20 * MS_NS);
	tap_ok(net_probes_next(p, T0 + 60 * MS_NS) == T0 + 100 * MS_NS &&
		       p->stop == T0 + 180 * MS_NS,
	       "three regions answered: twice the slowest for the rest");
	net_probes_run(p, T0 + 100 * MS_NS, net_send, &net);
	tap_ok(net.sent == 7, "which are still probed (%u)", net.sent);
	tap_ok(net_probes_next(p, T0 + 180 * MS_NS) <= T0 + 180 * MS_NS,
	       "until then");

	/* The mapping is known: a known region is of no more use. */
	net_report_init(&r, T0);
	net.sent = 0;
	net_probes_start(p, &in, &r, true, T0);
	p->seq[0].plan.region = p->seq[1].plan.region = 2;
	net_report_add_stun(&r, 2, 4, MS_NS, &mapped);
	net_report_add_stun(&r, 1, 4, MS_NS, &mapped);
	net_probes_run(p, T0, net_send, &net);
	tap_ok(net.sent == 3, "useless probes are not sent (%u)", net.sent);
	test_map_clear(&m);
	free(p);
}

int main(void)
{
	test_full();
	test_incremental();
	test_probes();
	test_enough();
	return tap_done();
}
