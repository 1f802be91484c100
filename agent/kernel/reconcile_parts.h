/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_RECONCILE_PARTS_H
#define KERNEL_RECONCILE_PARTS_H

#include "kernel/fault.h"
#include "kernel/link.h"
#include "kernel/module.h"
#include "kernel/peers.h"
#include "kernel/reconcile.h"
#include "kernel/wg.h"

/*
 * Inside of the reconciler: reconcile.c says in which order, the others do it.
 * Each step returns whether the next one makes sense; what is wrong is noted.
 */

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

#define fail(r, ...) fault_note(&(r)->fault, __VA_ARGS__)

/* reconcile_device.c: the interface, made if it is missing. */
bool reconcile_run_link(struct reconcile *r, struct link *l);
/* Key, mark and port. WireGuard always has a port when this is done. */
bool reconcile_run_device(struct reconcile *r, const struct wg_device *have,
			  struct wg_device *want);
/* With another port if somebody has taken it meanwhile. */
bool reconcile_bring_up(struct reconcile *r, struct wg_device *want);
/* WireGuard's peers, and the module's that are no more. */
bool reconcile_run_peers(struct reconcile *r, const struct wg_device *have,
			 struct wg_device *want,
			 const struct module_peers *module);

/* reconcile_module.c: the module, up to the point where peers may come. */
bool reconcile_run_attach(struct reconcile *r);
bool reconcile_run_policy(struct reconcile *r);
/* @have is the caller's, in any case. */
bool reconcile_run_module_peers(struct reconcile *r,
				struct module_peers *have);
bool reconcile_run_aliases(struct reconcile *r);
/* The engine's socket @i, if there is one that is not bound yet. */
void reconcile_bind_socket(struct reconcile *r, int i);

#endif
