/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_STUN_H
#define PROTO_STUN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/*
 * The STUN binding subset of RFC 5389 that Tailscale's nodes and relays speak
 * (spec/nat-traversal.md section 3).
 */
#define STUN_TXID_LEN 12
#define STUN_HEADER_LEN 20
#define STUN_REQUEST_LEN 40
#define STUN_RESPONSE_MAX 44

/* The one request form: header, SOFTWARE "tailnode", FINGERPRINT. */
void stun_request(uint8_t out[STUN_REQUEST_LEN],
		  const uint8_t txid[STUN_TXID_LEN]);

/*
 * Reads a binding success response: the last XOR-MAPPED-ADDRESS (0x0020 or the
 * misnumbered 0x8020), else the last MAPPED-ADDRESS. Bytes past the header's
 * length are ignored, IPv4-mapped results unmapped. Returns 0, or -EBADMSG with
 * the outputs untouched. The caller matches @txid against what it has in
 * flight; the source address proves nothing.
 */
int stun_parse_response(const uint8_t *in, size_t len,
			uint8_t txid[STUN_TXID_LEN], struct endpoint *mapped);

/*
 * Server side: accepts a binding request that has SOFTWARE "tailnode" and ends
 * with a correct FINGERPRINT, as section 3.2 says. Returns 0, or -EBADMSG: then
 * send nothing. A 40-byte request gives at most 44 bytes, so no amplification.
 */
int stun_parse_request(const uint8_t *in, size_t len,
		       uint8_t txid[STUN_TXID_LEN]);

/*
 * Writes the response that tells @src, an address with a family, to its owner.
 * Returns its length: 32 for IPv4, STUN_RESPONSE_MAX for IPv6.
 */
size_t stun_response(uint8_t out[STUN_RESPONSE_MAX],
		     const uint8_t txid[STUN_TXID_LEN],
		     const struct endpoint *src);

#endif
