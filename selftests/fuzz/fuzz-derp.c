// SPDX-License-Identifier: GPL-2.0
/*
 * First byte: a side and what the rest is: its byte stream, or the JSON that a
 * peer seals into its login message.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/derp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct key own = {{1, 2, 3}}, peer = {{4, 5, 6}};

static void frame(enum derp_side side, const struct derp_frame *f)
{
	static uint8_t first[DERP_FRAME_MAX + DERP_HEAD_MAX],
		second[sizeof(first)];
	struct derp_header h;
	struct derp_frame again;
	ssize_t n = derp_encode(f, first, sizeof(first));

	if (n < DERP_HEADER_LEN)
		abort();
	derp_header_decode(&h, first);
	if (h.len != (size_t)n - DERP_HEADER_LEN ||
	    derp_parse(&again, side, &h, first + DERP_HEADER_LEN) ||
	    derp_encode(&again, second, sizeof(second)) != n ||
	    memcmp(first, second, (size_t)n) != 0)
		abort();
}

static void stream(enum derp_side side, const uint8_t *data, size_t size)
{
	while (size >= DERP_HEADER_LEN) {
		struct derp_header h;
		struct derp_frame f;
		int err;

		derp_header_decode(&h, data);
		data += DERP_HEADER_LEN;
		size -= DERP_HEADER_LEN;
		/* Small lengths are what a mutation rarely hits. */
		if (h.len > size)
			h.len = size ? h.len % size : 0;
		err = derp_parse(&f, side, &h, data);
		if (!err) {
			if (f.data && f.data + f.data_len != data + h.len)
				abort();
			frame(side, &f);
		}
		data += h.len;
		size -= h.len;
	}
}

static void login(enum derp_side side, const uint8_t *json, size_t size)
{
	static uint8_t box[DERP_INFO_JSON_MAX + 16 + DERP_TAG_LEN];
	uint8_t again[DERP_INFO_BOX_MAX];
	struct derp_frame f = {.data = box, .data_len = size + DERP_TAG_LEN};
	struct derp_client_info client, client_again;
	struct derp_server_info server, server_again;
	struct key own_public, peer_public;
	ssize_t n;

	if (f.data_len > sizeof(box))
		return;
	key_public(&own_public, &own);
	key_public(&peer_public, &peer);
	if (crypto_box_easy(box, json, size, f.nonce, own_public.b, peer.b))
		abort();
	f.key = peer_public;
	if (side == DERP_SERVER) {
		if (derp_open_client_info(&client, &f, &own))
			return;
		n = derp_seal_client_info(&client, &peer, &own_public, f.nonce,
					  again);
		f.data = again;
		f.data_len = (size_t)n;
		/* Cutting a name inside a character may spoil its encoding. */
		if (n < 0 || (derp_open_client_info(&client_again, &f, &own) &&
			      !client.app_name[0]))
			abort();
	} else {
		if (derp_open_server_info(&server, &f, &peer_public, &own))
			return;
		n = derp_seal_server_info(&server, &peer, &own_public, f.nonce,
					  again);
		f.data = again;
		f.data_len = (size_t)n;
		if (n < 0 ||
		    derp_open_server_info(&server_again, &f, &peer_public,
					  &own) ||
		    server_again.rate != server.rate)
			abort();
	}
}

static void meta(const uint8_t *data, size_t size)
{
	struct key k;

	if (size &&
	    !derp_meta_parse((const char *)data + 1, size - 1, data[0], &k) &&
	    key_is_zero(&k))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum derp_side side;

	if (!size)
		return 0;
	side = data[0] & 1 ? DERP_SERVER : DERP_CLIENT;
	switch (data[0] >> 1 & 3) {
	case 0:
	case 1:
		stream(side, data + 1, size - 1);
		break;
	case 2:
		login(side, data + 1, size - 1);
		break;
	case 3:
		meta(data + 1, size - 1);
		break;
	}
	return 0;
}
