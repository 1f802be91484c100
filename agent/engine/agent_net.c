// SPDX-License-Identifier: GPL-2.0
/* The ways out: netcheck, port mappings, UDP, DERP, and paths over them. */
#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/agent_internal.h"
#include "engine/portmapper.h"
#include "engine/relay.h"
#include "engine/udp.h"
#include "lib/log.h"
#include "lib/resolver.h"
#include "proto/classify.h"

void agent_netcheck(struct agent *a, bool full)
{
	const struct netmap *nm = agent_netmap(a);
	struct netcheck_input in = { .full = full };
	struct interface_addr *addrs = NULL;
	int n, err;

	/* Without the shared port the mapping is not the one that matters. */
	if (!nm || !a->wg_port)
		return;
	n = interface_addrs(&addrs, a->config.ifname);
	if (n > 0)
		interface_families(addrs, (size_t)n, &in.have_v4, &in.have_v6);
	free(addrs);
	in.regions = nm->derp_regions;
	in.home = derps_home(a->derps);
	err = netcheck_start(a->netcheck, &in);
	a->netcheck_again = err == -EBUSY;
}

void agent_arm_periodic(struct agent *a)
{
	/* Under the usual 30 s of NAT mappings, and not all at once. */
	struct timeval tv = { 20 + randombytes_uniform(6),
			      randombytes_uniform(1000000) };

	if (paths_any_active(a->paths))
		evtimer_add(a->periodic, &tv);
	else
		evtimer_del(a->periodic);
}

static void on_periodic(evutil_socket_t fd, short what, void *arg)
{
	agent_netcheck(arg, false);
}

/* A netcheck has finished, or an interface changed: assemble and publish. */
static void refresh_endpoints(struct agent *a, const struct net_report *r)
{
	struct own_endpoint own[ENDPOINTS_MAX];
	struct endpoint eps[ENDPOINTS_MAX];
	struct interface_addr *addrs = NULL;
	struct endpoints_input in = {
		.now = now_ns(),
		.report = r,
		.local_port = a->wg_port,
		.fixed_port = a->config.port != 0,
	};
	int n = interface_addrs(&addrs, a->config.ifname);
	size_t i;

	portmapper_get(a->portmapper, &in.portmap);
	in.interfaces = addrs;
	in.n_interfaces = n > 0 ? (size_t)n : 0;
	a->n_own = endpoints_assemble(&in, &a->endpoint_cache, own);
	memcpy(a->own, own, sizeof(own));
	free(addrs);
	for (i = 0; i < a->n_own; i++)
		eps[i] = own[i].ep;
	paths_set_endpoints(a->paths, eps, a->n_own);
	agent_tell_control(a);
}

static void on_netcheck_done(void *ctx, const struct net_report *r)
{
	struct agent *a = ctx;
	const struct netmap *nm = agent_netmap(a);
	int home = derps_home(a->derps), next;

	if (nm) {
		next = net_home_settle(r->preferred_derp, home,
				       a->control_state == CONTROL_STREAMING,
				       false, nm->derp_regions,
				       get_be32(a->store.machine_private.b));
		if (next != home)
			derps_set_home(a->derps, next);
	}
	derps_set_prefer_ipv6(a->derps, r->ipv6);
	refresh_endpoints(a, r);
	agent_arm_periodic(a);
	if (a->netcheck_again)
		agent_netcheck(a, false);
}

static void on_portmap_changed(void *ctx)
{
	agent_netcheck(ctx, false);
}

static int netcheck_send(void *ctx, const struct endpoint *to,
			 const uint8_t *data, size_t n)
{
	return udp_send(((struct agent *)ctx)->udp, to, data, n);
}

static const struct netcheck_ops netcheck_ops = {
	.send_udp = netcheck_send,
	.done = on_netcheck_done,
};

static void on_udp(void *ctx, const struct endpoint *from, const uint8_t *data,
		   size_t n)
{
	struct agent *a = ctx;

	switch (classify_udp(data, n)) {
	case PACKET_STUN:
		netcheck_on_stun(a->netcheck, from, data, n, now_ns());
		return;
	case PACKET_DISCO:
		paths_udp_input(a->paths, from, data, n);
		return;
	case PACKET_WIREGUARD:
	case PACKET_GENEVE_DISCO:
	case PACKET_GENEVE_WIREGUARD:
		/* The module keeps WireGuard; peer relays are not used. */
		return;
	}
}

/* What paths need. */

static int paths_send_udp(void *ctx, const struct endpoint *to,
			  const void *data, size_t n)
{
	return udp_send(((struct agent *)ctx)->udp, to, data, n);
}

static int paths_send_derp(void *ctx, int region, const struct key *dst,
			   const void *data, size_t n)
{
	struct agent *a = ctx;

	region = derps_pick(a->derps, dst, region);
	return region ? derps_send(a->derps, region, dst, data, n) :
			-ENETUNREACH;
}

static void paths_inject(void *ctx, uint32_t peer, const void *data, size_t n)
{
	struct agent *a = ctx;

	if (a->relay)
		relay_inject(a->relay, peer, data, n);
}

static void paths_publish(void *ctx, const struct kernel_path *path)
{
	kernel_set_path(((struct agent *)ctx)->kernel, path);
}

static void paths_refresh(void *ctx)
{
	agent_netcheck(ctx, false);
}

static const struct paths_ops paths_ops = {
	.send_udp = paths_send_udp,
	.send_derp = paths_send_derp,
	.inject = paths_inject,
	.publish = paths_publish,
	.refresh = paths_refresh,
};

/* What DERP says. */

static void on_derp(void *ctx, int region, const struct key *src,
		    const uint8_t *data, size_t n)
{
	paths_derp_input(((struct agent *)ctx)->paths, region, src, data, n);
}

static void on_derp_gone(void *ctx, int region, const struct key *peer,
			 uint8_t reason)
{
	char text[8];

	log_debug("derp-%d: %s is gone (%u)", region, key_short(peer, text),
		  reason);
}

static void on_derp_connected(void *ctx, int region)
{
	log_info("derp-%d: connected", region);
}

static void on_derp_disconnected(void *ctx, int region, const char *why)
{
	log_info("derp-%d: %s", region, why);
	agent_netcheck(ctx, false);
}

static void on_derp_health(void *ctx, int region, const char *text)
{
	if (*text)
		log_warn("derp-%d says: %s", region, text);
}

static const struct derps_ops derps_ops = {
	.recv = on_derp,
	.peer_gone = on_derp_gone,
	.connected = on_derp_connected,
	.disconnected = on_derp_disconnected,
	.health = on_derp_health,
	.tcp_socket = agent_tcp_socket,
};

void agent_init_net(struct agent *a)
{
	a->udp = udp_new(a->base, kernel_socket_steer(a->kernel, AF_INET),
			 kernel_socket_steer(a->kernel, AF_INET6), on_udp, a);
	a->derps = derps_new(a->base, a->resolver->dns, &derps_ops, a);
	if (a->config.ca_file && derps_add_roots(a->derps, a->config.ca_file))
		log_error("cannot read certificates from %s",
			  a->config.ca_file);
	a->netcheck = netcheck_new(a->base, a->resolver->dns, a->derps, &netcheck_ops, a);
	a->portmapper = portmapper_new(a->base, on_portmap_changed, a);
	netcheck_set_portmapper(a->netcheck, a->portmapper);
	a->paths = paths_new(a->base, &paths_ops, a);
	a->periodic = evtimer_new(a->base, on_periodic, a);
}

void agent_uninit_net(struct agent *a)
{
	event_free(a->periodic);
	paths_free(a->paths);
	netcheck_free(a->netcheck);
	portmapper_free(a->portmapper);
	derps_free(a->derps);
	udp_free(a->udp);
}
