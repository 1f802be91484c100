/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_UDP_H
#define ENGINE_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/*
 * The engine's two UDP sockets on WireGuard's port: the module gives them
 * disco and STUN, and what they send leaves from that port. While no module
 * serves them they are mute and deaf: a peer that heard from the port they were
 * born with would send WireGuard's packets there.
 */

struct event_base;
struct udp;

/* A longer datagram is dropped: the largest disco ping of a 9000-byte path. */
#define UDP_DATAGRAM_MAX 9216

/* @data is valid during the call only. */
typedef void (*udp_recv_cb)(void *ctx, const struct endpoint *from,
			    const uint8_t *data, size_t n);

/* Takes ownership of both; -1: that family is absent. */
struct udp *udp_new(struct event_base *base, int fd4, int fd6, udp_recv_cb cb,
		    void *ctx);
void udp_free(struct udp *u);

/*
 * 0 or negative errno: -EAFNOSUPPORT, -ENETDOWN while no module serves the
 * socket, -EAGAIN when the buffer is full, ...
 */
int udp_send(struct udp *u, const struct endpoint *to, const void *data,
	     size_t n);

#endif
