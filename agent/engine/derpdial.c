// SPDX-License-Identifier: GPL-2.0
#include "engine/derpdial.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "engine/derpmap.h"
#include "engine/derptls.h"
#include "lib/proxy.h"
#include "lib/tcpdial.h"
#include "lib/util.h"

#define NODE_TIMEOUT_MS 1500
#define V4_DELAY_MS 200
#define HTTPS_PORT 443
#define WHY_MAX 256

struct derp_dial {
	const struct derp_dial_env *env;
	const struct derp_region *region;
	size_t first, tried; /* nodes */
	void (*done)(void *ctx, int fd, const struct derp_node *node,
		     const char *why);
	void *ctx;
	struct tcp_dial *tcp;
	struct event *failed; /* so that start() does not call back */
	int error;
	char why[WHY_MAX];
};

uint16_t derp_node_port(const struct derp_node *n)
{
	return n->derp_port > 0 && n->derp_port <= 65535 ?
		       (uint16_t)n->derp_port :
		       HTTPS_PORT;
}

const char *derp_node_host(const struct derp_node *n, char out[DERP_HOST_MAX])
{
	bool v6 = strchr(n->host_name, ':');
	uint16_t port = derp_node_port(n);

	snprintf(out, DERP_HOST_MAX, port == HTTPS_PORT ? "%s%s%s" : "%s%s%s:%u",
		 v6 ? "[" : "", n->host_name, v6 ? "]" : "", port);
	return out;
}

void derp_dial_cancel(struct derp_dial *d)
{
	if (!d)
		return;
	tcp_dial_cancel(d->tcp);
	event_free(d->failed);
	free(d);
}

static void finish(struct derp_dial *d, int result,
		   const struct derp_node *node)
{
	void (*done)(void *ctx, int fd, const struct derp_node *n,
		     const char *why) = d->done;
	void *ctx = d->ctx;
	char why[WHY_MAX];

	memcpy(why, d->why, sizeof(why));
	derp_dial_cancel(d);
	done(ctx, result, node, why);
}

static void note(struct derp_dial *d, int error, const char *node,
		 const char *why)
{
	if (d->error)
		return;
	d->error = error;
	snprintf(d->why, sizeof(d->why), "%s%s%s", node, *node ? ": " : "",
		 why);
}

static void next_node(struct derp_dial *d);

static const struct derp_node *last_tried(const struct derp_dial *d)
{
	return &d->region->nodes[(d->first + d->tried - 1) %
				 d->region->n_nodes];
}

static void on_tcp(void *ctx, int fd, const char *why)
{
	struct derp_dial *d = ctx;
	const struct derp_node *node = last_tried(d);

	d->tcp = NULL;
	if (fd >= 0) {
		finish(d, fd, node);
		return;
	}
	note(d, fd, node->name ? node->name : "", why);
	next_node(d);
}

static void on_failed(evutil_socket_t fd, short what, void *arg)
{
	struct derp_dial *d = arg;

	note(d, -ENOENT, "", "no node of this region speaks DERP");
	finish(d, d->error, NULL);
}

/* False if there is nothing to wait for. */
static bool try_node(struct derp_dial *d, const struct derp_node *n)
{
	struct tcp_dial_spec spec = {
		.host = n->host_name,
		.port = derp_node_port(n),
		.timeout_ms = NODE_TIMEOUT_MS,
		.v4_delay_ms = d->env->prefer_ipv6 ? V4_DELAY_MS : 0,
		.socket = d->env->tcp_socket,
		.socket_ctx = d->env->socket_ctx,
	};
	struct proxy proxy;
	int ret;

	if (n->stun_only || !n->host_name || !*n->host_name)
		return false;
	ret = proxy_from_env(&proxy, spec.host, spec.port,
			     !derp_node_is_plain(n));
	if (ret < 0) {
		note(d, ret, n->name ? n->name : "",
		     "the proxy in HTTPS_PROXY is not usable");
		return false;
	}
	if (ret)
		spec.proxy = &proxy;
	spec.no_v4 = derp_node_addr(n, 4, &spec.v4) == DERP_FAMILY_OFF;
	spec.no_v6 = derp_node_addr(n, 6, &spec.v6) == DERP_FAMILY_OFF;
	d->tcp = tcp_dial_start(d->env->base, d->env->dns, &spec, on_tcp, d);
	return true;
}

static void next_node(struct derp_dial *d)
{
	struct timeval now = { 0 };

	while (d->tried++ < d->region->n_nodes)
		if (try_node(d, last_tried(d)))
			return;
	event_add(d->failed, &now);
}

struct derp_dial *derp_dial_start(const struct derp_dial_env *env,
				  const struct derp_region *region,
				  size_t first,
				  void (*done)(void *ctx, int fd,
					       const struct derp_node *node,
					       const char *why),
				  void *ctx)
{
	struct derp_dial *d = xcalloc(1, sizeof(*d));

	d->env = env;
	d->region = region;
	d->first = first;
	d->done = done;
	d->ctx = ctx;
	d->failed = evtimer_new(env->base, on_failed, d);
	next_node(d);
	return d;
}
