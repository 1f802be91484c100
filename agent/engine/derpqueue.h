/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DERPQUEUE_H
#define ENGINE_DERPQUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/key.h"

/*
 * Packets on their way to one DERP region, as ready SendPacket frames. Bounded
 * by its owner; on overflow the oldest goes, unless part of it is on the wire.
 */
struct derp_packet;

struct derp_queue {
	struct derp_packet *head; /* utlist, doubly linked */
	size_t n, bytes;
	uint64_t dropped; /* by overflow and derp_queue_trim() */
};

/*
 * Appends a packet, then drops from the head down to @max_packets and
 * @max_bytes; the one packet just added always stays. -EMSGSIZE over
 * DERP_PACKET_MAX.
 */
int derp_queue_push(struct derp_queue *q, const struct key *dst,
		    const void *data, size_t n, size_t max_packets,
		    size_t max_bytes);
/* Takes up to @cap bytes for the wire; frames may be cut anywhere. */
size_t derp_queue_fill(struct derp_queue *q, uint8_t *out, size_t cap);
/* Whether the wire is in the middle of a frame. */
bool derp_queue_is_partial(const struct derp_queue *q);
/* The connection is gone: start over with the newest @max_packets. */
void derp_queue_trim(struct derp_queue *q, size_t max_packets);
void derp_queue_clear(struct derp_queue *q);

#endif
