/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DERP_H
#define ENGINE_DERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/derpdial.h"
#include "engine/derpqueue.h"
#include "lib/addr.h"
#include "lib/key.h"

/*
 * One connection to one region (spec/derp.md sections 3 to 7): dials, upgrades
 * or starts fast, logs in, then moves frames. It does not reconnect: it ends
 * with closed(), and its owner makes another.
 */

struct derp;

/* Longest health text kept. */
#define DERP_HEALTH_MAX 512

struct derp_ops {
	void (*connected)(void *ctx); /* ServerInfo has arrived */
	/* Any frame, before its own callback. The one that must not free. */
	void (*heard)(void *ctx);
	void (*recv)(void *ctx, const struct key *src, const uint8_t *data,
		     size_t n);
	void (*peer_gone)(void *ctx, const struct key *peer, uint8_t reason);
	void (*health)(void *ctx, const char *text);
	/* Come back after @reconnect_ms, trying for @try_ms. */
	void (*restarting)(void *ctx, uint32_t reconnect_ms, uint32_t try_ms);
	/* Over; free it. @why is one line for people. */
	void (*closed)(void *ctx, const char *why);
};

/*
 * Dials @region, which is copied, beginning with node @first. @queue holds what is to be sent; it belongs
 * to the caller and outlives the connection. @home: say so at login.
 */
struct derp *derp_new(const struct derp_dial_env *env,
		      const struct derp_region *region, size_t first,
		      const struct key *node_private, bool home,
		      struct derp_queue *queue, const struct derp_ops *ops,
		      void *ctx);
/* May be called from any of the callbacks, which is then the last one. */
void derp_free(struct derp *c);

/* Which node of the region this is; -1 before TCP is there. */
int derp_node_index(const struct derp *c);
/* Something was put into the queue. */
void derp_kick(struct derp *c);
/* Whether packets go out: ClientInfo is on its way. */
bool derp_is_open(const struct derp *c);
/* NotePreferred, now or at login. */
void derp_set_home(struct derp *c, bool home);
/* Closes the connection if the server does not answer a ping in @ms. */
void derp_ping(struct derp *c, unsigned int ms);
/* The local address of the TCP connection; -ENOTCONN before it is there. */
int derp_local_addr(const struct derp *c, struct ip_addr *out);

/*
 * Whether the rate the server announced, if it did, admits a packet of @n data
 * bytes; takes them out of the bucket. The rest is to be dropped silently.
 */
bool derp_rate_admit(struct derp *c, size_t n, uint64_t now);

#endif
