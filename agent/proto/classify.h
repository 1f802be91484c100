/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_CLASSIFY_H
#define PROTO_CLASSIFY_H

#include <stddef.h>
#include <stdint.h>

/* What a datagram on WireGuard's UDP port is. */
enum packet_kind {
	PACKET_WIREGUARD,	 /* everything that is none of the others */
	PACKET_STUN,		 /* a binding request or success response */
	PACKET_DISCO,		 /* naked */
	PACKET_GENEVE_DISCO,	 /* disco behind GENEVE_HEADER_LEN bytes */
	PACKET_GENEVE_WIREGUARD, /* likewise */
};

/*
 * The tests of spec/disco.md section 8 in their order; also the oracle for the
 * module's classifier. An empty datagram is PACKET_WIREGUARD, which drops it.
 * From DERP only PACKET_DISCO counts as disco; Geneve is never relayed there.
 */
enum packet_kind classify_udp(const uint8_t *in, size_t len);

/* A constant name for logs and tests, as "geneve-disco". */
const char *packet_kind_name(enum packet_kind kind);

#endif
