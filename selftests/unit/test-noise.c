// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "lib/util.h"
#include "proto/noise.h"
#include "tap.h"
#include "vectors.h"

/* Both ends of one vector's channel. */
struct channel {
	uint16_t version;
	struct key client_private, client_ephemeral;
	struct key server_private, server_public, server_ephemeral;
	struct noise_session client, server;
};

static void channel_keys(struct channel *c, struct json_object *v)
{
	c->version =
		(uint16_t)json_object_get_int(member(v, "protocol_version"));
	c->client_private = key_of(v, "initiator_static_private");
	c->client_ephemeral = key_of(v, "initiator_ephemeral_private");
	c->server_private = key_of(v, "responder_static_private");
	c->server_public = key_of(v, "responder_static_public");
	c->server_ephemeral = key_of(v, "responder_ephemeral_private");
}

static int start(struct channel *c, struct noise_handshake *hs, uint8_t *out)
{
	return noise_client_start(hs, c->version, &c->client_private,
				  &c->server_public, &c->client_ephemeral, out);
}

static int accept_from(struct channel *c, const uint8_t *in, uint8_t *out,
		       struct key *client)
{
	return noise_server_accept(in, &c->server_private, &c->server_ephemeral,
				   out, &c->server, client);
}

static bool session_is(struct json_object *v, const struct noise_session *s,
		       const char *tx, const char *rx)
{
	struct key want_tx = key_of(v, tx), want_rx = key_of(v, rx);

	return key_equal(&s->tx_key, &want_tx) &&
	       key_equal(&s->rx_key, &want_rx) && !s->tx_counter &&
	       !s->rx_counter &&
	       same(hex_of(v, "handshake_hash"), s->hash, sizeof(s->hash));
}

static void handshake(struct channel *c, struct json_object *v)
{
	uint8_t init[NOISE_INITIATION_LEN], resp[NOISE_RESPONSE_LEN];
	struct key client, want = key_of(v, "initiator_static_public");
	struct noise_handshake hs, zero = {0};
	const char *name = text(v, "name");

	tap_ok(!start(c, &hs, init) &&
		       same(hex_of(v, "initiation_frame"), init, sizeof(init)),
	       "%s: the initiation", name);
	tap_ok(noise_initiation_version(init) == c->version, "%s: its version",
	       name);
	tap_ok(!accept_from(c, init, resp, &client) &&
		       same(hex_of(v, "response_frame"), resp, sizeof(resp)),
	       "%s: the response", name);
	tap_ok(key_equal(&client, &want), "%s: the client's key", name);
	tap_ok(!noise_client_finish(&hs, resp, &c->client) &&
		       session_is(v, &c->client, "client_tx_key",
				  "client_rx_key"),
	       "%s: the client's session", name);
	tap_ok(session_is(v, &c->server, "client_rx_key", "client_tx_key"),
	       "%s: the server's session", name);
	tap_ok(memcmp(&hs, &zero, sizeof(hs)) == 0,
	       "%s: the handshake state is wiped", name);
}

/* The vectors give long plaintexts by rule: byte i = (i * 7 + 3) mod 256. */
static struct blob *plaintext_of(struct json_object *r)
{
	size_t i, len = (size_t)json_object_get_int(member(r, "plaintext_len"));
	uint8_t sum[crypto_hash_sha256_BYTES], buf[NOISE_PLAIN_MAX];
	struct blob *b;

	if (member(r, "plaintext"))
		return hex_of(r, "plaintext");
	for (i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 7 + 3);
	b = blob_new(buf, len);
	crypto_hash_sha256(sum, b->p, b->len);
	tap_ok(same(hex_of(r, "plaintext_sha256"), sum, sizeof(sum)),
	       "the plaintext made by rule");
	return b;
}

static void records(struct channel *c, struct json_object *v)
{
	struct json_object *r;

	for_each_in(r, member(v, "records"))
	{
		bool up = text_is(r, "direction", "client_to_server");
		struct noise_session *tx = up ? &c->client : &c->server;
		struct noise_session *rx = up ? &c->server : &c->client;
		struct blob *plain = plaintext_of(r),
			    *frame = hex_of(r, "frame");
		uint64_t n = json_object_get_uint64(member(r, "counter"));
		uint8_t out[NOISE_FRAME_MAX];
		ssize_t len;

		tx->tx_counter = rx->rx_counter = n;
		len = noise_seal_record(tx, plain->p, plain->len, out,
					sizeof(out));
		tap_ok(len >= 0 && same(frame, out, (size_t)len),
		       "%s: %s record %llu seals", text(v, "name"),
		       text(r, "direction"), (unsigned long long)n);
		tap_ok(noise_record_size(frame->p) == (int)frame->len,
		       "its size");
		len = noise_open_record(rx, frame->p, frame->len, out,
					sizeof(out));
		tap_ok(len >= 0 && same(plain, out, (size_t)len) &&
			       rx->rx_counter == n + 1,
		       "it opens");
	}
}

/* What follows the server's 101 in one segment, cut by the size helpers. */
static void first_flight(struct channel *c, struct json_object *v)
{
	struct blob *flight = hex_of(v, "server_first_flight");
	const char *json = text(v, "early_payload_json");
	uint8_t init[NOISE_INITIATION_LEN], stream[NOISE_FRAME_MAX];
	size_t at = NOISE_RESPONSE_LEN, n = 0;
	struct noise_session s;
	struct noise_handshake hs;
	uint32_t len = 0;

	start(c, &hs, init);
	tap_ok(noise_response_size(flight->p) == NOISE_RESPONSE_LEN &&
		       !noise_client_finish(&hs, flight->p, &s),
	       "%s: the first flight begins with the response",
	       text(v, "name"));
	while (at + NOISE_HEADER_LEN <= flight->len) {
		int size = noise_record_size(flight->p + at);
		ssize_t got;

		if (size < 0 || at + (size_t)size > flight->len)
			break;
		got = noise_open_record(&s, flight->p + at, (size_t)size,
					stream + n, sizeof(stream) - n);
		if (got < 0)
			break;
		n += (size_t)got;
		at += (size_t)size;
	}
	tap_ok(at == flight->len, "its records open one after the other");
	tap_ok(noise_early_header(stream, &len) == 1 && len == strlen(json) &&
		       memcmp(stream + NOISE_EARLY_HEADER_LEN, json, len) == 0,
	       "the early payload");
	tap_ok(n == NOISE_EARLY_HEADER_LEN + len + 9 &&
		       !noise_early_header(stream + n - 9, &len),
	       "then HTTP/2, which is none");
	noise_session_wipe(&s);
}

/* True if a client takes these bytes as its server's response. */
static bool response_accepted(struct channel *c, const struct blob *b)
{
	uint8_t init[NOISE_INITIATION_LEN];
	struct noise_session s;
	struct noise_handshake hs;
	int err;

	start(c, &hs, init);
	if (noise_response_size(b->p) != NOISE_RESPONSE_LEN) {
		/* finish() must agree, were it called all the same. */
		err = noise_client_finish(&hs, b->p, &s);
		return err != -EPROTO;
	}
	err = noise_client_finish(&hs, b->p, &s);
	noise_handshake_wipe(&hs);
	return !err;
}

static void negative(struct channel *c, struct json_object *v)
{
	struct json_object *n;

	for_each_in(n, member(v, "negative"))
	{
		struct blob *b = hex_of(n, "bytes");
		bool good;

		if (b->len == NOISE_RESPONSE_LEN) {
			good = !response_accepted(c, b);
		} else if (b->p[0] == NOISE_ERROR) {
			good = noise_response_size(b->p) == (int)b->len;
		} else if (b->len == NOISE_HEADER_LEN) {
			good = noise_record_size(b->p) == -EMSGSIZE;
		} else {
			uint8_t out[NOISE_FRAME_MAX];

			c->server.rx_counter = 1;
			good = noise_open_record(&c->server, b->p, b->len, out,
						 sizeof(out)) == -EBADMSG;
		}
		tap_ok(good, "negative: %s", text(n, "name"));
	}
}

static void bit_flips(struct channel *c, struct json_object *v)
{
	struct blob *init = hex_of(v, "initiation_frame");
	struct blob *resp = hex_of(v, "response_frame");
	struct blob *rec = hex("04001b6d0b18fb27040160f96308d59f529d90f6");
	uint8_t out[NOISE_FRAME_MAX], frame[64];
	size_t i, passed = 0;
	struct key client;
	ssize_t n;

	for (i = 0; i < 8 * init->len; i++) {
		init->p[i / 8] ^= (uint8_t)(1 << i % 8);
		passed += !accept_from(c, init->p, out, &client);
		init->p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	tap_ok(!passed, "no initiation with a flipped bit is taken");
	for (i = 0; i < 8 * resp->len; i++) {
		resp->p[i / 8] ^= (uint8_t)(1 << i % 8);
		passed += response_accepted(c, resp);
		resp->p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	tap_ok(!passed && response_accepted(c, resp),
	       "no response with a flipped bit is taken");

	c->client.tx_counter = 7;
	n = noise_seal_record(&c->client, (const uint8_t *)"hello", 5, frame,
			      sizeof(frame));
	for (i = 0; i < 8 * (size_t)n; i++) {
		frame[i / 8] ^= (uint8_t)(1 << i % 8);
		c->server.rx_counter = 7;
		passed += noise_open_record(&c->server, frame, (size_t)n, out,
					    sizeof(out)) >= 0;
		frame[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	tap_ok(!passed, "no record with a flipped bit is taken");
	for (i = 0; i < (size_t)n; i++) {
		struct blob *cut = blob_new(frame, i);

		c->server.rx_counter = 7;
		passed += noise_open_record(&c->server, cut->p, i, out,
					    sizeof(out)) >= 0;
	}
	tap_ok(!passed, "no truncated record is taken");
	c->server.rx_counter = 7;
	tap_ok(noise_open_record(&c->server, rec->p, rec->len, out,
				 sizeof(out)) == -EMSGSIZE,
	       "nor one whose length field says more");
	tap_ok(noise_open_record(&c->server, frame, (size_t)n, out, 5) == 5,
	       "the whole one is");
}

static void session_rules(struct channel *c)
{
	uint8_t a[NOISE_FRAME_MAX], b[NOISE_FRAME_MAX], out[NOISE_FRAME_MAX];
	uint8_t plain[NOISE_PLAIN_MAX + 1] = {0};
	struct noise_session *tx = &c->server, *rx = &c->client;
	ssize_t n, m;
	size_t len;
	bool good = true;

	tx->tx_counter = rx->rx_counter = 0;
	for (len = 0; len <= NOISE_PLAIN_MAX; len += len < 64 ? 1 : 401) {
		memset(plain, (int)len, len);
		n = noise_seal_record(tx, plain, len, a,
				      len + NOISE_RECORD_OVERHEAD);
		m = n < 0 ? n : noise_open_record(rx, a, (size_t)n, out, len);
		good &= m == (ssize_t)len && !memcmp(out, plain, len);
	}
	tap_ok(good, "records of many sizes survive a round trip");
	tap_ok(noise_seal_record(tx, plain, NOISE_PLAIN_MAX + 1, a,
				 sizeof(a)) == -EMSGSIZE,
	       "a longer plaintext is refused");
	tap_ok(noise_seal_record(tx, plain, 10, a, 10 + 18) == -ENOSPC,
	       "so is a small buffer");

	n = noise_seal_record(tx, plain, 4, a, sizeof(a));
	m = noise_seal_record(tx, plain, 4, b, sizeof(b));
	tap_ok(noise_open_record(rx, a, (size_t)n, out, 3) == -ENOSPC &&
		       noise_open_record(rx, a, (size_t)n, out, 4) == 4,
	       "a small buffer on the way in loses no record");
	tap_ok(noise_open_record(rx, a, (size_t)n, out, 4) == -EBADMSG,
	       "a replayed record fails");
	tap_ok(noise_open_record(rx, b, (size_t)m, out, 4) == -EBADMSG,
	       "and ends the channel");

	tx->tx_counter = rx->rx_counter = 3;
	n = noise_seal_record(tx, (const uint8_t *)"place", 5, a, sizeof(a));
	tap_ok(noise_open_record(rx, a, (size_t)n, a + NOISE_HEADER_LEN,
				 sizeof(a) - NOISE_HEADER_LEN) == 5 &&
		       !memcmp(a + NOISE_HEADER_LEN, "place", 5),
	       "opening in place");

	tx->tx_counter = rx->rx_counter = UINT64_MAX - 1;
	n = noise_seal_record(tx, plain, 4, a, sizeof(a));
	tap_ok(noise_open_record(rx, a, (size_t)n, out, 4) == 4,
	       "the last counter value");
	tap_ok(noise_seal_record(tx, plain, 4, a, sizeof(a)) == -EOVERFLOW,
	       "there is none after it");
}

static void weak_keys(struct channel *c)
{
	uint8_t init[NOISE_INITIATION_LEN], out[NOISE_RESPONSE_LEN];
	struct noise_handshake hs, zero = {0};
	struct channel weak = *c;
	struct key client;

	memset(&weak.server_public, 0, sizeof(weak.server_public));
	tap_ok(start(&weak, &hs, init) == -EINVAL &&
		       !memcmp(&hs, &zero, sizeof(hs)),
	       "a zero server key is refused");
	weak.server_public.b[0] = 1; /* of order 4 */
	tap_ok(start(&weak, &hs, init) == -EINVAL, "so is one of low order");
	start(c, &hs, init);
	memset(init + 5, 0, KEY_LEN);
	tap_ok(accept_from(c, init, out, &client) == -EBADMSG,
	       "a zero ephemeral key of the client is refused");
	start(c, &hs, init);
	init[2] = NOISE_RECORD;
	tap_ok(accept_from(c, init, out, &client) == -EPROTO,
	       "a record is no initiation");
	noise_handshake_wipe(&hs);
}

static void headers(void)
{
	static const struct {
		uint8_t b[3];
		int response, record;
	} cases[] = {
		{{2, 0, 48}, 51, -EPROTO},
		{{2, 0, 49}, -EMSGSIZE, -EPROTO},
		{{3, 0, 0}, 3, -EPROTO},
		{{3, 0x0f, 0xfd}, 4096, -EPROTO},
		{{3, 0x0f, 0xfe}, -EMSGSIZE, -EPROTO},
		{{4, 0, 15}, -EPROTO, -EMSGSIZE},
		{{4, 0, 16}, -EPROTO, 19},
		{{4, 0x0f, 0xfd}, -EPROTO, 4096},
		{{4, 0x0f, 0xfe}, -EPROTO, -EMSGSIZE},
		{{1, 0, 96}, -EPROTO, -EPROTO},
		{{0, 0, 48}, -EPROTO, -EPROTO},
	};
	uint8_t early[NOISE_EARLY_HEADER_LEN];
	uint32_t len = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		tap_ok(noise_response_size(cases[i].b) == cases[i].response &&
			       noise_record_size(cases[i].b) == cases[i].record,
		       "header %02x%02x%02x", cases[i].b[0], cases[i].b[1],
		       cases[i].b[2]);
	noise_early_header_encode(early, NOISE_EARLY_MAX);
	tap_ok(noise_early_header(early, &len) == 1 && len == NOISE_EARLY_MAX,
	       "the longest early payload");
	noise_early_header_encode(early, NOISE_EARLY_MAX + 1);
	tap_ok(noise_early_header(early, &len) == -EMSGSIZE, "one longer");
}

int main(void)
{
	struct json_object *file = vectors_load("noise_ik.json"), *v;
	struct channel c = {0};

	for_each_in(v, member(file, "vectors"))
	{
		channel_keys(&c, v);
		handshake(&c, v);
		records(&c, v);
		first_flight(&c, v);
		if (member(v, "negative"))
			negative(&c, v);
	}
	v = json_object_array_get_idx(member(file, "vectors"), 0);
	channel_keys(&c, v);
	handshake(&c, v);
	bit_flips(&c, v);
	session_rules(&c);
	weak_keys(&c);
	headers();
	blobs_free();
	json_object_put(file);
	return tap_done();
}
