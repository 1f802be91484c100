// SPDX-License-Identifier: GPL-2.0
#include "peer.h"

#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "interval.h"

#define PEER_ID_MAX 0xffffff
#define SCAN_BATCH 1024

/* What a prefix of a peer is for. */
enum { FOR_ROUTING, FOR_OWNER };

/* Every byte counts: no padding. */
struct route_key {
	struct in6_addr addr; /* IPv4 mapped; host bits zero */
	u8 purpose;
	u8 family;
	u8 len;
	u8 zero;
};

/* A prefix and who has it; NULL while tr_peers_set() prepares. */
struct route {
	struct rhash_head node;
	struct route_key key;
	struct tr_peer __rcu *peer;
	struct list_head list; /* of the peer, or of those in preparation */
	struct rcu_head rcu;
};

static const struct rhashtable_params route_params = {
	.head_offset = offsetof(struct route, node),
	.key_offset = offsetof(struct route, key),
	.key_len = sizeof(struct route_key),
	.automatic_shrinking = true,
};

static bool __maybe_unused is_held(const struct tr_peers *peers)
{
	return lockdep_is_held(&peers->lock);
}

int tr_peers_init(struct tr_peers *peers,
		  void (*active)(struct tr_peers *peers, struct tr_peer *peer))
{
	int ret;

	memset(peers, 0, sizeof(*peers));
	ret = rhashtable_init(&peers->routes, &route_params);
	if (ret)
		return ret;
	mutex_init(&peers->lock);
	xa_init(&peers->ids);
	peers->generation = 1;
	peers->active = active;
	return 0;
}

static void free_peer(struct tr_peer *peer)
{
	kvfree(rcu_dereference_protected(peer->config, true));
	free_percpu(peer->pcpu);
	kfree(peer);
}

static void free_peer_rcu(struct rcu_head *rcu)
{
	free_peer(container_of(rcu, struct tr_peer, rcu));
}

static void advance(struct tr_peers *peers)
{
	u32 next = peers->generation + 1;

	/* Who reads this number finds the data it counts. */
	smp_store_release(&peers->generation, next ? next : 1);
}

static struct tr_peer_lengths *lengths_of(struct tr_peers *peers, u8 purpose,
					  u8 family)
{
	return &peers->lengths[purpose][family == AF_INET6];
}

static void count_length(struct tr_peers *peers, const struct route_key *key)
{
	struct tr_peer_lengths *l;

	l = lengths_of(peers, key->purpose, key->family);
	if (!l->count[key->len]++)
		set_bit(key->len, l->used);
}

static void uncount_length(struct tr_peers *peers, const struct route_key *key)
{
	struct tr_peer_lengths *l;

	l = lengths_of(peers, key->purpose, key->family);
	if (!--l->count[key->len])
		clear_bit(key->len, l->used);
}

/* Remove a route that nobody wants; it is on a list. */
static void drop_route(struct tr_peers *peers, struct route *route)
{
	rhashtable_remove_fast(&peers->routes, &route->node, route_params);
	uncount_length(peers, &route->key);
	peers->n_routes--;
	list_del(&route->list);
	kfree_rcu(route, rcu);
}

static void drop_routes(struct tr_peers *peers, struct list_head *list)
{
	struct route *route, *next;

	list_for_each_entry_safe(route, next, list, list)
		drop_route(peers, route);
}

static int check_addrs(const struct tailrace_addr *addrs, u32 n,
		       struct netlink_ext_ack *extack)
{
	u32 i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = tr_addr_check(&addrs[i], extack);
		if (ret)
			return ret;
		if (addrs[i].kind != TAILRACE_ADDR_PREFIX4 &&
		    addrs[i].kind != TAILRACE_ADDR_PREFIX6) {
			NL_SET_ERR_MSG(extack,
				       "addresses of a peer must be prefixes");
			return -EINVAL;
		}
	}
	return 0;
}

static int check_config(const struct tr_peer_config *config,
			struct netlink_ext_ack *extack)
{
	int ret;

	if (!config->id || config->id > PEER_ID_MAX) {
		NL_SET_ERR_MSG(extack, "peer id out of range");
		return -EINVAL;
	}
	if (config->flags & ~(TAILRACE_PEER_JAILED | TAILRACE_PEER_UNSIGNED)) {
		NL_SET_ERR_MSG(extack, "unknown peer flag");
		return -EINVAL;
	}
	if ((u64)config->n_addrs + config->n_routes > TAILRACE_MAX_PEER_ADDRS) {
		NL_SET_ERR_MSG(extack, "too many addresses for one peer");
		return -E2BIG;
	}
	if (config->n_caps > TAILRACE_MAX_CAPS) {
		NL_SET_ERR_MSG(extack, "too many capabilities for one peer");
		return -E2BIG;
	}
	ret = check_addrs(config->addrs, config->n_addrs, extack);
	if (!ret)
		ret = check_addrs(config->routes, config->n_routes, extack);
	return ret;
}

static void *take(void **room, const void *from, size_t size)
{
	void *to = *room;

	if (size)
		memcpy(to, from, size);
	*room += size;
	return to;
}

static struct tr_peer_config *copy_config(const struct tr_peer_config *config)
{
	size_t caps = config->n_caps * sizeof(*config->caps);
	size_t addrs = config->n_addrs * sizeof(*config->addrs);
	size_t routes = config->n_routes * sizeof(*config->routes);
	struct tr_peer_config *copy;
	void *room;

	copy = kvmalloc(sizeof(*copy) + caps + addrs + routes,
			GFP_KERNEL_ACCOUNT);
	if (!copy)
		return NULL;
	*copy = *config;
	room = copy + 1;
	copy->caps = take(&room, config->caps, caps);
	copy->addrs = take(&room, config->addrs, addrs);
	copy->routes = take(&room, config->routes, routes);
	return copy;
}

static void fill_key(struct route_key *key, const struct tailrace_addr *addr,
		     u8 purpose)
{
	*key = (struct route_key){ .purpose = purpose,
				   .len = addr->prefix_len };
	if (addr->kind == TAILRACE_ADDR_PREFIX4) {
		key->family = AF_INET;
		key->addr.s6_addr[10] = 0xff;
		key->addr.s6_addr[11] = 0xff;
		memcpy(key->addr.s6_addr + 12, addr->first, 4);
	} else {
		key->family = AF_INET6;
		memcpy(key->addr.s6_addr, addr->first, 16);
	}
}

/* All prefixes of a peer; its own addresses are routes as well. */
static struct route_key *list_keys(const struct tr_peer_config *config, u32 *n)
{
	struct route_key *keys, *key;
	u32 i;

	*n = 2 * config->n_addrs + config->n_routes;
	keys = kvmalloc_array(max(*n, 1U), sizeof(*keys), GFP_KERNEL);
	if (!keys)
		return NULL;
	key = keys;
	for (i = 0; i < config->n_addrs; i++) {
		fill_key(key++, &config->addrs[i], FOR_OWNER);
		fill_key(key++, &config->addrs[i], FOR_ROUTING);
	}
	for (i = 0; i < config->n_routes; i++)
		fill_key(key++, &config->routes[i], FOR_ROUTING);
	return keys;
}

/* Make sure that there is a route for @key; a new one is nobody's yet. */
static int prepare_route(struct tr_peers *peers, const struct route_key *key,
			 struct list_head *fresh,
			 struct netlink_ext_ack *extack)
{
	struct route *route;
	int ret;

	if (rhashtable_lookup_fast(&peers->routes, key, route_params))
		return 0;
	if (peers->n_routes >= TAILRACE_MAX_RULE_ADDRS) {
		NL_SET_ERR_MSG(extack, "too many addresses of all peers");
		return -E2BIG;
	}
	route = kzalloc(sizeof(*route), GFP_KERNEL_ACCOUNT);
	if (!route)
		return -ENOMEM;
	route->key = *key;
	ret = rhashtable_insert_fast(&peers->routes, &route->node,
				     route_params);
	if (ret) {
		kfree(route);
		return ret;
	}
	count_length(peers, key);
	peers->n_routes++;
	list_add(&route->list, fresh);
	return 0;
}

/* Give a peer exactly the prefixes of @keys, which are all prepared. */
static void assign_routes(struct tr_peers *peers, struct tr_peer *peer,
			  const struct route_key *keys, u32 n)
{
	struct route *route;
	LIST_HEAD(unwanted);
	u32 i;

	list_splice_init(&peer->routes, &unwanted);
	for (i = 0; i < n; i++) {
		route = rhashtable_lookup_fast(&peers->routes, &keys[i],
					       route_params);
		rcu_assign_pointer(route->peer, peer);
		list_move(&route->list, &peer->routes);
	}
	drop_routes(peers, &unwanted);
}

static struct tr_peer *new_peer(u32 id)
{
	struct tr_peer *peer;
	int cpu;

	peer = kzalloc(sizeof(*peer), GFP_KERNEL_ACCOUNT);
	if (!peer)
		return NULL;
	peer->pcpu = alloc_percpu_gfp(struct tr_peer_pcpu, GFP_KERNEL_ACCOUNT);
	if (!peer->pcpu) {
		kfree(peer);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(peer->pcpu, cpu)->sync);
	peer->id = id;
	peer->path = TR_PATH_NONE;
	INIT_LIST_HEAD(&peer->routes);
	return peer;
}

/* Insert or update a peer whose routes are prepared; takes @config over. */
static int put_peer(struct tr_peers *peers, struct tr_peer_config *config,
		    const struct route_key *keys, u32 n,
		    struct netlink_ext_ack *extack)
{
	struct tr_peer *peer = xa_load(&peers->ids, config->id);
	struct tr_peer_config *old;
	int ret;

	if (!peer) {
		if (peers->n_peers >= TAILRACE_MAX_PEERS) {
			NL_SET_ERR_MSG(extack, "too many peers");
			return -E2BIG;
		}
		peer = new_peer(config->id);
		if (!peer)
			return -ENOMEM;
		RCU_INIT_POINTER(peer->config, config);
		ret = xa_insert(&peers->ids, config->id, peer,
				GFP_KERNEL_ACCOUNT);
		if (ret) {
			RCU_INIT_POINTER(peer->config, NULL);
			free_peer(peer);
			return ret;
		}
		peers->n_peers++;
	} else {
		old = rcu_dereference_protected(peer->config, is_held(peers));
		rcu_assign_pointer(peer->config, config);
		kvfree_rcu(old, rcu);
	}
	assign_routes(peers, peer, keys, n);
	advance(peers);
	peer->generation = peers->generation;
	return 0;
}

int tr_peers_set(struct tr_peers *peers, const struct tr_peer_config *config,
		 struct netlink_ext_ack *extack)
{
	struct tr_peer_config *copy;
	struct route_key *keys;
	LIST_HEAD(fresh);
	u32 i, n;
	int ret;

	ret = check_config(config, extack);
	if (ret)
		return ret;
	copy = copy_config(config);
	keys = list_keys(config, &n);
	if (!copy || !keys) {
		ret = -ENOMEM;
		goto out;
	}
	mutex_lock(&peers->lock);
	for (i = 0; !ret && i < n; i++)
		ret = prepare_route(peers, &keys[i], &fresh, extack);
	if (!ret)
		ret = put_peer(peers, copy, keys, n, extack);
	if (ret)
		drop_routes(peers, &fresh);
	mutex_unlock(&peers->lock);
out:
	if (ret)
		kvfree(copy);
	kvfree(keys);
	return ret;
}

int tr_peers_del(struct tr_peers *peers, u32 id)
{
	struct tr_peer *peer;

	mutex_lock(&peers->lock);
	peer = xa_erase(&peers->ids, id);
	if (peer) {
		drop_routes(peers, &peer->routes);
		peers->n_peers--;
		advance(peers);
		call_rcu(&peer->rcu, free_peer_rcu);
	}
	mutex_unlock(&peers->lock);
	return peer ? 0 : -ENOENT;
}

static void free_route(void *route, void *unused)
{
	kfree(route);
}

void tr_peers_uninit(struct tr_peers *peers)
{
	struct tr_peer *peer;
	unsigned long id;

	xa_for_each(&peers->ids, id, peer)
		free_peer(peer);
	xa_destroy(&peers->ids);
	rhashtable_free_and_destroy(&peers->routes, free_route, NULL);
	mutex_destroy(&peers->lock);
	/* Peers deleted before are freed by a function of this module. */
	rcu_barrier();
}

void tr_peers_set_path(struct tr_peers *peers, u32 id, unsigned int path)
{
	struct tr_peer *peer;

	mutex_lock(&peers->lock);
	peer = xa_load(&peers->ids, id);
	if (peer)
		WRITE_ONCE(peer->path, path);
	mutex_unlock(&peers->lock);
}

struct tr_peer *tr_peers_get(struct tr_peers *peers, u32 id)
{
	return xa_load(&peers->ids, id);
}

struct tr_peer *tr_peers_next(struct tr_peers *peers, u32 *id)
{
	unsigned long index = *id;
	struct tr_peer *peer;

	peer = xa_find(&peers->ids, &index, PEER_ID_MAX, XA_PRESENT);
	*id = index;
	return peer;
}

/* Clear the bits of an address from the one numbered @bit on. */
static void cut_addr(struct in6_addr *addr, u32 bit)
{
	u32 word = bit / 32;

	if (word > 3)
		return;
	addr->s6_addr32[word] &=
		bit % 32 ? cpu_to_be32(U32_MAX << (32 - bit % 32)) : 0;
	while (++word < 4)
		addr->s6_addr32[word] = 0;
}

static struct tr_peer *find_route(struct tr_peers *peers, u8 purpose, u8 family,
				  const struct in6_addr *addr)
{
	const struct tr_peer_lengths *l = lengths_of(peers, purpose, family);
	struct route_key key = { .addr = *addr,
				 .purpose = purpose,
				 .family = family };
	u32 bits = family == AF_INET ? 32 : 128;
	struct tr_peer *peer;
	struct route *route;
	u32 len, limit = bits + 1;

	/* Longest first; hardly ever are there more than a few lengths. */
	while ((len = find_last_bit(l->used, limit)) < limit) {
		cut_addr(&key.addr, 128 - bits + len);
		key.len = len;
		route = rhashtable_lookup(&peers->routes, &key, route_params);
		peer = route ? rcu_dereference(route->peer) : NULL;
		if (peer)
			return peer;
		limit = len;
	}
	return NULL;
}

struct tr_peer *tr_peers_route(struct tr_peers *peers, u8 family,
			       const struct in6_addr *addr)
{
	return find_route(peers, FOR_ROUTING, family, addr);
}

struct tr_peer *tr_peers_owner(struct tr_peers *peers, u8 family,
			       const struct in6_addr *addr)
{
	return find_route(peers, FOR_OWNER, family, addr);
}

/* 0 stands for never. */
static unsigned long now_stamp(void)
{
	unsigned long now = jiffies;

	return now ? now : 1;
}

static void mark(struct tr_peers *peers, struct tr_peer *peer,
		 unsigned long *last)
{
	unsigned long now = now_stamp();

	if (READ_ONCE(*last) != now) {
		WRITE_ONCE(*last, now);
		/* Pairs with tr_peers_scan_idle(): one of us sees the other. */
		smp_mb();
	}
	if (READ_ONCE(peer->active) || xchg(&peer->active, 1))
		return;
	if (peers->active)
		peers->active(peers, peer);
}

void tr_peer_rx(struct tr_peers *peers, struct tr_peer *peer, u32 packets,
		u32 bytes)
{
	struct tr_peer_pcpu *pcpu = this_cpu_ptr(peer->pcpu);

	u64_stats_update_begin(&pcpu->sync);
	pcpu->n.rx.packets += packets;
	pcpu->n.rx.bytes += bytes;
	u64_stats_update_end(&pcpu->sync);
	mark(peers, peer, &peer->last_rx);
}

void tr_peer_tx(struct tr_peers *peers, struct tr_peer *peer, u32 packets,
		u32 bytes)
{
	struct tr_peer_pcpu *pcpu = this_cpu_ptr(peer->pcpu);
	unsigned int path = READ_ONCE(peer->path);

	u64_stats_update_begin(&pcpu->sync);
	pcpu->n.tx[path].packets += packets;
	pcpu->n.tx[path].bytes += bytes;
	u64_stats_update_end(&pcpu->sync);
	mark(peers, peer, &peer->last_tx);
}

void tr_peer_counters(const struct tr_peer *peer, struct tr_peer_counters *sum)
{
	const struct tr_peer_pcpu *pcpu;
	struct tr_peer_counters n;
	unsigned int start;
	int cpu, i;

	*sum = (struct tr_peer_counters){};
	for_each_possible_cpu(cpu) {
		pcpu = per_cpu_ptr(peer->pcpu, cpu);
		do {
			start = u64_stats_fetch_begin(&pcpu->sync);
			n = pcpu->n;
		} while (u64_stats_fetch_retry(&pcpu->sync, start));
		sum->rx.packets += n.rx.packets;
		sum->rx.bytes += n.rx.bytes;
		for (i = 0; i < TR_PATHS; i++) {
			sum->tx[i].packets += n.tx[i].packets;
			sum->tx[i].bytes += n.tx[i].bytes;
		}
	}
}

static bool age(unsigned long last, u64 *ms)
{
	if (last)
		*ms = jiffies_to_msecs(jiffies - last);
	return last;
}

bool tr_peer_rx_age(const struct tr_peer *peer, u64 *ms)
{
	return age(READ_ONCE(peer->last_rx), ms);
}

bool tr_peer_tx_age(const struct tr_peer *peer, u64 *ms)
{
	return age(READ_ONCE(peer->last_tx), ms);
}

static bool is_idle(const struct tr_peer *peer)
{
	u64 ms;

	if (tr_peer_rx_age(peer, &ms) && ms < TR_PEER_IDLE_MS)
		return false;
	return !tr_peer_tx_age(peer, &ms) || ms >= TR_PEER_IDLE_MS;
}

void tr_peers_scan_idle(struct tr_peers *peers,
			void (*idle)(struct tr_peers *peers,
				     struct tr_peer *peer))
{
	struct tr_peer *peer;
	u32 id = 0, n = 0;

	rcu_read_lock();
	while ((peer = tr_peers_next(peers, &id))) {
		id++;
		if (READ_ONCE(peer->active) && is_idle(peer)) {
			/* A full barrier; pairs with mark(). */
			xchg(&peer->active, 0);
			/* A packet that came meanwhile raised nothing. */
			if (is_idle(peer))
				idle(peers, peer);
			else
				xchg(&peer->active, 1);
		}
		if (++n % SCAN_BATCH == 0) {
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
	}
	rcu_read_unlock();
}
