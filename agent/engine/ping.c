// SPDX-License-Identifier: GPL-2.0
/* The pings that people ask for. */
#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "engine/agent.h"
#include "engine/ping.h"
#include "lib/util.h"

#define TSMP_PING 'p'
#define TSMP_PONG 'o'
#define TSMP_COOKIE_LEN 8

struct agent_ping {
	struct agent *agent;
	enum agent_ping_type type;
	uint8_t cookie[TSMP_COOKIE_LEN];
	uint64_t sent;
	struct event *timeout;
	agent_pong_cb cb;
	void *ctx;
	struct agent_ping *prev, *next;
};

void agent_ping_cancel(struct agent_ping *p)
{
	paths_ping_cancel(p->agent->paths, p);
	DL_DELETE(p->agent->pings, p);
	event_free(p->timeout);
	free(p);
}

/* Calls back once and forgets the ping. */
static void finish(struct agent_ping *p, const struct agent_pong *pong)
{
	agent_pong_cb cb = p->cb;
	void *ctx = p->ctx;

	agent_ping_cancel(p);
	cb(ctx, pong);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct agent_pong pong = { .error = "no reply" };

	finish(arg, &pong);
}

static void on_path_pong(void *ctx, const struct path_pong *path)
{
	struct agent_pong pong = { .path = *path, .latency = path->latency };

	finish(ctx, &pong);
}

void ping_on_tsmp(struct agent *a, const uint8_t *data, size_t n)
{
	struct agent_pong pong = { 0 };
	struct agent_ping *p;

	if (n < 1 + TSMP_COOKIE_LEN || data[0] != TSMP_PONG)
		return;
	DL_FOREACH(a->pings, p) {
		if (p->type != AGENT_PING_TSMP ||
		    memcmp(p->cookie, data + 1, TSMP_COOKIE_LEN) != 0)
			continue;
		pong.latency = now_ns() - p->sent;
		finish(p, &pong);
		return;
	}
}

/* Our address of the family of @to; false: we have none. */
static bool own_address(const struct netmap *nm, const struct ip_addr *to,
			struct ip_addr *out)
{
	size_t i;

	for (i = 0; i < nm->self->n_addresses; i++)
		if (nm->self->addresses[i].ip.family == to->family) {
			*out = nm->self->addresses[i].ip;
			return true;
		}
	return false;
}

static int send_tsmp(struct agent_ping *p, const struct netmap *nm,
		     const struct ip_addr *to)
{
	uint8_t data[1 + TSMP_COOKIE_LEN] = { TSMP_PING };
	struct ip_addr from;

	if (!own_address(nm, to, &from))
		return -EADDRNOTAVAIL;
	randombytes_buf(p->cookie, sizeof(p->cookie));
	memcpy(data + 1, p->cookie, sizeof(p->cookie));
	kernel_send_tsmp(p->agent->kernel, &from, to, data, sizeof(data));
	return 0;
}

struct agent_ping *agent_ping(struct agent *a, const struct ip_addr *ip,
			      enum agent_ping_type type, size_t size,
			      unsigned int timeout_ms, agent_pong_cb cb,
			      void *ctx, const char **error)
{
	const struct netmap *nm = agent_netmap(a);
	const struct node *n = nm ? netmap_peer_by_addr(nm, ip) : NULL;
	struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	struct agent_ping *p;
	int err = 0;

	if (!n) {
		*error = nm ? "no peer has this address" :
			      "not connected: run 'tailrace up'";
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->agent = a;
	p->type = type;
	p->sent = now_ns();
	p->cb = cb;
	p->ctx = ctx;
	p->timeout = evtimer_new(a->base, on_timeout, p);
	evtimer_add(p->timeout, &tv);
	DL_APPEND(a->pings, p);
	switch (type) {
	case AGENT_PING_DISCO:
		err = paths_ping(a->paths, &n->key, size, on_path_pong, p);
		break;
	case AGENT_PING_TSMP:
		err = send_tsmp(p, nm, ip);
		break;
	}
	if (err) {
		agent_ping_cancel(p);
		*error = err == -ENETUNREACH || err == -ENOENT ?
				 "the peer has no known endpoint and no home DERP" :
				 strerror(-err);
		return NULL;
	}
	return p;
}
