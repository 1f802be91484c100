/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The peers of a device: who owns which inside address, what he may do, and
 * when he was last heard. Writers take the set's mutex, readers RCU.
 */
#ifndef _TR_PEER_H
#define _TR_PEER_H

#include <linux/in6.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <linux/xarray.h>

#include "../uapi/tailrace.h"
#include "path.h"

struct netlink_ext_ack;

#define TR_PEER_IDLE_MS 45000

/**
 * struct tr_peer_config - a peer as the agent describes it
 * @id: 1 .. 0xffffff
 * @flags: enum tailrace_peer_flags
 * @n_addrs: number of @addrs
 * @n_routes: number of @routes
 * @n_caps: number of @caps
 * @addrs: the peer's own addresses, prefixes only
 * @routes: its allowed IPs, prefixes only; they need not repeat @addrs
 * @caps: its capabilities
 * @rcu: for the deferred free of the set's copy
 */
struct tr_peer_config {
	u32 id;
	u32 flags;
	u32 n_addrs;
	u32 n_routes;
	u32 n_caps;
	const struct tailrace_addr *addrs;
	const struct tailrace_addr *routes;
	const u32 *caps;
	struct rcu_head rcu;
};

struct tr_peer_count {
	u64 packets;
	u64 bytes;
};

/**
 * struct tr_peer_counters - what a peer sent and got, inside the tunnel
 * @rx: from the peer
 * @tx: to it, by the path it had
 */
struct tr_peer_counters {
	struct tr_peer_count rx;
	struct tr_peer_count tx[TR_PATHS];
};

struct tr_peer_pcpu {
	struct tr_peer_counters n;
	struct u64_stats_sync sync;
};

/**
 * struct tr_peer - one peer
 * @id: from tr_peer_config
 * @generation: of the set when it was last changed
 * @config: immutable, replaced as a whole
 * @last_rx: jiffies; 0: never
 * @last_tx: likewise
 * @active: a packet has been seen within TR_PEER_IDLE_MS
 * @path: enum tailrace_path or TR_PATH_NONE: where packets to it go
 * @pcpu: counters
 * @routes: what peer.c keeps for its addresses
 * @rcu: for the deferred free
 *
 * Lives until a grace period after tr_peers_del(); its counters survive
 * tr_peers_set().
 */
struct tr_peer {
	u32 id;
	u32 generation;
	struct tr_peer_config __rcu *config;
	unsigned long last_rx;
	unsigned long last_tx;
	u32 active;
	u8 path;
	struct tr_peer_pcpu __percpu *pcpu;
	struct list_head routes;
	struct rcu_head rcu;
};

/**
 * struct tr_peers - the peers of one device
 * @lock: writers; taken inside, the caller need not hold anything
 * @ids: id to struct tr_peer
 * @routes: prefix to struct tr_peer
 * @generation: counts changes; never 0
 * @active: called from tr_peer_rx() and tr_peer_tx() when an idle peer gets
 *	active; softirq, must neither sleep nor allocate; may be NULL
 */
struct tr_peers {
	struct mutex lock;
	struct xarray ids;
	struct rhashtable routes;
	u32 generation;
	u32 n_peers;
	u32 n_routes;
	/* Lengths in use by kind of route and family, and how often. */
	struct tr_peer_lengths {
		DECLARE_BITMAP(used, 129);
		u32 count[129];
	} lengths[2][2];
	void (*active)(struct tr_peers *peers, struct tr_peer *peer);
};

/* Process context. Return: 0 or -errno. @active may be NULL. */
int tr_peers_init(struct tr_peers *peers,
		  void (*active)(struct tr_peers *peers, struct tr_peer *peer));
/* No reader may be left. Process context; waits for deferred frees. */
void tr_peers_uninit(struct tr_peers *peers);

/**
 * tr_peers_set() - create a peer, or replace its configuration
 * @peers: peers
 * @config: deep-copied
 * @extack: text on error
 *
 * A prefix that another peer has moves to this one, as WireGuard does with
 * allowed IPs. In force when this returns; on error nothing has changed.
 * Process context.
 *
 * Return: 0, -EINVAL, -E2BIG (limits of uapi) or -ENOMEM.
 */
int tr_peers_set(struct tr_peers *peers, const struct tr_peer_config *config,
		 struct netlink_ext_ack *extack);

/* Process context. Return: 0 or -ENOENT. */
int tr_peers_del(struct tr_peers *peers, u32 id);

/* Notes where packets to peer @id, if there is one, go from now on. */
void tr_peers_set_path(struct tr_peers *peers, u32 id, unsigned int path);

/* The peer @id or NULL. RCU read side. */
struct tr_peer *tr_peers_get(struct tr_peers *peers, u32 id);

/*
 * The peer with the lowest id >= *@id, which is stored there; NULL at the end.
 * For dumps: go on with *@id + 1. RCU read side.
 */
struct tr_peer *tr_peers_next(struct tr_peers *peers, u32 *id);

/*
 * The peer whose allowed IPs have the longest prefix of an inside address
 * (IPv4 mapped), or NULL. The family says what the packet is: an IPv6 packet
 * with mapped addresses must not pass for an IPv4 one. RCU read side.
 */
struct tr_peer *tr_peers_route(struct tr_peers *peers, u8 family,
			       const struct in6_addr *addr);

/* The peer whose own address it is, or NULL. RCU read side. */
struct tr_peer *tr_peers_owner(struct tr_peers *peers, u8 family,
			       const struct in6_addr *addr);

/* Changes whenever any answer of this file could. */
static inline u32 tr_peers_generation(const struct tr_peers *peers)
{
	/* Pairs with the release in advance(). */
	return smp_load_acquire(&peers->generation);
}

/* Whether a packet of the peer goes through the jail. RCU read side. */
static inline bool tr_peer_is_jailed(const struct tr_peer *peer)
{
	return rcu_dereference(peer->config)->flags & TAILRACE_PEER_JAILED;
}

/* Count @packets of @bytes in all and mark the peer active. BH disabled. */
void tr_peer_rx(struct tr_peers *peers, struct tr_peer *peer, u32 packets,
		u32 bytes);
void tr_peer_tx(struct tr_peers *peers, struct tr_peer *peer, u32 packets,
		u32 bytes);

/* Sum over CPUs. */
void tr_peer_counters(const struct tr_peer *peer, struct tr_peer_counters *sum);

/* ms since the last packet; false: never. */
bool tr_peer_rx_age(const struct tr_peer *peer, u64 *ms);
bool tr_peer_tx_age(const struct tr_peer *peer, u64 *ms);

static inline bool tr_peer_is_active(const struct tr_peer *peer)
{
	return READ_ONCE(peer->active);
}

/**
 * tr_peers_scan_idle() - find active peers that have gone idle
 * @peers: peers
 * @idle: called for each, once an idle period, under RCU read side: no sleep
 *
 * Process context; call it every few seconds.
 */
void tr_peers_scan_idle(struct tr_peers *peers,
			void (*idle)(struct tr_peers *peers,
				     struct tr_peer *peer));

#endif
