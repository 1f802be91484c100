// SPDX-License-Identifier: GPL-2.0
#include "box.h"

#include <crypto/poly1305.h>
#include <crypto/utils.h>
#include <linux/bitops.h>
#include <linux/string.h>

#define BLOCK 64
#define HALF_NONCE 16 /* goes into the subkey */

/* Salsa20's matrix, and the keystream it has produced last. */
struct stream {
	u32 in[16];
	u8 block[BLOCK];
	unsigned int used; /* of block */
};

static u32 load(const u8 *from)
{
	__le32 word;

	memcpy(&word, from, sizeof(word));
	return le32_to_cpu(word);
}

static void store(u8 *to, u32 n)
{
	__le32 word = cpu_to_le32(n);

	memcpy(to, &word, sizeof(word));
}

static void quarter(u32 *a, u32 *b, u32 *c, u32 *d)
{
	*b ^= rol32(*a + *d, 7);
	*c ^= rol32(*b + *a, 9);
	*d ^= rol32(*c + *b, 13);
	*a ^= rol32(*d + *c, 18);
}

static void rounds(u32 x[16])
{
	int i;

	for (i = 0; i < 10; i++) {
		quarter(&x[0], &x[4], &x[8], &x[12]);
		quarter(&x[5], &x[9], &x[13], &x[1]);
		quarter(&x[10], &x[14], &x[2], &x[6]);
		quarter(&x[15], &x[3], &x[7], &x[11]);
		quarter(&x[0], &x[1], &x[2], &x[3]);
		quarter(&x[5], &x[6], &x[7], &x[4]);
		quarter(&x[10], &x[11], &x[8], &x[9]);
		quarter(&x[15], &x[12], &x[13], &x[14]);
	}
}

/* Where a key goes in the matrix. */
static const u8 key_at[] = { 1, 2, 3, 4, 11, 12, 13, 14 };
/* And where HSalsa20 takes one out. */
static const u8 subkey_at[] = { 0, 5, 10, 15, 6, 7, 8, 9 };

static void init(struct stream *s, const u8 *nonce, const u8 *key)
{
	static const u8 sigma[] = "expand 32-byte k";
	u32 x[16];
	int i;

	for (i = 0; i < 4; i++) {
		x[5 * i] = load(sigma + 4 * i);
		x[6 + i] = load(nonce + 4 * i);
	}
	for (i = 0; i < ARRAY_SIZE(key_at); i++)
		x[key_at[i]] = load(key + 4 * i);
	memcpy(s->in, x, sizeof(x));
	rounds(x);
	for (i = 0; i < ARRAY_SIZE(key_at); i++)
		s->in[key_at[i]] = x[subkey_at[i]];
	s->in[6] = load(nonce + HALF_NONCE);
	s->in[7] = load(nonce + HALF_NONCE + 4);
	s->in[8] = 0; /* a counter, low half */
	s->in[9] = 0;
	s->used = BLOCK;
	memzero_explicit(x, sizeof(x));
}

static void next_block(struct stream *s)
{
	u32 x[16];
	int i;

	memcpy(x, s->in, sizeof(x));
	rounds(x);
	for (i = 0; i < ARRAY_SIZE(x); i++)
		store(s->block + 4 * i, x[i] + s->in[i]);
	/* Packets end long before 2^32 blocks. */
	s->in[8]++;
	s->used = 0;
	memzero_explicit(x, sizeof(x));
}

static void xor_stream(struct stream *s, u8 *to, const u8 *from, size_t n)
{
	while (n--) {
		if (s->used == BLOCK)
			next_block(s);
		*to++ = *from++ ^ s->block[s->used++];
	}
}

/* The keystream's first bytes are the key of the tag. */
static void init_tag(struct stream *s, struct poly1305_desc_ctx *tag)
{
	next_block(s);
	poly1305_init(tag, s->block);
	s->used = POLY1305_KEY_SIZE;
}

bool tr_box_open(u8 *plain, size_t n, const u8 *box, size_t len,
		 const u8 *nonce, const u8 *key)
{
	struct poly1305_desc_ctx poly;
	u8 tag[TR_BOX_TAG];
	struct stream s;
	bool genuine;

	if (len < TR_BOX_TAG || n > len - TR_BOX_TAG)
		return false;
	init(&s, nonce, key);
	init_tag(&s, &poly);
	poly1305_update(&poly, box + TR_BOX_TAG, len - TR_BOX_TAG);
	poly1305_final(&poly, tag);
	genuine = !crypto_memneq(tag, box, sizeof(tag));
	if (genuine)
		xor_stream(&s, plain, box + TR_BOX_TAG, n);
	memzero_explicit(&s, sizeof(s));
	memzero_explicit(tag, sizeof(tag));
	return genuine;
}

void tr_box_seal(u8 *box, const u8 *plain, size_t n, const u8 *nonce,
		 const u8 *key)
{
	struct poly1305_desc_ctx poly;
	struct stream s;

	init(&s, nonce, key);
	init_tag(&s, &poly);
	xor_stream(&s, box + TR_BOX_TAG, plain, n);
	poly1305_update(&poly, box + TR_BOX_TAG, n);
	poly1305_final(&poly, box);
	memzero_explicit(&s, sizeof(s));
}
