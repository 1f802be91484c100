// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/reconcile_parts.h"
#include "kernel/state.h"
#include "lib/log.h"
#include "lib/util.h"

bool reconcile_run_link(struct reconcile *r, struct link *l)
{
	const struct kernel_state *s = &r->state;
	int err = link_get(&r->route, s->ifname, l);

	if (err == -ENODEV) {
		err = link_create(&r->route, s->ifname, s->mtu);
		if (err == -EOPNOTSUPP) {
			fail(r, "the kernel has no WireGuard: load wireguard.ko (%s)",
			     r->route.error);
			return false;
		}
		if (!err)
			err = link_get(&r->route, s->ifname, l);
	}
	if (err) {
		fail(r, "interface %s: %s", s->ifname, r->route.error);
		return false;
	}
	if (!l->wireguard) {
		fail(r, "interface %s is not a WireGuard interface: remove it or choose another name with --tun",
		     s->ifname);
		return false;
	}
	r->link = l->index;
	if (l->mtu != s->mtu &&
	    link_set_mtu(&r->route, l->index, s->mtu))
		fail(r, "MTU of %s: %s", s->ifname, r->route.error);
	return true;
}

/* A port that is free now in both families, 0 on failure. */
static uint16_t free_port(void)
{
	struct sockaddr_storage ss = { .ss_family = AF_INET6 };
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
	_cleanup_fd_ int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(*v6);

	if (fd < 0) {
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		ss.ss_family = AF_INET;
		n = sizeof(*v4);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, n) ||
	    getsockname(fd, (struct sockaddr *)&ss, &n))
		return 0;
	return ntohs(ss.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
}

static void refuse_port(struct reconcile *r, uint16_t port)
{
	if (port == r->state.port && port != r->refused_port)
		log_warn("UDP port %u is in use, WireGuard takes another one",
			 port);
	r->refused_port = port;
}

/* Another port when WireGuard cannot have the one it was to have. */
static int change_port(struct reconcile *r, struct wg_device *want)
{
	int err;

	refuse_port(r, want->port);
	want->port = free_port();
	err = want->port ? wg_set_device(&r->genl, want, WG_PORT) : -EADDRINUSE;
	if (err)
		fail(r, "no UDP port for WireGuard: %s", strerror(-err));
	return err;
}

bool reconcile_run_device(struct reconcile *r, const struct wg_device *have,
		       struct wg_device *want)
{
	unsigned int fields;
	int err = 0;

	want->link = r->link;
	if (want->port == r->refused_port)
		want->port = 0;
	if (!want->port)
		want->port = have->port ? have->port : free_port();
	fields = wg_diff_device(have, want);
	/* by itself: it may fail without harm to the rest */
	if (fields & WG_PORT)
		err = wg_set_device(&r->genl, want, WG_PORT);
	if (err == -EADDRINUSE && have->port) {
		refuse_port(r, want->port);
		want->port = have->port;
		err = 0;
	}
	fields &= ~(unsigned int)WG_PORT;
	if (!err && fields)
		err = wg_set_device(&r->genl, want, fields);
	if (err)
		fail(r, "WireGuard %s: %s", r->state.ifname, r->genl.error);
	r->port = want->port;
	return !err;
}

bool reconcile_bring_up(struct reconcile *r, struct wg_device *want)
{
	int err = link_set_up(&r->route, r->link, true), tries;

	for (tries = 0; err == -EADDRINUSE && tries < 3; tries++) {
		if (change_port(r, want))
			return false;
		r->port = want->port;
		if (module_set_port(&r->genl, r->family, r->link, r->port)) {
			fail(r, "tailrace.ko: %s", r->genl.error);
			return false;
		}
		err = link_set_up(&r->route, r->link, true);
	}
	if (err)
		fail(r, "interface %s: %s", r->state.ifname, r->route.error);
	return !err;
}

bool reconcile_run_peers(struct reconcile *r, const struct wg_device *have,
		      struct wg_device *want,
		      const struct module_peers *module)
{
	struct wg_plan plan;
	struct key pit;
	size_t i;
	int err;

	peers_put_endpoints(&r->peers, &r->state, have, want);
	key_generate(&pit);
	wg_diff_peers(have, want, &pit, &plan);
	err = wg_apply(&r->genl, r->link, &plan);
	wg_plan_free(&plan);
	if (err) {
		fail(r, "WireGuard's peers: %s", r->genl.error);
		return false;
	}
	peers_endpoints_set(&r->peers, &r->state);
	for (i = 0; i < module->n; i++)
		if (!state_peer(&r->state, module->p[i].id) &&
		    module_peer_del(&r->genl, r->family, r->link,
				    module->p[i].id))
			fail(r, "module peer %u: %s", module->p[i].id,
			     r->genl.error);
	return true;
}
