// SPDX-License-Identifier: GPL-2.0
/* Dials on the loopback: direct, refused, both families, through a proxy. */
#include "lib/tcpdial.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

struct result {
	struct event_base *base;
	int calls, fd;
	char why[256];
};

static void on_done(void *ctx, int fd, const char *why)
{
	struct result *r = ctx;

	r->calls++;
	r->fd = fd;
	snprintf(r->why, sizeof(r->why), "%s", why);
	event_base_loopbreak(r->base);
}

/* A listener on the loopback of @family; its port through @port. */
static int listen_on(int family, uint16_t *port)
{
	struct endpoint ep = { 0 };
	struct sockaddr_storage ss;
	socklen_t len;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ip_parse(&ep.ip, family == AF_INET ? "127.0.0.1" : "::1");
	ep.port = *port;
	len = endpoint_to_sockaddr(&ep, &ss);
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) || listen(fd, 8)) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	len = sizeof(ss);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss);
	*port = ep.port;
	return fd;
}

static struct result dial(struct event_base *base,
			  const struct tcp_dial_spec *spec)
{
	struct result r = { .base = base, .fd = -1 };

	tcp_dial_start(base, NULL, spec, on_done, &r);
	if (r.calls)
		r.calls = 100; /* never from inside start */
	event_base_dispatch(base);
	return r;
}

struct proxy_side {
	int listener, fd;
	const char *reply;
	char request[512];
	struct event *ev;
};

static void on_proxy_data(evutil_socket_t fd, short what, void *arg)
{
	struct proxy_side *p = arg;
	size_t len = strlen(p->request);
	ssize_t n = read((int)fd, p->request + len,
			 sizeof(p->request) - 1 - len);

	if (n > 0 && strstr(p->request, "\r\n\r\n") &&
	    write((int)fd, p->reply, strlen(p->reply)) < 0)
		abort();
}

static void on_proxy_accept(evutil_socket_t fd, short what, void *arg)
{
	struct proxy_side *p = arg;
	struct event_base *base = event_get_base(p->ev);

	p->fd = accept((int)fd, NULL, NULL);
	event_free(p->ev);
	p->ev = event_new(base, p->fd, EV_READ | EV_PERSIST, on_proxy_data, p);
	event_add(p->ev, NULL);
}

static struct result dial_proxy(struct event_base *base, const char *reply,
				struct proxy_side *side)
{
	struct proxy proxy = { .host = "127.0.0.1", .auth = "dTpw" };
	struct tcp_dial_spec spec = { .host = "relay.example",
				      .port = 443,
				      .timeout_ms = 5000,
				      .proxy = &proxy };
	struct result r;

	memset(side, 0, sizeof(*side));
	side->reply = reply;
	side->listener = listen_on(AF_INET, &proxy.port);
	side->ev = event_new(base, side->listener, EV_READ, on_proxy_accept,
			     side);
	event_add(side->ev, NULL);
	r = dial(base, &spec);
	event_free(side->ev);
	close(side->listener);
	return r;
}

int main(void)
{
	struct event_base *base = event_base_new();
	struct tcp_dial_spec spec = { .host = "127.0.0.1",
				      .timeout_ms = 5000 };
	struct proxy_side side;
	struct tcp_dial *t;
	struct result r;
	uint16_t free_port;
	int listener, v6;

	listener = listen_on(AF_INET, &spec.port);
	r = dial(base, &spec);
	tap_ok(r.calls == 1 && r.fd >= 0, "an IPv4 literal (%s)", r.why);
	close(r.fd);

	spec.host = "name.invalid";
	ip_parse(&spec.v4, "127.0.0.1");
	r = dial(base, &spec);
	tap_ok(r.fd >= 0, "a name with a given address needs no DNS (%s)",
	       r.why);
	close(r.fd);

	ip_parse(&spec.v6, "::1");
	v6 = listen_on(AF_INET6, &spec.port);
	if (v6 >= 0) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);

		spec.v4_delay_ms = 4000;
		r = dial(base, &spec);
		getpeername(r.fd, (struct sockaddr *)&ss, &len);
		tap_ok(r.fd >= 0 && ss.ss_family == AF_INET6,
		       "IPv6 wins while IPv4 is held back (%s)", r.why);
		close(r.fd);
		close(v6);
		spec.v4_delay_ms = 1;
		r = dial(base, &spec);
		tap_ok(r.fd >= 0, "IPv4 after IPv6 was refused (%s)", r.why);
		close(r.fd);
	} else {
		tap_ok(true, "IPv6 first # SKIP no IPv6 loopback");
		tap_ok(true, "IPv4 after IPv6 # SKIP no IPv6 loopback");
	}

	t = tcp_dial_start(base, NULL, &spec, on_done, &r);
	r.calls = 0;
	tcp_dial_cancel(t);
	event_base_loop(base, EVLOOP_NONBLOCK);
	tap_ok(!r.calls, "a cancelled dial never calls back");

	close(listener);
	free_port = spec.port;
	memset(&spec.v6, 0, sizeof(spec.v6));
	spec.no_v6 = true;
	spec.port = free_port;
	r = dial(base, &spec);
	tap_ok(r.calls == 1 && r.fd == -ECONNREFUSED && strstr(r.why, "127.0"),
	       "a refusal says where (%s)", r.why);

	spec.no_v4 = true;
	r = dial(base, &spec);
	tap_ok(r.calls == 1 && r.fd == -EADDRNOTAVAIL, "no family left (%s)",
	       r.why);

	spec.no_v4 = false;
	memset(&spec.v4, 0, sizeof(spec.v4));
	r = dial(base, &spec);
	tap_ok(r.calls == 1 && r.fd == -EHOSTUNREACH,
	       "a name without DNS (%s)", r.why);

	r = dial_proxy(base, "HTTP/1.1 200 Connection established\r\n\r\n",
		       &side);
	tap_ok(r.fd >= 0, "through a proxy (%s)", r.why);
	tap_ok(!strcmp(side.request,
		       "CONNECT relay.example:443 HTTP/1.1\r\n"
		       "Host: relay.example:443\r\n"
		       "Proxy-Authorization: Basic dTpw\r\n\r\n"),
	       "the request names the target and authenticates");
	close(r.fd);
	close(side.fd);
	r = dial_proxy(base, "HTTP/1.1 407 Authenticate\r\n\r\n", &side);
	tap_ok(r.fd == -ECONNREFUSED && strstr(r.why, "407"),
	       "the proxy's refusal is told (%s)", r.why);
	close(side.fd);
	r = dial_proxy(base, "HTTP/1.1 200 OK\r\n\r\nx", &side);
	tap_ok(r.fd == -EBADMSG, "bytes the target cannot have sent (%s)",
	       r.why);
	close(side.fd);

	event_base_free(base);
	libevent_global_shutdown();
	return tap_done();
}
