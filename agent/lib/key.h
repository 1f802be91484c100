/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_KEY_H
#define LIB_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_LEN 32
#define KEY_HEX_LEN (2 * KEY_LEN)
/* Longest text form: a prefix of at most 16 characters, hex, NUL. */
#define KEY_TEXT_MAX (16 + KEY_HEX_LEN + 1)

/* A 32-byte key: Curve25519 public or private, or an Ed25519 public key. */
struct key {
	uint8_t b[KEY_LEN];
};

#define KEY_MACHINE "mkey:"
#define KEY_NODE "nodekey:"
#define KEY_DISCO "discokey:"
#define KEY_PRIVATE "privkey:"
#define KEY_CHALLENGE "chalpub:"
#define KEY_NL "nlpub:"

/* Constant time. */
bool key_equal(const struct key *a, const struct key *b);
bool key_is_zero(const struct key *k);

/* Byte order of public keys (not secret): <0, 0, >0 as memcmp. */
int key_compare(const struct key *a, const struct key *b);

/*
 * Parses @prefix followed by exactly 64 hex digits of either case, as the
 * whole of @text. Returns 0 or -EINVAL; @k is untouched on error.
 */
int key_parse(struct key *k, const char *prefix, const char *text);

/* Writes @prefix and 64 lower-case hex digits; returns @out. */
char *key_format(char out[KEY_TEXT_MAX], const char *prefix,
		 const struct key *k);

/* "[AbCdE]": the first five base64 characters, for logs. */
const char *key_short(const struct key *k, char out[8]);

/* A fresh clamped X25519 private key from the system's random source. */
void key_generate(struct key *private_key);

/* The public half of a Curve25519 private key. */
void key_public(struct key *public_key, const struct key *private_key);

/* Overwrites @k so that the compiler cannot drop it. */
void key_wipe(struct key *k);

#endif
