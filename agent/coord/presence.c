// SPDX-License-Identifier: GPL-2.0
#include "coord/presence.h"

#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coord/http.h"
#include "lib/log.h"
#include "lib/util.h"

#define PING_ID_LEN 33

/* Of one member; made when it first connects. */
struct attendance {
	struct presence *p;
	struct member *m;
	struct event *grace; /* pending: the stream is gone, the node is not */
	struct event *answer; /* pending: it has a ping to answer */
	char ping[PING_ID_LEN];
};

struct presence {
	struct event_base *base;
	struct model *m;
	struct tailnet *t;
	struct mapstreams *streams;
	char *server_url;
	struct event *round;
};

static void on_grace(evutil_socket_t fd, short what, void *arg)
{
	struct attendance *a = arg;

	event_del(a->answer);
	model_node_set_online(a->p->m, a->m->node, false, time(NULL));
}

static void on_no_answer(evutil_socket_t fd, short what, void *arg)
{
	struct attendance *a = arg;

	a->ping[0] = '\0';
	if (!a->m->node->healthy)
		return;
	log_warn("coord: %s does not answer a ping: no primary router",
		 a->m->node->name);
	model_node_set_healthy(a->p->m, a->m->node, false);
}

static struct attendance *attendance(struct presence *p, struct member *m)
{
	struct attendance *a = m->presence;

	if (a)
		return a;
	a = xcalloc(1, sizeof(*a));
	a->p = p;
	a->m = m;
	a->grace = evtimer_new(p->base, on_grace, a);
	a->answer = evtimer_new(p->base, on_no_answer, a);
	m->presence = a;
	return a;
}

static void well(struct attendance *a)
{
	event_del(a->answer);
	a->ping[0] = '\0';
	if (!a->m->node->healthy)
		model_node_set_healthy(a->p->m, a->m->node, true);
}

void presence_connected(struct presence *p, struct member *m)
{
	struct attendance *a = attendance(p, m);

	event_del(a->grace);
	well(a);
	if (!m->node->online)
		model_node_set_online(p->m, m->node, true, time(NULL));
}

void presence_disconnected(struct presence *p, struct member *m)
{
	static const struct timeval grace = {PRESENCE_GRACE_S, 0};

	event_add(attendance(p, m)->grace, &grace);
}

void presence_gone(struct presence *p, struct member *m)
{
	struct attendance *a = m->presence;

	if (!a)
		return;
	m->presence = NULL;
	event_free(a->grace);
	event_free(a->answer);
	free(a);
}

/* ── Pings ── */

static void ping(struct presence *p, struct coord_node *n)
{
	static const struct timeval limit = {PRESENCE_ANSWER_S, 0};
	struct attendance *a = attendance(p, n->session);
	uint8_t random[(PING_ID_LEN - 1) / 2];
	char url[1024];

	if (!n->online || evtimer_pending(a->answer, NULL))
		return;
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(a->ping, sizeof(a->ping), random, sizeof(random));
	snprintf(url, sizeof(url), "%s" PRESENCE_PING_PATH "?id=%s",
		 p->server_url, a->ping);
	/* Without a stream it goes offline soon, that decides as well. */
	if (mapstreams_ping(p->streams, n->session, url))
		event_add(a->answer, &limit);
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
	struct presence *p = arg;
	struct coord_route *route;
	size_t i;

	for (route = model_routes(p->m); route; route = route->hh.next)
		for (i = 0; route->n_nodes > 1 && i < route->n_nodes; i++)
			ping(p, route->nodes[i]);
}

void presence_answer(struct presence *p, struct http_request *r)
{
	_cleanup_free_ char *id = http_param(r->query, "id");
	size_t i;

	for (i = 0; id && *id && i < tailnet_slots(p->t); i++) {
		struct member *m = tailnet_member(p->t, (uint32_t)i);
		struct attendance *a = m->presence;

		if (!m->node || !a || strcmp(a->ping, id) != 0 ||
		    !key_equal(&m->node->machine, &r->machine))
			continue;
		well(a);
		http_reply(r, 200, NULL, "", 0);
		return;
	}
	http_reply_text(r, 404, "no such ping");
}

struct presence *presence_new(struct event_base *base, struct model *m,
			      struct tailnet *t, struct mapstreams *s,
			      const char *server_url)
{
	static const struct timeval every = {PRESENCE_PING_S, 0};
	struct presence *p = xcalloc(1, sizeof(*p));

	p->base = base;
	p->m = m;
	p->t = t;
	p->streams = s;
	p->server_url = xstrdup(server_url);
	p->round = event_new(base, -1, EV_PERSIST, on_round, p);
	event_add(p->round, &every);
	return p;
}

void presence_free(struct presence *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < tailnet_slots(p->t); i++)
		presence_gone(p, tailnet_member(p->t, (uint32_t)i));
	event_free(p->round);
	free(p->server_url);
	free(p);
}
