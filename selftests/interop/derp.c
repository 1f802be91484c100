// SPDX-License-Identifier: GPL-2.0
/*
 * The DERP client and netcheck against a real derper. Started by derp.t:
 * derp HOST PORT STUNPORT CERTNAME [MEGABYTES]
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "../unit/derp-client.h"
#include "../unit/derp-map.h"
#include "../unit/loop.h"
#include "../unit/tap.h"
#include "engine/netcheck.h"
#include "lib/util.h"

#define PACKET 1400

static struct event_base *base;
static int udp;
static struct netcheck *nc;
static unsigned int checks;

static void start(struct derp_client *c, const struct derp_region *regions)
{
	client_start(c, base, NULL);
	derps_set_map(c->d, regions);
	derps_set_home(c->d, 1);
}

static struct derp_client a, b;

static void test_packets(void)
{
	static uint8_t big[DERP_PACKET_MAX];
	/* Only disco is answered with "not here". */
	uint8_t disco[62] = "TS\xf0\x9f\x92\xac";
	struct key nobody;

	derps_send(a.d, 1, &b.public_key, "hello", 5);
	tap_ok(RUN_UNTIL(base, b.packets == 1) && b.len == 5 &&
		       !memcmp(b.data, "hello", 5) &&
		       key_equal(&b.src, &a.public_key) &&
		       derps_route(b.d, &a.public_key) == 1,
	       "a packet from one client to the other");
	randombytes_buf(big, sizeof(big));
	derps_send(b.d, 1, &a.public_key, "", 0);
	derps_send(b.d, 1, &a.public_key, big, sizeof(big));
	tap_ok(RUN_UNTIL(base, a.packets == 2) && a.len == sizeof(big) &&
		       !memcmp(a.data, big, sizeof(big)),
	       "the smallest and the largest back");
	randombytes_buf(nobody.b, sizeof(nobody.b));
	derps_send(a.d, 1, &nobody, disco, sizeof(disco));
	tap_ok(RUN_UNTIL(base, a.gone) && a.reason == DERP_GONE_NOT_HERE,
	       "a peer that is not here");
	derps_link_changed(a.d);
	derps_send(a.d, 1, &a.public_key, "self", 4);
	tap_ok(RUN_UNTIL(base, a.packets == 3) && !a.failures,
	       "pinged after a link change, still connected");
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	uint8_t in[1500];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint from;
	ssize_t n = recvfrom((int)fd, in, sizeof(in), 0,
			     (struct sockaddr *)&ss, &len);

	if (n >= 0 && !endpoint_from_sockaddr(&from, (struct sockaddr *)&ss))
		netcheck_on_stun(nc, &from, in, (size_t)n, now_ns());
}

static int send_udp(void *ctx, const struct endpoint *dst, const uint8_t *data,
		    size_t n)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(dst, &ss);

	if (ctx && *(bool *)ctx) /* blocked */
		return 0;
	return sendto(udp, data, n, 0, (struct sockaddr *)&ss, len) < 0 ?
		       -errno :
		       0;
}

static void on_check(void *ctx, const struct net_report *r)
{
	checks++;
}

static const struct netcheck_ops nc_ops = { .send_udp = send_udp,
					    .done = on_check };

static void test_netcheck(const struct derp_region *regions)
{
	struct netcheck_input in = { .regions = regions,
				     .full = true,
				     .have_v4 = true };
	const struct net_report *r;
	static bool blocked;
	struct event *ev;

	udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ev = event_new(base, udp, EV_READ | EV_PERSIST, on_udp, NULL);
	event_add(ev, NULL);
	nc = netcheck_new(base, NULL, a.d, &nc_ops, &blocked);
	netcheck_start(nc, &in);
	RUN_UNTIL(base, checks == 1);
	r = netcheck_last(nc);
	tap_ok(r && r->udp && r->ipv4 && r->preferred_derp == 1 &&
		       r->global_v4.ip.family == 4,
	       "STUN");
	blocked = true;
	netcheck_start(nc, &in);
	RUN_UNTIL(base, checks == 2);
	r = netcheck_last(nc);
	tap_ok(r && !r->udp && net_report_latency(r, 1),
	       "HTTPS latency without UDP: %.2f ms",
	       r && r->n_regions ? (double)r->regions[0].ns / 1e6 : 0.0);
	netcheck_free(nc);
	event_free(ev);
	close(udp);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Sends in bursts, as from a batch of WireGuard packets, as fast as it goes. */
static void test_bulk(uint64_t megabytes)
{
	static uint8_t data[PACKET];
	uint64_t total = megabytes * 1000000 / PACKET, sent = 0, at;
	const struct derps_stats *s = derps_stats(a.d);
	uint64_t dropped, before = b.packets;
	double cpu = cpu_seconds(), seconds;
	int i;

	at = now_ns();
	/* In flight at most what the client holds: no drop here, see b's. */
	while (sent < total && now_ns() - at < 60 * SEC_NS) {
		for (i = 0; i < 32 && sent < total &&
			    sent - (b.packets - before) < 128;
		     i++) {
			derps_send(a.d, 1, &b.public_key, data, sizeof(data));
			sent++;
		}
		event_base_loop(base, sent - (b.packets - before) < 128 ?
					      EVLOOP_NONBLOCK :
					      EVLOOP_ONCE);
	}
	dropped = s->dropped_head;
	seconds = (double)(now_ns() - at) / 1e9;
	cpu = cpu_seconds() - cpu;
	tap_ok(b.packets - before > total / 2,
	       "%.0f Mbit/s through derper, %llu of %llu packets arrived, "
	       "%llu dropped here, %.2f us of CPU a packet each way",
	       (double)(b.packets - before) * PACKET * 8 / seconds / 1e6,
	       (unsigned long long)(b.packets - before),
	       (unsigned long long)total, (unsigned long long)dropped,
	       cpu * 1e6 / (double)sent);
}

int main(int argc, char **argv)
{
	struct test_map m = { 0 };
	struct derp_node *n;

	if (argc < 5) {
		fprintf(stderr, "usage: derp HOST PORT STUNPORT CERTNAME "
				"[MEGABYTES]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	n = test_map_node(&m, 1, "", "none");
	n->host_name = argv[1];
	n->derp_port = atoi(argv[2]);
	n->stun_port = atoi(argv[3]);
	n->cert_name = argv[4];

	start(&a, m.regions);
	start(&b, m.regions);
	tap_ok(RUN_UNTIL(base, a.connects && b.connects), "two clients log in (%s)",
	       a.why);
	test_packets();
	test_netcheck(m.regions);
	test_bulk(argc > 5 ? (uint64_t)atoi(argv[5]) : 20);
	tap_ok(!a.failures && !b.failures, "no connection was lost");
	client_stop(&a);
	client_stop(&b);
	event_base_free(base);
	return tap_done();
}
