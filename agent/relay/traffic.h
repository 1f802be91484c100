/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_TRAFFIC_H
#define RELAY_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "relay/worker.h"

/*
 * /debug/traffic: every RELAYD_TRAFFIC_MS a line of JSON for each connection
 * that has moved since, then an empty one, as derper does it: {"Sent":bytes,
 * "Recv":bytes,"Key":"nodekey:…","UniqueSenders":n}, the figures since the
 * connection began.
 *
 * Bound: one viewer at a time, and one such report, some 150 bytes a
 * connection; while it is not read there is no other.
 */
#define RELAYD_TRAFFIC_MS 2000

struct relayd_traffic;

/*
 * On @w's thread, like the rest. @want_write: fill() has something. NULL:
 * somebody looks already.
 */
struct relayd_traffic *relayd_traffic_new(struct relayd_worker *w,
					  void (*want_write)(void *ctx),
					  void *ctx);
void relayd_traffic_free(struct relayd_traffic *t); /* NULL is fine */
/* At most @cap bytes into @buf; 0: nothing until want_write(). */
size_t relayd_traffic_fill(struct relayd_traffic *t, uint8_t *buf, size_t cap);

#endif
