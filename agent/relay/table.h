/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_TABLE_H
#define RELAY_TABLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "lib/addr.h"
#include "lib/key.h"
#include "relay/queue.h"

/*
 * Which key is where (spec/derp.md sections 8.1, 8.8, 8.9 and 9): the local
 * connections of each key, the mesh connections that lead to it, and who wants
 * to hear when it has left the region.
 *
 * Shared by the workers: RELAYD_SHARDS shards, each under a read-write lock,
 * the shard by a keyed hash. A packet takes its shard's lock for reading, then
 * its destination's queue lock. Whoever finds a queue here may use it while he
 * holds the shard's lock: that is what keeps it alive. Lock order: shard, queue,
 * worker's mail.
 *
 * Bound: one entry a key that is here or behind the mesh, one subscription a
 * pair of (connection, key it was sent packets from).
 */
#define RELAYD_SHARDS 256

struct relayd_worker;

/* A local connection's place in the table; a member of the connection. */
struct relayd_seat {
	struct key key;
	uint64_t hash;
	struct relayd_queue *queue;
	struct relayd_entry *entry; /* NULL: not registered */
	/* More than one connection has this key. Any thread may set it. */
	bool duplicate;
	bool privileged; /* has the mesh key */
	uint8_t present_flags; /* DERP_PRESENT_*, for watchers */
	struct endpoint endpoint; /* the client's TCP address */
	struct relayd_sub *subs;  /* by key; of the seat's worker */
	struct relayd_seat *prev, *next; /* of the same key, oldest first */
	/* Watchers' list of all seats of a shard; under its lock. */
	struct relayd_seat *shard_prev, *shard_next;
};

/* A mesh connection's promise to deliver to one key. */
struct relayd_forwarder {
	struct relayd_queue *queue; /* gets packets with src and dst */
	struct relayd_forwarder *prev, *next; /* the first registered is used */
};

struct relayd_entry {
	struct key key;
	struct relayd_seat *seats, *active;
	struct relayd_forwarder *forwarders;
	struct relayd_sub *subs;
	UT_hash_handle hh;
};

/* "Tell @seat when @key has left": in a hash of the seat, a list of the entry. */
struct relayd_sub {
	struct key key;
	uint64_t hash;
	struct relayd_queue *queue;
	/* Under the shard's lock; NULL: has left, on its way to be told. */
	struct relayd_entry *entry;
	struct relayd_sub *prev, *next; /* of the entry, then of the queue */
	UT_hash_handle hh;
};

struct relayd_shard {
	pthread_rwlock_t lock;
	struct relayd_entry *entries;
	struct relayd_seat *seats;
} __attribute__((aligned(64)));

/*
 * Calls on behalf of watchers: for every connection that comes (PeerPresent),
 * and when the last connection of a key here goes (PeerGone). With the key's
 * shard locked for writing: only queue something. May be NULL.
 */
struct relayd_table_ops {
	void (*present)(void *ctx, struct relayd_worker *me,
			const struct relayd_seat *seat);
	void (*gone)(void *ctx, struct relayd_worker *me,
		     const struct key *key);
};

struct relayd_table {
	struct relayd_shard shards[RELAYD_SHARDS];
	uint8_t hash_key[16];
	const struct relayd_table_ops *ops;
	void *ops_ctx;
};

struct relayd_table *relayd_table_new(void);
void relayd_table_free(struct relayd_table *t); /* empty by then */

uint64_t relayd_table_hash(const struct relayd_table *t, const struct key *k);

/*
 * Registers a connection: it becomes the active one of its key. @seat has key,
 * queue, endpoint and flags; the rest is filled in.
 */
void relayd_table_add(struct relayd_table *t, struct relayd_worker *me,
		      struct relayd_seat *seat);
/* Takes it out, with its subscriptions. Harmless if it is not in. */
void relayd_table_remove(struct relayd_table *t, struct relayd_worker *me,
			 struct relayd_seat *seat);
/* A frame came from a duplicate connection: it is the active one now. */
void relayd_table_activate(struct relayd_table *t, struct relayd_worker *me,
			   struct relayd_seat *seat);

/*
 * Sends @p, which has its source filled in, to @dst, whose hash is @hash; takes
 * @p over and counts what becomes of it. @from_mesh: not to be forwarded again.
 * Returns false if nobody here knows @dst.
 */
bool relayd_table_send(struct relayd_table *t, struct relayd_worker *me,
		       const struct key *dst, uint64_t hash,
		       struct relayd_packet *p, bool from_mesh);

/*
 * @f delivers to @key from now on, if no older forwarder does. @f is the
 * caller's; it is in for one key at a time.
 */
void relayd_table_add_forwarder(struct relayd_table *t,
				struct relayd_worker *me,
				const struct key *key,
				struct relayd_forwarder *f);
/* Harmless if it is not in. */
void relayd_table_remove_forwarder(struct relayd_table *t,
				   struct relayd_worker *me,
				   const struct key *key,
				   struct relayd_forwarder *f);

/*
 * A packet from @src was written to @seat: tell it when @src leaves. Once for
 * each pair, cheap after that. On the seat's worker.
 */
void relayd_table_subscribe(struct relayd_table *t, struct relayd_worker *me,
			    struct relayd_seat *seat, const struct key *src,
			    uint64_t hash);

/*
 * Takes the next key off the list that relayd_queue_take() gave; false at its
 * end. On the seat's worker.
 */
bool relayd_table_gone(struct relayd_seat *seat, struct relayd_sub **list,
		       struct key *key);

/* What is really there, to be compared with what was counted. */
struct relayd_census {
	int64_t connections, keys, local_keys, dup_keys, dup_connections;
};
/*
 * @fn is called while nobody can come or go: what is counted under the shards'
 * locks cannot change then.
 */
void relayd_table_census(struct relayd_table *t,
			 void (*fn)(void *ctx, const struct relayd_census *c),
			 void *ctx);

/* Every connection of @key, with its shard locked (ClosePeer). */
void relayd_table_each(struct relayd_table *t, const struct key *key,
		       void (*fn)(void *ctx, struct relayd_seat *seat),
		       void *ctx);
/* Every connection there is, shard by shard, each locked for reading. */
void relayd_table_each_seat(struct relayd_table *t,
			    void (*fn)(void *ctx, struct relayd_seat *seat),
			    void *ctx);

#endif
