// SPDX-License-Identifier: GPL-2.0
#include "disco.h"

#include <linux/netlink.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "box.h"

/* A packet, by offset. */
#define MAGIC "TS\xf0\x9f\x92\xac"
#define SENDER 6
#define NONCE (SENDER + TR_DISCO_KEY)
#define BOX (NONCE + TR_BOX_NONCE)
#define PLAIN (BOX + TR_BOX_TAG)

/* A message, by offset. */
#define TYPE 0
#define TXID 2
#define TXID_LEN 12
#define ADDR (TXID + TXID_LEN) /* of a pong; a ping may end here */
#define PORT (ADDR + 16)

#define TYPE_PING 1
#define TYPE_PONG 2

/* What box a pair of keys makes. Immutable. */
struct disco_secret {
	u8 own[TR_DISCO_KEY];
	u8 shared[TR_BOX_KEY];
	struct rcu_head rcu;
};

/* A disco key of one peer or several. */
struct disco_key {
	struct rhash_head node;
	u8 theirs[TR_DISCO_KEY];
	u32 n_peers;
	struct disco_secret __rcu *secret;
	struct rcu_head rcu;
};

static const struct rhashtable_params key_params = {
	.head_offset = offsetof(struct disco_key, node),
	.key_offset = offsetof(struct disco_key, theirs),
	.key_len = TR_DISCO_KEY,
	.automatic_shrinking = true,
};

int tr_disco_init(struct tr_disco *disco)
{
	mutex_init(&disco->lock);
	xa_init(&disco->peers);
	return rhashtable_init(&disco->keys, &key_params);
}

static void free_secret(struct disco_secret *secret)
{
	kfree_sensitive(secret);
}

static void free_secret_rcu(struct rcu_head *rcu)
{
	free_secret(container_of(rcu, struct disco_secret, rcu));
}

static void free_key(struct disco_key *key)
{
	free_secret(rcu_dereference_protected(key->secret, true));
	kfree(key);
}

static void free_key_rcu(struct rcu_head *rcu)
{
	free_key(container_of(rcu, struct disco_key, rcu));
}

static void destroy_key(void *key, void *unused)
{
	free_key(key);
}

void tr_disco_uninit(struct tr_disco *disco)
{
	rhashtable_free_and_destroy(&disco->keys, destroy_key, NULL);
	xa_destroy(&disco->peers);
	mutex_destroy(&disco->lock);
	/* Those deleted before are freed by functions of this module. */
	rcu_barrier();
}

static struct disco_secret *new_secret(const u8 *own, const u8 *shared)
{
	struct disco_secret *secret = kmalloc(sizeof(*secret), GFP_KERNEL_ACCOUNT);

	if (secret) {
		memcpy(secret->own, own, sizeof(secret->own));
		memcpy(secret->shared, shared, sizeof(secret->shared));
	}
	return secret;
}

static struct disco_key *new_key(struct tr_disco *disco, const u8 *theirs)
{
	struct disco_key *key = kzalloc(sizeof(*key), GFP_KERNEL_ACCOUNT);

	if (!key)
		return NULL;
	memcpy(key->theirs, theirs, sizeof(key->theirs));
	if (rhashtable_insert_fast(&disco->keys, &key->node, key_params)) {
		kfree(key);
		return NULL;
	}
	return key;
}

static void drop_if_unused(struct tr_disco *disco, struct disco_key *key)
{
	if (key->n_peers)
		return;
	rhashtable_remove_fast(&disco->keys, &key->node, key_params);
	call_rcu(&key->rcu, free_key_rcu);
}

static void set_secret(struct tr_disco *disco, struct disco_key *key,
		       struct disco_secret *secret)
{
	struct disco_secret *old = rcu_dereference_protected(
		key->secret, lockdep_is_held(&disco->lock));

	rcu_assign_pointer(key->secret, secret);
	if (old)
		call_rcu(&old->rcu, free_secret_rcu);
}

int tr_disco_prepare(struct tr_disco *disco, struct tr_disco_change *change,
		     u32 id, const u8 *theirs, const u8 *own, const u8 *shared,
		     struct netlink_ext_ack *extack)
{
	struct disco_key *key;
	int ret = -ENOMEM;

	if (!memchr_inv(theirs, 0, TR_DISCO_KEY) ||
	    !memchr_inv(own, 0, TR_DISCO_KEY) ||
	    !memchr_inv(shared, 0, TR_BOX_KEY)) {
		NL_SET_ERR_MSG(extack, "a disco key is zero");
		return -EINVAL;
	}
	change->id = id;
	change->secret = new_secret(own, shared);
	if (!change->secret)
		return -ENOMEM;
	mutex_lock(&disco->lock);
	key = rhashtable_lookup_fast(&disco->keys, theirs, key_params);
	if (!key)
		key = new_key(disco, theirs);
	if (key) {
		ret = xa_reserve(&disco->peers, id, GFP_KERNEL_ACCOUNT);
		if (!ret)
			key->n_peers++;
		else
			drop_if_unused(disco, key);
	}
	mutex_unlock(&disco->lock);
	change->key = key;
	if (ret)
		free_secret(change->secret);
	return ret;
}

void tr_disco_commit(struct tr_disco *disco,
		     const struct tr_disco_change *change)
{
	struct disco_key *old;

	mutex_lock(&disco->lock);
	/* The place is reserved. */
	old = xa_store(&disco->peers, change->id, change->key, GFP_KERNEL);
	set_secret(disco, change->key, change->secret);
	if (old) {
		old->n_peers--;
		drop_if_unused(disco, old);
	}
	mutex_unlock(&disco->lock);
}

void tr_disco_cancel(struct tr_disco *disco,
		     const struct tr_disco_change *change)
{
	mutex_lock(&disco->lock);
	xa_release(&disco->peers, change->id);
	change->key->n_peers--;
	drop_if_unused(disco, change->key);
	mutex_unlock(&disco->lock);
	free_secret(change->secret);
}

void tr_disco_del(struct tr_disco *disco, u32 id)
{
	struct disco_key *key;

	mutex_lock(&disco->lock);
	key = xa_erase(&disco->peers, id);
	if (key) {
		key->n_peers--;
		drop_if_unused(disco, key);
	}
	mutex_unlock(&disco->lock);
}

bool tr_disco_get(struct tr_disco *disco, u32 id, u8 theirs[TR_DISCO_KEY],
		  u8 own[TR_DISCO_KEY])
{
	const struct disco_secret *secret;
	const struct disco_key *key;

	rcu_read_lock();
	key = xa_load(&disco->peers, id);
	secret = key ? rcu_dereference(key->secret) : NULL;
	if (secret) {
		memcpy(theirs, key->theirs, TR_DISCO_KEY);
		memcpy(own, secret->own, TR_DISCO_KEY);
	}
	rcu_read_unlock();
	return secret;
}

bool tr_disco_knows(struct tr_disco *disco, const u8 theirs[TR_DISCO_KEY])
{
	return rhashtable_lookup(&disco->keys, theirs, key_params);
}

static void write_pong(u8 *pong, const struct disco_secret *secret, const u8 *txid,
		       const struct in6_addr *from, __be16 port)
{
	u8 plain[TR_DISCO_PONG - PLAIN] = { [TYPE] = TYPE_PONG };

	BUILD_BUG_ON(sizeof(plain) != PORT + sizeof(port));
	memcpy(plain + TXID, txid, TXID_LEN);
	memcpy(plain + ADDR, from, sizeof(*from));
	memcpy(plain + PORT, &port, sizeof(port));
	memcpy(pong, MAGIC, SENDER);
	memcpy(pong + SENDER, secret->own, TR_DISCO_KEY);
	get_random_bytes(pong + NONCE, TR_BOX_NONCE);
	tr_box_seal(pong + BOX, plain, sizeof(plain), pong + NONCE,
		    secret->shared);
}

bool tr_disco_answer(struct tr_disco *disco, const u8 *packet, size_t len,
		     const struct in6_addr *from, __be16 port,
		     u8 pong[TR_DISCO_PONG])
{
	const struct disco_secret *secret;
	const struct disco_key *key;
	bool is_ping = false;
	u8 plain[ADDR];

	if (len < PLAIN + sizeof(plain) || memcmp(packet, MAGIC, SENDER))
		return false;
	rcu_read_lock();
	key = rhashtable_lookup(&disco->keys, packet + SENDER, key_params);
	secret = key ? rcu_dereference(key->secret) : NULL;
	/* The version of a ping does not matter, nor what it says beyond. */
	if (secret && tr_box_open(plain, sizeof(plain), packet + BOX, len - BOX,
				  packet + NONCE, secret->shared)) {
		is_ping = plain[TYPE] == TYPE_PING;
		if (is_ping)
			write_pong(pong, secret, plain + TXID, from, port);
	}
	rcu_read_unlock();
	return is_ping;
}
