// SPDX-License-Identifier: GPL-2.0
#include "relay/watch.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/util.h"
#include "proto/derp.h"
#include "relay/worker.h"

#define EVENTS_MIN 64u

struct news {
	struct key key;
	struct endpoint endpoint;
	uint8_t flags;
	bool gone;
};

struct relayd_watcher {
	struct relayd_watchers *all;
	struct relayd_queue *queue;
	pthread_mutex_t lock; /* guards the rest; taken under a shard's */
	struct news *events; /* a ring of @cap, a power of two */
	size_t first, n, cap, max;
	struct relayd_watcher *prev, *next;
};

struct relayd_watchers {
	struct relayd_table *table;
	pthread_rwlock_t lock; /* guards the list; taken under a shard's */
	struct relayd_watcher *list;
};

static void grow(struct relayd_watcher *w)
{
	size_t cap = w->cap ? 2 * w->cap : EVENTS_MIN, i;
	struct news *events = xcalloc(cap, sizeof(*events));

	for (i = 0; i < w->n; i++)
		events[i] = w->events[(w->first + i) & (w->cap - 1)];
	free(w->events);
	w->events = events;
	w->first = 0;
	w->cap = cap;
}

/* False if the watcher is too far behind. */
static bool push(struct relayd_watcher *w, const struct news *e, bool count)
{
	bool ok;

	pthread_mutex_lock(&w->lock);
	w->max += !count;
	ok = w->n < w->max;
	if (ok) {
		if (w->n == w->cap)
			grow(w);
		w->events[(w->first + w->n++) & (w->cap - 1)] = *e;
	}
	pthread_mutex_unlock(&w->lock);
	return ok;
}

static void tell(struct relayd_watchers *ws, struct relayd_worker *me,
		 const struct news *e)
{
	struct relayd_watcher *w;

	pthread_rwlock_rdlock(&ws->lock);
	for (w = ws->list; w; w = w->next) {
		if (push(w, e, true))
			relayd_queue_kick(w->queue, me);
		else
			relayd_queue_doom(w->queue, me);
	}
	pthread_rwlock_unlock(&ws->lock);
}

static struct news present_news(const struct relayd_seat *seat)
{
	return (struct news){ .key = seat->key,
				.endpoint = seat->endpoint,
				.flags = seat->present_flags };
}

static void on_present(void *ctx, struct relayd_worker *me,
		       const struct relayd_seat *seat)
{
	struct news e = present_news(seat);

	tell(ctx, me, &e);
}

static void on_gone(void *ctx, struct relayd_worker *me, const struct key *key)
{
	struct news e = { .key = *key, .gone = true };

	tell(ctx, me, &e);
}

static const struct relayd_table_ops table_ops = { .present = on_present,
						   .gone = on_gone };

struct relayd_watchers *relayd_watchers_new(struct relayd_table *t)
{
	struct relayd_watchers *ws = xcalloc(1, sizeof(*ws));

	ws->table = t;
	pthread_rwlock_init(&ws->lock, NULL);
	t->ops = &table_ops;
	t->ops_ctx = ws;
	return ws;
}

void relayd_watchers_free(struct relayd_watchers *ws)
{
	if (!ws)
		return;
	ws->table->ops = NULL;
	pthread_rwlock_destroy(&ws->lock);
	free(ws);
}

static void on_seat(void *ctx, struct relayd_seat *seat)
{
	struct news e = present_news(seat);

	if (seat->entry->active == seat)
		push(ctx, &e, false);
}

struct relayd_watcher *relayd_watcher_new(struct relayd_watchers *ws,
					  struct relayd_worker *me,
					  struct relayd_queue *q)
{
	struct relayd_watcher *w = xcalloc(1, sizeof(*w));

	w->all = ws;
	w->queue = q;
	w->max = RELAYD_WATCH_BEHIND_MAX;
	pthread_mutex_init(&w->lock, NULL);
	pthread_rwlock_wrlock(&ws->lock);
	DL_APPEND(ws->list, w);
	pthread_rwlock_unlock(&ws->lock);
	/*
	 * Who comes or goes from here on is told as well: twice at most, and in
	 * the right order, as both happen under the lock of the key's shard.
	 */
	relayd_table_each_seat(ws->table, on_seat, w);
	relayd_queue_kick(q, me);
	return w;
}

void relayd_watcher_free(struct relayd_watcher *w)
{
	if (!w)
		return;
	pthread_rwlock_wrlock(&w->all->lock);
	DL_DELETE(w->all->list, w);
	pthread_rwlock_unlock(&w->all->lock);
	pthread_mutex_destroy(&w->lock);
	free(w->events);
	free(w);
}

size_t relayd_watcher_fill(struct relayd_watcher *w, uint8_t *out, size_t cap)
{
	size_t at = 0;

	pthread_mutex_lock(&w->lock);
	while (w->n) {
		const struct news *e = &w->events[w->first];
		struct derp_frame f = { .key = e->key };
		ssize_t n;

		if (e->gone) {
			f.type = DERP_PEER_GONE;
			f.reason = DERP_GONE_DISCONNECTED;
		} else {
			f.type = DERP_PEER_PRESENT;
			f.endpoint = e->endpoint;
			f.flags = e->flags;
		}
		n = derp_encode(&f, out + at, cap - at);
		if (n < 0)
			break;
		at += (size_t)n;
		w->first = (w->first + 1) & (w->cap - 1);
		w->n--;
	}
	if (!w->n && w->cap > EVENTS_MIN) { /* the long list of the beginning */
		free(w->events);
		w->events = NULL;
		w->first = w->cap = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return at;
}
