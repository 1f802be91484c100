/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PORTMAP_H
#define ENGINE_PORTMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "proto/pcp.h"

/*
 * A mapping of our UDP port on the gateway, by NAT-PMP or PCP
 * (spec/nat-traversal.md section 9). The protocol's state alone: times are
 * passed in (now_ns()), datagrams handed out; portmapper.h adds the rest.
 */

struct portmap_ops {
	/* To the gateway's port 5351. */
	void (*send)(void *ctx, const uint8_t *data, size_t n);
	/* A mapping was made, moved or lost. */
	void (*changed)(void *ctx);
};

struct portmap {
	const struct portmap_ops *ops;
	void *ctx;
	struct ip_addr own; /* our address towards the gateway; family 0: none */
	uint16_t port; /* to be mapped; 0: none */
	/* What the gateway speaks: when it last said so, 0: not known to. */
	uint64_t pmp_seen, pcp_seen;
	uint64_t probed; /* 0: never */
	/* The attempt under way. */
	unsigned int tries; /* 0: none */
	bool use_pcp;
	uint64_t again; /* when to ask again, or give up */
	struct ip_addr pmp_address;
	/* The mapping, by which protocol, and what renews it. */
	struct endpoint external; /* family 0: none */
	bool by_pcp;
	uint8_t nonce[PCP_NONCE_LEN];
	uint16_t wish; /* the external port to ask for */
	uint32_t epoch;
	uint64_t epoch_at, renew, expires;
};

void portmap_init(struct portmap *p, const struct portmap_ops *ops, void *ctx);
/* Gives the mapping back and forgets the gateway; @own is our new address. */
void portmap_set_gateway(struct portmap *p, const struct ip_addr *own);
/* The local port to map; a change gives the old mapping back. */
void portmap_set_port(struct portmap *p, uint16_t port);
/* Asks the gateway what it speaks, unless it said so in the last 10 min. */
void portmap_probe(struct portmap *p, uint64_t now);
/*
 * The mapping in force. False if there is none. Starts an attempt to make or
 * renew it when that is due and promising.
 */
bool portmap_get(struct portmap *p, struct endpoint *external, uint64_t now);
/* A datagram from the gateway's port 5351. */
void portmap_input(struct portmap *p, const uint8_t *data, size_t n,
		   uint64_t now);
/* When portmap_tick() is due; UINT64_MAX: never. */
uint64_t portmap_next(const struct portmap *p);
void portmap_tick(struct portmap *p, uint64_t now);
/* Deletes the mapping on the gateway. */
void portmap_release(struct portmap *p);

/* For NetInfo: -1 not probed, 0, 1. */
int portmap_has_pmp(const struct portmap *p, uint64_t now);
int portmap_has_pcp(const struct portmap *p, uint64_t now);

#endif
