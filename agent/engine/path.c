// SPDX-License-Identifier: GPL-2.0
#include "engine/path.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "lib/util.h"

enum purpose {
	PURPOSE_DISCOVERY,
	PURPOSE_HEARTBEAT,
	PURPOSE_USER,
};

struct path_ping {
	uint8_t txid[DISCO_TXID_LEN];
	struct endpoint to; /* family 0: over DERP */
	uint64_t sent;
	enum purpose purpose;
	path_pong_cb cb;
	void *cb_ctx;
	UT_hash_handle hh;
};

void path_init(struct path *p, const struct path_ops *ops, void *ctx)
{
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->ctx = ctx;
}

static void ping_del(struct path *p, struct path_ping *ping)
{
	HASH_DEL(p->pings, ping);
	free(ping);
}

static bool is_best(const struct path *p, const struct endpoint *ep)
{
	return p->best.ep.ip.family && endpoint_equal(&p->best.ep, ep);
}

static void best_clear(struct path *p)
{
	if (!p->best.ep.ip.family)
		return;
	memset(&p->best, 0, sizeof(p->best));
	p->ops->changed(p->ctx);
}

static void candidate_del(struct path *p, struct path_candidate *c)
{
	bool best = is_best(p, &c->ep);

	HASH_DEL(p->candidates, c);
	free(c);
	if (best)
		best_clear(p);
}

void path_uninit(struct path *p)
{
	struct path_candidate *c, *ctmp;
	struct path_ping *ping, *ptmp;

	HASH_ITER(hh, p->pings, ping, ptmp)
		ping_del(p, ping);
	HASH_ITER(hh, p->candidates, c, ctmp) {
		HASH_DEL(p->candidates, c);
		free(c);
	}
}

static struct path_candidate *candidate_find(const struct path *p,
					     const struct endpoint *ep)
{
	struct path_candidate *c;

	HASH_FIND(hh, p->candidates, ep, sizeof(*ep), c);
	return c;
}

/* nat-traversal.md 6.1: what control or a CallMeMaybe told stays. */
static bool candidate_deletable(const struct path_candidate *c, uint64_t now)
{
	if (c->call_me_maybe)
		return false;
	if (!c->last_got_ping)
		return !c->listed;
	return !c->listed && now - c->last_got_ping > PATH_SESSION;
}

static void candidates_prune(struct path *p, uint64_t now)
{
	struct path_candidate *c, *tmp;

	HASH_ITER(hh, p->candidates, c, tmp)
		if (candidate_deletable(c, now))
			candidate_del(p, c);
}

/* NULL when the peer has too many that must stay. */
static struct path_candidate *candidate_get(struct path *p,
					    const struct endpoint *ep,
					    uint64_t now)
{
	struct path_candidate *c = candidate_find(p, ep);

	if (c)
		return c;
	if (HASH_COUNT(p->candidates) >= PATH_MAX_CANDIDATES)
		candidates_prune(p, now);
	if (HASH_COUNT(p->candidates) >= PATH_MAX_CANDIDATES)
		return NULL;
	c = xcalloc(1, sizeof(*c));
	c->ep = *ep;
	HASH_ADD(hh, p->candidates, ep, sizeof(c->ep), c);
	return c;
}

void path_set_listed(struct path *p, const struct endpoint *eps, size_t n,
		     uint64_t now)
{
	struct path_candidate *c, *tmp;
	size_t i;

	for (c = p->candidates; c; c = c->hh.next)
		c->listed = false;
	for (i = 0; i < n; i++) {
		c = candidate_get(p, &eps[i], now);
		if (c)
			c->listed = true;
	}
	HASH_ITER(hh, p->candidates, c, tmp)
		if (candidate_deletable(c, now))
			candidate_del(p, c);
}

void path_set_home(struct path *p, int region)
{
	p->home_derp = region;
}

bool path_trusted(const struct path *p, uint64_t now)
{
	return p->best.ep.ip.family && now <= p->best.trust_until;
}

const struct endpoint *path_target(const struct path *p, uint64_t now)
{
	if (!p->best.ep.ip.family)
		return NULL;
	if (path_trusted(p, now) || !p->active || !p->home_derp)
		return &p->best.ep;
	return NULL;
}

size_t path_sources(const struct path *p, struct endpoint *out, size_t max)
{
	const struct path_candidate *c;
	size_t n = 0;

	for (c = p->candidates; c && n < max; c = c->hh.next)
		if (c->verified)
			out[n++] = c->ep;
	return n;
}

static int send_ping(struct path *p, const struct endpoint *to, size_t size,
		     enum purpose purpose, path_pong_cb cb, void *cb_ctx,
		     uint64_t now)
{
	struct path_candidate *c;
	struct path_ping *ping;
	int err;

	if (HASH_COUNT(p->pings) >= PATH_MAX_PINGS)
		return -ENOBUFS;
	ping = xcalloc(1, sizeof(*ping));
	randombytes_buf(ping->txid, sizeof(ping->txid));
	if (to)
		ping->to = *to;
	ping->sent = now;
	ping->purpose = purpose;
	ping->cb = cb;
	ping->cb_ctx = cb_ctx;
	HASH_ADD(hh, p->pings, txid, sizeof(ping->txid), ping);
	c = to ? candidate_find(p, to) : NULL;
	if (c)
		c->last_ping = now;
	err = p->ops->ping(p->ctx, to, ping->txid, size);
	if (err)
		ping_del(p, ping);
	return err;
}

/* nat-traversal.md 6.3. */
static void full_ping(struct path *p, bool call, uint64_t now)
{
	struct path_candidate *c, *tmp;
	bool sent = false;

	p->last_full_ping = now;
	HASH_ITER(hh, p->candidates, c, tmp) {
		if (candidate_deletable(c, now)) {
			candidate_del(p, c);
			continue;
		}
		if (c->last_ping && now - c->last_ping < PATH_PING_SPACING)
			continue;
		if (!send_ping(p, &c->ep, 0, PURPOSE_DISCOVERY, NULL, NULL,
			       now))
			sent = true;
	}
	if (sent && call && p->home_derp)
		p->ops->call_me_maybe(p->ctx);
}

static bool full_ping_wanted(const struct path *p, uint64_t now)
{
	if (!p->best.ep.ip.family || !p->last_full_ping ||
	    !path_trusted(p, now))
		return true;
	if (p->best.latency <= PATH_GOOD_ENOUGH)
		return false;
	return now - p->last_full_ping >= PATH_UPGRADE;
}

void path_set_active(struct path *p, bool held, uint64_t now)
{
	bool was = p->active;

	p->active = true;
	p->held |= held;
	p->last_active = now;
	if (!path_trusted(p, now) &&
	    (!p->last_full_ping || now - p->last_full_ping >= PATH_FLOOD))
		full_ping(p, true, now);
	if (!p->heartbeat)
		p->heartbeat = now + PATH_HEARTBEAT;
	if (!was)
		p->ops->changed(p->ctx);
}

void path_set_idle(struct path *p)
{
	p->held = false;
	if (!p->active)
		return;
	p->active = false;
	p->heartbeat = 0;
	p->ops->changed(p->ctx);
}

void path_adopt(struct path *p, const struct endpoint *ep, uint64_t now)
{
	struct path_candidate *c = candidate_get(p, ep, now);

	if (!c || path_trusted(p, now))
		return;
	c->verified = true;
	if (!c->listed)
		c->last_got_ping = now;
	p->best.ep = *ep;
	p->best.trust_until = now + PATH_TRUST;
	p->best.lapsed = false;
	p->best.latency = PATH_ADOPTED_LATENCY;
	path_set_active(p, false, now);
	send_ping(p, ep, 0, PURPOSE_HEARTBEAT, NULL, NULL, now);
	p->ops->changed(p->ctx);
}

static void heartbeat(struct path *p, uint64_t now)
{
	if (!p->held && now - p->last_active > PATH_SESSION) {
		path_set_idle(p);
		return;
	}
	if (p->best.ep.ip.family)
		send_ping(p, &p->best.ep, 0, PURPOSE_HEARTBEAT, NULL, NULL,
			  now);
	if (full_ping_wanted(p, now))
		full_ping(p, true, now);
	p->heartbeat = now + PATH_HEARTBEAT;
}

bool path_got_ping(struct path *p, const struct endpoint *from,
		   const uint8_t txid[DISCO_TXID_LEN], bool mine, uint64_t now)
{
	struct path_candidate *c = candidate_get(p, from, now);

	if (!c)
		return true;
	if (c->last_got_ping && memcmp(c->got_txid, txid, DISCO_TXID_LEN) == 0)
		return false;
	c->last_got_ping = now;
	memcpy(c->got_txid, txid, DISCO_TXID_LEN);
	if (mine && !c->verified) {
		c->verified = true;
		p->ops->changed(p->ctx);
	}
	return true;
}

static unsigned int bonus(const struct endpoint *e)
{
	unsigned int points = 0;

	if (ip_is_loopback(&e->ip))
		points = 50;
	else if (ip_is_link_local(&e->ip))
		points = 30;
	else if (ip_is_private(&e->ip))
		points = 20;
	return points + (e->ip.family == 6 ? 10 : 0);
}

bool path_better(const struct endpoint *a, uint64_t a_latency,
		 const struct endpoint *b, uint64_t b_latency)
{
	uint64_t a_points = bonus(a), b_points = bonus(b);

	if (endpoint_equal(a, b) || !a->ip.family)
		return false;
	if (!b->ip.family)
		return true;
	if (a_latency > b_latency)
		b_points += 100 - b_latency * 100 / a_latency;
	else if (b_latency > 0)
		a_points += 100 - a_latency * 100 / b_latency;
	/* One point is noise: stay. */
	if (a_points <= 1 && b_points == 0)
		return false;
	return a_points > b_points;
}

/* A pong proved @to with @latency (disco.md 9.4, step 5). */
static void proved(struct path *p, const struct endpoint *to, uint64_t latency,
		   uint64_t now)
{
	bool was_trusted = path_trusted(p, now);
	bool was_best = is_best(p, to);

	if (!was_best &&
	    (!was_trusted ||
	     path_better(to, latency, &p->best.ep, p->best.latency)))
		p->best.ep = *to;
	if (!is_best(p, to))
		return;
	p->best.latency = latency;
	p->best.trust_until = now + PATH_TRUST;
	p->best.lapsed = false;
	if (!was_best || !was_trusted)
		p->ops->changed(p->ctx);
}

bool path_got_pong(struct path *p, const uint8_t txid[DISCO_TXID_LEN],
		   const struct endpoint *from, int region, uint64_t now)
{
	struct path_candidate *c;
	struct path_pong pong = { 0 };
	struct path_ping *ping, done;

	HASH_FIND(hh, p->pings, txid, DISCO_TXID_LEN, ping);
	if (!ping)
		return false;
	done = *ping;
	ping_del(p, ping);
	pong.latency = now - done.sent;
	pong.endpoint = done.to;
	pong.derp_region = done.to.ip.family ? 0 : region;

	if (done.to.ip.family && from) {
		/*
		 * The record is of the address that was pinged; what WireGuard
		 * will see is the address that answered (disco.md, trap 3).
		 */
		if (!candidate_find(p, &done.to))
			return true;
		c = candidate_get(p, from, now);
		if (c && !c->verified) {
			c->verified = true;
			if (!c->last_got_ping)
				c->last_got_ping = now;
			p->ops->changed(p->ctx);
		}
		proved(p, &done.to, pong.latency, now);
	}
	if (done.cb) {
		path_ping_cancel(p, done.cb_ctx);
		done.cb(done.cb_ctx, &pong);
	}
	return true;
}

void path_got_call_me_maybe(struct path *p, const struct endpoint *eps,
			    size_t n, uint64_t now)
{
	struct path_candidate *c, *tmp;
	size_t i;

	for (i = 0; i < n; i++) {
		if (eps[i].ip.family == 6 && ip_is_link_local(&eps[i].ip))
			continue;
		c = candidate_get(p, &eps[i], now);
		if (c)
			c->call_me_maybe = now;
	}
	HASH_ITER(hh, p->candidates, c, tmp) {
		if (c->call_me_maybe && c->call_me_maybe != now)
			candidate_del(p, c);
		else
			c->last_ping = 0;
	}
	full_ping(p, false, now);
}

int path_ping(struct path *p, size_t size, path_pong_cb cb, void *cb_ctx,
	      uint64_t now)
{
	struct path_candidate *c;
	int err = -ENETUNREACH;

	if (path_trusted(p, now))
		return send_ping(p, &p->best.ep, size, PURPOSE_USER, cb, cb_ctx,
				 now);
	if (p->home_derp &&
	    !send_ping(p, NULL, size, PURPOSE_USER, cb, cb_ctx, now))
		err = 0;
	for (c = p->candidates; c; c = c->hh.next)
		if (!send_ping(p, &c->ep, size, PURPOSE_USER, cb, cb_ctx, now))
			err = 0;
	return err;
}

void path_ping_cancel(struct path *p, const void *cb_ctx)
{
	struct path_ping *ping;

	for (ping = p->pings; ping; ping = ping->hh.next)
		if (ping->cb && ping->cb_ctx == cb_ctx)
			ping->cb = NULL;
}

void path_reset(struct path *p)
{
	struct path_candidate *c;

	for (c = p->candidates; c; c = c->hh.next) {
		c->last_ping = 0;
		c->call_me_maybe = 0;
	}
	best_clear(p);
}

uint64_t path_next(const struct path *p)
{
	const struct path_ping *ping = p->pings;
	uint64_t next = UINT64_MAX;

	if (p->heartbeat)
		next = p->heartbeat;
	/* In the order of sending, so the first is the next to time out. */
	if (ping && ping->sent + PATH_PONG_TIMEOUT < next)
		next = ping->sent + PATH_PONG_TIMEOUT;
	if (p->best.ep.ip.family && !p->best.lapsed &&
	    p->best.trust_until + 1 < next)
		next = p->best.trust_until + 1;
	return next;
}

void path_tick(struct path *p, uint64_t now)
{
	bool trusted = path_trusted(p, now);
	struct path_ping *ping, *tmp;

	HASH_ITER(hh, p->pings, ping, tmp) {
		if (now < ping->sent + PATH_PONG_TIMEOUT)
			break;
		if (ping->to.ip.family && is_best(p, &ping->to) && !trusted)
			best_clear(p);
		ping_del(p, ping);
	}
	if (p->best.ep.ip.family && !trusted && !p->best.lapsed) {
		p->best.lapsed = true;
		p->ops->changed(p->ctx);
	}
	if (p->heartbeat && now >= p->heartbeat)
		heartbeat(p, now);
}
