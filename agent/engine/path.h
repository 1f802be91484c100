/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PATH_H
#define ENGINE_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "lib/addr.h"
#include "proto/disco.h"

/*
 * How one peer is reached: its candidate endpoints, the pings in flight, the
 * best direct path and how long it is trusted (spec/nat-traversal.md 6,
 * spec/disco.md 9 and 10). No sockets and no clock: the owner feeds messages
 * and times (ns of now_ns()), calls path_tick() at path_next(), and sends what
 * the ops ask for.
 */
#define PATH_PONG_TIMEOUT (5 * SEC_NS)
#define PATH_PING_SPACING (5 * SEC_NS)
#define PATH_TRUST (6500 * MS_NS)
#define PATH_HEARTBEAT (3 * SEC_NS)
#define PATH_SESSION (45 * SEC_NS)
#define PATH_UPGRADE (60 * SEC_NS)
/* At most one round of pings in this time, however many packets ask. */
#define PATH_FLOOD (100 * MS_NS)
/* Of an adopted path until its first pong: anything proven may be better. */
#define PATH_ADOPTED_LATENCY SEC_NS
#define PATH_GOOD_ENOUGH (5 * MS_NS)
/* Candidates of one peer; past it the ones that may be deleted go. */
#define PATH_MAX_CANDIDATES 100
/* Pings in flight of one peer; more are not sent. */
#define PATH_MAX_PINGS 256

struct path;

/* What a ping of the command line found. */
struct path_pong {
	uint64_t latency; /* ns */
	struct endpoint endpoint; /* family 0: over DERP */
	int derp_region;
};

typedef void (*path_pong_cb)(void *ctx, const struct path_pong *pong);

struct path_ops {
	/*
	 * Sends a ping of @size bytes in all (0: the least) to @to, or over
	 * the peer's home DERP when @to is NULL. 0 or a negative errno.
	 */
	int (*ping)(void *ctx, const struct endpoint *to,
		    const uint8_t txid[DISCO_TXID_LEN], size_t size);
	/* Tell the peer our endpoints over its home DERP. */
	void (*call_me_maybe)(void *ctx);
	/* path_target() or path_sources() may give something else now. */
	void (*changed)(void *ctx);
};

struct path_candidate {
	struct endpoint ep;
	uint64_t last_ping; /* sent; 0 never */
	uint64_t last_got_ping; /* 0: not learned from one */
	uint8_t got_txid[DISCO_TXID_LEN];
	uint64_t call_me_maybe; /* 0: not learned from one */
	bool listed; /* by control */
	bool verified; /* disco proved that the peer sends from here */
	UT_hash_handle hh;
};

struct path_best {
	struct endpoint ep; /* family 0: none */
	uint64_t latency;
	uint64_t trust_until;
	bool lapsed; /* the end of trust was noticed */
};

struct path {
	const struct path_ops *ops;
	void *ctx;
	int home_derp;
	struct path_candidate *candidates;
	struct path_ping *pings;
	struct path_best best;
	bool active; /* packets flow, or did less than 45 s ago */
	bool held; /* the kernel sees packets and will say when they end */
	uint64_t last_active; /* of path_set_active(); 0 never */
	uint64_t last_full_ping; /* 0 never */
	uint64_t heartbeat; /* next one; 0: not running */
};

void path_init(struct path *p, const struct path_ops *ops, void *ctx);
void path_uninit(struct path *p);

/* Control's endpoint list replaces the one before. */
void path_set_listed(struct path *p, const struct endpoint *eps, size_t n,
		     uint64_t now);
void path_set_home(struct path *p, int region);

/*
 * Packets flow: pings if the best path is not trusted, starts heartbeats. They
 * end with path_set_idle(), or by themselves after 45 s unless @held.
 */
void path_set_active(struct path *p, bool held, uint64_t now);
/* Nothing flowed for 45 s: heartbeats stop, the best path stays. */
void path_set_idle(struct path *p);

/*
 * The kernel sends to @ep already: an agent before us proved it. It is the best
 * path as if a pong had just come, and packets flow.
 */
void path_adopt(struct path *p, const struct endpoint *ep, uint64_t now);

/*
 * A ping came from @from. @mine: no other peer shares the disco key, or the
 * ping named this one. False: this very ping was seen before, don't answer.
 */
bool path_got_ping(struct path *p, const struct endpoint *from,
		   const uint8_t txid[DISCO_TXID_LEN], bool mine, uint64_t now);
/*
 * A pong came from @from (NULL: over DERP region @region). False: not one of
 * ours, ask the next peer with this disco key.
 */
bool path_got_pong(struct path *p, const uint8_t txid[DISCO_TXID_LEN],
		   const struct endpoint *from, int region, uint64_t now);
void path_got_call_me_maybe(struct path *p, const struct endpoint *eps,
			    size_t n, uint64_t now);

/*
 * The command line's ping: over the trusted best path, else over DERP and to
 * all candidates. @cb gets the first pong; never, if none comes. -ENETUNREACH
 * when there is nowhere to send to.
 */
int path_ping(struct path *p, size_t size, path_pong_cb cb, void *cb_ctx,
	      uint64_t now);
/* Forgets every pending callback with this context. */
void path_ping_cancel(struct path *p, const void *cb_ctx);

/* Rebind or link change: forget what was proven, keep the candidates. */
void path_reset(struct path *p);

/* When path_tick() is due; UINT64_MAX: never. */
uint64_t path_next(const struct path *p);
void path_tick(struct path *p, uint64_t now);

bool path_trusted(const struct path *p, uint64_t now);
/*
 * Where WireGuard should send: the best path while it is trusted, or while the
 * peer is idle and nothing has disproved it, so that a gateway without its
 * agent keeps it; NULL for the relay.
 */
const struct endpoint *path_target(const struct path *p, uint64_t now);
/* Verified sources, at most @max, written to @out; returns how many. */
size_t path_sources(const struct path *p, struct endpoint *out, size_t max);

/* nat-traversal.md 6.5, both direct and of the same MTU. Latencies in ns. */
bool path_better(const struct endpoint *a, uint64_t a_latency,
		 const struct endpoint *b, uint64_t b_latency);

#endif
