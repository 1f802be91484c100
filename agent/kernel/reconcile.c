// SPDX-License-Identifier: GPL-2.0
#include "kernel/reconcile.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/alias.h"
#include "kernel/fault.h"
#include "kernel/link.h"
#include "kernel/module.h"
#include "kernel/network.h"
#include "kernel/peers.h"
#include "kernel/policy.h"
#include "kernel/state.h"
#include "kernel/stats.h"
#include "kernel/wg.h"
#include "lib/log.h"
#include "lib/util.h"

struct reconcile {
	const struct reconcile_ops *ops;
	void *ctx;
	struct netlink route, genl;
	struct kernel_state state;
	bool have_state, fresh; /* fresh: not reported yet */
	bool ready; /* the last run got as far as WireGuard's peers */
	bool ran; /* an earlier one did */
	struct peers peers;
	uint16_t family; /* tailrace's, 0 while the module is not loaded */
	uint32_t group;
	uint32_t link;
	uint16_t port;
	uint16_t refused_port; /* wanted and in use: not tried again */
	struct {
		int fd; /* -1: none */
		bool bound;
	} sockets[2]; /* IPv4, IPv6 */
	struct fault fault;
	struct {
		uint32_t link;
		uint16_t port;
	} told;
};

struct reconcile *reconcile_new(const struct reconcile_ops *ops, void *ctx)
{
	struct reconcile *r = xcalloc(1, sizeof(*r));
	int err;

	r->ops = ops;
	r->ctx = ctx;
	r->sockets[0].fd = r->sockets[1].fd = -1;
	err = netlink_open(&r->route, NETLINK_ROUTE);
	if (!err)
		err = netlink_open(&r->genl, NETLINK_GENERIC);
	if (err) {
		reconcile_free(r);
		errno = -err;
		return NULL;
	}
	return r;
}

void reconcile_free(struct reconcile *r)
{
	netlink_close(&r->route);
	netlink_close(&r->genl);
	wire_free_state(&r->state);
	peers_free(&r->peers);
	close_cleanup(&r->sockets[0].fd);
	close_cleanup(&r->sockets[1].fd);
	free(r);
}

uint32_t reconcile_link(const struct reconcile *r)
{
	return r->link;
}

uint32_t reconcile_port_id(const struct reconcile *r)
{
	return r->route.port_id;
}

uint32_t reconcile_event_group(const struct reconcile *r)
{
	return r->group;
}

#define fail(r, ...) fault_note(&(r)->fault, __VA_ARGS__)

int reconcile_cleanup(const char *ifname)
{
	struct netlink nl;
	int err = netlink_open(&nl, NETLINK_ROUTE);

	if (err)
		return err;
	err = network_remove(&nl, ifname);
	netlink_close(&nl);
	return err;
}

/* What the engine says. */

void reconcile_set_state(struct reconcile *r, struct kernel_state *state)
{
	size_t i;

	if (r->have_state && *r->state.ifname &&
	    strcmp(r->state.ifname, state->ifname))
		network_remove(&r->route, r->state.ifname);
	state_normalize(state);
	for (i = 0; i < r->state.n_peers; i++)
		if (!state_peer(state, r->state.peers[i].id))
			peers_remove(&r->peers, r->state.peers[i].id);
	if (state->port != r->state.port)
		r->refused_port = 0;
	wire_free_state(&r->state);
	r->state = *state;
	r->have_state = r->fresh = true;
	memset(state, 0, sizeof(*state));
}

void reconcile_set_path(struct reconcile *r, const struct kernel_path *path)
{
	peers_set_path(&r->peers, path);
}

static void unbind_sockets(struct reconcile *r)
{
	r->sockets[0].bound = r->sockets[1].bound = false;
}

static void bind_socket(struct reconcile *r, int i)
{
	if (r->sockets[i].fd < 0 || r->sockets[i].bound)
		return;
	if (module_bind(&r->genl, r->family, r->link, r->sockets[i].fd))
		fail(r, "tailrace.ko refuses the agent's socket: %s",
		     r->genl.error);
	else
		r->sockets[i].bound = true;
}

bool reconcile_set_socket(struct reconcile *r, int family, int fd)
{
	int i = family == AF_INET6;

	close_cleanup(&r->sockets[i].fd);
	r->sockets[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r->sockets[i].bound = false;
	if (r->ready)
		bind_socket(r, i);
	return !r->ready || r->sockets[i].bound;
}

/* The interface. */

static bool run_link(struct reconcile *r, struct link *l)
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

/* Key, mark and port. WireGuard always has a port when this is done. */
static bool run_device(struct reconcile *r, const struct wg_device *have,
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

static bool bring_up(struct reconcile *r, struct wg_device *want)
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

/* The module, up to the point where peers may come. */

/*
 * Each by itself: a flow table that finds no memory leaves the others, and the
 * policy, in force.
 */
static void run_settings(struct reconcile *r, const struct module_device *d)
{
	unsigned int differ = module_diff_settings(&d->settings,
						   &r->state.settings);
	unsigned int one;

	for (; differ; differ &= differ - 1) {
		one = differ & -differ;
		if (!(d->has & one))
			fail(r, "tailrace.ko has no %s: it is older than the agent, load the one that came with it",
			     module_setting_name(one));
		else if (module_set_setting(&r->genl, r->family, r->link,
					    &r->state.settings, one))
			fail(r, "%s: %s", module_setting_name(one),
			     r->genl.error);
	}
}

static bool run_attach(struct reconcile *r)
{
	struct module_device d;
	int err;

	r->group = 0;
	err = netlink_family(&r->genl, TAILRACE_FAMILY_NAME, &r->family,
			     TAILRACE_MCGRP_EVENTS, &r->group);
	if (err) {
		r->family = 0;
		unbind_sockets(r);
		fail(r, "tailrace.ko is not loaded: install it for this kernel (dkms status tailrace) and run modprobe tailrace");
		return false;
	}
	err = module_device_get(&r->genl, r->family, r->link, &d);
	if (err == -ENODEV) {
		err = module_attach(&r->genl, r->family, r->link, r->port);
		unbind_sockets(r);
		if (!err)
			err = module_device_get(&r->genl, r->family, r->link,
						&d);
	} else if (!err && d.port != r->port) {
		err = module_set_port(&r->genl, r->family, r->link, r->port);
	}
	if (err) {
		fail(r, "tailrace.ko: %s", r->genl.error);
		return false;
	}
	run_settings(r, &d);
	bind_socket(r, 0);
	bind_socket(r, 1);
	return true;
}

static bool run_policy(struct reconcile *r)
{
	struct policy have, want;
	int err;

	if (!r->state.have_policy)
		return true;
	err = policy_get(&r->genl, r->family, r->link, &have);
	if (err) {
		fail(r, "reading the packet filter: %s", r->genl.error);
		return false;
	}
	policy_from_state(&want, &r->state);
	if (!have.generation || !policy_equal(&have, &want))
		err = policy_commit(&r->genl, r->family, r->link, &want);
	if (err)
		fail(r, "setting the packet filter: %s", r->genl.error);
	policy_clear(&have);
	policy_clear(&want);
	return !err;
}

static bool run_module_peers(struct reconcile *r, struct module_peers *have)
{
	struct module_peers want;
	bool good = true;
	size_t i;

	if (module_peers_get(&r->genl, r->family, r->link, have)) {
		fail(r, "reading the module's peers: %s", r->genl.error);
		return false;
	}
	module_peers_from_state(&want, &r->state);
	for (i = 0; i < want.n && good; i++) {
		struct module_peer *now =
			module_peer_find(have, want.p[i].id);

		if (now && module_peer_equal(now, &want.p[i]))
			continue;
		good = !module_peer_set(&r->genl, r->family, r->link,
					&want.p[i]);
		if (!good)
			fail(r, "module peer %u: %s", want.p[i].id,
			     r->genl.error);
	}
	module_peers_free(&want);
	return good;
}

/* Aliases of a peer stay until the engine says what its path is. */
static bool keep_aliases(void *ctx, uint32_t peer)
{
	struct reconcile *r = ctx;
	const struct peer_entry *e = peers_find(&r->peers, peer);

	return state_peer(&r->state, peer) && (!e || !e->age);
}

static bool run_aliases(struct reconcile *r)
{
	struct alias_list have, want;
	struct alias_op *ops;
	size_t n, i;
	bool good = true;

	if (module_aliases_get(&r->genl, r->family, r->link, &have)) {
		fail(r, "reading the module's aliases: %s", r->genl.error);
		return false;
	}
	peers_want_aliases(&r->peers, &r->state, &want);
	n = alias_diff(&have, &want, keep_aliases, r, &ops);
	for (i = 0; i < have.n; i++)
		peers_note_alias(&r->peers, have.a[i].peer, &have.a[i]);
	for (i = 0; i < n; i++) {
		int err = ops[i].del ?
				  module_alias_del(&r->genl, r->family,
						   r->link, ops[i].peer) :
				  module_alias_set(&r->genl, r->family,
						   r->link, ops[i].set);

		peers_note_alias(&r->peers, ops[i].peer,
				 err ? NULL : ops[i].set);
		if (err) {
			fail(r, "aliases of peer %u: %s", ops[i].peer,
			     r->genl.error);
			good = false;
		}
	}
	free(ops);
	alias_free(&have);
	alias_free(&want);
	return good;
}

/* WireGuard's peers, and the module's that are no more. */
static bool run_peers(struct reconcile *r, const struct wg_device *have,
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

/* The whole. */

static void on_roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	struct reconcile *r = ctx;

	r->ops->roamed(r->ctx, peer, e);
}

static void note_activity(struct reconcile *r, const struct module_peers *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		reconcile_activity(r, p->p[i].id, p->p[i].active);
}

/* From a WireGuard interface that exists to everything in place. */
static void run_interface(struct reconcile *r, const struct link *l,
			  const struct wg_device *have, struct wg_device *want)
{
	struct module_peers module = { 0 };

	/* before paths are put: what moved since the last look */
	peers_compare_endpoints(&r->peers, &r->state, have,
				r->ran ? on_roamed : NULL, r);
	if (!run_device(r, have, want))
		return;
	if (!run_attach(r)) {
		if (!r->family && l->up)
			link_set_up(&r->route, l->index, false);
		return;
	}
	if (run_policy(r) && run_module_peers(r, &module) && run_aliases(r) &&
	    (l->up || bring_up(r, want)) &&
	    run_peers(r, have, want, &module)) {
		r->ready = r->ran = true;
		network_apply(&r->route, r->link, &r->state, &r->fault);
		note_activity(r, &module);
	}
	module_peers_free(&module);
}

/* Whether all that the steer sockets send leaves from WireGuard's port. */
static bool sockets_share(const struct reconcile *r)
{
	return r->link && (r->sockets[0].fd < 0 || r->sockets[0].bound) &&
	       (r->sockets[1].fd < 0 || r->sockets[1].bound);
}

static void tell(struct reconcile *r)
{
	uint16_t port = sockets_share(r) ? r->port : 0;

	if (!fault_is_news(&r->fault) && !r->fresh &&
	    r->link == r->told.link && port == r->told.port)
		return;
	r->fresh = false;
	r->told.link = r->link;
	r->told.port = port;
	r->ops->applied(r->ctx, r->link, port, r->fault.text);
}

bool reconcile_run(struct reconcile *r)
{
	struct wg_device have, want;
	struct link l;

	if (!r->have_state)
		return true;
	fault_clear(&r->fault);
	r->ready = false;
	r->link = 0;
	r->port = 0;
	if (!r->state.up) {
		if (*r->state.ifname &&
		    network_remove(&r->route, r->state.ifname))
			fail(r, "removing %s: %s", r->state.ifname,
			     r->route.error);
	} else if (run_link(r, &l)) {
		if (wg_get(&r->genl, l.index, &have)) {
			fail(r, "reading WireGuard %s: %s", r->state.ifname,
			     r->genl.error);
		} else {
			state_to_wg(&r->state, &want);
			run_interface(r, &l, &have, &want);
			wg_free(&want);
			wg_free(&have);
		}
	}
	tell(r);
	return !*r->fault.text;
}

/* One path's aliases, then its endpoint into @plan; 0 or negative errno. */
static int run_path(struct reconcile *r, struct peer_entry *e,
		    const struct key *k, struct wg_plan *plan)
{
	struct alias_list one = { 0 };
	int err = 0;

	/* what is to go may be in the way of others: look at them all */
	if (!e->path.canonical.ip.family)
		return -EAGAIN;
	alias_want(&one, &e->path, e->age);
	alias_sort(&one);
	if (!alias_equal(&one.a[0], &e->alias)) {
		err = module_alias_set(&r->genl, r->family, r->link, one.a);
		peers_note_alias(&r->peers, e->id, err ? NULL : one.a);
	}
	alias_free(&one);
	if (!err && !endpoint_equal(&e->known, &e->path.canonical))
		wg_plan_add(plan, k)->endpoint = e->path.canonical;
	return err;
}

bool reconcile_run_paths(struct reconcile *r)
{
	struct wg_plan plan = { 0 };
	struct peer_entry *e, *next;
	int err = 0;

	if (!r->ready)
		return false;
	HASH_ITER(hh, r->peers.by_id, e, next) {
		const struct kernel_peer *k = state_peer(&r->state, e->id);

		if (e->dirty && k)
			err = run_path(r, e, &k->public_key, &plan);
		if (err)
			break;
	}
	if (!err)
		err = wg_apply(&r->genl, r->link, &plan);
	wg_plan_free(&plan);
	if (!err)
		peers_endpoints_set(&r->peers, &r->state);
	return !err;
}

void reconcile_activity(struct reconcile *r, uint32_t peer, bool active)
{
	struct peer_entry *e;

	if (!state_peer(&r->state, peer))
		return;
	e = peers_get(&r->peers, peer);
	if (!e || e->active == active)
		return;
	e->active = active;
	r->ops->activity(r->ctx, peer, active);
}

void reconcile_ask_activity(struct reconcile *r)
{
	struct module_peers peers;

	if (!r->ready ||
	    module_peers_get(&r->genl, r->family, r->link, &peers))
		return;
	note_activity(r, &peers);
	module_peers_free(&peers);
}

void reconcile_ask_endpoints(struct reconcile *r)
{
	struct wg_device have;

	if (!r->ready || wg_get(&r->genl, r->link, &have))
		return;
	peers_compare_endpoints(&r->peers, &r->state, &have, on_roamed, r);
	wg_free(&have);
}

void reconcile_send_tsmp(struct reconcile *r, const struct wire_tsmp *t)
{
	/* a datagram: an error is a loss */
	if (r->ready && t->n && t->src.family == t->dst.family)
		module_send_tsmp(&r->genl, r->family, r->link, &t->src,
				 &t->dst, t->data, t->n);
}

void reconcile_stats(struct reconcile *r, bool rules, struct wire_stats *out)
{
	struct json_object *o;

	memset(out, 0, sizeof(*out));
	if (r->link)
		stats_peers(&r->genl, r->link, &r->state, out);
	if (!r->link || !r->family) {
		out->device_json = xstrdup("{}");
		return;
	}
	o = stats_json(&r->genl, r->family, r->link, rules);
	json_object_object_add(o, "netlink_changes",
			       json_object_new_uint64(r->route.changes +
						      r->genl.changes));
	out->device_json = xstrdup(
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}
