/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_NETCHECK_H
#define ENGINE_NETCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/netreport.h"

/*
 * Measures the way out (spec/nat-traversal.md section 4): STUN to the DERP
 * regions through the caller's own UDP socket, at most 3 s; HTTPS latency if
 * nothing answers; 5 s in all. One run at a time.
 */

struct event_base;
struct evdns_base;
struct derps;
struct netcheck;
struct portmapper;

struct netcheck_ops {
	/*
	 * Sends from the socket whose mapping matters (WireGuard's port).
	 * Returns 0 or negative errno; -EPERM counts as sent and lost.
	 */
	int (*send_udp)(void *ctx, const struct endpoint *dst,
			const uint8_t *data, size_t n);
	/*
	 * The run is over; @r is valid until the next start. preferred_derp
	 * is chosen: pass it through net_home_settle(). A new run may be
	 * started from here.
	 */
	void (*done)(void *ctx, const struct net_report *r);
};

struct netcheck_input {
	const struct derp_region *regions; /* copied */
	int home; /* current home region, 0: none */
	bool full; /* asked for; also decided by age, see 4.2 */
	bool have_v4, have_v6; /* a usable address on some interface */
};

/* @derps: for HTTPS probes and last frame times; outlives the netcheck. */
struct netcheck *netcheck_new(struct event_base *base, struct evdns_base *dns,
			      struct derps *derps,
			      const struct netcheck_ops *ops, void *ctx);
void netcheck_free(struct netcheck *nc); /* cancels; no callback */

/*
 * Every run probes @pm, too, and reports what it found. NULL: none. It outlives
 * the netcheck.
 */
void netcheck_set_portmapper(struct netcheck *nc, struct portmapper *pm);

/*
 * Starts a run. -EBUSY: one is under way, ask again from done(). -ENOENT:
 * empty map. done() is never called from inside this function.
 */
int netcheck_start(struct netcheck *nc, const struct netcheck_input *in);
bool netcheck_is_running(const struct netcheck *nc);

/*
 * Feed every STUN response the socket receives. True if it answered a probe
 * of this run; anything else is ignored.
 */
bool netcheck_on_stun(struct netcheck *nc, const struct endpoint *from,
		      const uint8_t *data, size_t n, uint64_t now);

/* The last finished report, NULL before the first. */
const struct net_report *netcheck_last(const struct netcheck *nc);

#endif
