// SPDX-License-Identifier: GPL-2.0
/* The classifier against a second reading of spec/disco.md section 8. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/classify.h"
#include "proto/geneve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool disco(const uint8_t *m, size_t len)
{
	return len >= 38 && !memcmp(m, "TS\xf0\x9f\x92\xac", 6);
}

static enum packet_kind expected(const uint8_t *m, size_t len)
{
	if (len >= 20 && m[0] < 64 && m[1] == 1 &&
	    !memcmp(m + 4, "\x21\x12\xa4\x42", 4))
		return PACKET_STUN;
	if (len >= 8 && m[0] < 64 &&
	    (m[1] == 0 || m[1] == 64 || m[1] == 128 || m[1] == 192) &&
	    m[7] == 0 && m[2] == 0x7a) {
		if (m[3] == 0x11)
			return disco(m + 8, len - 8) ? PACKET_GENEVE_DISCO
						     : PACKET_WIREGUARD;
		if (m[3] == 0x12)
			return PACKET_GENEVE_WIREGUARD;
	}
	return disco(m, len) ? PACKET_DISCO : PACKET_WIREGUARD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t out[GENEVE_HEADER_LEN];
	struct geneve g, again;

	if (classify_udp(data, size) != expected(data, size))
		abort();
	if (geneve_decode(&g, data, size))
		return 0;
	if (g.vni > GENEVE_VNI_MAX)
		abort();
	geneve_encode(&g, out);
	if (geneve_decode(&again, out, sizeof(out)) || again.vni != g.vni ||
	    again.protocol != g.protocol || again.control != g.control)
		abort();
	return 0;
}
