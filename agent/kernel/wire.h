/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_WIRE_H
#define KERNEL_WIRE_H

#include <event2/buffer.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel.h"

/*
 * The messages between the engine and the kernel process. Both are the same
 * binary on the same machine, so numbers are in host order; but the engine
 * faces the network, so the decoder proves every length, count and flag.
 *
 * A frame is u32 length of what follows the header, u32 type, then the fields
 * of the type's struct in the order of its table in wire.c. Encoding,
 * decoding and freeing walk the same table.
 */

#define WIRE_HEADER 8
/* The longest frame: a state with every limit of uapi/tailrace.h used up. */
#define WIRE_MAX (128u << 20)
/* The longest text, NUL excluded. */
#define WIRE_TEXT_MAX 65535

enum wire_type {
	/* engine to kernel process */
	WIRE_STATE = 1, /* struct kernel_state */
	WIRE_PATH, /* struct kernel_path */
	WIRE_STATS_ASK, /* struct wire_ask */
	/* either way: to send, or received */
	WIRE_TSMP, /* struct wire_tsmp */
	/* kernel process to engine */
	WIRE_APPLIED, /* struct wire_applied */
	WIRE_PEER_ACTIVE, /* struct wire_peer */
	WIRE_PEER_IDLE, /* struct wire_peer */
	WIRE_ROAMED, /* struct wire_roamed */
	WIRE_LINK_CHANGED, /* nothing */
	WIRE_STATS, /* struct wire_stats */
};

struct wire_ask {
	bool rules; /* with their hits, which takes a dump of the policy */
};

struct wire_tsmp {
	struct ip_addr src, dst;
	uint8_t *data; /* 1..TAILRACE_MAX_TSMP */
	size_t n;
};

struct wire_applied {
	uint32_t link;
	uint16_t port;
	char *error;
};

struct wire_peer {
	uint32_t peer;
};

struct wire_roamed {
	uint32_t peer;
	struct endpoint endpoint;
};

struct wire_stats {
	struct kernel_peer_stats *peers;
	size_t n_peers;
	char *device_json;
};

struct wire_message {
	enum wire_type type;
	union {
		struct kernel_state state;
		struct kernel_path path;
		struct wire_ask ask;
		struct wire_tsmp tsmp;
		struct wire_applied applied;
		struct wire_peer peer;
		struct wire_roamed roamed;
		struct wire_stats stats;
	} u;
};

/*
 * A frame of the caller's struct, from xmalloc; @body is NULL for a type
 * without one. Lists and texts longer than the decoder takes are a bug of the
 * caller and end the process.
 */
uint8_t *wire_encode(enum wire_type type, const void *body, size_t *len);

/*
 * One message from the front of @in. 1: @m is owned by the caller (wire_free);
 * 0: not all of it is there yet; -EPROTO: nothing after this can be trusted.
 */
int wire_take(struct evbuffer *in, struct wire_message *m);

/* The same on one whole frame of exactly @n bytes; 0 or -EPROTO. */
int wire_decode(const uint8_t *frame, size_t n, struct wire_message *m);

/* Frees what decoding allocated and wipes secrets. */
void wire_free(struct wire_message *m);

/* The same for a state taken out of its message. */
void wire_free_state(struct kernel_state *state);

#endif
