// SPDX-License-Identifier: GPL-2.0
/*
 * First byte: what the rest is. A stranger's records never open; what the owner
 * of the key puts into them, of whatever type, does no harm.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/tlsrecord.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t x[TLS_SECRET_MAX] = { 1 }, y[TLS_SECRET_MAX] = { 2 };
static const uint16_t suites[] = { 0x1301, 0x1302, 0x1303 };

static void strange(struct tls_records *r, const uint8_t *data, size_t n)
{
	static uint8_t out[TLS_RECORD_MAX];
	uint8_t type;
	ssize_t len;

	while ((len = tls_record_len(data, n)) > 0) {
		if ((size_t)len > n || len > (ssize_t)TLS_RECORD_MAX ||
		    tls_open(r, data, (size_t)len, out, &type) >= 0)
			abort();
		data += len;
		n -= (size_t)len;
	}
}

/* Records of a type and a length each, as the other side would make them. */
static void ours(struct tls_records *from, struct tls_records *to,
		 const uint8_t *data, size_t n)
{
	static uint8_t box[TLS_RECORD_MAX], out[TLS_RECORD_MAX];
	uint8_t type;

	while (n >= 2) {
		size_t len = data[1] < n - 2 ? data[1] : n - 2, made;
		ssize_t got;

		memcpy(box + TLS_HEADER_LEN, data + 2, len);
		made = tls_seal(from, (enum tls_type)data[0], box, len);
		if (tls_record_len(box, made) != (ssize_t)made)
			abort();
		got = tls_open(to, box, made, out, &type);
		if (got > (ssize_t)len ||
		    (data[0] && got >= 0 &&
		     (got != (ssize_t)len || memcmp(out, data + 2, len) != 0)))
			abort();
		if (got < 0)
			return;
		if (type != TLS_DATA &&
		    tls_control(to, type, out, (size_t)got))
			return;
		/* A KeyUpdate makes them differ, until both have done it. */
		if (type == TLS_HANDSHAKE) {
			tls_update_tx(from);
			if (memcmp(from->tx.key, to->rx.key, TLS_KEY_MAX) != 0)
				abort();
		}
		if (to->update_due && tls_seal_key_update(to, box) !=
					      TLS_KEY_UPDATE_LEN)
			abort();
		data += 2 + len;
		n -= 2 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_records a, b;
	uint16_t suite;

	if (!size)
		return 0;
	suite = suites[(data[0] >> 1) % ARRAY_SIZE(suites)];
	if (tls_records_init(&a, suite, x, y) ||
	    tls_records_init(&b, suite, y, x))
		abort();
	if (data[0] & 1)
		strange(&a, data + 1, size - 1);
	else
		ours(&a, &b, data + 1, size - 1);
	tls_records_wipe(&a);
	tls_records_wipe(&b);
	return 0;
}
