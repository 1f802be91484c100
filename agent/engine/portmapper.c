// SPDX-License-Identifier: GPL-2.0
#include "engine/portmapper.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/endpoints.h"
#include "engine/portmap.h"
#include "lib/util.h"
#include "proto/natpmp.h"

/* More of the routing table is not looked at: default routes come first. */
#define ROUTES_MAX 65536

struct portmapper {
	struct event_base *base;
	void (*changed)(void *ctx);
	void *ctx;
	struct portmap map;
	struct gateway gateway; /* ip.family 0: none */
	int fd; /* connected to the gateway, -1: none */
	struct event *readable, *timer;
	struct event *news; /* so that changed() comes from the loop */
};

int gateway_parse(struct gateway *g, const char *text)
{
	const char *line = strchr(text, '\n'); /* past the titles */

	for (; line && line[1]; line = strchr(line + 1, '\n')) {
		unsigned int dst, gw, flags;
		struct in_addr in;
		struct endpoint ep;
		struct sockaddr_in sin = { .sin_family = AF_INET };
		char name[IFNAMSIZ];

		if (sscanf(line + 1, "%15s %x %x %x", name, &dst, &gw,
			   &flags) != 4 ||
		    (flags & (RTF_UP | RTF_GATEWAY)) != (RTF_UP | RTF_GATEWAY))
			continue;
		in.s_addr = gw; /* printed as the host reads memory */
		sin.sin_addr = in;
		if (endpoint_from_sockaddr(&ep, (struct sockaddr *)&sin) ||
		    !ip_is_private(&ep.ip))
			continue;
		memcpy(g->ifname, name, sizeof(g->ifname));
		g->ip = ep.ip;
		return 0;
	}
	return -ENOENT;
}

static int gateway_find(struct gateway *g)
{
	_cleanup_free_ char *text = xmalloc(ROUTES_MAX + 1);
	_cleanup_fd_ int fd = open("/proc/net/route", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (len < ROUTES_MAX &&
	       (n = read(fd, text + len, ROUTES_MAX - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return gateway_parse(g, text);
}

/* Our first IPv4 address on the gateway's interface; family 0: none. */
static struct ip_addr own_address(const struct gateway *g)
{
	_cleanup_free_ struct interface_addr *list = NULL;
	int i, n = interface_addrs(&list, NULL);
	struct ip_addr none = { 0 };

	for (i = 0; i < n; i++)
		if (!strcmp(list[i].name, g->ifname) &&
		    list[i].addr.ip.family == 4)
			return list[i].addr.ip;
	return none;
}

static void arm(struct portmapper *m)
{
	uint64_t next = portmap_next(&m->map), now = now_ns(), us;
	struct timeval tv;

	if (next == UINT64_MAX) {
		event_del(m->timer);
		return;
	}
	us = next > now ? (next - now + 999) / 1000 : 0;
	tv = (struct timeval){ .tv_sec = (time_t)(us / 1000000),
			       .tv_usec = (suseconds_t)(us % 1000000) };
	event_add(m->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct portmapper *m = arg;

	portmap_tick(&m->map, now_ns());
	arm(m);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct portmapper *m = arg;
	uint8_t in[1500];
	ssize_t n = recv((int)fd, in, sizeof(in), 0);

	if (n <= 0) /* also what ICMP says of an earlier question */
		return;
	portmap_input(&m->map, in, (size_t)n, now_ns());
	arm(m);
}

static void on_send(void *ctx, const uint8_t *data, size_t n)
{
	struct portmapper *m = ctx;

	/* Lost like any datagram if it fails: the portmap asks again. */
	if (m->fd >= 0 && send(m->fd, data, n, MSG_NOSIGNAL) < 0 &&
	    errno == ECONNREFUSED)
		send(m->fd, data, n, MSG_NOSIGNAL);
}

static void on_changed(void *ctx)
{
	struct portmapper *m = ctx;

	event_active(m->news, EV_TIMEOUT, 0);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
	struct portmapper *m = arg;

	m->changed(m->ctx);
}

static const struct portmap_ops portmap_ops = { .send = on_send,
						.changed = on_changed };

static void close_socket(struct portmapper *m)
{
	if (m->fd < 0)
		return;
	event_free(m->readable);
	close(m->fd);
	m->fd = -1;
}

static void open_socket(struct portmapper *m)
{
	struct endpoint to = { .ip = m->gateway.ip, .port = NATPMP_PORT };
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	/* So that no exit node's route takes it; the right way out anyhow. */
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, m->gateway.ifname,
		   (socklen_t)strlen(m->gateway.ifname) + 1);
	if (connect(fd, (struct sockaddr *)&ss, len)) {
		close(fd);
		return;
	}
	m->fd = fd;
	m->readable = event_new(m->base, fd, EV_READ | EV_PERSIST, on_readable,
				m);
	event_add(m->readable, NULL);
}

/* Takes over another gateway or address; the old mapping is given back. */
static void follow_gateway(struct portmapper *m)
{
	struct gateway g = { 0 };
	struct ip_addr own = { 0 };

	if (!gateway_find(&g))
		own = own_address(&g);
	if (!own.family)
		memset(&g, 0, sizeof(g));
	if (ip_equal(&own, &m->map.own) && ip_equal(&g.ip, &m->gateway.ip) &&
	    !strcmp(g.ifname, m->gateway.ifname))
		return;
	portmap_set_gateway(&m->map, &own);
	close_socket(m);
	m->gateway = g;
	if (own.family)
		open_socket(m);
}

struct portmapper *portmapper_new(struct event_base *base,
				  void (*changed)(void *ctx), void *ctx)
{
	struct portmapper *m = xcalloc(1, sizeof(*m));

	m->base = base;
	m->changed = changed;
	m->ctx = ctx;
	m->fd = -1;
	m->timer = evtimer_new(base, on_timer, m);
	m->news = evtimer_new(base, on_news, m);
	portmap_init(&m->map, &portmap_ops, m);
	return m;
}

void portmapper_free(struct portmapper *m)
{
	if (!m)
		return;
	portmap_release(&m->map);
	close_socket(m);
	event_free(m->timer);
	event_free(m->news);
	free(m);
}

void portmapper_set_port(struct portmapper *m, uint16_t port)
{
	portmap_set_port(&m->map, port);
	arm(m);
}

void portmapper_probe(struct portmapper *m)
{
	follow_gateway(m);
	portmap_probe(&m->map, now_ns());
	arm(m);
}

bool portmapper_get(struct portmapper *m, struct endpoint *external)
{
	bool have = portmap_get(&m->map, external, now_ns());

	arm(m);
	return have;
}

int portmapper_has_pmp(const struct portmapper *m)
{
	return portmap_has_pmp(&m->map, now_ns());
}

int portmapper_has_pcp(const struct portmapper *m)
{
	return portmap_has_pcp(&m->map, now_ns());
}
