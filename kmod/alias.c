// SPDX-License-Identifier: GPL-2.0
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/socket.h>

#include "alias.h"

static const struct rhashtable_params params = {
	.key_len = sizeof(struct tailrace_endpoint),
	.key_offset = offsetof(struct tr_alias, key),
	.head_offset = offsetof(struct tr_alias, node),
	.automatic_shrinking = true,
};

static struct tr_alias *create(const struct tailrace_endpoint *key, u32 peer)
{
	struct tr_alias *alias = kzalloc(sizeof(*alias), GFP_KERNEL_ACCOUNT);
	int cpu;

	if (!alias)
		return NULL;
	alias->pcpu =
		alloc_percpu_gfp(struct tr_alias_pcpu, GFP_KERNEL_ACCOUNT);
	if (!alias->pcpu) {
		kfree(alias);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(alias->pcpu, cpu)->sync);
	alias->key = *key;
	alias->peer = peer;
	alias->path = tr_path_of(key);
	spin_lock_init(&alias->lock);
	seqcount_spinlock_init(&alias->seq, &alias->lock);
	INIT_LIST_HEAD(&alias->siblings);
	return alias;
}

static void destroy(struct tr_alias *alias)
{
	free_percpu(alias->pcpu);
	kfree(alias);
}

static void destroy_rcu(struct rcu_head *rcu)
{
	destroy(container_of(rcu, struct tr_alias, rcu));
}

static void forget_caches(struct tr_aliases *aliases)
{
	/* After what was taken out of the table, for lookup(). */
	smp_mb__before_atomic();
	atomic64_inc(&aliases->generation);
}

/* Takes endpoints out of the table; readers may still have them. */
static void remove_list(struct tr_aliases *aliases, struct list_head *gone)
{
	struct tr_alias *alias, *next;

	list_for_each_entry(alias, gone, siblings)
		rhashtable_remove_fast(&aliases->table, &alias->node, params);
	forget_caches(aliases);
	list_for_each_entry_safe(alias, next, gone, siblings)
		call_rcu(&alias->rcu, destroy_rcu);
}

static bool is_valid(const struct tailrace_endpoint *ep,
		     struct netlink_ext_ack *extack)
{
	if (ep->family != AF_INET && ep->family != AF_INET6)
		NL_SET_ERR_MSG(extack, "endpoint of an unknown family");
	else if (ep->reserved ||
		 (ep->family == AF_INET && memchr_inv(ep->addr + 4, 0, 12)))
		NL_SET_ERR_MSG(extack,
			       "reserved bytes of an endpoint not zero");
	else if (!ep->port)
		NL_SET_ERR_MSG(extack, "endpoint without a port");
	else
		return true;
	return false;
}

static void destroy_peer(struct tr_alias_peer *peer)
{
	free_percpu(peer->paths);
	kfree(peer);
}

static void destroy_peer_rcu(struct rcu_head *rcu)
{
	destroy_peer(container_of(rcu, struct tr_alias_peer, rcu));
}

static struct tr_alias_peer *create_peer(void)
{
	struct tr_alias_peer *peer = kzalloc(sizeof(*peer), GFP_KERNEL_ACCOUNT);
	int cpu;

	if (!peer)
		return NULL;
	peer->paths =
		alloc_percpu_gfp(struct tr_alias_paths, GFP_KERNEL_ACCOUNT);
	if (!peer->paths) {
		kfree(peer);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(peer->paths, cpu)->sync);
	INIT_LIST_HEAD(&peer->aliases);
	return peer;
}

static struct tr_alias_peer *provide_peer(struct tr_aliases *aliases, u32 id,
					  struct netlink_ext_ack *extack)
{
	struct tr_alias_peer *peer = xa_load(&aliases->peers, id);
	void *old;

	if (peer)
		return peer;
	if (aliases->n_peers >= TAILRACE_MAX_PEERS) {
		NL_SET_ERR_MSG(extack, "too many peers");
		return ERR_PTR(-E2BIG);
	}
	peer = create_peer();
	if (!peer)
		return ERR_PTR(-ENOMEM);
	old = xa_store(&aliases->peers, id, peer, GFP_KERNEL_ACCOUNT);
	if (xa_is_err(old)) {
		destroy_peer(peer);
		return ERR_PTR(xa_err(old));
	}
	aliases->n_peers++;
	return peer;
}

/* Forgets a peer without endpoints. */
static void drop_peer(struct tr_aliases *aliases, u32 id)
{
	struct tr_alias_peer *peer = xa_load(&aliases->peers, id);

	if (!list_empty(&peer->aliases))
		return;
	xa_erase(&aliases->peers, id);
	aliases->n_peers--;
	/* Packets may still be counted, and dumps be reading. */
	call_rcu(&peer->rcu, destroy_peer_rcu);
}

/*
 * The endpoint @key of the peer, put into the table if need be.
 *
 * Return: ERR_PTR(-EEXIST) when it is another peer's.
 */
static struct tr_alias *provide(struct tr_aliases *aliases,
				struct tr_alias_peer *peer, u32 id,
				const struct tailrace_endpoint *key,
				struct tr_alias *canonical,
				struct netlink_ext_ack *extack)
{
	struct tr_alias *alias;
	int ret;

	alias = rhashtable_lookup_fast(&aliases->table, key, params);
	if (alias && alias->peer != id) {
		NL_SET_ERR_MSG(extack, "another peer has the endpoint");
		return ERR_PTR(-EEXIST);
	}
	if (!alias) {
		alias = create(key, id);
		if (!alias)
			return ERR_PTR(-ENOMEM);
		alias->paths = peer->paths;
		RCU_INIT_POINTER(alias->canonical, canonical ?: alias);
		ret = rhashtable_insert_fast(&aliases->table, &alias->node,
					     params);
		if (ret) {
			destroy(alias);
			return ERR_PTR(ret);
		}
		alias->is_new = true;
		list_add_tail(&alias->siblings, &peer->aliases);
	}
	alias->mark = aliases->marks;
	return alias;
}

static int set(struct tr_aliases *aliases, u32 id,
	       const struct tailrace_endpoint *canonical,
	       const struct tailrace_endpoint *seen, unsigned int n,
	       struct netlink_ext_ack *extack)
{
	struct tr_alias *first, *alias, *next;
	struct tr_alias_peer *peer;
	LIST_HEAD(gone);
	unsigned int i;
	int ret = 0;

	peer = provide_peer(aliases, id, extack);
	if (IS_ERR(peer))
		return PTR_ERR(peer);
	aliases->marks++;
	first = provide(aliases, peer, id, canonical, NULL, extack);
	if (IS_ERR(first))
		ret = PTR_ERR(first);
	for (i = 0; !ret && i < n; i++) {
		alias = provide(aliases, peer, id, &seen[i], first, extack);
		if (IS_ERR(alias))
			ret = PTR_ERR(alias);
	}

	list_for_each_entry_safe(alias, next, &peer->aliases, siblings) {
		bool stays = ret ? !alias->is_new :
				   alias->mark == aliases->marks;

		alias->is_new = false;
		if (!stays)
			list_move(&alias->siblings, &gone);
		else if (!ret)
			rcu_assign_pointer(alias->canonical, first);
	}
	if (!ret)
		peer->canonical = first;
	remove_list(aliases, &gone);
	drop_peer(aliases, id);
	return ret;
}

int tr_aliases_set(struct tr_aliases *aliases, u32 peer,
		   const struct tailrace_endpoint *canonical,
		   const struct tailrace_endpoint *seen, unsigned int n,
		   struct netlink_ext_ack *extack)
{
	unsigned int i;
	int ret;

	if (n > TAILRACE_MAX_ALIASES) {
		NL_SET_ERR_MSG(extack, "too many endpoints of one peer");
		return -E2BIG;
	}
	if (!is_valid(canonical, extack))
		return -EINVAL;
	for (i = 0; i < n; i++) {
		if (!is_valid(&seen[i], extack))
			return -EINVAL;
	}
	mutex_lock(&aliases->lock);
	ret = set(aliases, peer, canonical, seen, n, extack);
	mutex_unlock(&aliases->lock);
	return ret;
}

int tr_aliases_del(struct tr_aliases *aliases, u32 id)
{
	struct tr_alias_peer *peer;
	LIST_HEAD(gone);

	mutex_lock(&aliases->lock);
	peer = xa_load(&aliases->peers, id);
	if (peer) {
		list_splice_init(&peer->aliases, &gone);
		remove_list(aliases, &gone);
		drop_peer(aliases, id);
	}
	mutex_unlock(&aliases->lock);
	return peer ? 0 : -ENOENT;
}

void tr_aliases_walk(struct tr_aliases *aliases, unsigned long *peer_id,
		     unsigned long *index,
		     int (*visit)(struct tr_alias *alias, void *data),
		     void *data)
{
	struct tr_alias_peer *peer;
	struct tr_alias *alias;
	unsigned long id, n;

	mutex_lock(&aliases->lock);
	xa_for_each_start(&aliases->peers, id, peer, *peer_id) {
		if (id != *peer_id)
			*index = 0;
		*peer_id = id;
		n = 0;
		list_for_each_entry(alias, &peer->aliases, siblings) {
			if (n++ < *index)
				continue;
			if (visit(alias, data))
				goto out;
			*index = n;
		}
	}
out:
	mutex_unlock(&aliases->lock);
}

unsigned int tr_aliases_path(struct tr_aliases *aliases, u32 id)
{
	unsigned int path = TR_PATH_NONE;
	struct tr_alias_peer *peer;

	mutex_lock(&aliases->lock);
	peer = xa_load(&aliases->peers, id);
	if (peer)
		path = peer->canonical->path;
	mutex_unlock(&aliases->lock);
	return path;
}

void tr_aliases_paths(struct tr_aliases *aliases, u32 id,
		      struct tailrace_path_counters *sum)
{
	const struct tr_alias_peer *peer = xa_load(&aliases->peers, id);
	u64 packets, bytes;
	int cpu, i;

	if (!peer)
		return;
	for_each_possible_cpu(cpu) {
		const struct tr_alias_paths *n = per_cpu_ptr(peer->paths, cpu);
		unsigned int start;

		for (i = 0; i < __TAILRACE_PATH_MAX; i++) {
			do {
				start = u64_stats_fetch_begin(&n->sync);
				packets = u64_stats_read(&n->path[i].packets);
				bytes = u64_stats_read(&n->path[i].bytes);
			} while (u64_stats_fetch_retry(&n->sync, start));
			sum[i].rx_packets += packets;
			sum[i].rx_bytes += bytes;
		}
	}
}

void tr_alias_counters(const struct tr_alias *alias, u64 *packets, u64 *bytes)
{
	int cpu;

	*packets = 0;
	*bytes = 0;
	for_each_possible_cpu(cpu) {
		const struct tr_alias_pcpu *n = per_cpu_ptr(alias->pcpu, cpu);
		unsigned int start;
		u64 p, b;

		do {
			start = u64_stats_fetch_begin(&n->sync);
			p = u64_stats_read(&n->packets);
			b = u64_stats_read(&n->bytes);
		} while (u64_stats_fetch_retry(&n->sync, start));
		*packets += p;
		*bytes += b;
	}
}

static struct tr_alias *lookup(struct tr_aliases *aliases,
			       const struct tailrace_endpoint *key)
{
	struct tr_alias_cache *cache = this_cpu_ptr(aliases->cache);
	/*
	 * What the cache holds under the current generation was in the table
	 * after our RCU section began, so it is still there to be used.
	 */
	u64 generation = atomic64_read_acquire(&aliases->generation);
	struct tr_alias *alias;

	if (cache->generation == generation &&
	    !memcmp(&cache->alias->key, key, sizeof(*key)))
		return cache->alias;
	alias = rhashtable_lookup(&aliases->table, key, params);
	if (alias) {
		cache->generation = generation;
		cache->alias = alias;
	}
	return alias;
}

struct tr_alias *tr_alias_seen(struct tr_aliases *aliases,
			       const struct tailrace_endpoint *from,
			       const struct tr_alias_local *local,
			       unsigned int packets, unsigned int bytes)
{
	struct tr_alias *alias = lookup(aliases, from);
	struct tr_alias_paths *paths;
	struct tr_alias_pcpu *n;

	if (!alias)
		return NULL;
	paths = this_cpu_ptr(alias->paths);
	u64_stats_update_begin(&paths->sync);
	u64_stats_add(&paths->path[alias->path].packets, packets);
	u64_stats_add(&paths->path[alias->path].bytes, bytes);
	u64_stats_update_end(&paths->sync);
	n = this_cpu_ptr(alias->pcpu);
	u64_stats_update_begin(&n->sync);
	u64_stats_add(&n->packets, packets);
	u64_stats_add(&n->bytes, bytes);
	u64_stats_update_end(&n->sync);

	/* Seldom changes. If two CPUs disagree, either is right. */
	if (memcmp(&alias->local, local, sizeof(*local)) &&
	    spin_trylock(&alias->lock)) {
		write_seqcount_begin(&alias->seq);
		alias->local = *local;
		write_seqcount_end(&alias->seq);
		spin_unlock(&alias->lock);
	}
	return alias;
}

void tr_alias_local(const struct tr_alias *alias, struct tr_alias_local *local)
{
	unsigned int seq;

	do {
		seq = read_seqcount_begin(&alias->seq);
		*local = alias->local;
	} while (read_seqcount_retry(&alias->seq, seq));
}

int tr_aliases_init(struct tr_aliases *aliases)
{
	int ret;

	mutex_init(&aliases->lock);
	xa_init(&aliases->peers);
	/* Never that of an empty cache. */
	atomic64_set(&aliases->generation, 1);
	aliases->cache = alloc_percpu(struct tr_alias_cache);
	if (!aliases->cache)
		return -ENOMEM;
	ret = rhashtable_init(&aliases->table, &params);
	if (ret)
		free_percpu(aliases->cache);
	return ret;
}

void tr_aliases_uninit(struct tr_aliases *aliases)
{
	struct tr_alias_peer *peer;
	struct tr_alias *alias, *next;
	unsigned long id;

	rhashtable_destroy(&aliases->table);
	xa_for_each(&aliases->peers, id, peer) {
		list_for_each_entry_safe(alias, next, &peer->aliases, siblings)
			destroy(alias);
		destroy_peer(peer);
	}
	xa_destroy(&aliases->peers);
	free_percpu(aliases->cache);
}
