// SPDX-License-Identifier: GPL-2.0
#include "proto/noise.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

#define BLOCK_LEN 64 /* BLAKE2s, for HMAC */
#define NONCE_LEN 12
#define COUNTER_END UINT64_MAX /* never used as a nonce */
#define PREFIX_LEN 5	       /* of the initiation: version and header */

static const char protocol_name[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
static const uint8_t early_magic[5] = {0xff, 0xff, 0xff, 'T', 'S'};

/* libcrypto without memory or without a primitive: nothing can go on. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

static void blake2s(uint8_t out[NOISE_HASH_LEN], const void *a, size_t a_len,
		    const void *b, size_t b_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(ctx != NULL);
	must(EVP_DigestInit_ex(ctx, EVP_blake2s256(), NULL));
	must(EVP_DigestUpdate(ctx, a, a_len));
	if (b_len)
		must(EVP_DigestUpdate(ctx, b, b_len));
	must(EVP_DigestFinal_ex(ctx, out, NULL));
	EVP_MD_CTX_free(ctx);
}

/* HMAC-BLAKE2s with a key of one hash. @out may be @key or @data. */
static void hmac(uint8_t out[NOISE_HASH_LEN], const uint8_t key[NOISE_HASH_LEN],
		 const uint8_t *data, size_t len)
{
	uint8_t inner[BLOCK_LEN], outer[BLOCK_LEN], sum[NOISE_HASH_LEN];
	size_t i;

	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (i = 0; i < NOISE_HASH_LEN; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	blake2s(sum, inner, sizeof(inner), data, len);
	blake2s(out, outer, sizeof(outer), sum, sizeof(sum));
	sodium_memzero(inner, sizeof(inner));
	sodium_memzero(outer, sizeof(outer));
	sodium_memzero(sum, sizeof(sum));
}

/* Noise's HKDF with two outputs; @out1 may be @chain. */
static void hkdf2(uint8_t out1[NOISE_HASH_LEN], uint8_t out2[NOISE_HASH_LEN],
		  const uint8_t chain[NOISE_HASH_LEN], const uint8_t *input,
		  size_t len)
{
	uint8_t prk[NOISE_HASH_LEN], t[NOISE_HASH_LEN + 1];

	hmac(prk, chain, input, len);
	t[0] = 1;
	hmac(t, prk, t, 1);
	memcpy(out1, t, NOISE_HASH_LEN);
	t[NOISE_HASH_LEN] = 2;
	hmac(out2, prk, t, sizeof(t));
	sodium_memzero(prk, sizeof(prk));
	sodium_memzero(t, sizeof(t));
}

/* -EINVAL if the shared secret is all zero: libcrypto refuses that itself. */
static int x25519(struct key *out, const struct key *private_key,
		  const struct key *public_key)
{
	EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
						     private_key->b, KEY_LEN);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL,
						     public_key->b, KEY_LEN);
	EVP_PKEY_CTX *ctx;
	size_t len = KEY_LEN;
	int ok;

	must(own && peer);
	ctx = EVP_PKEY_CTX_new(own, NULL);
	must(ctx != NULL);
	must(EVP_PKEY_derive_init(ctx));
	/* A stale entry in the error queue would be taken for TLS's own. */
	ERR_set_mark();
	ok = EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	     EVP_PKEY_derive(ctx, out->b, &len) == 1 && len == KEY_LEN &&
	     !key_is_zero(out);
	ERR_pop_to_mark();
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	return ok ? 0 : -EINVAL;
}

/* @out takes @len + NOISE_TAG_LEN bytes. */
static void aead_seal(const uint8_t key[KEY_LEN],
		      const uint8_t nonce[NONCE_LEN], const uint8_t *ad,
		      size_t ad_len, const uint8_t *plain, size_t len,
		      uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	must(ctx != NULL);
	must(EVP_EncryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key,
				nonce));
	if (ad_len)
		must(EVP_EncryptUpdate(ctx, NULL, &n, ad, (int)ad_len));
	if (len)
		must(EVP_EncryptUpdate(ctx, out, &n, plain, (int)len));
	must(EVP_EncryptFinal_ex(ctx, out + len, &n));
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, NOISE_TAG_LEN,
				 out + len));
	EVP_CIPHER_CTX_free(ctx);
}

/*
 * @in is @len >= NOISE_TAG_LEN bytes of ciphertext and tag, @out takes the
 * rest. 0 or -EBADMSG, with @out zeroed.
 */
static int aead_open(const uint8_t key[KEY_LEN], const uint8_t nonce[NONCE_LEN],
		     const uint8_t *ad, size_t ad_len, const uint8_t *in,
		     size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t plain_len = len - NOISE_TAG_LEN;
	uint8_t tag[NOISE_TAG_LEN], none[1];
	int n, ok;

	must(ctx != NULL);
	memcpy(tag, in + plain_len, NOISE_TAG_LEN);
	must(EVP_DecryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key,
				nonce));
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, NOISE_TAG_LEN,
				 tag));
	if (ad_len)
		must(EVP_DecryptUpdate(ctx, NULL, &n, ad, (int)ad_len));
	if (plain_len)
		must(EVP_DecryptUpdate(ctx, out, &n, in, (int)plain_len));
	ERR_set_mark();
	ok = EVP_DecryptFinal_ex(ctx, none, &n) == 1;
	ERR_pop_to_mark();
	EVP_CIPHER_CTX_free(ctx);
	if (!ok && plain_len)
		sodium_memzero(out, plain_len);
	return ok ? 0 : -EBADMSG;
}

static void mix_hash(struct noise_handshake *hs, const void *data, size_t len)
{
	blake2s(hs->hash, hs->hash, sizeof(hs->hash), data, len);
}

/* Mixes a Diffie-Hellman result into the chain; the next message key to @k. */
static int mix_dh(struct noise_handshake *hs, const struct key *private_key,
		  const struct key *public_key, struct key *k)
{
	struct key dh;
	int err = x25519(&dh, private_key, public_key);

	if (!err)
		hkdf2(hs->chain, k->b, hs->chain, dh.b, KEY_LEN);
	key_wipe(&dh);
	return err;
}

static const uint8_t zero_nonce[NONCE_LEN];

static void mix_seal(struct noise_handshake *hs, const struct key *k,
		     const uint8_t *plain, size_t len, uint8_t *out)
{
	aead_seal(k->b, zero_nonce, hs->hash, sizeof(hs->hash), plain, len,
		  out);
	mix_hash(hs, out, len + NOISE_TAG_LEN);
}

static int mix_open(struct noise_handshake *hs, const struct key *k,
		    const uint8_t *in, size_t len, uint8_t *out)
{
	int err = aead_open(k->b, zero_nonce, hs->hash, sizeof(hs->hash), in,
			    len, out);

	if (!err)
		mix_hash(hs, in, len);
	return err;
}

static void handshake_init(struct noise_handshake *hs, uint16_t version,
			   const struct key *server_public)
{
	char prologue[40];
	int n = snprintf(prologue, sizeof(prologue),
			 "Tailscale Control Protocol v%u", version);

	blake2s(hs->hash, protocol_name, sizeof(protocol_name) - 1, NULL, 0);
	memcpy(hs->chain, hs->hash, sizeof(hs->chain));
	mix_hash(hs, prologue, (size_t)n);
	mix_hash(hs, server_public->b, KEY_LEN);
}

/* The two transport keys; the initiator transmits with the first. */
static void split(const struct noise_handshake *hs, struct key *first,
		  struct key *second)
{
	hkdf2(first->b, second->b, hs->chain, NULL, 0);
}

static void session_init(struct noise_session *s,
			 const struct noise_handshake *hs)
{
	s->tx_counter = 0;
	s->rx_counter = 0;
	memcpy(s->hash, hs->hash, sizeof(s->hash));
}

int noise_client_start(struct noise_handshake *hs, uint16_t version,
		       const struct key *machine_private,
		       const struct key *server_public,
		       const struct key *ephemeral_private,
		       uint8_t out[NOISE_INITIATION_LEN])
{
	struct key machine_public, ephemeral_public, k;
	uint8_t *p = out + PREFIX_LEN;
	int err;

	put_be16(out, version);
	out[2] = NOISE_INITIATION;
	put_be16(out + 3, NOISE_INITIATION_LEN - PREFIX_LEN);

	hs->machine_private = *machine_private;
	hs->ephemeral_private = *ephemeral_private;
	key_public(&machine_public, machine_private);
	key_public(&ephemeral_public, ephemeral_private);

	handshake_init(hs, version, server_public);
	memcpy(p, ephemeral_public.b, KEY_LEN);
	mix_hash(hs, p, KEY_LEN);
	p += KEY_LEN;
	err = mix_dh(hs, ephemeral_private, server_public, &k);
	if (err)
		goto out;
	mix_seal(hs, &k, machine_public.b, KEY_LEN, p);
	p += KEY_LEN + NOISE_TAG_LEN;
	err = mix_dh(hs, machine_private, server_public, &k);
	if (err)
		goto out;
	mix_seal(hs, &k, NULL, 0, p);
out:
	key_wipe(&k);
	if (err)
		noise_handshake_wipe(hs);
	return err;
}

int noise_client_finish(struct noise_handshake *hs,
			const uint8_t response[NOISE_RESPONSE_LEN],
			struct noise_session *s)
{
	const uint8_t *p = response + NOISE_HEADER_LEN;
	struct key server_ephemeral, k;
	int err = -EPROTO;

	if (noise_response_size(response) != NOISE_RESPONSE_LEN ||
	    response[0] != NOISE_RESPONSE)
		goto out;
	err = -EBADMSG;
	memcpy(server_ephemeral.b, p, KEY_LEN);
	mix_hash(hs, p, KEY_LEN);
	p += KEY_LEN;
	if (mix_dh(hs, &hs->ephemeral_private, &server_ephemeral, &k) ||
	    mix_dh(hs, &hs->machine_private, &server_ephemeral, &k) ||
	    mix_open(hs, &k, p, NOISE_TAG_LEN, NULL))
		goto out;
	split(hs, &s->tx_key, &s->rx_key);
	session_init(s, hs);
	err = 0;
out:
	key_wipe(&k);
	noise_handshake_wipe(hs);
	return err;
}

void noise_handshake_wipe(struct noise_handshake *hs)
{
	sodium_memzero(hs, sizeof(*hs));
}

uint16_t noise_initiation_version(const uint8_t in[NOISE_INITIATION_LEN])
{
	return get_be16(in);
}

int noise_server_accept(const uint8_t in[NOISE_INITIATION_LEN],
			const struct key *server_private,
			const struct key *ephemeral_private,
			uint8_t out[NOISE_RESPONSE_LEN],
			struct noise_session *s, struct key *client_public)
{
	struct key server_public, client, client_ephemeral, ephemeral_public, k;
	const uint8_t *p = in + PREFIX_LEN;
	struct noise_handshake hs;
	int err = -EBADMSG;

	if (in[2] != NOISE_INITIATION ||
	    get_be16(in + 3) != NOISE_INITIATION_LEN - PREFIX_LEN)
		return -EPROTO;

	key_public(&server_public, server_private);
	handshake_init(&hs, noise_initiation_version(in), &server_public);
	memcpy(client_ephemeral.b, p, KEY_LEN);
	mix_hash(&hs, p, KEY_LEN);
	p += KEY_LEN;
	if (mix_dh(&hs, server_private, &client_ephemeral, &k) ||
	    mix_open(&hs, &k, p, KEY_LEN + NOISE_TAG_LEN, client.b))
		goto out;
	p += KEY_LEN + NOISE_TAG_LEN;
	if (mix_dh(&hs, server_private, &client, &k) ||
	    mix_open(&hs, &k, p, NOISE_TAG_LEN, NULL))
		goto out;

	key_public(&ephemeral_public, ephemeral_private);
	mix_hash(&hs, ephemeral_public.b, KEY_LEN);
	if (mix_dh(&hs, ephemeral_private, &client_ephemeral, &k) ||
	    mix_dh(&hs, ephemeral_private, &client, &k))
		goto out;
	out[0] = NOISE_RESPONSE;
	put_be16(out + 1, NOISE_RESPONSE_LEN - NOISE_HEADER_LEN);
	memcpy(out + NOISE_HEADER_LEN, ephemeral_public.b, KEY_LEN);
	mix_seal(&hs, &k, NULL, 0, out + NOISE_HEADER_LEN + KEY_LEN);
	split(&hs, &s->rx_key, &s->tx_key);
	session_init(s, &hs);
	*client_public = client;
	err = 0;
out:
	key_wipe(&k);
	noise_handshake_wipe(&hs);
	return err;
}

int noise_response_size(const uint8_t header[NOISE_HEADER_LEN])
{
	int len = get_be16(header + 1);

	if (header[0] == NOISE_RESPONSE)
		return len == NOISE_RESPONSE_LEN - NOISE_HEADER_LEN
			       ? NOISE_RESPONSE_LEN
			       : -EMSGSIZE;
	if (header[0] == NOISE_ERROR)
		return len <= NOISE_FRAME_MAX - NOISE_HEADER_LEN
			       ? NOISE_HEADER_LEN + len
			       : -EMSGSIZE;
	return -EPROTO;
}

int noise_record_size(const uint8_t header[NOISE_HEADER_LEN])
{
	int len = get_be16(header + 1);

	if (header[0] != NOISE_RECORD)
		return -EPROTO;
	if (len < NOISE_TAG_LEN || len > NOISE_FRAME_MAX - NOISE_HEADER_LEN)
		return -EMSGSIZE;
	return NOISE_HEADER_LEN + len;
}

/*
 * Big-endian, unlike the Noise specification's little-endian counter: a
 * library's transport phase would fail at the second record.
 */
static void record_nonce(uint8_t nonce[NONCE_LEN], uint64_t counter)
{
	memset(nonce, 0, 4);
	put_be64(nonce + 4, counter);
}

ssize_t noise_seal_record(struct noise_session *s, const uint8_t *plain,
			  size_t len, uint8_t *out, size_t cap)
{
	uint8_t nonce[NONCE_LEN];

	if (len > NOISE_PLAIN_MAX)
		return -EMSGSIZE;
	if (cap < len + NOISE_RECORD_OVERHEAD)
		return -ENOSPC;
	if (s->tx_counter == COUNTER_END)
		return -EOVERFLOW;
	record_nonce(nonce, s->tx_counter++);
	out[0] = NOISE_RECORD;
	put_be16(out + 1, (uint16_t)(len + NOISE_TAG_LEN));
	aead_seal(s->tx_key.b, nonce, NULL, 0, plain, len,
		  out + NOISE_HEADER_LEN);
	return (ssize_t)(len + NOISE_RECORD_OVERHEAD);
}

ssize_t noise_open_record(struct noise_session *s, const uint8_t *frame,
			  size_t len, uint8_t *out, size_t cap)
{
	uint8_t nonce[NONCE_LEN];
	int size;

	if (len < NOISE_HEADER_LEN)
		return -EMSGSIZE;
	size = noise_record_size(frame);
	if (size < 0)
		return size;
	if ((size_t)size != len)
		return -EMSGSIZE;
	if (cap < len - NOISE_RECORD_OVERHEAD)
		return -ENOSPC;
	if (s->rx_counter == COUNTER_END)
		return -EBADMSG;
	record_nonce(nonce, s->rx_counter);
	if (aead_open(s->rx_key.b, nonce, NULL, 0, frame + NOISE_HEADER_LEN,
		      len - NOISE_HEADER_LEN, out)) {
		s->rx_counter = COUNTER_END;
		return -EBADMSG;
	}
	s->rx_counter++;
	return (ssize_t)(len - NOISE_RECORD_OVERHEAD);
}

void noise_session_wipe(struct noise_session *s)
{
	sodium_memzero(s, sizeof(*s));
}

int noise_early_header(const uint8_t in[NOISE_EARLY_HEADER_LEN],
		       uint32_t *json_len)
{
	uint32_t len = get_be32(in + sizeof(early_magic));

	if (memcmp(in, early_magic, sizeof(early_magic)) != 0)
		return 0;
	if (len > NOISE_EARLY_MAX)
		return -EMSGSIZE;
	*json_len = len;
	return 1;
}

void noise_early_header_encode(uint8_t out[NOISE_EARLY_HEADER_LEN],
			       uint32_t json_len)
{
	memcpy(out, early_magic, sizeof(early_magic));
	put_be32(out + sizeof(early_magic), json_len);
}
