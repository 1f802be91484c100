// SPDX-License-Identifier: GPL-2.0
#include "lib/tcpdial.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/httphead.h"
#include "lib/util.h"

/* Addresses tried per family, one after the other. */
#define ADDRS_MAX 4
#define CONNECT_TIMEOUT_MS 10000
#define WHY_MAX 256

/* Outlives its attempt when cancelled: libevent still calls back then. */
struct lookup {
	struct attempt *a;
};

struct attempt {
	struct tcp_dial *t;
	int family; /* AF_INET, AF_INET6; 0: not tried */
	struct evdns_getaddrinfo_request *req;
	struct lookup *lookup;
	struct ip_addr addrs[ADDRS_MAX];
	size_t n_addrs, next;
	int fd;
	struct event *ev; /* connect(), or the head start of the other */
	bool failed;
};

struct tcp_dial {
	struct event_base *base;
	struct evdns_base *dns;
	void (*done)(void *ctx, int fd, const char *why);
	void *ctx;
	int (*socket)(void *ctx, int family);
	void *socket_ctx;
	char *host; /* what we dial: the target or the proxy */
	uint16_t port;
	struct attempt try[2];
	struct event *timer; /* limit, or deferred failure */
	int error;
	char why[WHY_MAX]; /* the first failure */
	/* CONNECT */
	char *connect; /* request; holds credentials; NULL: direct */
	int fd;
	struct event *ev;
	uint8_t head[HTTP_HEAD_MAX];
	size_t head_len;
};

static struct timeval ms(unsigned int n)
{
	return (struct timeval){ .tv_sec = n / 1000,
				 .tv_usec = (n % 1000) * 1000 };
}

static void event_clear(struct event **ev)
{
	if (*ev)
		event_free(*ev);
	*ev = NULL;
}

static void attempt_end(struct attempt *a)
{
	event_clear(&a->ev);
	if (a->req) {
		a->lookup->a = NULL;
		evdns_getaddrinfo_cancel(a->req);
		a->req = NULL;
	}
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

void tcp_dial_cancel(struct tcp_dial *t)
{
	if (!t)
		return;
	attempt_end(&t->try[0]);
	attempt_end(&t->try[1]);
	event_clear(&t->timer);
	event_clear(&t->ev);
	if (t->fd >= 0)
		close(t->fd);
	if (t->connect) {
		sodium_memzero(t->connect, strlen(t->connect));
		free(t->connect);
	}
	free(t->host);
	free(t);
}

static void finish(struct tcp_dial *t, int result)
{
	void (*done)(void *ctx, int fd, const char *why) = t->done;
	void *ctx = t->ctx;
	char why[WHY_MAX];

	memcpy(why, t->why, sizeof(why));
	tcp_dial_cancel(t);
	done(ctx, result, why);
}

__attribute__((format(printf, 3, 4))) static void
note(struct tcp_dial *t, int error, const char *fmt, ...)
{
	va_list ap;

	if (t->error)
		return;
	t->error = error;
	va_start(ap, fmt);
	vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
}

static void attempt_next(struct attempt *a);

/* Both families have failed: tell from the loop, the caller may be start(). */
static void attempt_failed(struct attempt *a)
{
	struct tcp_dial *t = a->t;
	struct timeval soon = ms(0);

	a->failed = true;
	if (t->try[0].failed && t->try[1].failed)
		event_add(t->timer, &soon);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct tcp_dial *t = arg;

	note(t, -ETIMEDOUT, "%s:%u: no connection in time", t->host, t->port);
	finish(t, t->error);
}

static void on_proxy_reply(evutil_socket_t fd, short what, void *arg)
{
	struct tcp_dial *t = arg;
	ssize_t n, head;
	int status = 0;

	n = recv(fd, t->head + t->head_len, sizeof(t->head) - t->head_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		note(t, n ? -errno : -ECONNRESET, "proxy %s:%u: %s", t->host,
		     t->port, n ? strerror(errno) : "closed the connection");
		finish(t, t->error);
		return;
	}
	t->head_len += (size_t)n;
	head = http_head_parse(t->head, t->head_len, &status);
	if (!head)
		return;
	if (head < 0 || status != 200) {
		note(t, -ECONNREFUSED, "proxy %s:%u: %s %d", t->host, t->port,
		     head < 0 ? "no HTTP reply" : "CONNECT refused:", status);
		finish(t, t->error);
		return;
	}
	/* The target speaks second in TLS: early bytes are not from it. */
	if ((size_t)head != t->head_len) {
		note(t, -EBADMSG, "proxy %s:%u: bytes after its reply", t->host,
		     t->port);
		finish(t, t->error);
		return;
	}
	t->fd = -1;
	finish(t, (int)fd);
}

static void proxy_connect(struct tcp_dial *t, int fd)
{
	struct timeval limit = ms(CONNECT_TIMEOUT_MS);
	size_t n = strlen(t->connect);

	t->fd = fd;
	t->error = 0;
	event_add(t->timer, &limit);
	/* Smaller than any send buffer, and this one is empty. */
	if (send(fd, t->connect, n, MSG_NOSIGNAL) != (ssize_t)n) {
		note(t, -EPIPE, "proxy %s:%u: cannot send", t->host, t->port);
		finish(t, t->error);
		return;
	}
	t->ev = event_new(t->base, fd, EV_READ | EV_PERSIST, on_proxy_reply, t);
	event_add(t->ev, NULL);
}

static void on_connect(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *a = arg;
	struct tcp_dial *t = a->t;
	char text[IP_TEXT_MAX];
	socklen_t len = sizeof(int);
	int error = 0, one = 1;

	event_clear(&a->ev);
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (error) {
		note(t, -error, "%s port %u: %s",
		     ip_format(&a->addrs[a->next - 1], text), t->port,
		     strerror(error));
		close(a->fd);
		a->fd = -1;
		attempt_next(a);
		return;
	}
	fd = a->fd;
	a->fd = -1;
	attempt_end(&t->try[0]);
	attempt_end(&t->try[1]);
	setsockopt((int)fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (t->connect)
		proxy_connect(t, (int)fd);
	else
		finish(t, (int)fd);
}

static int plain_socket(void *ctx, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Connects to the next address of the family, or gives the family up. */
static void attempt_next(struct attempt *a)
{
	struct tcp_dial *t = a->t;

	while (a->next < a->n_addrs) {
		struct endpoint ep = { .ip = a->addrs[a->next++],
				       .port = t->port };
		struct sockaddr_storage ss;
		char text[ENDPOINT_TEXT_MAX];
		socklen_t len = endpoint_to_sockaddr(&ep, &ss);
		int fd = t->socket(t->socket_ctx, a->family);
		int error = -fd;

		if (fd >= 0) {
			if (!connect(fd, (struct sockaddr *)&ss, len) ||
			    errno == EINPROGRESS) {
				a->fd = fd;
				a->ev = event_new(t->base, fd, EV_WRITE,
						  on_connect, a);
				event_add(a->ev, NULL);
				return;
			}
			error = errno;
			close(fd);
		}
		note(t, -error, "%s: %s", endpoint_format(&ep, text),
		     strerror(error));
	}
	attempt_failed(a);
}

static void on_lookup(int result, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *l = arg;
	struct attempt *a = l->a;
	struct evutil_addrinfo *ai;
	struct endpoint ep;

	free(l);
	if (!a) {
		if (list)
			evutil_freeaddrinfo(list);
		return;
	}
	a->req = NULL;
	a->lookup = NULL;
	for (ai = list; ai && a->n_addrs < ADDRS_MAX; ai = ai->ai_next)
		if (!endpoint_from_sockaddr(&ep, ai->ai_addr) &&
		    ip_bits(&ep.ip) == (a->family == AF_INET ? 32 : 128))
			a->addrs[a->n_addrs++] = ep.ip;
	if (list)
		evutil_freeaddrinfo(list);
	if (result)
		note(a->t, -EHOSTUNREACH, "%s: %s", a->t->host,
		     evutil_gai_strerror(result));
	attempt_next(a);
}

static void attempt_begin(struct attempt *a)
{
	struct evutil_addrinfo hints = { .ai_family = a->family,
					 .ai_socktype = SOCK_STREAM,
					 .ai_protocol = IPPROTO_TCP };
	struct evdns_getaddrinfo_request *req;
	struct tcp_dial *t = a->t;
	struct lookup *l;

	if (a->n_addrs) {
		attempt_next(a);
		return;
	}
	if (!t->dns) {
		note(t, -EHOSTUNREACH, "%s: no DNS", t->host);
		attempt_failed(a);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->a = a;
	a->lookup = l;
	req = evdns_getaddrinfo(t->dns, t->host, NULL, &hints, on_lookup, l);
	if (req) /* else it has called back already */
		a->req = req;
}

static void on_head_start_over(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *a = arg;

	event_clear(&a->ev);
	attempt_begin(a);
}

static char *connect_request(const struct tcp_dial_spec *spec)
{
	const struct proxy *p = spec->proxy;
	bool v6 = strchr(spec->host, ':');
	size_t cap = 2 * strlen(spec->host) + strlen(p->auth) + 128;
	char *out = xmalloc(cap);

	snprintf(out, cap,
		 "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n%s%s%s\r\n",
		 v6 ? "[" : "", spec->host, v6 ? "]" : "", spec->port,
		 v6 ? "[" : "", spec->host, v6 ? "]" : "", spec->port,
		 p->auth[0] ? "Proxy-Authorization: Basic " : "", p->auth,
		 p->auth[0] ? "\r\n" : "");
	return out;
}

struct tcp_dial *tcp_dial_start(struct event_base *base,
				struct evdns_base *dns,
				const struct tcp_dial_spec *spec,
				void (*done)(void *ctx, int fd,
					     const char *why),
				void *ctx)
{
	struct tcp_dial *t = xcalloc(1, sizeof(*t));
	struct attempt *v6 = &t->try[0], *v4 = &t->try[1];
	struct timeval limit = ms(spec->timeout_ms);
	bool no_v4 = spec->no_v4, no_v6 = spec->no_v6;
	struct ip_addr ip;

	t->base = base;
	t->dns = dns;
	t->done = done;
	t->ctx = ctx;
	t->socket = spec->socket ? spec->socket : plain_socket;
	t->socket_ctx = spec->socket_ctx;
	t->host = xstrdup(spec->proxy ? spec->proxy->host : spec->host);
	t->port = spec->proxy ? spec->proxy->port : spec->port;
	t->fd = -1;
	t->timer = evtimer_new(base, on_timer, t);
	*v6 = (struct attempt){ .t = t, .family = AF_INET6, .fd = -1 };
	*v4 = (struct attempt){ .t = t, .family = AF_INET, .fd = -1 };

	event_add(t->timer, &limit);
	if (spec->proxy) {
		no_v4 = no_v6 = false;
		t->connect = connect_request(spec);
		if (spec->proxy->tls) {
			note(t, -EPROTONOSUPPORT,
			     "proxy %s: https:// proxies are not supported",
			     t->host);
			no_v4 = no_v6 = true;
		}
	} else {
		if (spec->v4.family)
			v4->addrs[v4->n_addrs++] = spec->v4;
		if (spec->v6.family)
			v6->addrs[v6->n_addrs++] = spec->v6;
	}
	if (!ip_parse(&ip, t->host)) {
		/* A literal answers for its own family and denies the other. */
		struct attempt *own = ip.family == 4 ? v4 : v6;

		if (!own->n_addrs)
			own->addrs[own->n_addrs++] = ip;
		if (ip.family == 4 && !v6->n_addrs)
			no_v6 = true;
		if (ip.family == 6 && !v4->n_addrs)
			no_v4 = true;
	}
	if (no_v4 && no_v6)
		note(t, -EADDRNOTAVAIL, "%s: no usable address family",
		     t->host);

	if (no_v6)
		attempt_failed(v6);
	else
		attempt_begin(v6);
	if (no_v4) {
		attempt_failed(v4);
	} else if (!no_v6 && spec->v4_delay_ms) {
		struct timeval delay = ms(spec->v4_delay_ms);

		v4->ev = evtimer_new(base, on_head_start_over, v4);
		event_add(v4->ev, &delay);
	} else {
		attempt_begin(v4);
	}
	return t;
}
