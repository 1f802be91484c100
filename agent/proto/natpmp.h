/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_NATPMP_H
#define PROTO_NATPMP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/* NAT-PMP, RFC 6886: what a client needs to map a UDP port. */
#define NATPMP_PORT 5351 /* PCP's, too */
#define NATPMP_ADDRESS_LEN 2
#define NATPMP_MAP_LEN 12

enum natpmp_op {
	NATPMP_ADDRESS = 0,
	NATPMP_MAP_UDP = 1,
};

struct natpmp_reply {
	enum natpmp_op op;
	uint16_t result; /* 0: success */
	uint32_t epoch; /* seconds since the gateway's tables were new */
	struct ip_addr address; /* ADDRESS; family 0: the gateway has none */
	uint16_t internal, external; /* MAP_UDP */
	uint32_t lifetime; /* MAP_UDP, seconds */
};

void natpmp_address_request(uint8_t out[NATPMP_ADDRESS_LEN]);
/* @external: a wish, 0: any. @lifetime in seconds; 0 deletes. */
void natpmp_map_request(uint8_t out[NATPMP_MAP_LEN], uint16_t internal,
			uint16_t external, uint32_t lifetime);

/*
 * Replies to the two requests, of exactly their length; an error may come
 * without what follows the epoch. 0 or -EBADMSG.
 */
int natpmp_parse(struct natpmp_reply *r, const uint8_t *in, size_t n);

#endif
