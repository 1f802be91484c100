// SPDX-License-Identifier: GPL-2.0
#include "lib/key.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

bool key_equal(const struct key *a, const struct key *b)
{
	return sodium_memcmp(a->b, b->b, KEY_LEN) == 0;
}

bool key_is_zero(const struct key *k)
{
	return sodium_is_zero(k->b, KEY_LEN) == 1;
}

int key_compare(const struct key *a, const struct key *b)
{
	return memcmp(a->b, b->b, KEY_LEN);
}

int key_parse(struct key *k, const char *prefix, const char *text)
{
	size_t n = strlen(prefix), len;
	struct key out;

	if (strncmp(text, prefix, n) != 0 || strlen(text + n) != KEY_HEX_LEN)
		return -EINVAL;
	if (sodium_hex2bin(out.b, KEY_LEN, text + n, KEY_HEX_LEN, NULL, &len,
			   NULL) != 0 ||
	    len != KEY_LEN)
		return -EINVAL;
	*k = out;
	key_wipe(&out);
	return 0;
}

char *key_format(char out[KEY_TEXT_MAX], const char *prefix,
		 const struct key *k)
{
	size_t n = strlen(prefix);

	memcpy(out, prefix, n);
	sodium_bin2hex(out + n, KEY_HEX_LEN + 1, k->b, KEY_LEN);
	return out;
}

const char *key_short(const struct key *k, char out[8])
{
	char text[sodium_base64_ENCODED_LEN(
		KEY_LEN, sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2base64(text, sizeof(text), k->b, KEY_LEN,
			  sodium_base64_VARIANT_ORIGINAL);
	out[0] = '[';
	memcpy(out + 1, text, 5);
	out[6] = ']';
	out[7] = '\0';
	sodium_memzero(text, sizeof(text));
	return out;
}

void key_generate(struct key *private_key)
{
	randombytes_buf(private_key->b, KEY_LEN);
	private_key->b[0] &= 248;
	private_key->b[31] = (private_key->b[31] & 127) | 64;
}

void key_public(struct key *public_key, const struct key *private_key)
{
	crypto_scalarmult_base(public_key->b, private_key->b);
}

void key_wipe(struct key *k)
{
	sodium_memzero(k->b, KEY_LEN);
}
