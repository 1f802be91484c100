/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_BROKER_H
#define KERNEL_BROKER_H

#include <stdint.h>

/*
 * Sockets for the unprivileged engine: one fixed-size request and one reply
 * with the descriptor (SCM_RIGHTS) over a SOCK_SEQPACKET pair.
 */

enum broker_kind {
	BROKER_TCP,
	BROKER_UDP,
	/*
	 * A UDP socket bound to an ephemeral port of the unspecified address,
	 * with large buffers; IPv6 ones are IPv6 only.
	 */
	BROKER_STEER,
};

/*
 * The engine's side: asks on @sock and waits for at most 5 s. The socket is
 * non-blocking, close-on-exec, carries FWMARK_BYPASS and belongs to the
 * caller. Negative errno; -ETIMEDOUT, or -EPIPE when the peer is gone.
 * @sequence is the pair's own counter: a late reply is told by it and closed.
 */
int broker_ask(int sock, uint32_t *sequence, enum broker_kind kind, int family);

/*
 * The kernel process's side: answers one request that is waiting on @sock.
 * @keep_steer is called with each new steer socket before the engine gets it;
 * the descriptor stays the broker's, keep a dup. 0; -EAGAIN when nothing is
 * waiting; -EPIPE when the engine is gone; -EPROTO on a bad request.
 */
int broker_answer(int sock, void (*keep_steer)(void *ctx, int family, int fd),
		  void *ctx);

#endif
