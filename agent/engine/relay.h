/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_RELAY_H
#define ENGINE_RELAY_H

#include <stddef.h>
#include <stdint.h>

/*
 * One loopback socket for all peers without a direct path: WireGuard sends to
 * 127.a.b.c, the 24 bits of the peer's id, and takes what comes from there.
 */

struct event_base;
struct relay;

typedef void (*relay_recv_cb)(void *ctx, uint32_t peer, const uint8_t *data,
			      size_t n);

/*
 * Listens on @port of every loopback address, for WireGuard on @wg_port of
 * this host. NULL with errno set.
 */
struct relay *relay_new(struct event_base *base, uint16_t port,
			uint16_t wg_port, relay_recv_cb cb, void *ctx);
void relay_free(struct relay *r);

/*
 * Gives WireGuard a packet as if it came from @peer, together with those that
 * follow in the same turn of the loop. Lost without a word when WireGuard's
 * queue is full, as UDP is.
 */
void relay_inject(struct relay *r, uint32_t peer, const void *data, size_t n);

#endif
