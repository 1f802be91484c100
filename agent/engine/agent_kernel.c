// SPDX-License-Identifier: GPL-2.0
/* The kernel process, and the relay on the port that its device has. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "engine/agent_internal.h"
#include "engine/ping.h"
#include "engine/portmapper.h"
#include "engine/relay.h"
#include "lib/log.h"
#include "lib/resolver.h"

#define TSMP_DISCO 'a'

int agent_tcp_socket(void *ctx, int family)
{
	return kernel_socket_tcp(((struct agent *)ctx)->kernel, family);
}

static void on_relay(void *ctx, uint32_t peer, const uint8_t *data, size_t n)
{
	paths_relay_input(((struct agent *)ctx)->paths, peer, data, n);
}

static uint16_t relay_port(const struct agent *a)
{
	/* Beside WireGuard's, so that two tailnets don't collide. */
	return (uint16_t)(a->wg_port == 65535 ? 1024 : a->wg_port + 1);
}

/* Paths that an agent before us proved stay in use while we prove them. */
static void on_adopt(void *ctx, const struct kernel_peer_stats *s, size_t n,
		     const char *device_json)
{
	struct agent *a = ctx;
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i].endpoint.ip.family && !ip_is_loopback(&s[i].endpoint.ip))
			paths_adopt(a->paths, s[i].peer, &s[i].endpoint);
	paths_set_relay_port(a->paths, relay_port(a));
	agent_netcheck(a, true);
}

static void on_applied(void *ctx, int link, uint16_t port, const char *error)
{
	struct agent *a = ctx;

	set_text(&a->kernel_error, error);
	if (link == a->wg_link && port == a->wg_port)
		return;
	a->wg_link = link;
	a->wg_port = port;
	if (!port)
		return;
	portmapper_set_port(a->portmapper, port);
	if (a->relay)
		relay_free(a->relay);
	a->relay = relay_new(a->base, relay_port(a), port, on_relay, a);
	if (!a->relay)
		log_error("cannot relay on loopback port %u: %s", relay_port(a),
			  strerror(errno));
	kernel_get_stats(a->kernel, false, on_adopt, a);
}

static void on_peer_active(void *ctx, uint32_t peer)
{
	struct agent *a = ctx;

	paths_peer_active(a->paths, peer);
	if (!evtimer_pending(a->periodic, NULL))
		agent_arm_periodic(a);
}

static void on_peer_idle(void *ctx, uint32_t peer)
{
	paths_peer_idle(((struct agent *)ctx)->paths, peer);
}

static void on_roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	log_debug("WireGuard follows peer %06x to %s", peer,
		  endpoint_format(e, text));
}

static void on_tsmp(void *ctx, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *data, size_t n)
{
	struct agent *a = ctx;
	const struct netmap *nm = agent_netmap(a);
	const struct node *peer = nm ? netmap_peer_by_addr(nm, src) : NULL;
	struct key disco;

	if (peer && n >= 1 + KEY_LEN && data[0] == TSMP_DISCO) {
		memcpy(disco.b, data + 1, KEY_LEN);
		paths_advertised(a->paths, &peer->key, &disco);
		if (a->published_disco != paths_disco_generation(a->paths))
			agent_publish(a);
		return;
	}
	ping_on_tsmp(a, data, n);
}

/* nat-traversal.md 13: what was proven holds while our addresses stay. */
static bool addresses_changed(struct agent *a)
{
	struct interface_addr *addrs = NULL;
	int n = interface_addrs(&addrs, a->config.ifname);
	bool same = n == a->n_interfaces &&
		    (n <= 0 || !memcmp(addrs, a->interfaces,
				       (size_t)n * sizeof(*addrs)));

	free(a->interfaces);
	a->interfaces = addrs;
	a->n_interfaces = n;
	return !same;
}

static void on_link_changed(void *ctx)
{
	struct agent *a = ctx;

	resolver_refresh(a->resolver);
	if (!addresses_changed(a)) {
		agent_netcheck(a, false);
		return;
	}
	log_info("the host's addresses changed");
	derps_link_changed(a->derps);
	if (a->control)
		control_link_changed(a->control);
	paths_reset(a->paths);
	agent_netcheck(a, false);
}

static void on_kernel_lost(void *ctx)
{
	struct agent *a = ctx;

	log_error("the kernel process is gone");
	event_base_loopbreak(a->base);
}

static const struct kernel_ops kernel_ops = {
	.applied = on_applied,
	.peer_active = on_peer_active,
	.peer_idle = on_peer_idle,
	.roamed = on_roamed,
	.tsmp = on_tsmp,
	.link_changed = on_link_changed,
	.lost = on_kernel_lost,
};

void agent_init_kernel(struct agent *a)
{
	a->kernel = kernel_new(a->base, a->config.kernel_stream,
			       a->config.kernel_broker, &kernel_ops, a);
	addresses_changed(a);
}

void agent_uninit_kernel(struct agent *a)
{
	if (a->relay)
		relay_free(a->relay);
	kernel_free(a->kernel);
	free(a->interfaces);
}
