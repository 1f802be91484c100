/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_WATCH_H
#define RELAY_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "relay/table.h"

/*
 * Mesh peers that asked who is connected here (WatchConns, spec/derp.md section
 * 9): first everybody who is, then each who comes and each key that goes.
 *
 * Bound: a watcher may be behind by as many events as there were clients when
 * it began and RELAYD_WATCH_BEHIND_MAX more, of some 60 bytes each; then its
 * connection is closed, and it begins anew.
 */
#define RELAYD_WATCH_BEHIND_MAX 65536u

struct relayd_watchers;
struct relayd_watcher;

/* Makes itself the table's ops. Freed after the watchers. */
struct relayd_watchers *relayd_watchers_new(struct relayd_table *t);
void relayd_watchers_free(struct relayd_watchers *ws);

/*
 * Kicks @q, the connection's, whenever there is something to fill(), dooms it
 * when the watcher falls behind. On the connection's worker @me, as free, which
 * comes before the queue is closed.
 */
struct relayd_watcher *relayd_watcher_new(struct relayd_watchers *ws,
					  struct relayd_worker *me,
					  struct relayd_queue *q);
void relayd_watcher_free(struct relayd_watcher *w); /* NULL is fine */

/*
 * Whole PeerPresent and PeerGone frames, as many as fit into @cap bytes. Call it
 * after relayd_queue_take(), so that an event in between is not missed.
 */
size_t relayd_watcher_fill(struct relayd_watcher *w, uint8_t *out, size_t cap);

#endif
