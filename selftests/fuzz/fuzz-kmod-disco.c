// SPDX-License-Identifier: GPL-2.0
/*
 * The module's disco. The first byte says what the rest is: what a peer seals
 * (bit 0), and whether it is damaged on the way (bit 1); or else a packet from
 * elsewhere, which may bear the peer's name (bit 2). libsodium judges answers.
 */
#include "../../kmod/box.h"
#include "../../kmod/disco.h"

#define HEAD (6 + TR_DISCO_KEY + TR_BOX_NONCE)
#define MAX 2048
#define MAGIC "TS\xf0\x9f\x92\xac"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const u8 theirs[TR_DISCO_KEY] = { 'T' };
static const u8 own[TR_DISCO_KEY] = { 'O' };
static const u8 shared[TR_BOX_KEY] = { 'S' };

/* Return: what becomes of the plaintext as a packet of the peer. */
static size_t seal(u8 *packet, const u8 *plain, size_t n)
{
	memset(packet, 0, HEAD);
	memcpy(packet, MAGIC, 6);
	memcpy(packet + 6, theirs, sizeof(theirs));
	crypto_box_easy_afternm(packet + HEAD, plain, n,
				packet + HEAD - TR_BOX_NONCE, shared);
	return HEAD + TR_BOX_TAG + n;
}

static bool is_pong(const u8 *pong, const u8 *ping)
{
	u8 plain[TR_DISCO_PONG - HEAD - TR_BOX_TAG];

	return !memcmp(pong, MAGIC, 6) &&
	       !memcmp(pong + 6, own, sizeof(own)) &&
	       !crypto_box_open_easy_afternm(plain, pong + HEAD,
					     TR_DISCO_PONG - HEAD,
					     pong + HEAD - TR_BOX_NONCE,
					     shared) &&
	       plain[0] == 2 && !plain[1] && !memcmp(plain + 2, ping + 2, 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct in6_addr from = { .s6_addr = { 0xfd } };
	bool is_sealed, is_flipped, is_named, want;
	u8 pong[TR_DISCO_PONG], *packet;
	struct tr_disco_change change;
	struct tr_disco disco;
	size_t n;

	if (!size || size > MAX)
		return 0;
	is_sealed = data[0] & 1;
	is_flipped = data[0] & 2;
	is_named = data[0] & 4;
	data++;
	size--;
	packet = malloc(HEAD + TR_BOX_TAG + size);
	if (is_sealed) {
		n = seal(packet, data, size);
		if (is_flipped)
			packet[HEAD + size] ^= 0x10;
	} else {
		/* Of its exact size, for AddressSanitizer. */
		packet = realloc(packet, size ? size : 1);
		memcpy(packet, data, size);
		n = size;
		if (is_named && n >= 6 + sizeof(theirs)) {
			memcpy(packet, MAGIC, 6);
			memcpy(packet + 6, theirs, sizeof(theirs));
		}
	}
	want = is_sealed && !is_flipped && size >= 14 && data[0] == 1;

	tr_disco_init(&disco);
	if (tr_disco_prepare(&disco, &change, 1, theirs, own, shared, NULL))
		abort();
	tr_disco_commit(&disco, &change);
	if (tr_disco_answer(&disco, packet, n, &from, 1, pong) != want ||
	    (want && !is_pong(pong, data)))
		abort();
	tr_disco_uninit(&disco);
	free(packet);
	return 0;
}
