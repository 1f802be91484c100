// SPDX-License-Identifier: GPL-2.0
#include "localapi/conns.h"

#include <event2/bufferevent.h>
#include <event2/http.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"

struct conns {
	struct evhttp *http;
	struct bufferevent *open[CONNS_MAX]; /* the oldest first; ours, too */
	size_t n;
};

bool conns_privileged(struct bufferevent *bev)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;

	if (getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED, &cred,
		       &len))
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

/* evhttp lets go of a connection by freeing it, which takes its callbacks. */
static bool is_over(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;

	bufferevent_getcb(bev, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void drop(struct conns *c, size_t i)
{
	bufferevent_decref(c->open[i]);
	memmove(&c->open[i], &c->open[i + 1],
		(--c->n - i) * sizeof(*c->open));
}

/* evhttp is about to give it the socket that it has accepted. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	struct conns *c = arg;
	size_t i = 0;

	while (i < c->n)
		if (is_over(c->open[i]) || conns_privileged(c->open[i]))
			drop(c, i);
		else
			i++;
	if (c->n == CONNS_MAX) {
		shutdown(bufferevent_getfd(c->open[0]), SHUT_RDWR);
		drop(c, 0);
	}
	bufferevent_incref(bev);
	c->open[c->n++] = bev;
	return bev;
}

struct conns *conns_new(struct evhttp *http)
{
	struct conns *c = xcalloc(1, sizeof(*c));

	c->http = http;
	evhttp_set_bevcb(http, on_connection, c);
	return c;
}

void conns_free(struct conns *c)
{
	evhttp_set_bevcb(c->http, NULL, NULL);
	while (c->n)
		drop(c, c->n - 1);
	free(c);
}
