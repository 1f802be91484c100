// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "kernel/alias.h"
#include "kernel/policy.h"
#include "kernel/reconcile_parts.h"
#include "kernel/state.h"

static void unbind_sockets(struct reconcile *r)
{
	r->sockets[0].bound = r->sockets[1].bound = false;
}

void reconcile_bind_socket(struct reconcile *r, int i)
{
	if (r->sockets[i].fd < 0 || r->sockets[i].bound)
		return;
	if (module_bind(&r->genl, r->family, r->link, r->sockets[i].fd))
		fail(r, "tailrace.ko refuses the agent's socket: %s",
		     r->genl.error);
	else
		r->sockets[i].bound = true;
}

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

bool reconcile_run_attach(struct reconcile *r)
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
	reconcile_bind_socket(r, 0);
	reconcile_bind_socket(r, 1);
	return true;
}

bool reconcile_run_policy(struct reconcile *r)
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

bool reconcile_run_module_peers(struct reconcile *r, struct module_peers *have)
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

bool reconcile_run_aliases(struct reconcile *r)
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
