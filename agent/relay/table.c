// SPDX-License-Identifier: GPL-2.0
#include "relay/table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/util.h"
#include "relay/worker.h"

_Static_assert(sizeof(((struct relayd_table *)0)->hash_key) ==
		       crypto_shorthash_KEYBYTES,
	       "hash key");

struct relayd_table *relayd_table_new(void)
{
	struct relayd_table *t;
	size_t i;

	t = aligned_alloc(64, sizeof(*t));
	if (!t)
		abort();
	memset(t, 0, sizeof(*t));
	crypto_shorthash_keygen(t->hash_key);
	for (i = 0; i < RELAYD_SHARDS; i++)
		pthread_rwlock_init(&t->shards[i].lock, NULL);
	return t;
}

void relayd_table_free(struct relayd_table *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < RELAYD_SHARDS; i++)
		pthread_rwlock_destroy(&t->shards[i].lock);
	free(t);
}

uint64_t relayd_table_hash(const struct relayd_table *t, const struct key *k)
{
	uint64_t h;

	crypto_shorthash((unsigned char *)&h, k->b, sizeof(k->b), t->hash_key);
	return h;
}

static struct relayd_shard *shard_of(struct relayd_table *t, uint64_t hash)
{
	return &t->shards[hash % RELAYD_SHARDS];
}

/* The rest of the hash, for the table within the shard. */
static unsigned int hash_in_shard(uint64_t hash)
{
	return (unsigned int)(hash >> 32);
}

static struct relayd_entry *find(struct relayd_shard *s, const struct key *k,
				 uint64_t hash)
{
	struct relayd_entry *e;

	HASH_FIND_BYHASHVALUE(hh, s->entries, k, sizeof(*k),
			      hash_in_shard(hash), e);
	return e;
}

static struct relayd_entry *find_or_make(struct relayd_shard *s,
					 struct relayd_worker *me,
					 const struct key *k, uint64_t hash)
{
	struct relayd_entry *e = find(s, k, hash);

	if (e)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->key = *k;
	HASH_ADD_BYHASHVALUE(hh, s->entries, key, sizeof(e->key),
			     hash_in_shard(hash), e);
	relayd_count(&me->stats, RELAYD_CLIENTS_TOTAL, 1);
	return e;
}

/* Nobody leads to @e any more: tells whoever wants to know. */
static void drop_if_gone(struct relayd_shard *s, struct relayd_worker *me,
			 struct relayd_entry *e)
{
	struct relayd_sub *sub;

	if (e->seats || e->forwarders)
		return;
	while ((sub = e->subs)) {
		struct relayd_queue *q = sub->queue;

		DL_DELETE(e->subs, sub);
		sub->entry = NULL;
		pthread_mutex_lock(&q->lock);
		DL_APPEND(q->gone, sub);
		pthread_mutex_unlock(&q->lock);
		relayd_queue_kick(q, me);
	}
	HASH_DELETE(hh, s->entries, e);
	free(e);
	relayd_count(&me->stats, RELAYD_CLIENTS_TOTAL, -1);
}

static void set_duplicate(struct relayd_seat *seat, bool duplicate)
{
	__atomic_store_n(&seat->duplicate, duplicate, __ATOMIC_RELAXED);
}

void relayd_table_add(struct relayd_table *t, struct relayd_worker *me,
		      struct relayd_seat *seat)
{
	struct relayd_shard *s;
	struct relayd_entry *e;

	seat->hash = relayd_table_hash(t, &seat->key);
	s = shard_of(t, seat->hash);
	pthread_rwlock_wrlock(&s->lock);
	e = find_or_make(s, me, &seat->key, seat->hash);
	if (!e->seats) {
		relayd_count(&me->stats, RELAYD_CLIENTS_LOCAL, 1);
	} else {
		relayd_count(&me->stats, RELAYD_DUP_CONNS_TOTAL, 1);
		relayd_count(&me->stats, RELAYD_DUP_CONNS, 1);
		if (!e->seats->next) { /* there was one */
			relayd_count(&me->stats, RELAYD_DUP_KEYS, 1);
			relayd_count(&me->stats, RELAYD_DUP_CONNS, 1);
			set_duplicate(e->seats, true);
		}
		set_duplicate(seat, true);
	}
	relayd_count(&me->stats, RELAYD_CONNECTIONS, 1);
	seat->entry = e;
	DL_APPEND(e->seats, seat);
	e->active = seat;
	DL_APPEND2(s->seats, seat, shard_prev, shard_next);
	if (t->ops)
		t->ops->present(t->ops_ctx, me, seat);
	pthread_rwlock_unlock(&s->lock);
}

static void leave_entry(struct relayd_shard *s, struct relayd_worker *me,
			struct relayd_seat *seat)
{
	struct relayd_entry *e = seat->entry;

	DL_DELETE2(s->seats, seat, shard_prev, shard_next);
	DL_DELETE(e->seats, seat);
	seat->entry = NULL;
	relayd_count(&me->stats, RELAYD_CONNECTIONS, -1);
	if (seat->duplicate)
		relayd_count(&me->stats, RELAYD_DUP_CONNS, -1);
	if (!e->seats) {
		e->active = NULL;
		relayd_count(&me->stats, RELAYD_CLIENTS_LOCAL, -1);
		return;
	}
	if (e->active == seat) /* the youngest of the others */
		e->active = e->seats->prev;
	if (!e->seats->next) {
		set_duplicate(e->seats, false);
		relayd_count(&me->stats, RELAYD_DUP_CONNS, -1);
		relayd_count(&me->stats, RELAYD_DUP_KEYS, -1);
	}
}

static void unsubscribe(struct relayd_table *t, struct relayd_seat *seat)
{
	struct relayd_queue *q = seat->queue;
	struct relayd_sub *sub, *next;

	for (sub = seat->subs; sub; sub = next) {
		struct relayd_shard *s = shard_of(t, sub->hash);

		next = sub->hh.next;
		pthread_rwlock_wrlock(&s->lock);
		if (sub->entry)
			DL_DELETE(sub->entry->subs, sub);
		pthread_rwlock_unlock(&s->lock);
		HASH_DELETE(hh, seat->subs, sub);
		/* Otherwise in the queue's list, which goes as a whole. */
		free(sub);
	}
	pthread_mutex_lock(&q->lock);
	q->gone = NULL;
	pthread_mutex_unlock(&q->lock);
}

void relayd_table_remove(struct relayd_table *t, struct relayd_worker *me,
			 struct relayd_seat *seat)
{
	struct relayd_shard *s = shard_of(t, seat->hash);
	struct relayd_entry *e = seat->entry;

	if (!e)
		return;
	pthread_rwlock_wrlock(&s->lock);
	leave_entry(s, me, seat);
	if (!e->seats && t->ops)
		t->ops->gone(t->ops_ctx, me, &seat->key);
	drop_if_gone(s, me, e);
	pthread_rwlock_unlock(&s->lock);
	unsubscribe(t, seat);
}

void relayd_table_activate(struct relayd_table *t, struct relayd_worker *me,
			   struct relayd_seat *seat)
{
	struct relayd_shard *s = shard_of(t, seat->hash);

	pthread_rwlock_wrlock(&s->lock);
	seat->entry->active = seat;
	pthread_rwlock_unlock(&s->lock);
}

bool relayd_table_send(struct relayd_table *t, struct relayd_worker *me,
		       const struct key *dst, uint64_t hash,
		       struct relayd_packet *p, bool from_mesh)
{
	struct relayd_shard *s = shard_of(t, hash);
	struct relayd_entry *e;
	enum relayd_drop why;

	pthread_rwlock_rdlock(&s->lock);
	e = find(s, dst, hash);
	if (e && e->active) {
		relayd_queue_push(e->active->queue, me, p);
		pthread_rwlock_unlock(&s->lock);
		return true;
	}
	if (e && e->forwarders && !from_mesh) {
		p->dst = *dst;
		relayd_queue_push(e->forwarders->queue, me, p);
		pthread_rwlock_unlock(&s->lock);
		relayd_count(&me->stats, RELAYD_FORWARDED_OUT, 1);
		return true;
	}
	pthread_rwlock_unlock(&s->lock);
	why = from_mesh ? RELAYD_UNKNOWN_DEST_ON_FWD : RELAYD_UNKNOWN_DEST;
	relayd_dropped(&me->stats, why, p->disco, p->len);
	relayd_packet_free(p);
	return false;
}

void relayd_table_add_forwarder(struct relayd_table *t,
				struct relayd_worker *me,
				const struct key *key,
				struct relayd_forwarder *f)
{
	uint64_t hash = relayd_table_hash(t, key);
	struct relayd_shard *s = shard_of(t, hash);
	struct relayd_entry *e;

	pthread_rwlock_wrlock(&s->lock);
	e = find_or_make(s, me, key, hash);
	if (e->forwarders && !e->forwarders->next)
		relayd_count(&me->stats, RELAYD_MULTIFORWARDER_CREATED, 1);
	DL_APPEND(e->forwarders, f);
	pthread_rwlock_unlock(&s->lock);
}

void relayd_table_remove_forwarder(struct relayd_table *t,
				   struct relayd_worker *me,
				   const struct key *key,
				   struct relayd_forwarder *f)
{
	uint64_t hash = relayd_table_hash(t, key);
	struct relayd_shard *s = shard_of(t, hash);
	struct relayd_forwarder *i = NULL;
	struct relayd_entry *e;

	pthread_rwlock_wrlock(&s->lock);
	e = find(s, key, hash);
	if (e)
		for (i = e->forwarders; i; i = i->next)
			if (i == f)
				break;
	if (i) {
		DL_DELETE(e->forwarders, f);
		if (e->forwarders && !e->forwarders->next)
			relayd_count(&me->stats, RELAYD_MULTIFORWARDER_DELETED,
				     1);
		drop_if_gone(s, me, e);
	} else {
		relayd_count(&me->stats, RELAYD_FORWARDER_DELETE_OTHER, 1);
	}
	pthread_rwlock_unlock(&s->lock);
}

void relayd_table_subscribe(struct relayd_table *t, struct relayd_worker *me,
			    struct relayd_seat *seat, const struct key *src,
			    uint64_t hash)
{
	struct relayd_shard *s;
	struct relayd_entry *e;
	struct relayd_sub *sub;

	HASH_FIND_BYHASHVALUE(hh, seat->subs, src, sizeof(*src),
			      hash_in_shard(hash), sub);
	if (sub || !seat->entry)
		return;
	s = shard_of(t, hash);
	pthread_rwlock_wrlock(&s->lock);
	e = find(s, src, hash);
	if (e) {
		sub = xcalloc(1, sizeof(*sub));
		sub->key = *src;
		sub->hash = hash;
		sub->queue = seat->queue;
		sub->entry = e;
		DL_APPEND(e->subs, sub);
		HASH_ADD_BYHASHVALUE(hh, seat->subs, key, sizeof(sub->key),
				     hash_in_shard(hash), sub);
	}
	pthread_rwlock_unlock(&s->lock);
}

bool relayd_table_gone(struct relayd_seat *seat, struct relayd_sub **list,
		       struct key *key)
{
	struct relayd_sub *sub = *list;

	if (!sub)
		return false;
	*key = sub->key;
	DL_DELETE(*list, sub);
	HASH_DELETE(hh, seat->subs, sub);
	free(sub);
	return true;
}

void relayd_table_each(struct relayd_table *t, const struct key *key,
		       void (*fn)(void *ctx, struct relayd_seat *seat),
		       void *ctx)
{
	uint64_t hash = relayd_table_hash(t, key);
	struct relayd_shard *s = shard_of(t, hash);
	struct relayd_seat *seat;
	struct relayd_entry *e;

	pthread_rwlock_rdlock(&s->lock);
	e = find(s, key, hash);
	if (e)
		for (seat = e->seats; seat; seat = seat->next)
			fn(ctx, seat);
	pthread_rwlock_unlock(&s->lock);
}

void relayd_table_each_seat(struct relayd_table *t,
			    void (*fn)(void *ctx, struct relayd_seat *seat),
			    void *ctx)
{
	struct relayd_seat *seat;
	size_t i;

	for (i = 0; i < RELAYD_SHARDS; i++) {
		struct relayd_shard *s = &t->shards[i];

		pthread_rwlock_rdlock(&s->lock);
		for (seat = s->seats; seat; seat = seat->shard_next)
			fn(ctx, seat);
		pthread_rwlock_unlock(&s->lock);
	}
}

static void count_shard(const struct relayd_shard *s, struct relayd_census *c)
{
	const struct relayd_entry *e;
	const struct relayd_seat *seat;

	for (e = s->entries; e; e = e->hh.next) {
		bool dup = e->seats && e->seats->next;

		c->keys++;
		c->local_keys += e->seats != NULL;
		c->dup_keys += dup;
		for (seat = e->seats; seat; seat = seat->next) {
			c->connections++;
			c->dup_connections += dup;
		}
	}
}

void relayd_table_census(struct relayd_table *t,
			 void (*fn)(void *ctx, const struct relayd_census *c),
			 void *ctx)
{
	struct relayd_census c = { 0 };
	size_t i;

	for (i = 0; i < RELAYD_SHARDS; i++)
		pthread_rwlock_rdlock(&t->shards[i].lock);
	for (i = 0; i < RELAYD_SHARDS; i++)
		count_shard(&t->shards[i], &c);
	fn(ctx, &c);
	for (i = 0; i < RELAYD_SHARDS; i++)
		pthread_rwlock_unlock(&t->shards[i].lock);
}
