// SPDX-License-Identifier: GPL-2.0
/* Whole netchecks on the loopback: STUN servers, then HTTPS alone. */
#include "engine/netcheck.h"

#include <signal.h>
#include <stdlib.h>

#include "derp-map.h"
#include "engine/derps.h"
#include "fake-derp.h"
#include "proto/stun.h"
#include "tap.h"

struct stun_server {
	int fd;
	struct event *ev;
	uint16_t port;
	unsigned int requests;
	uint16_t port_offset; /* tells clients a port this far off */
};

static struct event_base *base;
static struct netcheck *nc;
static struct derps *derps;
static int udp; /* the socket under test */
static bool blocked; /* a firewall that eats what is sent */
static unsigned int done;

static int bind_udp(uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct endpoint ep = { .ip = ip_v4(127, 0, 0, 1) };
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&ep, &ss);

	if (bind(fd, (struct sockaddr *)&ss, len))
		abort();
	len = sizeof(ss);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss);
	*port = ep.port;
	return fd;
}

static void on_request(evutil_socket_t fd, short what, void *arg)
{
	struct stun_server *s = arg;
	uint8_t in[1500], out[STUN_RESPONSE_MAX], txid[STUN_TXID_LEN];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint from;
	ssize_t n = recvfrom((int)fd, in, sizeof(in), 0,
			     (struct sockaddr *)&ss, &len);

	if (n < 0 || stun_parse_request(in, (size_t)n, txid))
		return;
	s->requests++;
	endpoint_from_sockaddr(&from, (struct sockaddr *)&ss);
	from.port = (uint16_t)(from.port + s->port_offset);
	if (sendto((int)fd, out, stun_response(out, txid, &from), 0,
		   (struct sockaddr *)&ss, len) < 0)
		abort();
}

static void stun_start(struct stun_server *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = bind_udp(&s->port);
	s->ev = event_new(base, s->fd, EV_READ | EV_PERSIST, on_request, s);
	event_add(s->ev, NULL);
}

static void stun_stop(struct stun_server *s)
{
	event_free(s->ev);
	close(s->fd);
}

static int send_udp(void *ctx, const struct endpoint *dst, const uint8_t *data,
		    size_t n)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(dst, &ss);

	if (blocked)
		return 0;
	return sendto(udp, data, n, 0, (struct sockaddr *)&ss, len) < 0 ?
		       -errno :
		       0;
}

static void on_done(void *ctx, const struct net_report *r)
{
	done++;
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	uint8_t in[1500];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint from;
	ssize_t n = recvfrom((int)fd, in, sizeof(in), 0,
			     (struct sockaddr *)&ss, &len);

	if (n < 0)
		return;
	endpoint_from_sockaddr(&from, (struct sockaddr *)&ss);
	netcheck_on_stun(nc, &from, in, (size_t)n, now_ns());
}

static void on_recv(void *ctx, int region, const struct key *src,
		    const uint8_t *data, size_t n)
{
}

static const struct netcheck_ops ops = { .send_udp = send_udp,
					 .done = on_done };
static const struct derps_ops derps_ops = { .recv = on_recv };

static const struct net_report *check(const struct netcheck_input *in)
{
	unsigned int before = done;

	if (netcheck_start(nc, in) || done != before)
		return NULL;
	RUN_UNTIL(base, done > before);
	return netcheck_last(nc);
}

static void test_stun(void)
{
	struct netcheck_input in = { 0 };
	const struct net_report *r;
	struct stun_server a, b;
	struct test_map m = { 0 };

	stun_start(&a);
	stun_start(&b);
	test_map_node(&m, 1, "127.0.0.1", "none")->stun_port = a.port;
	test_map_node(&m, 2, "127.0.0.1", "none")->stun_port = b.port;
	tap_ok(netcheck_start(nc, &in) == -ENOENT, "no map");
	in.regions = m.regions;
	tap_ok(!netcheck_start(nc, &in) && netcheck_is_running(nc) &&
		       netcheck_start(nc, &in) == -EBUSY,
	       "one run at a time");
	RUN_UNTIL(base, done == 1);
	r = netcheck_last(nc);
	tap_ok(r && r->full && r->udp && r->ipv4 && !r->ipv6 &&
		       r->mapping_varies == 0 && r->n_regions == 2 &&
		       r->finished >= r->started && r->preferred_derp,
	       "a first, full run");
	tap_ok(a.requests == 1 && b.requests == 1,
	       "answered probes are not repeated");
	r = check(&in);
	tap_ok(r && !r->full && r->udp, "the next one is incremental");
	b.port_offset = 7;
	in.full = true;
	r = check(&in);
	tap_ok(r && r->full && r->mapping_varies == 1, "a mapping that varies");
	tap_ok(!netcheck_on_stun(nc, &(struct endpoint){ 0 },
				 (const uint8_t *)"\1\1", 2, now_ns()),
	       "nothing is taken between runs");
	netcheck_start(nc, &in);
	event_base_loop(base, EVLOOP_NONBLOCK);
	stun_stop(&a);
	stun_stop(&b);
	test_map_clear(&m);
}

static void test_https(void)
{
	struct netcheck_input in = { .full = true };
	struct fake_derp one = { 0 }, two = { 0 };
	const struct net_report *r;
	struct test_map m = { 0 };
	struct derp_node *n;

	fake_start(&one, base, TLS1_3_VERSION, true);
	fake_start(&two, base, TLS1_3_VERSION, true);
	two.status = "503 Busy";
	n = test_map_node(&m, 1, "127.0.0.1", "none");
	n->derp_port = one.port;
	n->insecure_for_tests = true;
	n = test_map_node(&m, 2, "127.0.0.1", "none");
	n->derp_port = two.port;
	n->insecure_for_tests = true;
	test_map_node(&m, 3, "127.0.0.1", "none")->stun_only = true;
	in.regions = m.regions;
	r = check(&in);
	tap_ok(r && !r->udp && r->ipv4 && r->ipv4_can_send &&
		       one.latency_checks == 1 && two.latency_checks == 1,
	       "UDP blocked: HTTPS is asked");
	tap_ok(r && r->n_regions == 1 && net_report_latency(r, 1) &&
		       r->preferred_derp == 1,
	       "an error status is no latency");
	RUN_UNTIL(base, !one.conns);
	fake_down(&one);
	fake_down(&two);
	r = check(&in);
	tap_ok(r && !r->udp && !r->n_regions && !r->preferred_derp,
	       "nobody at all");
	fake_stop(&one);
	fake_stop(&two);
	test_map_clear(&m);
}

int main(void)
{
	struct event *ev;
	uint16_t port;

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	base = event_base_new();
	udp = bind_udp(&port);
	ev = event_new(base, udp, EV_READ | EV_PERSIST, on_udp, NULL);
	event_add(ev, NULL);
	derps = derps_new(base, NULL, &derps_ops, NULL);
	nc = netcheck_new(base, NULL, derps, &ops, NULL);

	test_stun();
	netcheck_free(nc); /* in the middle of a run */
	nc = netcheck_new(base, NULL, derps, &ops, NULL);
	blocked = true;
	test_https();

	netcheck_free(nc);
	derps_free(derps);
	event_free(ev);
	close(udp);
	event_base_free(base);
	libevent_global_shutdown();
	return tap_done();
}
