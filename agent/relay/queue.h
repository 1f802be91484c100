/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/key.h"
#include "relay/stats.h"

/*
 * Packets waiting to be written to one connection, a client's or a mesh
 * peer's: two rings, data and disco, each of which drops its oldest when full
 * (spec/derp.md section 8.4). Any thread puts packets in, the connection's own
 * worker takes them out.
 *
 * Bound: at most RELAYD_QUEUE_DEPTH packets and RELAYD_QUEUE_BYTES a ring, but
 * always the newest packet. A client that reads nothing thus holds at most
 * 2 * 256 KiB here, one packet of 64 KiB on its way out and two TLS records,
 * until its write deadline closes it.
 */
#define RELAYD_QUEUE_DEPTH 32u
#define RELAYD_QUEUE_BYTES (256u << 10)

struct relayd_worker;

/* One packet, owned by whoever holds it: a caller, then one queue. */
struct relayd_packet {
	struct relayd_packet *next; /* in its ring */
	struct key src;
	struct key dst;	   /* where the next hop forwards it; else not used */
	uint64_t src_hash; /* relayd_table_hash() of src */
	uint64_t queued_ns;
	bool disco;
	uint32_t len;
	uint8_t data[];
};

/* A packet with a copy of @data; the keys are the caller's to fill. */
struct relayd_packet *relayd_packet_new(const uint8_t *data, size_t len);
void relayd_packet_free(struct relayd_packet *p); /* NULL is fine */

/* A list, not an array: most queues are empty most of the time. */
struct relayd_ring {
	struct relayd_packet *head, **tail;
	uint32_t bytes, n;
};

struct relayd_sub;

struct relayd_queue {
	pthread_mutex_t lock;
	struct relayd_worker *worker; /* whose loop writes it out */
	/*
	 * On the worker's thread: there is something to write. Comes once, and
	 * again only after relayd_queue_take() has found nothing. Only marks
	 * the connection: locks are held.
	 */
	void (*wake)(struct relayd_queue *q);
	bool closed, pending;
	bool doomed; /* the connection is to be closed; atomic */
	uint8_t turn; /* of the rings */
	struct relayd_ring data, disco;
	struct relayd_sub *gone; /* whose end is to be told; see table.h */
	/* In the worker's list of queues to wake; its lock, not ours. */
	struct relayd_queue *prev, *next;
	bool woken;
};

void relayd_queue_init(struct relayd_queue *q, struct relayd_worker *worker,
		       void (*wake)(struct relayd_queue *q));
/*
 * On its worker, after nobody can find it in the table any more: drops what is
 * there as gone_disconnected and withdraws a wake that is under way.
 */
void relayd_queue_close(struct relayd_queue *q);

/*
 * Takes over @p. From the thread of @me, whose statistics get the drops. The
 * caller makes sure that @q lives: by the table's lock, see table.h.
 */
void relayd_queue_push(struct relayd_queue *q, struct relayd_worker *me,
		       struct relayd_packet *p);
/* Has the connection closed by its own worker. */
void relayd_queue_doom(struct relayd_queue *q, struct relayd_worker *me);
/* Wakes the queue for something that is not a packet. */
void relayd_queue_kick(struct relayd_queue *q, struct relayd_worker *me);

/*
 * What is to be written next, oldest first in each ring, the rings in turns: as
 * many packets as have @room bytes together, each counted with @overhead, but at
 * least one if there is any; at most @max. *@gone gets the list of keys to be
 * told of, the caller's now (utlist, doubly linked). Returns how many; 0 with no *@gone: the next push
 * wakes again.
 */
size_t relayd_queue_take(struct relayd_queue *q, size_t room, size_t overhead,
			 struct relayd_packet **out, size_t max,
			 struct relayd_sub **gone);

#endif
