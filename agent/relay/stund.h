/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_STUND_H
#define RELAY_STUND_H

#include "lib/addr.h"
#include "relay/stats.h"

/*
 * The STUN server (spec/derp.md section 15). An answer is never longer than its
 * request, and leaves from the address the request came to.
 */
struct event_base;
struct relayd_stund;

/*
 * Binds @local, of both families if it is ::. NULL and -*err on failure. The
 * statistics are written on the loop's thread.
 */
struct relayd_stund *relayd_stund_new(struct event_base *base,
				      const struct endpoint *local,
				      struct relayd_stats *stats, int *err);
void relayd_stund_free(struct relayd_stund *s); /* NULL is fine */

#endif
