/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DERPS_H
#define ENGINE_DERPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/netmap.h"
#include "lib/key.h"

/*
 * Every DERP region this node talks to (spec/derp.md section 7,
 * spec/nat-traversal.md section 11): one connection per region, opened when
 * something is to be sent, closed after 60 s without writes; the home region
 * is kept for ever, with back-off between attempts. All calls and callbacks
 * belong to the event loop's thread; callbacks may call back into this file,
 * except derps_free().
 */

struct event_base;
struct evdns_base;
struct derps;

/* Packets that wait for a connection, per region; the oldest goes first. */
#define DERPS_PENDING_MAX 32
/* Bytes that wait for TCP on an open connection; the oldest packet goes first. */
#define DERPS_BACKLOG_MAX (256u << 10)
/* Peers whose region is remembered because they were heard there. */
#define DERPS_ROUTES_MAX 16384

struct derps_ops {
	/* A packet; @data is valid during the call only, n <= 65536. */
	void (*recv)(void *ctx, int region, const struct key *src,
		     const uint8_t *data, size_t n);
	/* @reason: DERP_GONE_*. The learned route is gone already. */
	void (*peer_gone)(void *ctx, int region, const struct key *peer,
			  uint8_t reason);
	/* Logged in: ServerInfo has arrived. */
	void (*connected)(void *ctx, int region);
	/*
	 * An attempt failed, or a connection ended otherwise than by
	 * derps_* calls or idleness; @why is one line for people. Re-STUN.
	 */
	void (*disconnected)(void *ctx, int region, const char *why);
	/*
	 * The server's own complaint about itself, a new one once a minute at
	 * most; "" when it is well or the connection ends. Must not call back
	 * into this file.
	 */
	void (*health)(void *ctx, int region, const char *text);
	/*
	 * A TCP socket for AF_INET or AF_INET6 carrying the bypass mark,
	 * non-blocking, close-on-exec, owned by the callee's caller; negative
	 * errno. NULL: plain sockets.
	 */
	int (*tcp_socket)(void *ctx, int family);
};

struct derps *derps_new(struct event_base *base, struct evdns_base *dns,
			const struct derps_ops *ops, void *ctx);
/* Trusts the certificates in @file beside the system's. -EINVAL: unreadable. */
int derps_add_roots(struct derps *d, const char *file);
void derps_free(struct derps *d); /* no callback after this; wipes the key */

/*
 * The node's private key. A change closes every connection and, with a key,
 * reconnects home. A zero key: no connections.
 */
void derps_set_key(struct derps *d, const struct key *node_private);

/*
 * Copies the map. Regions that changed or went away are closed; if that hits
 * the home region, the home becomes 0 until derps_set_home(). An empty map is
 * NULL.
 */
void derps_set_map(struct derps *d, const struct derp_region *regions);
const struct derp_region *derps_map(const struct derps *d);

/* 0: no home. Tells every open connection NotePreferred and connects home. */
void derps_set_home(struct derps *d, int region);
int derps_home(const struct derps *d);

/*
 * Sends to @dst over the connection to @region, opening it if need be. Copies
 * @data. 0 means queued, no more: DERP promises no delivery. -ENOENT: region
 * not in the map; -EMSGSIZE: over 65536 bytes; -ENETDOWN: no key, or the
 * network is down.
 */
int derps_send(struct derps *d, int region, const struct key *dst,
	       const void *data, size_t n);

/*
 * The region to use for a peer at home in @home: @home if connected, else
 * where the peer was heard last if that is still connected, else @home (0 if
 * there is neither).
 */
int derps_pick(const struct derps *d, const struct key *peer, int home);
/* The region @peer was last heard over on a connection still open, or 0. */
int derps_route(const struct derps *d, const struct key *peer);
/* The peer was removed or has a new key. */
void derps_forget(struct derps *d, const struct key *peer);

/*
 * The link or the default route changed: a connection whose local address is
 * gone is closed at once, others are pinged and closed if they do not answer
 * within 3 s; back-offs end. Closed connections in use reconnect.
 */
void derps_link_changed(struct derps *d);
/* Down closes all and refuses sends; up connects home. Starts as up. */
void derps_set_network(struct derps *d, bool up);
/* The last netcheck had working IPv6: IPv4 dials are held back by 200 ms. */
void derps_set_prefer_ipv6(struct derps *d, bool prefer);

bool derps_is_connected(const struct derps *d, int region);
/* now_ns() of the last frame from @region, 0 if never. Survives reconnects. */
uint64_t derps_last_frame(const struct derps *d, int region);
/* "" when healthy or not connected. Valid until the next event. */
const char *derps_health(const struct derps *d, int region);

struct derps_stats {
	uint64_t sent, sent_bytes, received, received_bytes;
	uint64_t dropped_head; /* pushed out by newer packets */
	uint64_t dropped_down; /* lost with their connection */
	uint64_t dropped_rate; /* over the rate the server announced */
	uint64_t not_here; /* PeerGone "not here" */
	uint64_t connects, failures;
};
const struct derps_stats *derps_stats(const struct derps *d);

/* What netcheck needs to dial a region the same way. */
const struct derp_dial_env *derps_dial_env(const struct derps *d);

#endif
