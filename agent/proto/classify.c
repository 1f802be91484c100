// SPDX-License-Identifier: GPL-2.0
#include "proto/classify.h"

#include <stdbool.h>

#include "lib/util.h"
#include "proto/disco.h"
#include "proto/geneve.h"

#define STUN_COOKIE 0x2112a442u

/* Requests (00 01) and success responses (01 01) alike, nothing more is read.
 */
static bool is_stun_binding(const uint8_t *in, size_t len)
{
	return len >= 20 && !(in[0] & 0xc0) &&
	       get_be32(in + 4) == STUN_COOKIE && in[1] == 0x01;
}

enum packet_kind classify_udp(const uint8_t *in, size_t len)
{
	struct geneve g;

	if (is_stun_binding(in, len))
		return PACKET_STUN;
	if (!geneve_decode(&g, in, len)) {
		if (g.protocol == GENEVE_WIREGUARD)
			return PACKET_GENEVE_WIREGUARD;
		/* Without disco inside it is naked, header included. */
		if (g.protocol == GENEVE_DISCO)
			return disco_is_client_packet(in + GENEVE_HEADER_LEN,
						      len - GENEVE_HEADER_LEN)
				       ? PACKET_GENEVE_DISCO
				       : PACKET_WIREGUARD;
	}
	return disco_is_client_packet(in, len) ? PACKET_DISCO
					       : PACKET_WIREGUARD;
}

const char *packet_kind_name(enum packet_kind kind)
{
	switch (kind) {
	case PACKET_WIREGUARD:
		return "wireguard";
	case PACKET_STUN:
		return "stun";
	case PACKET_DISCO:
		return "disco";
	case PACKET_GENEVE_DISCO:
		return "geneve-disco";
	case PACKET_GENEVE_WIREGUARD:
		return "geneve-wireguard";
	}
	return "unknown";
}
