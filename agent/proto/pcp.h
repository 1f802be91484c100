/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_PCP_H
#define PROTO_PCP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/* PCP, RFC 6887: what a client needs to map a UDP port. */
#define PCP_ANNOUNCE_LEN 24
#define PCP_MAP_LEN 60
#define PCP_NONCE_LEN 12

enum pcp_op {
	PCP_ANNOUNCE = 0,
	PCP_MAP = 1,
};

#define PCP_SUCCESS 0
#define PCP_NOT_AUTHORIZED 2
#define PCP_ADDRESS_MISMATCH 12

struct pcp_reply {
	enum pcp_op op;
	uint8_t result;
	uint32_t lifetime; /* seconds; of an error: how long it holds */
	uint32_t epoch;
	/* MAP, success or not: */
	uint8_t nonce[PCP_NONCE_LEN];
	uint16_t internal, external;
	struct ip_addr address; /* family 0: none */
};

void pcp_announce_request(uint8_t out[PCP_ANNOUNCE_LEN],
			  const struct ip_addr *client);
/*
 * @nonce stays the same for a mapping's renewals and its end (RFC 6887 11.1).
 * @external: a wish, 0: any. @lifetime in seconds; 0 deletes.
 */
void pcp_map_request(uint8_t out[PCP_MAP_LEN], const struct ip_addr *client,
		     const uint8_t nonce[PCP_NONCE_LEN], uint16_t internal,
		     uint16_t external, uint32_t lifetime);

/* A reply to ANNOUNCE or a UDP MAP; options are ignored. 0 or -EBADMSG. */
int pcp_parse(struct pcp_reply *r, const uint8_t *in, size_t n);

#endif
