// SPDX-License-Identifier: GPL-2.0
#include "proto/geneve.h"

#include <errno.h>

#include "lib/util.h"

#define VERSION_BITS 0xc0
#define CONTROL_BIT 0x80
#define RESERVED_BITS 0x3f

void geneve_encode(const struct geneve *g, uint8_t out[GENEVE_HEADER_LEN])
{
	out[0] = 0;
	out[1] = g->control ? CONTROL_BIT : 0;
	put_be16(out + 2, g->protocol);
	put_be32(out + 4, g->vni << 8);
}

int geneve_decode(struct geneve *g, const uint8_t *in, size_t len)
{
	if (len < GENEVE_HEADER_LEN || in[0] & VERSION_BITS ||
	    in[1] & RESERVED_BITS || in[7])
		return -EBADMSG;
	g->control = in[1] & CONTROL_BIT;
	g->protocol = get_be16(in + 2);
	g->vni = get_be32(in + 4) >> 8;
	return 0;
}
