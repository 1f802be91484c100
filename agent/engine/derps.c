// SPDX-License-Identifier: GPL-2.0
#include "engine/derps.h"

#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "engine/derp.h"
#include "engine/derpmap.h"
#include "engine/derptls.h"
#include "engine/endpoints.h"
#include "lib/util.h"
#include "proto/derp.h"

#define IDLE_LIMIT (60 * SEC_NS)
#define IDLE_CHECK_S 15
#define BACKOFF_MAX_MS 5000u
#define LINK_PING_MS 3000
/* However long a server says its restart takes. */
#define RESTART_MAX_MS 60000u
#define RESTART_SPACING_MS 250u
/* A server that takes logins and then hangs up must not be asked all the time. */
#define LASTING (10 * SEC_NS)
/* Of one region's health texts to the owner, who logs them. */
#define HEALTH_SPACING (60 * SEC_NS)

/* A region that is or was in use; the connection comes and goes. */
struct region {
	int id;
	struct derps *d;
	struct derp *conn;
	struct derp_queue queue;
	struct event *retry;
	unsigned int failures; /* since the last connection that lasted */
	size_t first; /* node to begin with: past one that let us down */
	bool connected;
	uint64_t connected_at, last_write, last_frame;
	uint64_t restart_until;
	uint32_t restart_ms;
	char health[DERP_HEALTH_MAX];
	uint64_t told_at; /* when the owner heard of one, 0: never */
	UT_hash_handle hh;
};

struct route {
	struct key peer;
	int region;
	UT_hash_handle hh; /* in order of first sight */
};

struct derps {
	struct derp_dial_env env;
	const struct derps_ops *ops;
	void *ctx;
	struct key key;
	struct derp_region *map;
	struct region *regions;
	struct route *routes;
	struct route *last_route; /* of the last packet */
	struct event *idle;
	int home;
	bool up;
	struct derps_stats stats;
};

static const struct derp_ops derp_ops;

static void connect_region(struct region *r)
{
	struct derps *d = r->d;
	const struct derp_region *def = derpmap_find(d->map, r->id);

	event_del(r->retry);
	if (r->conn || !def || !d->up || key_is_zero(&d->key))
		return;
	r->conn = derp_new(&d->env, def, r->first, &d->key, r->id == d->home,
			   &r->queue, &derp_ops, r);
}

static struct region *region_find(const struct derps *d, int id)
{
	struct region *r;

	HASH_FIND_INT(d->regions, &id, r);
	return r;
}

static void route_drop(struct derps *d, struct route *route)
{
	if (d->last_route == route)
		d->last_route = NULL;
	HASH_DEL(d->routes, route);
	free(route);
}

static void routes_drop_region(struct derps *d, int id)
{
	struct route *route, *tmp;

	for (route = d->routes; route; route = tmp) {
		tmp = route->hh.next;
		if (route->region == id)
			route_drop(d, route);
	}
}

static void route_learn(struct derps *d, const struct key *peer, int id)
{
	struct route *route = d->last_route;

	if (!route || key_compare(&route->peer, peer)) {
		HASH_FIND(hh, d->routes, peer, sizeof(*peer), route);
		if (!route) {
			if (HASH_COUNT(d->routes) >= DERPS_ROUTES_MAX)
				route_drop(d, d->routes);
			route = xcalloc(1, sizeof(*route));
			route->peer = *peer;
			HASH_ADD(hh, d->routes, peer, sizeof(*peer), route);
		}
		d->last_route = route;
	}
	route->region = id;
}

static void set_health(struct region *r, const char *text)
{
	uint64_t now = now_ns();

	if (!strcmp(r->health, text))
		return;
	snprintf(r->health, sizeof(r->health), "%s", text);
	if (*text) {
		if (r->told_at && now - r->told_at < HEALTH_SPACING)
			return;
		r->told_at = now;
	}
	if (r->d->ops->health)
		r->d->ops->health(r->d->ctx, r->id, r->health);
}

/* Ends the connection; what is queued stays for the next one, bounded. */
static void disconnect_region(struct region *r)
{
	event_del(r->retry);
	derp_free(r->conn);
	r->conn = NULL;
	r->connected = false;
	routes_drop_region(r->d, r->id);
	r->d->stats.dropped_down -= r->queue.dropped;
	derp_queue_trim(&r->queue, DERPS_PENDING_MAX);
	r->d->stats.dropped_down += r->queue.dropped;
	set_health(r, "");
}

static void discard_queue(struct region *r)
{
	r->d->stats.dropped_down += r->queue.n;
	derp_queue_clear(&r->queue);
}

static void region_drop(struct region *r)
{
	disconnect_region(r);
	discard_queue(r);
	HASH_DEL(r->d->regions, r);
	event_free(r->retry);
	free(r);
}

static bool in_use(const struct region *r)
{
	return r->id == r->d->home ||
	       (r->last_write && now_ns() - r->last_write < IDLE_LIMIT);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	connect_region(arg);
}

/* n^2 * 10 ms, at most 5 s, times 0.5 to 1.5; or as a restarting server says. */
static void schedule_retry(struct region *r)
{
	struct timeval tv;
	unsigned int ms, n;

	if (r->restart_until && now_ns() < r->restart_until) {
		ms = r->restart_ms;
		r->restart_ms = RESTART_SPACING_MS;
	} else {
		r->restart_until = 0;
		n = ++r->failures;
		ms = n < 23 ? n * n * 10 : BACKOFF_MAX_MS;
		if (ms > BACKOFF_MAX_MS)
			ms = BACKOFF_MAX_MS;
		ms = ms / 2 + randombytes_uniform(ms + 1);
	}
	tv = (struct timeval){ .tv_sec = ms / 1000,
			       .tv_usec = (ms % 1000) * 1000 };
	event_add(r->retry, &tv);
}

static void on_connected(void *ctx)
{
	struct region *r = ctx;

	r->connected = true;
	r->connected_at = now_ns();
	r->first = 0;
	r->restart_until = 0;
	r->d->stats.connects++;
	set_health(r, "");
	if (r->d->ops->connected)
		r->d->ops->connected(r->d->ctx, r->id);
}

static void on_heard(void *ctx)
{
	struct region *r = ctx;

	r->last_frame = now_ns();
}

static void on_recv(void *ctx, const struct key *src, const uint8_t *data,
		    size_t n)
{
	struct region *r = ctx;
	struct derps *d = r->d;

	route_learn(d, src, r->id);
	d->stats.received++;
	d->stats.received_bytes += n;
	d->ops->recv(d->ctx, r->id, src, data, n);
}

static void on_peer_gone(void *ctx, const struct key *peer, uint8_t reason)
{
	struct region *r = ctx;
	struct derps *d = r->d;
	struct route *route;

	if (reason == DERP_GONE_NOT_HERE)
		d->stats.not_here++;
	HASH_FIND(hh, d->routes, peer, sizeof(*peer), route);
	if (route && route->region == r->id)
		route_drop(d, route);
	if (d->ops->peer_gone)
		d->ops->peer_gone(d->ctx, r->id, peer, reason);
}

static void on_health(void *ctx, const char *text)
{
	set_health(ctx, text);
}

static void on_restarting(void *ctx, uint32_t reconnect_ms, uint32_t try_ms)
{
	struct region *r = ctx;

	if (reconnect_ms > RESTART_MAX_MS)
		reconnect_ms = RESTART_MAX_MS;
	if (try_ms > RESTART_MAX_MS)
		try_ms = RESTART_MAX_MS;
	r->restart_ms = reconnect_ms;
	r->restart_until = now_ns() + (reconnect_ms + try_ms) * MS_NS;
}

static void on_closed(void *ctx, const char *why)
{
	struct region *r = ctx;
	struct derps *d = r->d;
	int id = r->id;

	d->stats.failures++;
	if (r->connected && now_ns() - r->connected_at >= LASTING)
		r->failures = 0;
	if (!r->connected && derp_node_index(r->conn) >= 0)
		r->first = (size_t)derp_node_index(r->conn) + 1;
	disconnect_region(r);
	if (in_use(r))
		schedule_retry(r);
	else
		discard_queue(r);
	if (d->ops->disconnected)
		d->ops->disconnected(d->ctx, id, why);
}

static const struct derp_ops derp_ops = {
	.connected = on_connected,
	.heard = on_heard,
	.recv = on_recv,
	.peer_gone = on_peer_gone,
	.health = on_health,
	.restarting = on_restarting,
	.closed = on_closed,
};

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct derps *d = arg;
	struct region *r;

	for (r = d->regions; r; r = r->hh.next) {
		if (in_use(r))
			continue;
		disconnect_region(r);
		discard_queue(r);
	}
}

/* The record of a region of the map, made if need be; NULL if not there. */
static struct region *region_get(struct derps *d, int id)
{
	struct region *r;

	HASH_FIND_INT(d->regions, &id, r);
	if (r || !derpmap_find(d->map, id))
		return r;
	r = xcalloc(1, sizeof(*r));
	r->id = id;
	r->d = d;
	r->retry = evtimer_new(d->env.base, on_retry, r);
	HASH_ADD_INT(d->regions, id, r);
	return r;
}

static void connect_home(struct derps *d)
{
	struct region *r = d->home ? region_get(d, d->home) : NULL;

	if (r)
		connect_region(r);
}

static void disconnect_all(struct derps *d, bool keep_queues)
{
	struct region *r;

	for (r = d->regions; r; r = r->hh.next) {
		disconnect_region(r);
		if (!keep_queues)
			discard_queue(r);
		r->failures = 0;
	}
}

struct derps *derps_new(struct event_base *base, struct evdns_base *dns,
			const struct derps_ops *ops, void *ctx)
{
	struct timeval every = { .tv_sec = IDLE_CHECK_S };
	struct derps *d = xcalloc(1, sizeof(*d));

	d->env.base = base;
	d->env.dns = dns;
	d->env.tls = derp_tls_context();
	d->env.tcp_socket = ops->tcp_socket;
	d->env.socket_ctx = ctx;
	d->ops = ops;
	d->ctx = ctx;
	d->up = true;
	d->idle = event_new(base, -1, EV_PERSIST, on_idle, d);
	event_add(d->idle, &every);
	return d;
}

int derps_add_roots(struct derps *d, const char *file)
{
	return SSL_CTX_load_verify_file(d->env.tls, file) == 1 ? 0 : -EINVAL;
}

void derps_free(struct derps *d)
{
	static const struct derps_ops none;
	struct region *r, *tmp;
	struct route *route, *next;

	if (!d)
		return;
	d->ops = &none;
	for (r = d->regions; r; r = tmp) {
		tmp = r->hh.next;
		region_drop(r);
	}
	for (route = d->routes; route; route = next) {
		next = route->hh.next;
		route_drop(d, route);
	}
	event_free(d->idle);
	derpmap_free(d->map);
	SSL_CTX_free(d->env.tls);
	key_wipe(&d->key);
	free(d);
}

void derps_set_key(struct derps *d, const struct key *node_private)
{
	if (key_equal(&d->key, node_private))
		return;
	d->key = *node_private;
	disconnect_all(d, false);
	connect_home(d);
}

void derps_set_map(struct derps *d, const struct derp_region *regions)
{
	struct derp_region *old = d->map;
	struct region *r, *tmp;

	d->map = derpmap_copy(regions);
	for (r = d->regions; r; r = tmp) {
		tmp = r->hh.next;
		const struct derp_region *was = derpmap_find(old, r->id);
		const struct derp_region *is = derpmap_find(d->map, r->id);

		if (was && is && derp_region_same(was, is))
			continue;
		if (r->id == d->home)
			d->home = 0;
		region_drop(r);
	}
	derpmap_free(old);
}

const struct derp_region *derps_map(const struct derps *d)
{
	return d->map;
}

void derps_set_home(struct derps *d, int id)
{
	struct region *r;

	d->home = id;
	for (r = d->regions; r; r = r->hh.next)
		if (r->conn)
			derp_set_home(r->conn, r->id == id);
	connect_home(d);
}

int derps_home(const struct derps *d)
{
	return d->home;
}

int derps_send(struct derps *d, int id, const struct key *dst,
	       const void *data, size_t n)
{
	uint64_t now = now_ns(), dropped;
	struct region *r;
	bool open;
	int ret;

	if (!d->up || key_is_zero(&d->key))
		return -ENETDOWN;
	r = region_get(d, id);
	if (!r)
		return -ENOENT;
	r->last_write = now;
	open = r->conn && derp_is_open(r->conn);
	if (open && !derp_rate_admit(r->conn, n, now)) {
		d->stats.dropped_rate++;
		return 0;
	}
	dropped = r->queue.dropped;
	ret = derp_queue_push(&r->queue, dst, data, n,
			      open ? SIZE_MAX : DERPS_PENDING_MAX,
			      DERPS_BACKLOG_MAX);
	if (ret)
		return ret;
	d->stats.dropped_head += r->queue.dropped - dropped;
	d->stats.sent++;
	d->stats.sent_bytes += n;
	if (r->conn)
		derp_kick(r->conn);
	else if (!event_pending(r->retry, EV_TIMEOUT, NULL))
		connect_region(r);
	return 0;
}

int derps_route(const struct derps *d, const struct key *peer)
{
	struct route *route;

	HASH_FIND(hh, d->routes, peer, sizeof(*peer), route);
	return route ? route->region : 0;
}

int derps_pick(const struct derps *d, const struct key *peer, int home)
{
	const struct region *r = region_find(d, home);
	int route;

	if (r && r->conn && derp_is_open(r->conn))
		return home;
	route = derps_route(d, peer);
	return route ? route : home;
}

void derps_forget(struct derps *d, const struct key *peer)
{
	struct route *route;

	HASH_FIND(hh, d->routes, peer, sizeof(*peer), route);
	if (route)
		route_drop(d, route);
}

static bool has_addr(const struct interface_addr *a, int n,
		     const struct ip_addr *ip)
{
	int i;

	for (i = 0; i < n; i++)
		if (ip_equal(&a[i].addr.ip, ip))
			return true;
	return false;
}

void derps_link_changed(struct derps *d)
{
	_cleanup_free_ struct interface_addr *addrs = NULL;
	int n = interface_addrs(&addrs, NULL);
	struct region *r;

	for (r = d->regions; r; r = r->hh.next) {
		bool waiting = event_pending(r->retry, EV_TIMEOUT, NULL);
		struct ip_addr local;

		r->failures = 0;
		if (r->conn && !derp_local_addr(r->conn, &local) &&
		    derp_is_open(r->conn) && (n < 0 || has_addr(addrs, n,
								&local))) {
			derp_ping(r->conn, LINK_PING_MS);
			continue;
		}
		if (!r->conn && !waiting)
			continue;
		disconnect_region(r);
		if (in_use(r))
			connect_region(r);
	}
}

void derps_set_network(struct derps *d, bool up)
{
	if (d->up == up)
		return;
	d->up = up;
	if (!up)
		disconnect_all(d, true);
	connect_home(d);
}

void derps_set_prefer_ipv6(struct derps *d, bool prefer)
{
	d->env.prefer_ipv6 = prefer;
}

bool derps_is_connected(const struct derps *d, int id)
{
	const struct region *r = region_find(d, id);

	return r && r->connected;
}

uint64_t derps_last_frame(const struct derps *d, int id)
{
	const struct region *r = region_find(d, id);

	return r ? r->last_frame : 0;
}

const char *derps_health(const struct derps *d, int id)
{
	const struct region *r = region_find(d, id);

	return r ? r->health : "";
}

const struct derps_stats *derps_stats(const struct derps *d)
{
	return &d->stats;
}

const struct derp_dial_env *derps_dial_env(const struct derps *d)
{
	return &d->env;
}
