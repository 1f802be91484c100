/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The little disco the module speaks (spec/disco.md): pings of peers whose
 * box keys it was given, and the pongs to them.
 */
#ifndef _TR_DISCO_H
#define _TR_DISCO_H

#include <linux/in6.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct netlink_ext_ack;

#define TR_DISCO_KEY 32
/* Magic, sender, nonce, tag; type, version, transaction, address. */
#define TR_DISCO_PONG (6 + 32 + 24 + 16 + 2 + 12 + 18)

/**
 * struct tr_disco - the box keys of one device
 * @lock: writers; taken inside
 * @keys: a peer's disco public key to what peers who have it share
 * @peers: id to the same; bounds @keys
 */
struct tr_disco {
	struct mutex lock;
	struct rhashtable keys;
	struct xarray peers;
};

/* Process context. Return: 0 or -errno. */
int tr_disco_init(struct tr_disco *disco);
/* No reader may be left. Wipes. Process context; waits for deferred frees. */
void tr_disco_uninit(struct tr_disco *disco);

struct disco_key;
struct disco_secret;

/**
 * struct tr_disco_change - new keys of a peer that are not in force yet
 * @id: of the peer
 * @key: will be its
 * @secret: will be that of @key
 */
struct tr_disco_change {
	u32 id;
	struct disco_key *key;
	struct disco_secret *secret;
};

/**
 * tr_disco_prepare() - get ready to give a peer box keys, or to replace them
 * @disco: of the device
 * @change: for tr_disco_commit() or tr_disco_cancel(), one at a time
 * @id: of the peer
 * @theirs: the peer's public key
 * @own: our public key
 * @shared: the precomputed key of the two
 * @extack: text on error
 *
 * Keys have TR_DISCO_KEY bytes. Of several secrets for one of @theirs the
 * newest holds. Process context.
 *
 * Return: 0, -EINVAL for keys of zeros, or -ENOMEM.
 */
int tr_disco_prepare(struct tr_disco *disco, struct tr_disco_change *change,
		     u32 id, const u8 *theirs, const u8 *own, const u8 *shared,
		     struct netlink_ext_ack *extack);
/* Cannot fail. Process context. */
void tr_disco_commit(struct tr_disco *disco,
		     const struct tr_disco_change *change);
/* As if nothing had been. Process context. */
void tr_disco_cancel(struct tr_disco *disco,
		     const struct tr_disco_change *change);

/* The peer has no box keys (any more). Process context. */
void tr_disco_del(struct tr_disco *disco, u32 id);

/**
 * tr_disco_get() - the public keys of a peer
 * @disco: of the device
 * @id: of the peer
 * @theirs: gets the peer's
 * @own: gets ours
 *
 * Any context. Return: false when there are none.
 */
bool tr_disco_get(struct tr_disco *disco, u32 id, u8 theirs[TR_DISCO_KEY],
		  u8 own[TR_DISCO_KEY]);

/* Whether it is the public key of a peer. RCU read side. */
bool tr_disco_knows(struct tr_disco *disco, const u8 key[TR_DISCO_KEY]);

/**
 * tr_disco_answer() - make the pong to a ping
 * @disco: of the device
 * @packet: UDP payload from anybody
 * @len: of @packet
 * @from: its source address, IPv4 mapped
 * @port: its source port
 * @pong: UDP payload of the answer
 *
 * Any context, neither sleeps nor allocates.
 *
 * Return: false when it is no ping of a known peer.
 */
bool tr_disco_answer(struct tr_disco *disco, const u8 *packet, size_t len,
		     const struct in6_addr *from, __be16 port,
		     u8 pong[TR_DISCO_PONG]);

#endif
