// SPDX-License-Identifier: GPL-2.0
/*
 * First byte: what the rest is. Handshake messages and records of a stranger
 * must be refused without harm; what we seal must open.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct key client = {{1, 2, 3}}, server = {{4, 5, 6}},
			ephemeral = {{7, 8, 9}};

static void accept_initiation(const uint8_t *data, size_t size)
{
	uint8_t in[NOISE_INITIATION_LEN] = {0}, out[NOISE_RESPONSE_LEN];
	struct noise_session s;
	struct key who;

	memcpy(in, data, size < sizeof(in) ? size : sizeof(in));
	if (!noise_server_accept(in, &server, &ephemeral, out, &s, &who))
		noise_session_wipe(&s);
}

/* The client's own initiation, the response with @data XORed over it. */
static void finish_handshake(const uint8_t *data, size_t size)
{
	uint8_t init[NOISE_INITIATION_LEN], resp[NOISE_RESPONSE_LEN];
	struct noise_session a, b;
	struct noise_handshake hs;
	struct key public_key, who;
	uint8_t changed = 0;
	size_t i;

	key_public(&public_key, &server);
	if (noise_client_start(&hs, 113, &client, &public_key, &ephemeral,
			       init) ||
	    noise_server_accept(init, &server, &ephemeral, resp, &b, &who))
		abort();
	for (i = 0; i < size && i < sizeof(resp); i++) {
		resp[i] ^= data[i];
		changed |= data[i];
	}
	if (!noise_client_finish(&hs, resp, &a) != !changed)
		abort();
}

static void open_record(const uint8_t *data, size_t size)
{
	struct noise_session s = {.rx_key = client};
	uint8_t out[NOISE_PLAIN_MAX];

	if (noise_open_record(&s, data, size, out, sizeof(out)) > 0)
		abort(); /* a forgery */
}

static void round_trip(const uint8_t *data, size_t size)
{
	struct noise_session tx = {.tx_key = client}, rx = {.rx_key = client};
	uint8_t frame[NOISE_FRAME_MAX], out[NOISE_PLAIN_MAX];
	ssize_t n;

	while (size) {
		size_t len = data[0] * 17u;

		if (len > size)
			len = size;
		n = noise_seal_record(&tx, data, len, frame, sizeof(frame));
		if (n < 0) {
			if (len <= NOISE_PLAIN_MAX)
				abort();
			return;
		}
		if (noise_record_size(frame) != n ||
		    noise_open_record(&rx, frame, (size_t)n, out, len) !=
			    (ssize_t)len ||
		    memcmp(out, data, len) != 0)
			abort();
		data += len ? len : 1;
		size -= len ? len : 1;
	}
}

static void headers(const uint8_t *data, size_t size)
{
	uint32_t len = 0;

	if (size >= NOISE_HEADER_LEN &&
	    (noise_response_size(data) > NOISE_FRAME_MAX ||
	     noise_record_size(data) > NOISE_FRAME_MAX))
		abort();
	if (size >= NOISE_EARLY_HEADER_LEN &&
	    noise_early_header(data, &len) == 1 && len > NOISE_EARLY_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] % 5) {
	case 0:
		accept_initiation(data + 1, size - 1);
		break;
	case 1:
		finish_handshake(data + 1, size - 1);
		break;
	case 2:
		open_record(data + 1, size - 1);
		break;
	case 3:
		round_trip(data + 1, size - 1);
		break;
	case 4:
		headers(data + 1, size - 1);
		break;
	}
	return 0;
}
