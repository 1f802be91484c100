/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_NETHTTPS_H
#define ENGINE_NETHTTPS_H

#include <stdint.h>

#include "engine/derpdial.h"

/*
 * The latency of a DERP region over HTTPS, for when UDP is blocked
 * (spec/nat-traversal.md 4.4): connects, then times one request.
 */
struct net_https;

/*
 * Calls @done once, never from inside: the time in ns and the address family
 * (4 or 6) it went over, or 0 for failure. @region must outlive it.
 */
struct net_https *net_https_start(const struct derp_dial_env *env,
				  const struct derp_region *region,
				  void (*done)(void *ctx, int region,
					       uint64_t ns, int family),
				  void *ctx);
void net_https_cancel(struct net_https *h); /* NULL is fine */

#endif
