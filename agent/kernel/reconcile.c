// SPDX-License-Identifier: GPL-2.0
#include "kernel/reconcile.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/alias.h"
#include "kernel/network.h"
#include "kernel/reconcile_parts.h"
#include "kernel/state.h"
#include "kernel/stats.h"
#include "lib/util.h"

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

bool reconcile_set_socket(struct reconcile *r, int family, int fd)
{
	int i = family == AF_INET6;

	close_cleanup(&r->sockets[i].fd);
	r->sockets[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r->sockets[i].bound = false;
	if (r->ready)
		reconcile_bind_socket(r, i);
	return !r->ready || r->sockets[i].bound;
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
	if (!reconcile_run_device(r, have, want))
		return;
	if (!reconcile_run_attach(r)) {
		if (!r->family && l->up)
			link_set_up(&r->route, l->index, false);
		return;
	}
	if (reconcile_run_policy(r) &&
	    reconcile_run_module_peers(r, &module) &&
	    reconcile_run_aliases(r) &&
	    (l->up || reconcile_bring_up(r, want)) &&
	    reconcile_run_peers(r, have, want, &module)) {
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
	} else if (reconcile_run_link(r, &l)) {
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
