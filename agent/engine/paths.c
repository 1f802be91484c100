// SPDX-License-Identifier: GPL-2.0
#include "engine/paths.h"

#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <string.h>
#include <utlist.h>

#include "engine/paths_parts.h"
#include "lib/util.h"

struct paths *paths_new(struct event_base *base, const struct paths_ops *ops,
			void *ctx)
{
	struct paths *ps = xcalloc(1, sizeof(*ps));

	ps->base = base;
	ps->ops = ops;
	ps->ctx = ctx;
	return ps;
}

struct disco_info *paths_info_find(const struct paths *ps, const struct key *k)
{
	struct disco_info *info;

	HASH_FIND(hh, ps->infos, k, sizeof(*k), info);
	return info;
}

static void info_leave(struct peer *p)
{
	struct disco_info *info = p->info;

	if (!info)
		return;
	DL_DELETE2(info->peers, p, info_prev, info_next);
	p->info = NULL;
	p->ps->disco_generation++;
	if (info->peers)
		return;
	HASH_DEL(p->ps->infos, info);
	sodium_memzero(info, sizeof(*info));
	free(info);
}

/* A zero or low-order disco key leaves the peer without one. */
static void info_join(struct peer *p, const struct key *disco)
{
	struct paths *ps = p->ps;
	struct disco_info *info;

	if (p->info && key_equal(&p->info->disco, disco))
		return;
	info_leave(p);
	info = paths_info_find(ps, disco);
	if (!info) {
		info = xcalloc(1, sizeof(*info));
		info->disco = *disco;
		if (key_is_zero(&ps->disco_private) ||
		    disco_shared_key(&info->shared, &ps->disco_private,
				     disco)) {
			free(info);
			return;
		}
		HASH_ADD(hh, ps->infos, disco, sizeof(info->disco), info);
	}
	DL_APPEND2(info->peers, p, info_prev, info_next);
	p->info = info;
	ps->disco_generation++;
}

struct peer *paths_peer_find(const struct paths *ps, const struct key *k)
{
	struct peer *p;

	HASH_FIND(hh, ps->peers, k, sizeof(*k), p);
	return p;
}

struct peer *paths_peer_find_id(const struct paths *ps, uint32_t id)
{
	struct peer *p;

	HASH_FIND(hh_id, ps->peers_by_id, &id, sizeof(id), p);
	return p;
}

static struct endpoint virtual_endpoint(const struct peer *p)
{
	return (struct endpoint){
		.ip = ip_v4(127, (uint8_t)(p->id >> 16), (uint8_t)(p->id >> 8),
			    (uint8_t)p->id),
		.port = p->ps->relay_port,
	};
}

static void peer_publish(struct peer *p)
{
	struct endpoint relay = virtual_endpoint(p);
	struct endpoint sources[TAILRACE_MAX_ALIASES - 1];
	struct kernel_path path = { .peer = p->id };
	const struct endpoint *target = path_target(&p->path, now_ns());
	size_t i, n;

	if (!p->ps->relay_port)
		return;
	path.canonical = target ? *target : relay;
	if (target)
		path.seen[path.n_seen++] = relay;
	n = path_sources(&p->path, sources, ARRAY_SIZE(sources));
	for (i = 0; i < n; i++)
		if (!endpoint_equal(&sources[i], &path.canonical))
			path.seen[path.n_seen++] = sources[i];
	if (memcmp(&path, &p->published, sizeof(path)) == 0)
		return;
	p->published = path;
	p->ps->ops->publish(p->ps->ctx, &path);
}

void paths_peer_arm(struct peer *p)
{
	uint64_t next = path_next(&p->path), now = now_ns(), wait;
	struct timeval tv;

	if (next == UINT64_MAX) {
		evtimer_del(p->timer);
		return;
	}
	wait = next > now ? next - now : 0;
	tv.tv_sec = (time_t)(wait / SEC_NS);
	tv.tv_usec = (suseconds_t)(wait % SEC_NS / 1000 + 1);
	evtimer_add(p->timer, &tv);
}

static void peer_timer(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;

	path_tick(&p->path, now_ns());
	paths_peer_arm(p);
}

int paths_disco_send(struct paths *ps, const struct disco_info *info,
		     const struct disco_msg *m, const struct endpoint *to,
		     int region, const struct key *dst)
{
	uint8_t packet[DISCO_OVERHEAD + DISCO_PLAIN_MAX + 9216];
	uint8_t nonce[DISCO_NONCE_LEN];
	ssize_t n;

	n = disco_encode(m, packet + DISCO_OVERHEAD,
			 sizeof(packet) - DISCO_OVERHEAD);
	if (n < 0)
		return (int)n;
	randombytes_buf(nonce, sizeof(nonce));
	n = disco_seal(packet + DISCO_OVERHEAD, (size_t)n, &ps->disco_public,
		       &info->shared, nonce, packet, sizeof(packet));
	if (n < 0)
		return (int)n;
	ps->stats.disco_out++;
	if (to)
		return ps->ops->send_udp(ps->ctx, to, packet, (size_t)n);
	return ps->ops->send_derp(ps->ctx, region, dst, packet, (size_t)n);
}

static int peer_ping(void *ctx, const struct endpoint *to,
		     const uint8_t txid[DISCO_TXID_LEN], size_t size)
{
	struct disco_msg m = { .type = DISCO_PING };
	struct peer *p = ctx;

	if (!p->info)
		return -ENOKEY;
	memcpy(m.ping.txid, txid, DISCO_TXID_LEN);
	m.ping.node_key = p->ps->node_public;
	if (size > DISCO_PING_LEN)
		m.ping.padding = size - DISCO_PING_LEN;
	return paths_disco_send(p->ps, p->info, &m, to, p->path.home_derp,
				&p->key);
}

static void peer_call(struct peer *p)
{
	struct disco_msg m = { .type = DISCO_CALL_ME_MAYBE };

	p->call_pending = false;
	if (!p->info || !p->path.home_derp)
		return;
	m.call_me_maybe = p->ps->own;
	paths_disco_send(p->ps, p->info, &m, NULL, p->path.home_derp, &p->key);
}

static void peer_call_me_maybe(void *ctx)
{
	struct peer *p = ctx;
	struct paths *ps = p->ps;

	if (ps->own_time && now_ns() - ps->own_time < PATHS_ENDPOINTS_FRESH) {
		peer_call(p);
		return;
	}
	p->call_pending = true;
	ps->ops->refresh(ps->ctx);
}

static void peer_changed(void *ctx)
{
	peer_publish(ctx);
}

static const struct path_ops peer_path_ops = {
	.ping = peer_ping,
	.call_me_maybe = peer_call_me_maybe,
	.changed = peer_changed,
};

/* 24 bits of the key, the next free ones if taken; 0 is nobody. */
static uint32_t peer_new_id(const struct paths *ps, const struct key *k)
{
	uint32_t id = (uint32_t)get_be16(k->b) << 8 | k->b[2];

	while (!id || paths_peer_find_id(ps, id))
		id = (id + 1) & 0xffffff;
	return id;
}

static struct peer *peer_new(struct paths *ps, const struct key *k)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->ps = ps;
	p->key = *k;
	p->id = peer_new_id(ps, k);
	path_init(&p->path, &peer_path_ops, p);
	p->timer = evtimer_new(ps->base, peer_timer, p);
	HASH_ADD(hh, ps->peers, key, sizeof(p->key), p);
	HASH_ADD(hh_id, ps->peers_by_id, id, sizeof(p->id), p);
	return p;
}

static void peer_free(struct peer *p)
{
	HASH_DELETE(hh, p->ps->peers, p);
	HASH_DELETE(hh_id, p->ps->peers_by_id, p);
	info_leave(p);
	path_uninit(&p->path);
	event_free(p->timer);
	free(p);
}

void paths_free(struct paths *ps)
{
	struct peer *p, *tmp;

	HASH_ITER(hh, ps->peers, p, tmp)
		peer_free(p);
	key_wipe(&ps->disco_private);
	free(ps);
}

void paths_set_keys(struct paths *ps, const struct key *node_private,
		    const struct key *disco_private)
{
	struct key none = { 0 };
	struct peer *p, *tmp;

	ps->node_public = none;
	if (!key_is_zero(node_private))
		key_public(&ps->node_public, node_private);
	if (key_equal(&ps->disco_private, disco_private))
		return;
	/* Shared keys are of the old pair. */
	HASH_ITER(hh, ps->peers, p, tmp) {
		struct key disco = p->info ? p->info->disco : none;

		info_leave(p);
		ps->disco_private = none;
		if (!key_is_zero(&disco)) {
			ps->disco_private = *disco_private;
			info_join(p, &disco);
		}
	}
	ps->disco_private = *disco_private;
	ps->disco_public = none;
	if (!key_is_zero(disco_private))
		key_public(&ps->disco_public, disco_private);
}

void paths_set_relay_port(struct paths *ps, uint16_t port)
{
	struct peer *p;

	ps->relay_port = port;
	for (p = ps->peers; p; p = p->hh.next)
		peer_publish(p);
}

static int by_key(const void *a, const void *b)
{
	return key_compare(&(*(struct node *const *)a)->key,
			   &(*(struct node *const *)b)->key);
}

void paths_set_netmap(struct paths *ps, const struct netmap *nm,
		      int64_t unix_now)
{
	size_t i, n = HASH_COUNT(nm->peers);
	_cleanup_free_ struct node **nodes = xcalloc(n, sizeof(struct node *));
	uint64_t now = now_ns();
	struct peer *p, *tmp;
	struct node *node;

	/* In the order of keys, so that colliding ids come out the same. */
	for (i = 0, node = nm->peers; node; node = node->hh.next)
		nodes[i++] = node;
	qsort(nodes, n, sizeof(struct node *), by_key);

	for (p = ps->peers; p; p = p->hh.next)
		p->seen = false;
	for (i = 0; i < n; i++) {
		node = nodes[i];
		if (key_is_zero(&node->key) || node->wireguard_only ||
		    node_is_expired(nm, node, unix_now))
			continue;
		p = paths_peer_find(ps, &node->key);
		if (!p)
			p = peer_new(ps, &node->key);
		p->seen = true;
		if (key_is_zero(&node->disco))
			info_leave(p);
		else
			info_join(p, &node->disco);
		path_set_home(&p->path, node->home_derp);
		path_set_listed(&p->path, node->endpoints, node->n_endpoints,
				now);
		peer_publish(p);
		paths_peer_arm(p);
	}
	HASH_ITER(hh, ps->peers, p, tmp)
		if (!p->seen)
			peer_free(p);
}

void paths_set_endpoints(struct paths *ps, const struct endpoint *eps, size_t n)
{
	struct peer *p;

	ps->own.count = n < DISCO_ENDPOINTS_MAX ? n : DISCO_ENDPOINTS_MAX;
	memcpy(ps->own.list, eps, ps->own.count * sizeof(*eps));
	ps->own_time = now_ns();
	for (p = ps->peers; p; p = p->hh.next)
		if (p->call_pending)
			peer_call(p);
}

void paths_reset(struct paths *ps)
{
	uint64_t now = now_ns();
	struct peer *p;

	ps->own_time = 0;
	for (p = ps->peers; p; p = p->hh.next) {
		path_reset(&p->path);
		if (p->path.active)
			path_set_active(&p->path, false, now);
		paths_peer_arm(p);
	}
}

void paths_adopt(struct paths *ps, uint32_t peer, const struct endpoint *ep)
{
	struct peer *p = paths_peer_find_id(ps, peer);

	if (!p)
		return;
	path_adopt(&p->path, ep, now_ns());
	paths_peer_arm(p);
}

void paths_peer_active(struct paths *ps, uint32_t peer)
{
	struct peer *p = paths_peer_find_id(ps, peer);

	if (!p)
		return;
	path_set_active(&p->path, true, now_ns());
	paths_peer_arm(p);
}

void paths_peer_idle(struct paths *ps, uint32_t peer)
{
	struct peer *p = paths_peer_find_id(ps, peer);

	if (!p)
		return;
	path_set_idle(&p->path);
	paths_peer_arm(p);
}

void paths_advertised(struct paths *ps, const struct key *node,
		      const struct key *disco)
{
	struct peer *p = paths_peer_find(ps, node);

	if (p && !key_is_zero(disco))
		info_join(p, disco);
}

uint32_t paths_peer_id(const struct paths *ps, const struct key *node)
{
	const struct peer *p = paths_peer_find(ps, node);

	return p ? p->id : 0;
}

bool paths_peer_disco(const struct paths *ps, const struct key *node,
		      struct key *own, struct key *theirs,
		      struct disco_shared *shared)
{
	const struct peer *p = paths_peer_find(ps, node);

	if (!p || !p->info)
		return false;
	*own = ps->disco_public;
	*theirs = p->info->disco;
	*shared = p->info->shared;
	return true;
}

uint64_t paths_disco_generation(const struct paths *ps)
{
	return ps->disco_generation;
}

bool paths_peer_key(const struct paths *ps, uint32_t id, struct key *node)
{
	const struct peer *p = paths_peer_find_id(ps, id);

	if (p)
		*node = p->key;
	return p;
}

bool paths_peer_status(const struct paths *ps, const struct key *node,
		       struct paths_peer_status *out)
{
	const struct peer *p = paths_peer_find(ps, node);
	const struct endpoint *target;

	memset(out, 0, sizeof(*out));
	if (!p)
		return false;
	target = path_target(&p->path, now_ns());
	if (target) {
		out->direct = *target;
		out->latency = p->path.best.latency;
	}
	out->derp_region = p->path.home_derp;
	out->active = p->path.active;
	return true;
}

int paths_ping(struct paths *ps, const struct key *node, size_t size,
	       path_pong_cb cb, void *cb_ctx)
{
	struct peer *p = paths_peer_find(ps, node);
	int err;

	if (!p)
		return -ENOENT;
	err = path_ping(&p->path, size, cb, cb_ctx, now_ns());
	paths_peer_arm(p);
	return err;
}

void paths_ping_cancel(struct paths *ps, const void *cb_ctx)
{
	struct peer *p;

	for (p = ps->peers; p; p = p->hh.next)
		path_ping_cancel(&p->path, cb_ctx);
}

bool paths_any_active(const struct paths *ps)
{
	const struct peer *p;

	for (p = ps->peers; p; p = p->hh.next)
		if (p->path.active)
			return true;
	return false;
}

const struct paths_stats *paths_stats(const struct paths *ps)
{
	return &ps->stats;
}
