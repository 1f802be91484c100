/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_RECONCILE_H
#define KERNEL_RECONCILE_H

#include "kernel/kernel.h"
#include "kernel/wire.h"

/*
 * Makes the kernel be what the engine wants: dumps, compares, sends the
 * difference. Start, change, restart after a crash and repair of what somebody
 * flushed are this one path. Without the module the interface is down:
 * nothing ever passes unfiltered.
 */

struct reconcile;

struct reconcile_ops {
	/* After a new state, and whenever one of these has changed. */
	void (*applied)(void *ctx, uint32_t link, uint16_t port,
			const char *error);
	void (*activity)(void *ctx, uint32_t peer, bool active);
	void (*roamed)(void *ctx, uint32_t peer, const struct endpoint *e);
};

/* NULL with errno set. */
struct reconcile *reconcile_new(const struct reconcile_ops *ops, void *ctx);
void reconcile_free(struct reconcile *r);

/* Takes over @state's lists. Nothing is sent before reconcile_run. */
void reconcile_set_state(struct reconcile *r, struct kernel_state *state);
void reconcile_set_path(struct reconcile *r, const struct kernel_path *path);
/*
 * Keeps a dup of @fd and binds it to the module now and after each attach.
 * False: that takes reconcile_run().
 */
bool reconcile_set_socket(struct reconcile *r, int family, int fd);

/* The whole of it. False: something failed, try again later. */
bool reconcile_run(struct reconcile *r);
/*
 * Only the paths set since. False: call reconcile_run, which also is the
 * answer before the first one.
 */
bool reconcile_run_paths(struct reconcile *r);

/* An event of the module; peers that are not ours are ignored. */
void reconcile_activity(struct reconcile *r, uint32_t peer, bool active);
/* Asks the module who is active, and reports what is news. */
void reconcile_ask_activity(struct reconcile *r);
/* Asks WireGuard for endpoints, and reports what is news. */
void reconcile_ask_endpoints(struct reconcile *r);

void reconcile_send_tsmp(struct reconcile *r, const struct wire_tsmp *t);
/* Both members are the caller's to free; @rules: with their hits. */
void reconcile_stats(struct reconcile *r, bool rules, struct wire_stats *out);

/* The interface, 0 without one. */
uint32_t reconcile_link(const struct reconcile *r);
/* The netlink port that changes of rtnetlink come from. */
uint32_t reconcile_port_id(const struct reconcile *r);
/* The module's multicast group, 0 while it is not loaded. */
uint32_t reconcile_event_group(const struct reconcile *r);

/* Removes interface, routes and rules; 0 or negative errno. */
int reconcile_cleanup(const char *ifname);

#endif
