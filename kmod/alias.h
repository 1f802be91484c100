/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoint aliases. WireGuard has one endpoint a peer, and every packet moves
 * it; packets of a peer may come by several paths at once. So a packet from
 * any known endpoint of a peer is presented to WireGuard as coming by the
 * path of the canonical one, with the local address and interface which that
 * path last had.
 */
#ifndef _TR_ALIAS_H
#define _TR_ALIAS_H

#include <linux/in6.h>
#include <linux/mutex.h>
#include <linux/rhashtable.h>
#include <linux/seqlock.h>
#include <linux/u64_stats_sync.h>
#include <linux/xarray.h>

#include "../uapi/tailrace.h"
#include "path.h"

struct netlink_ext_ack;

/**
 * struct tr_alias_local - our end of a path
 * @addr: destination address of its packets; IPv4 uses the first four bytes
 * @iif: skb_iif of its packets, 0: not known, nor is @addr
 */
struct tr_alias_local {
	u8 addr[16];
	int iif;
};

struct tr_alias_pcpu {
	u64_stats_t packets;
	u64_stats_t bytes;
	struct u64_stats_sync sync;
};

struct tr_alias_paths {
	struct {
		u64_stats_t packets;
		u64_stats_t bytes;
	} path[__TAILRACE_PATH_MAX];
	struct u64_stats_sync sync;
};

/**
 * struct tr_alias - an endpoint of a peer
 * @node: in tr_aliases.table
 * @key: the endpoint
 * @peer: its peer
 * @path: what kind it is
 * @paths: of the peer: all its endpoints of a kind count there
 * @canonical: what packets from here are presented as; itself for that one
 * @lock: writers of @local
 * @seq: readers of @local
 * @local: as last seen
 * @pcpu: counters
 * @siblings: in tr_alias_peer.aliases
 * @mark: of the last tr_aliases_set() that named it
 * @is_new: put there by a tr_aliases_set() that is not done yet
 * @rcu: for the deferred free
 */
struct tr_alias {
	struct rhash_head node;
	struct tailrace_endpoint key;
	u32 peer;
	enum tailrace_path path;
	struct tr_alias_paths __percpu *paths;
	struct tr_alias __rcu *canonical;
	spinlock_t lock;
	seqcount_spinlock_t seq;
	struct tr_alias_local local;
	struct tr_alias_pcpu __percpu *pcpu;
	struct list_head siblings;
	u64 mark;
	bool is_new;
	struct rcu_head rcu;
};

/**
 * struct tr_alias_peer - what only writers look at, but for counters
 * @aliases: all endpoints of the peer
 * @canonical: one of them
 * @paths: counters, by kind of endpoint; those of endpoints that are gone, too
 * @rcu: for the deferred free
 */
struct tr_alias_peer {
	struct list_head aliases;
	struct tr_alias *canonical;
	struct tr_alias_paths __percpu *paths;
	struct rcu_head rcu;
};

/**
 * struct tr_alias_cache - the last lookup on a CPU
 * @generation: of the table then
 * @alias: found, valid while the generation is the same
 */
struct tr_alias_cache {
	u64 generation;
	struct tr_alias *alias;
};

/**
 * struct tr_aliases - the endpoints of one device's peers
 * @lock: writers
 * @table: endpoint to struct tr_alias
 * @peers: peer to struct tr_alias_peer, at most TAILRACE_MAX_PEERS
 * @n_peers: in @peers
 * @generation: counts changes, never 0
 * @marks: calls of tr_aliases_set()
 * @cache: of lookups
 */
struct tr_aliases {
	struct mutex lock;
	struct rhashtable table;
	struct xarray peers;
	unsigned int n_peers;
	atomic64_t generation;
	u64 marks;
	struct tr_alias_cache __percpu *cache;
};

/* Process context. Return: 0 or -ENOMEM. */
int tr_aliases_init(struct tr_aliases *aliases);
/* No reader may be left. Process context. */
void tr_aliases_uninit(struct tr_aliases *aliases);

/**
 * tr_aliases_set() - replace a peer's endpoints
 * @aliases: of the device
 * @peer: chosen by the agent
 * @canonical: what WireGuard is to see
 * @seen: others; may hold @canonical and doubles
 * @n: number of @seen
 * @extack: text on error
 *
 * Counters of endpoints that stay go on. On error nothing has changed.
 * Process context.
 *
 * Return: 0, -EINVAL, -E2BIG, -EEXIST or -ENOMEM.
 */
int tr_aliases_set(struct tr_aliases *aliases, u32 peer,
		   const struct tailrace_endpoint *canonical,
		   const struct tailrace_endpoint *seen, unsigned int n,
		   struct netlink_ext_ack *extack);

/* Process context. Return: 0 or -ENOENT. */
int tr_aliases_del(struct tr_aliases *aliases, u32 peer);

/**
 * tr_aliases_walk() - visit all endpoints, for dumps
 * @aliases: of the device
 * @peer: cursor, 0 to begin with, updated
 * @index: likewise, among the peer's
 * @visit: returns other than 0 to stop before this one
 * @data: for @visit
 *
 * Process context.
 */
void tr_aliases_walk(struct tr_aliases *aliases, unsigned long *peer,
		     unsigned long *index,
		     int (*visit)(struct tr_alias *alias, void *data),
		     void *data);

/* The kind of a peer's canonical endpoint, or TR_PATH_NONE. Process context. */
unsigned int tr_aliases_path(struct tr_aliases *aliases, u32 peer);

/*
 * What came from a peer by each kind of path, to @sum[__TAILRACE_PATH_MAX]; adds
 * nothing for one without endpoints. RCU read side.
 */
void tr_aliases_paths(struct tr_aliases *aliases, u32 peer,
		      struct tailrace_path_counters *sum);

/* The counters of an endpoint, over all CPUs. */
void tr_alias_counters(const struct tr_alias *alias, u64 *packets, u64 *bytes);

/**
 * tr_alias_seen() - account a packet of a path
 * @aliases: of the device
 * @from: source of the packet
 * @local: our end
 * @packets: GRO and GSO make one of many
 * @bytes: UDP payload
 *
 * RCU read side, softirq; lock-free but for a trylock when @local is new.
 *
 * Return: the endpoint, or NULL when it is nobody's.
 */
struct tr_alias *tr_alias_seen(struct tr_aliases *aliases,
			       const struct tailrace_endpoint *from,
			       const struct tr_alias_local *local,
			       unsigned int packets, unsigned int bytes);

/* Our end of a path, when packets last came by it. RCU read side. */
void tr_alias_local(const struct tr_alias *alias, struct tr_alias_local *local);

#endif
