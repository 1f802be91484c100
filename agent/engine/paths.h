/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PATHS_H
#define ENGINE_PATHS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/netmap.h"
#include "engine/path.h"
#include "kernel/kernel.h"
#include "lib/addr.h"
#include "lib/key.h"

/*
 * Every peer's path: takes disco from the UDP sockets and DERP, hands it to
 * the right peer (spec/disco.md 9), relays WireGuard packets between DERP and
 * the kernel, and says where WireGuard should send.
 */

struct event_base;
struct paths;

/* Our own endpoints must be younger than this when a peer is called. */
#define PATHS_ENDPOINTS_FRESH (27 * SEC_NS)

struct paths_ops {
	/* Datagram from WireGuard's port; 0 or a negative errno. */
	int (*send_udp)(void *ctx, const struct endpoint *to, const void *data,
			size_t n);
	/* To @dst, at home in @region; 0 when queued. */
	int (*send_derp)(void *ctx, int region, const struct key *dst,
			 const void *data, size_t n);
	/* A WireGuard packet from @peer, for WireGuard. */
	void (*inject)(void *ctx, uint32_t peer, const void *data, size_t n);
	/* The peer's path is now this. */
	void (*publish)(void *ctx, const struct kernel_path *path);
	/* Our endpoints are too old: paths_set_endpoints() soon, please. */
	void (*refresh)(void *ctx);
};

/* All since start. */
struct paths_stats {
	uint64_t disco_in, disco_out;
	uint64_t disco_bad_peer; /* sender key unknown */
	uint64_t disco_bad_box; /* does not open */
	uint64_t disco_bad_message;
	uint64_t relay_in, relay_out; /* WireGuard packets over DERP */
	uint64_t relay_unknown; /* from or for nobody */
};

struct paths *paths_new(struct event_base *base, const struct paths_ops *ops,
			void *ctx);
/* No callback after this; wipes keys. */
void paths_free(struct paths *ps);

/* Own keys. Zero disco or node key: nothing is sent or opened. */
void paths_set_keys(struct paths *ps, const struct key *node_private,
		    const struct key *disco_private);
/*
 * The port our relay listens on (127.a.b.c). Until it is known, nothing is
 * published; then every path is.
 */
void paths_set_relay_port(struct paths *ps, uint16_t port);
/* Adds, changes and removes peers to match; @unix_now against key expiry. */
void paths_set_netmap(struct paths *ps, const struct netmap *nm,
		      int64_t unix_now);
/* WireGuard sends to @ep for this peer: path_adopt(). */
void paths_adopt(struct paths *ps, uint32_t peer, const struct endpoint *ep);
/* Our endpoints, as fresh as now; sends the calls that waited for them. */
void paths_set_endpoints(struct paths *ps, const struct endpoint *eps,
			 size_t n);
/* Link change or rebind. */
void paths_reset(struct paths *ps);

void paths_udp_input(struct paths *ps, const struct endpoint *from,
		     const uint8_t *data, size_t n);
void paths_derp_input(struct paths *ps, int region, const struct key *src,
		      const uint8_t *data, size_t n);
/* WireGuard sent this to the peer's virtual endpoint. */
void paths_relay_input(struct paths *ps, uint32_t peer, const uint8_t *data,
		       size_t n);
/* From the kernel: traffic began, or has been absent for 45 s. */
void paths_peer_active(struct paths *ps, uint32_t peer);
void paths_peer_idle(struct paths *ps, uint32_t peer);
/* A disco key that the peer sent inside the tunnel (disco.md 14). */
void paths_advertised(struct paths *ps, const struct key *node,
		      const struct key *disco);

/*
 * The id by which the kernel knows a node key; 0 if it is no peer. Derived from
 * the key, so that a restarted agent finds the same.
 */
uint32_t paths_peer_id(const struct paths *ps, const struct key *node);
/*
 * Our disco key and what a peer has to do with it, for the module. False: the
 * peer has none, or we. @shared is a secret.
 */
bool paths_peer_disco(const struct paths *ps, const struct key *node,
		      struct key *own, struct key *theirs,
		      struct disco_shared *shared);
/* Counts changes of what paths_peer_disco() says of any peer. */
uint64_t paths_disco_generation(const struct paths *ps);
/* False: no such peer. */
bool paths_peer_key(const struct paths *ps, uint32_t id, struct key *node);

struct paths_peer_status {
	struct endpoint direct; /* family 0: none trusted */
	uint64_t latency; /* of direct, ns */
	int derp_region; /* used otherwise; 0: unreachable */
	bool active;
};

bool paths_peer_status(const struct paths *ps, const struct key *node,
		       struct paths_peer_status *out);
/* path_ping(); -ENOENT: no such peer. */
int paths_ping(struct paths *ps, const struct key *node, size_t size,
	       path_pong_cb cb, void *cb_ctx);
void paths_ping_cancel(struct paths *ps, const void *cb_ctx);
/* True when any peer has traffic: STUN is worth repeating. */
bool paths_any_active(const struct paths *ps);

const struct paths_stats *paths_stats(const struct paths *ps);

#endif
