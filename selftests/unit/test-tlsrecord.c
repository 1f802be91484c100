// SPDX-License-Identifier: GPL-2.0
/* TLS 1.3's record layer against RFC 8448, section 3, and itself. */
#include "lib/tlsrecord.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "lib/util.h"
#include "tap.h"

#define SUITE 0x1301
#define BOX_MAX (TLS_HEADER_LEN + TLS_PLAIN_MAX + TLS_TAIL_LEN)

static const char client_secret[] =
	"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] =
	"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
/* The client's fifty bytes from 0 to 49. */
static const char client_record[] =
	"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b"
	"9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aee"
	"bb21694915e4";

static size_t from_hex(uint8_t *out, size_t cap, const char *hex)
{
	size_t n = 0;

	if (sodium_hex2bin(out, cap, hex, strlen(hex), NULL, &n, NULL))
		abort();
	return n;
}

/* Two ends; @a sends what @b opens and the other way round. */
static void make_pair(struct tls_records *a, struct tls_records *b,
		      uint16_t suite)
{
	uint8_t x[TLS_SECRET_MAX], y[TLS_SECRET_MAX];

	randombytes_buf(x, sizeof(x));
	randombytes_buf(y, sizeof(y));
	if (tls_records_init(a, suite, x, y) || tls_records_init(b, suite, y, x))
		abort();
}

static void wipe_pair(struct tls_records *a, struct tls_records *b)
{
	tls_records_wipe(a);
	tls_records_wipe(b);
}

static void test_vectors(void)
{
	uint8_t tx[64], rx[64], record[128], out[128], want[128], type = 0;
	struct tls_records r;
	ssize_t n;
	size_t len, i;

	from_hex(tx, sizeof(tx), server_secret);
	from_hex(rx, sizeof(rx), client_secret);
	tap_ok(!tls_records_init(&r, SUITE, tx, rx), "vectors: a known suite");
	from_hex(want, sizeof(want), "9f02283b6c9c07efc26bb9f2ac92e356");
	tap_ok(!memcmp(r.tx.key, want, 16), "vectors: the server's key");
	from_hex(want, sizeof(want), "cf782b88dd83549aadf1e984");
	tap_ok(!memcmp(r.tx.iv, want, 12), "vectors: the server's iv");
	from_hex(want, sizeof(want), "17422dda596ed5d9acd890e3c63f5051");
	tap_ok(!memcmp(r.rx.key, want, 16), "vectors: the client's key");
	len = from_hex(record, sizeof(record), client_record);
	tap_ok(tls_record_len(record, len) == (ssize_t)len,
	       "vectors: the record's length");
	n = tls_open(&r, record, len, out, &type);
	for (i = 0; i < 50; i++)
		want[i] = (uint8_t)i;
	tap_ok(n == 50 && type == TLS_DATA && !memcmp(out, want, 50),
	       "vectors: the client's record opens");
	tls_records_wipe(&r);

	/* The other way round: the same bytes are made of it. */
	tls_records_init(&r, SUITE, rx, tx);
	memcpy(out + TLS_HEADER_LEN, want, 50);
	n = (ssize_t)tls_seal(&r, TLS_DATA, out, 50);
	tap_ok(n == (ssize_t)len && !memcmp(out, record, len),
	       "vectors: and is made");
	tls_records_wipe(&r);
	tap_ok(tls_records_init(&r, 0x1304, rx, tx) == -ENOTSUP,
	       "no other suite");
}

static void test_lengths(void)
{
	uint8_t h[TLS_RECORD_MAX + 1] = { TLS_DATA, 3, 3 };
	size_t i;
	bool ok = true;

	put_be16(h + 3, TLS_TAIL_LEN);
	for (i = 0; i < TLS_HEADER_LEN + TLS_TAIL_LEN; i++)
		ok &= tls_record_len(h, i) == 0;
	tap_ok(ok, "a record cut anywhere is waited for");
	put_be16(h + 3, TLS_TAIL_LEN - 1);
	tap_ok(tls_record_len(h, sizeof(h)) == -EBADMSG, "too short a record");
	put_be16(h + 3, TLS_PLAIN_MAX + 256);
	tap_ok(tls_record_len(h, sizeof(h)) == TLS_RECORD_MAX,
	       "the longest record");
	put_be16(h + 3, TLS_PLAIN_MAX + 257);
	tap_ok(tls_record_len(h, sizeof(h)) == -EMSGSIZE, "a longer one");
	put_be16(h + 3, 100);
	h[0] = TLS_CHANGE_CIPHER_SPEC;
	tap_ok(tls_record_len(h, sizeof(h)) == -EBADMSG,
	       "a record that is not encrypted");
}

static void test_suite(uint16_t suite)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1200, TLS_PLAIN_MAX };
	static uint8_t box[BOX_MAX], plain[TLS_PLAIN_MAX], out[BOX_MAX];
	struct tls_records a, b;
	bool ok = true, forged = true;
	uint8_t type;
	size_t i, n;

	make_pair(&a, &b, suite);
	randombytes_buf(plain, sizeof(plain));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memcpy(box + TLS_HEADER_LEN, plain, sizes[i]);
		n = tls_seal(&a, TLS_DATA, box, sizes[i]);
		ok &= n == TLS_HEADER_LEN + sizes[i] + TLS_TAIL_LEN &&
		      tls_record_len(box, n) == (ssize_t)n &&
		      tls_open(&b, box, n, out, &type) == (ssize_t)sizes[i] &&
		      type == TLS_DATA && !memcmp(out, plain, sizes[i]);
		/* in place, as a stream does */
		memcpy(box + TLS_HEADER_LEN, plain, sizes[i]);
		n = tls_seal(&b, TLS_DATA, box, sizes[i]);
		ok &= tls_open(&a, box, n, box + TLS_HEADER_LEN, &type) ==
			      (ssize_t)sizes[i] &&
		      !memcmp(box + TLS_HEADER_LEN, plain, sizes[i]);
	}
	tap_ok(ok, "suite %04x: all sizes, both ways", suite);

	memcpy(box + TLS_HEADER_LEN, plain, 20);
	n = tls_seal(&a, TLS_DATA, box, 20);
	for (i = 0; i < n; i++) {
		uint64_t seq = b.rx.seq;

		box[i] ^= 0x10;
		/* but for the length, which another record would have */
		if (i < 3 || i >= TLS_HEADER_LEN)
			forged &= tls_open(&b, box, n, out, &type) == -EBADMSG;
		box[i] ^= 0x10;
		b.rx.seq = seq;
	}
	tap_ok(forged, "suite %04x: any bit changed is found", suite);
	tap_ok(tls_open(&b, box, n, out, &type) == 20,
	       "suite %04x: unchanged it opens", suite);
	tap_ok(tls_open(&b, box, n, out, &type) == -EBADMSG,
	       "suite %04x: but not again", suite);
	wipe_pair(&a, &b);
}

static void test_padding(void)
{
	uint8_t box[128] = { 0 }, out[128], type;
	struct tls_records a, b;
	size_t n;

	make_pair(&a, &b, SUITE);
	/* The inner type is where we say: a longer content with zeros behind. */
	memcpy(box + TLS_HEADER_LEN, "hi\x17\0\0\0", 6);
	n = tls_seal(&a, (enum tls_type)0, box, 6);
	tap_ok(tls_open(&b, box, n, out, &type) == 2 && type == TLS_DATA &&
		       !memcmp(out, "hi", 2),
	       "padding is taken off");
	memset(box, 0, sizeof(box));
	n = tls_seal(&a, (enum tls_type)0, box, 6);
	tap_ok(tls_open(&b, box, n, out, &type) == -EBADMSG,
	       "a record of padding alone");
	wipe_pair(&a, &b);
}

static void test_key_update(void)
{
	uint8_t box[128], out[128], type;
	struct tls_records a, b;
	ssize_t got;
	size_t n;

	make_pair(&a, &b, 0x1302);
	n = tls_seal_key_update(&a, box);
	got = tls_open(&b, box, n, out, &type);
	tap_ok(n == TLS_KEY_UPDATE_LEN && got == 5 && type == TLS_HANDSHAKE &&
		       !tls_control(&b, type, out, (size_t)got) &&
		       !b.update_due,
	       "KeyUpdate: is understood, asks for nothing");
	n = tls_seal(&a, TLS_DATA, box, 10);
	tap_ok(a.tx.seq == 1 && tls_open(&b, box, n, out, &type) == 10,
	       "KeyUpdate: the next record opens");
	tap_ok(!tls_control(&b, TLS_HANDSHAKE,
			    (const uint8_t *)"\x18\0\0\1\1", 5) &&
		       b.update_due,
	       "KeyUpdate: ours is asked for");
	n = tls_seal_key_update(&b, box);
	got = tls_open(&a, box, n, out, &type);
	tap_ok(got == 5 && !tls_control(&a, type, out, 5) && !b.update_due,
	       "KeyUpdate: and sent");

	a.tx.seq = TLS_KEY_RECORDS - 1;
	tls_seal(&a, TLS_DATA, box, 1);
	tap_ok(a.update_due, "KeyUpdate: after %u records", TLS_KEY_RECORDS);
	wipe_pair(&a, &b);
}

static void test_control(void)
{
	static const struct {
		uint8_t type;
		const char *data;
		size_t n;
		int err;
		const char *what;
	} cases[] = {
		{ TLS_ALERT, "\1\0", 2, -ESHUTDOWN, "close_notify" },
		{ TLS_ALERT, "\2\0", 2, -ESHUTDOWN, "whatever its level" },
		{ TLS_ALERT, "\1\x5a", 2, 0, "user_canceled" },
		{ TLS_ALERT, "\2\x14", 2, -ECONNABORTED, "bad_record_mac" },
		{ TLS_ALERT, "\2", 1, -EPROTO, "half an alert" },
		{ TLS_ALERT, "", 0, -EPROTO, "an empty alert" },
		{ TLS_ALERT, "\1\0\1", 3, -EPROTO, "one and a half" },
		{ TLS_HANDSHAKE, "", 0, -EPROTO, "an empty message" },
		{ TLS_HANDSHAKE, "\x18\0\0\1\2", 5, -EPROTO,
		  "a KeyUpdate that asks strangely" },
		{ TLS_HANDSHAKE, "\x18\0\0\1", 4, -EPROTO, "a part of one" },
		{ TLS_HANDSHAKE, "\x18\0\0\1\0\x18\0\0\1\0", 10, -EPROTO,
		  "two in a record" },
		{ TLS_HANDSHAKE, "\1\0\0\1\0", 5, -EPROTO, "a ClientHello" },
		{ TLS_CHANGE_CIPHER_SPEC, "\1", 1, -EPROTO,
		  "ChangeCipherSpec" },
		{ 0, "", 0, -EPROTO, "type 0" },
		{ 24, "\1", 1, -EPROTO, "a heartbeat" },
	};
	struct tls_records a, b;
	size_t i;

	make_pair(&a, &b, SUITE);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		tap_ok(tls_control(&a, cases[i].type,
				   (const uint8_t *)cases[i].data,
				   cases[i].n) == cases[i].err,
		       "control: %s", cases[i].what);
	wipe_pair(&a, &b);
}

static void test_quiet(void)
{
	uint8_t box[64], out[64], type;
	struct tls_records a, b;
	unsigned int i;
	bool ok = true;
	size_t n;

	make_pair(&a, &b, SUITE);
	for (i = 0; i < TLS_QUIET_MAX; i++) {
		n = tls_seal(&a, TLS_DATA, box, 0);
		ok &= tls_open(&b, box, n, out, &type) == 0;
	}
	n = tls_seal(&a, TLS_DATA, box, 1);
	ok &= tls_open(&b, box, n, out, &type) == 1;
	for (i = 0; i < TLS_QUIET_MAX; i++) {
		n = tls_seal(&a, TLS_HANDSHAKE, box, 5);
		ok &= tls_open(&b, box, n, out, &type) == 5;
	}
	tap_ok(ok, "%u records without data", TLS_QUIET_MAX);
	n = tls_seal(&a, TLS_DATA, box, 0);
	tap_ok(tls_open(&b, box, n, out, &type) == -EPROTO,
	       "and no more of them");
	wipe_pair(&a, &b);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_vectors();
	test_lengths();
	test_suite(0x1301);
	test_suite(0x1302);
	test_suite(0x1303);
	test_padding();
	test_key_update();
	test_control();
	test_quiet();
	return tap_done();
}
