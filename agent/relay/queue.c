// SPDX-License-Identifier: GPL-2.0
#include "relay/queue.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "relay/worker.h"

struct relayd_packet *relayd_packet_new(const uint8_t *data, size_t len)
{
	struct relayd_packet *p = xmalloc(sizeof(*p) + len);

	p->len = (uint32_t)len;
	if (len)
		memcpy(p->data, data, len);
	return p;
}

void relayd_packet_free(struct relayd_packet *p)
{
	free(p);
}

void relayd_queue_init(struct relayd_queue *q, struct relayd_worker *worker,
		       void (*wake)(struct relayd_queue *q))
{
	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	q->data.tail = &q->data.head;
	q->disco.tail = &q->disco.head;
	q->worker = worker;
	q->wake = wake;
}

static struct relayd_packet *ring_pop(struct relayd_ring *r)
{
	struct relayd_packet *p = r->head;

	r->head = p->next;
	if (!r->head)
		r->tail = &r->head;
	r->n--;
	r->bytes -= p->len;
	return p;
}

/* Appends; what had to go for it comes back as a list. */
static struct relayd_packet *ring_push(struct relayd_ring *r,
				       struct relayd_packet *p)
{
	struct relayd_packet *gone = NULL, *old;

	while (r->n == RELAYD_QUEUE_DEPTH ||
	       (r->n && r->bytes + p->len > RELAYD_QUEUE_BYTES)) {
		old = ring_pop(r);
		old->next = gone;
		gone = old;
	}
	p->next = NULL;
	*r->tail = p;
	r->tail = &p->next;
	r->n++;
	r->bytes += p->len;
	return gone;
}

static void drop(struct relayd_worker *me, enum relayd_drop why,
		 struct relayd_packet *p)
{
	relayd_dropped(&me->stats, why, p->disco, p->len);
	relayd_packet_free(p);
}

void relayd_queue_close(struct relayd_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	while (q->data.n)
		drop(q->worker, RELAYD_GONE_DISCONNECTED, ring_pop(&q->data));
	while (q->disco.n)
		drop(q->worker, RELAYD_GONE_DISCONNECTED, ring_pop(&q->disco));
	pthread_mutex_unlock(&q->lock);
	relayd_worker_forget(q->worker, q);
	pthread_mutex_destroy(&q->lock);
}

void relayd_queue_push(struct relayd_queue *q, struct relayd_worker *me,
		       struct relayd_packet *p)
{
	struct relayd_packet *gone, *next;
	bool wake;

	pthread_mutex_lock(&q->lock);
	if (q->closed) {
		pthread_mutex_unlock(&q->lock);
		drop(me, RELAYD_GONE_DISCONNECTED, p);
		return;
	}
	gone = ring_push(p->disco ? &q->disco : &q->data, p);
	wake = !q->pending;
	q->pending = true;
	pthread_mutex_unlock(&q->lock);
	for (; gone; gone = next) {
		next = gone->next;
		drop(me, RELAYD_QUEUE_HEAD, gone);
	}
	if (wake)
		relayd_worker_wake(me, q);
}

void relayd_queue_kick(struct relayd_queue *q, struct relayd_worker *me)
{
	bool wake;

	pthread_mutex_lock(&q->lock);
	wake = !q->pending && !q->closed;
	q->pending |= wake;
	pthread_mutex_unlock(&q->lock);
	if (wake)
		relayd_worker_wake(me, q);
}

void relayd_queue_doom(struct relayd_queue *q, struct relayd_worker *me)
{
	__atomic_store_n(&q->doomed, true, __ATOMIC_RELAXED);
	relayd_queue_kick(q, me);
}

/* The ring whose turn it is, or the other one; NULL: both are empty. */
static struct relayd_ring *next_ring(struct relayd_queue *q)
{
	struct relayd_ring *first = q->turn & 1 ? &q->disco : &q->data;
	struct relayd_ring *second = q->turn & 1 ? &q->data : &q->disco;

	q->turn++;
	return first->n ? first : second->n ? second : NULL;
}

size_t relayd_queue_take(struct relayd_queue *q, size_t room, size_t overhead,
			 struct relayd_packet **out, size_t max,
			 struct relayd_sub **gone)
{
	struct relayd_ring *r;
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	*gone = q->gone;
	q->gone = NULL;
	while (n < max && (r = next_ring(q))) {
		size_t len = r->head->len + overhead;

		if (n && len > room)
			break;
		room = len < room ? room - len : 0;
		out[n++] = ring_pop(r);
	}
	if (!n && !*gone)
		q->pending = false;
	pthread_mutex_unlock(&q->lock);
	return n;
}
