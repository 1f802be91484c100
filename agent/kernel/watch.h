/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_WATCH_H
#define KERNEL_WATCH_H

#include <stdint.h>

/*
 * Watches rtnetlink for two kinds of news: what the outside world looks like
 * (links, addresses, default routes of others), and somebody's change to what
 * we maintain (our interface, its addresses, table 52, our rules).
 */

struct event_base;
struct watch;

struct watch_ops {
	/* Coalesced over 250 ms, and only when a look confirms it. */
	void (*link_changed)(void *ctx);
	/* At once, for every message: coalesce. */
	void (*ours_changed)(void *ctx);
};

/* NULL with errno set. */
struct watch *watch_new(struct event_base *base, const struct watch_ops *ops,
			void *ctx);
void watch_free(struct watch *w);

/*
 * Our interface (0: none), and the netlink port whose changes are our own
 * doing.
 */
void watch_set(struct watch *w, uint32_t link, uint32_t port_id);

#endif
