// SPDX-License-Identifier: GPL-2.0
#include "proto/pcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/util.h"

#define VERSION 2
#define REPLY 0x80
#define HEAD_LEN 24
#define MESSAGE_MAX 1100

static void put_head(uint8_t *out, enum pcp_op op, uint32_t lifetime,
		     const struct ip_addr *client)
{
	out[0] = VERSION;
	out[1] = (uint8_t)op;
	put_be32(out + 4, lifetime);
	ip_to_wire16(client, out + 8);
}

void pcp_announce_request(uint8_t out[PCP_ANNOUNCE_LEN],
			  const struct ip_addr *client)
{
	memset(out, 0, PCP_ANNOUNCE_LEN);
	put_head(out, PCP_ANNOUNCE, 0, client);
}

void pcp_map_request(uint8_t out[PCP_MAP_LEN], const struct ip_addr *client,
		     const uint8_t nonce[PCP_NONCE_LEN], uint16_t internal,
		     uint16_t external, uint32_t lifetime)
{
	struct ip_addr any = ip_v4(0, 0, 0, 0);

	memset(out, 0, PCP_MAP_LEN);
	put_head(out, PCP_MAP, lifetime, client);
	memcpy(out + 24, nonce, PCP_NONCE_LEN);
	out[36] = IPPROTO_UDP;
	put_be16(out + 40, internal);
	put_be16(out + 42, external);
	ip_to_wire16(&any, out + 44);
}

int pcp_parse(struct pcp_reply *r, const uint8_t *in, size_t n)
{
	static const struct ip_addr none;
	struct ip_addr any = ip_v4(0, 0, 0, 0);

	if (n < HEAD_LEN || n > MESSAGE_MAX || n % 4 || in[0] != VERSION ||
	    (in[1] != (REPLY | PCP_ANNOUNCE) && in[1] != (REPLY | PCP_MAP)))
		return -EBADMSG;
	memset(r, 0, sizeof(*r));
	r->op = in[1] == REPLY ? PCP_ANNOUNCE : PCP_MAP;
	r->result = in[3];
	r->lifetime = get_be32(in + 4);
	r->epoch = get_be32(in + 8);
	if (r->op == PCP_ANNOUNCE)
		return 0;
	if (n < PCP_MAP_LEN || in[36] != IPPROTO_UDP)
		return -EBADMSG;
	memcpy(r->nonce, in + 24, PCP_NONCE_LEN);
	r->internal = get_be16(in + 40);
	r->external = get_be16(in + 42);
	ip_from_wire16(&r->address, in + 44);
	if (ip_equal(&r->address, &any))
		r->address = none;
	return 0;
}
