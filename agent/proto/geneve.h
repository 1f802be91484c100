/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_GENEVE_H
#define PROTO_GENEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The peer relay's 8-byte Geneve header (spec/disco.md section 7). */
#define GENEVE_HEADER_LEN 8
#define GENEVE_DISCO 0x7a11
#define GENEVE_WIREGUARD 0x7a12
#define GENEVE_VNI_MAX 0xffffffu

struct geneve {
	uint16_t protocol; /* GENEVE_DISCO or GENEVE_WIREGUARD when known */
	uint32_t vni;	   /* 24 bits; relays never allocate 0 */
	bool control;	   /* bind handshake, as against peer to peer */
};

/* @g->vni is at most GENEVE_VNI_MAX. */
void geneve_encode(const struct geneve *g, uint8_t out[GENEVE_HEADER_LEN]);

/*
 * Reads the header with the checks of section 8: 8 bytes, version 0, reserved
 * bits and byte 0. Option length and the critical bit are not looked at, the
 * payload is at byte 8 in any case; every protocol type is returned. 0, or
 * -EBADMSG.
 */
int geneve_decode(struct geneve *g, const uint8_t *in, size_t len);

#endif
