// SPDX-License-Identifier: GPL-2.0
#include "proto/natpmp.h"

#include <errno.h>
#include <string.h>

#include "lib/util.h"

#define REPLY 0x80
#define HEAD_LEN 8 /* version, op, result, epoch */
#define ADDRESS_REPLY_LEN 12
#define MAP_REPLY_LEN 16

void natpmp_address_request(uint8_t out[NATPMP_ADDRESS_LEN])
{
	out[0] = 0;
	out[1] = NATPMP_ADDRESS;
}

void natpmp_map_request(uint8_t out[NATPMP_MAP_LEN], uint16_t internal,
			uint16_t external, uint32_t lifetime)
{
	memset(out, 0, NATPMP_MAP_LEN);
	out[1] = NATPMP_MAP_UDP;
	put_be16(out + 4, internal);
	put_be16(out + 6, external);
	put_be32(out + 8, lifetime);
}

int natpmp_parse(struct natpmp_reply *r, const uint8_t *in, size_t n)
{
	size_t want;

	if (n < HEAD_LEN || in[0] != 0 ||
	    (in[1] != (REPLY | NATPMP_ADDRESS) &&
	     in[1] != (REPLY | NATPMP_MAP_UDP)))
		return -EBADMSG;
	memset(r, 0, sizeof(*r));
	r->op = in[1] == REPLY ? NATPMP_ADDRESS : NATPMP_MAP_UDP;
	r->result = get_be16(in + 2);
	r->epoch = get_be32(in + 4);
	want = r->op == NATPMP_ADDRESS ? ADDRESS_REPLY_LEN : MAP_REPLY_LEN;
	if (n != want)
		return n == HEAD_LEN && r->result ? 0 : -EBADMSG;
	if (r->op == NATPMP_MAP_UDP) {
		r->internal = get_be16(in + 8);
		r->external = get_be16(in + 10);
		r->lifetime = get_be32(in + 12);
	} else if (get_be32(in + 8)) {
		r->address = ip_v4(in[8], in[9], in[10], in[11]);
	}
	return 0;
}
