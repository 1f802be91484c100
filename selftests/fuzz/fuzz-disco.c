// SPDX-License-Identifier: GPL-2.0
/*
 * The input is taken as a packet off the wire, as an opened message, and as a
 * plaintext to seal. What decodes encodes, to a form that no longer changes.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/disco.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLAIN_MAX 65536

static const struct disco_shared shared = {{{1, 2, 3}}};
static const struct key sender = {{4, 5, 6}};
static const uint8_t nonce[DISCO_NONCE_LEN] = {7, 8, 9};

static void packet(const uint8_t *data, size_t size)
{
	static uint8_t plain[PLAIN_MAX];
	struct key who;
	int err = disco_sender(data, size, &who);

	if (!err && !disco_is_relay_packet(data, size))
		abort();
	if (disco_is_relay_packet(data, size) &&
	    !disco_is_client_packet(data, size))
		abort();
	if (disco_open(data, size, &shared, plain, sizeof(plain)) > 0)
		abort(); /* a forgery */
}

static void message(const uint8_t *data, size_t size)
{
	static uint8_t first[PLAIN_MAX], second[PLAIN_MAX];
	struct disco_msg m, again;
	ssize_t n;

	if (disco_decode(&m, data, size))
		return;
	n = disco_encode(&m, first, sizeof(first));
	/* Legal to receive, not to send: padding shorter than a key. */
	if (n < 0 && m.type == DISCO_PING && key_is_zero(&m.ping.node_key))
		return;
	if (n < 0 || disco_decode(&again, first, (size_t)n) ||
	    disco_encode(&again, second, sizeof(second)) != n ||
	    memcmp(first, second, (size_t)n) != 0)
		abort();
}

static void seal(const uint8_t *data, size_t size)
{
	static uint8_t out[PLAIN_MAX + DISCO_OVERHEAD], plain[PLAIN_MAX];
	struct key who;
	ssize_t n;

	if (size > PLAIN_MAX)
		return;
	n = disco_seal(data, size, &sender, &shared, nonce, out, sizeof(out));
	if (n != (ssize_t)(size + DISCO_OVERHEAD) ||
	    disco_sender(out, (size_t)n, &who) || !key_equal(&who, &sender) ||
	    disco_open(out, (size_t)n, &shared, plain, size) != (ssize_t)size ||
	    (size && memcmp(plain, data, size) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	packet(data, size);
	message(data, size);
	seal(data, size);
	return 0;
}
