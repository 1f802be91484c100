// SPDX-License-Identifier: GPL-2.0
/* Any datagram, as a client and as a server take it; mended, too. */
#include <stdlib.h>
#include <string.h>

#include "proto/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void response(const uint8_t *data, size_t size)
{
	uint8_t txid[STUN_TXID_LEN], again[STUN_TXID_LEN];
	uint8_t out[STUN_RESPONSE_MAX];
	struct endpoint e, same;
	size_t n;

	if (stun_parse_response(data, size, txid, &e))
		return;
	n = stun_response(out, txid, &e);
	if (stun_parse_response(out, n, again, &same) ||
	    !endpoint_equal(&e, &same) || memcmp(txid, again, sizeof(txid)))
		abort();
}

static void request(const uint8_t *data, size_t size)
{
	uint8_t txid[STUN_TXID_LEN];

	if (!stun_parse_request(data, size, txid) &&
	    (size < STUN_REQUEST_LEN || memcmp(txid, data + 8, sizeof(txid))))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t mended[1500];

	response(data, size);
	request(data, size);
	if (size < STUN_HEADER_LEN || size > sizeof(mended))
		return 0;
	/* Past the header checks, where the attributes are. */
	memcpy(mended, data, size);
	memcpy(mended, "\x01\x01", 2);
	mended[2] = (uint8_t)((size - STUN_HEADER_LEN) >> 8);
	mended[3] = (uint8_t)(size - STUN_HEADER_LEN);
	memcpy(mended + 4, "\x21\x12\xa4\x42", 4);
	response(mended, size);
	mended[0] = 0;
	request(mended, size);
	return 0;
}
