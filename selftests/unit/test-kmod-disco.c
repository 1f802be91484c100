// SPDX-License-Identifier: GPL-2.0
/*
 * The module's boxes and pongs, against libsodium, the vectors and the agent's
 * own disco.
 */
#include "../../kmod/box.h"
#include "../../kmod/disco.h"
#include "proto/disco.h"
#include "tap.h"
#include "vectors.h"

#define LONGEST 1500

/* Boxes. */

static struct blob *room(size_t n)
{
	struct blob *b = blob_new("", 0);

	b->p = realloc(b->p, n ? n : 1);
	b->len = n;
	return b;
}

static bool opens(const uint8_t *box, size_t len, const uint8_t *nonce,
		  const uint8_t *key)
{
	struct blob *copy = blob_new(box, len);
	size_t n = len < TR_BOX_TAG ? 0 : len - TR_BOX_TAG;
	struct blob *plain = room(n);

	return tr_box_open(plain->p, n, copy->p, len, nonce, key);
}

/* Every length there and back, and each box spoilt in one random bit. */
static void test_sodium(void)
{
	uint8_t key[TR_BOX_KEY], nonce[TR_BOX_NONCE];
	size_t n, bad_seal = 0, bad_open = 0, bad_read = 0, forged = 0;

	for (n = 0; n <= LONGEST; n++) {
		struct blob *plain = room(n), *got = room(n);
		struct blob *box = room(n + TR_BOX_TAG);
		struct blob *theirs = room(n + TR_BOX_TAG);
		size_t some, bit;

		randombytes_buf(plain->p, n);
		randombytes_buf(key, sizeof(key));
		randombytes_buf(nonce, sizeof(nonce));
		tr_box_seal(box->p, plain->p, n, nonce, key);
		crypto_box_easy_afternm(theirs->p, plain->p, n, nonce, key);
		bad_seal += memcmp(box->p, theirs->p, n + TR_BOX_TAG) != 0;
		bad_open += !tr_box_open(got->p, n, theirs->p, n + TR_BOX_TAG,
					 nonce, key) ||
			    (n && memcmp(got->p, plain->p, n));
		/* Only the beginning; what follows is left alone. */
		some = n ? randombytes_uniform((uint32_t)n) : 0;
		memset(got->p, 0xee, n);
		bad_read += !tr_box_open(got->p, some, theirs->p,
					 n + TR_BOX_TAG, nonce, key) ||
			    (some && memcmp(got->p, plain->p, some)) ||
			    (n && got->p[some] != 0xee);
		bit = randombytes_uniform((uint32_t)(n + TR_BOX_TAG) * 8);
		theirs->p[bit / 8] ^= 1 << bit % 8;
		memset(got->p, 0xee, n);
		forged += tr_box_open(got->p, n, theirs->p, n + TR_BOX_TAG,
				      nonce, key) ||
			  (n && got->p[0] != 0xee);
		blobs_free();
	}
	tap_ok(!bad_seal, "seals 0..%d bytes as libsodium does", LONGEST);
	tap_ok(!bad_open, "opens libsodium's");
	tap_ok(!bad_read, "reads the beginning alone");
	tap_ok(!forged, "opens none with a flipped bit, nor writes");
}

static void test_bits(void)
{
	uint8_t plain[32], key[TR_BOX_KEY], nonce[TR_BOX_NONCE];
	uint8_t box[sizeof(plain) + TR_BOX_TAG];
	size_t i, n = 0;

	randombytes_buf(plain, sizeof(plain));
	randombytes_buf(key, sizeof(key));
	randombytes_buf(nonce, sizeof(nonce));
	tr_box_seal(box, plain, sizeof(plain), nonce, key);
	for (i = 0; i < sizeof(box) * 8; i++) {
		box[i / 8] ^= 1 << i % 8;
		n += opens(box, sizeof(box), nonce, key);
		box[i / 8] ^= 1 << i % 8;
	}
	for (i = 0; i < sizeof(key) * 8; i++) {
		key[i / 8] ^= 1 << i % 8;
		n += opens(box, sizeof(box), nonce, key);
		key[i / 8] ^= 1 << i % 8;
	}
	for (i = 0; i < sizeof(nonce) * 8; i++) {
		nonce[i / 8] ^= 1 << i % 8;
		n += opens(box, sizeof(box), nonce, key);
		nonce[i / 8] ^= 1 << i % 8;
	}
	tap_ok(!n, "every bit of box, key and nonce counts");
	for (i = 0; i < sizeof(box); i++)
		n += opens(box, i, nonce, key);
	tap_ok(!n, "every byte of a box is needed");
	tap_ok(opens(box, sizeof(box), nonce, key), "and it opens at last");
	tap_ok(!tr_box_open(plain, 17, box, 32, nonce, key),
	       "more is not read than there is");
	blobs_free();
}

/* Vectors. */

static struct json_object *keys;

static struct key half(const char *who, const char *which)
{
	return key_of(member(keys, who), which);
}

static int give(struct tr_disco *disco, uint32_t id, const uint8_t *theirs,
		const uint8_t *own, const uint8_t *shared,
		struct netlink_ext_ack *ack)
{
	struct tr_disco_change change;
	int ret = tr_disco_prepare(disco, &change, id, theirs, own, shared,
				   ack);

	if (!ret)
		tr_disco_commit(disco, &change);
	return ret;
}

/* The vectors' recipient, who knows all the others, as peers 1, 2, ... */
static void meet(struct tr_disco *disco, const char *own)
{
	struct key own_private = half(own, "private_hex");
	struct key own_public = half(own, "public_hex");
	uint32_t id = 0;

	json_object_object_foreach(keys, name, value) {
		struct key theirs = key_of(value, "public_hex");
		struct disco_shared shared;

		if (disco_shared_key(&shared, &own_private, &theirs) ||
		    give(disco, ++id, theirs.b, own_public.b,
				 shared.k.b, NULL))
			printf("Bail out! cannot meet %s\n", name);
	}
}

static bool answers(struct tr_disco *disco, const void *packet, size_t len,
		    uint8_t pong[TR_DISCO_PONG])
{
	struct in6_addr from = { .s6_addr = { 0x20, 1, 0xd, 0xb8, [15] = 9 } };
	struct blob *copy = blob_new(packet, len);

	return tr_disco_answer(disco, copy->p, len, &from, __cpu_to_be16(4242),
			       pong);
}

/* Whether @pong is what @sender wants to hear for its @txid. */
static bool is_pong(struct json_object *v, const uint8_t *pong)
{
	struct key private = half(text(v, "sender_key"), "private_hex");
	struct key other = half(text(v, "recipient_key"), "public_hex");
	struct json_object *fields = member(v, "fields");
	struct disco_shared shared;
	uint8_t plain[TR_DISCO_PONG];
	struct disco_msg m;
	struct key sender;
	char src[ENDPOINT_TEXT_MAX];
	ssize_t n;

	if (disco_shared_key(&shared, &private, &other) ||
	    disco_sender(pong, TR_DISCO_PONG, &sender) ||
	    !key_equal(&sender, &other))
		return false;
	n = disco_open(pong, TR_DISCO_PONG, &shared, plain, sizeof(plain));
	if (n != 32 || disco_decode(&m, plain, (size_t)n) ||
	    m.type != DISCO_PONG ||
	    !same(hex_of(fields, "txid"), m.pong.txid, sizeof(m.pong.txid)))
		return false;
	return !strcmp(endpoint_format(&m.pong.src, src), "[2001:db8::9]:4242");
}

static bool is_ping(struct json_object *v)
{
	return text_is(v, "type", "ping") && text_is(v, "expect", "accept") &&
	       text_is(v, "transport", "udp");
}

static void test_vectors(void)
{
	struct json_object *file = vectors_load("disco.json"), *v;
	uint8_t pong[TR_DISCO_PONG];
	struct tr_disco disco;
	size_t i;

	keys = member(file, "keys");
	for_each_in(v, member(file, "precomputed_shared_keys")) {
		struct blob *nonce = hex("000102030405060708090a0b0c0d0e0f"
					 "1011121314151617");
		struct blob *key = hex_of(v, "shared_hex");
		uint8_t box[TR_BOX_TAG + 3], plain[3];

		tr_box_seal(box, (const uint8_t *)"abc", 3, nonce->p, key->p);
		tap_ok(!crypto_box_open_easy_afternm(plain, box, sizeof(box),
						     nonce->p, key->p),
		       "a box of %s and %s", text(v, "a"), text(v, "b"));
	}
	for_each_in(v, member(file, "vectors")) {
		struct blob *p = hex_of(v, "packet_hex");

		tr_disco_init(&disco);
		meet(&disco, text(v, "recipient_key"));
		if (!is_ping(v)) {
			tap_ok(!answers(&disco, p->p, p->len, pong),
			       "%s: no answer", text(v, "name"));
		} else {
			tap_ok(answers(&disco, p->p, p->len, pong) &&
				       is_pong(v, pong),
			       "%s: answered", text(v, "name"));
			for (i = 0; i < p->len; i++)
				if (answers(&disco, p->p, i, pong))
					break;
			tap_ok(i == p->len, "%s: but no part of it",
			       text(v, "name"));
			p->p[randombytes_uniform((uint32_t)p->len)] ^= 4;
			tap_ok(!answers(&disco, p->p, p->len, pong),
			       "%s: nor with a flipped bit", text(v, "name"));
		}
		tr_disco_uninit(&disco);
	}
	for_each_in(v, member(file, "negative")) {
		struct blob *p = hex_of(v, "packet_hex");

		tr_disco_init(&disco);
		meet(&disco, text(v, "recipient_key"));
		tap_ok(!answers(&disco, p->p, p->len, pong), "%s: no answer",
		       text(v, "name"));
		tr_disco_uninit(&disco);
	}
	json_object_put(file);
	blobs_free();
}

/* The table. */

struct node {
	struct key private, public;
};

static struct node node_new(void)
{
	struct node n;

	crypto_box_keypair(n.public.b, n.private.b);
	return n;
}

static int set(struct tr_disco *disco, uint32_t id, const struct node *peer,
	       const struct node *own)
{
	struct disco_shared shared;

	disco_shared_key(&shared, &own->private, &peer->public);
	return give(disco, id, peer->public.b, own->public.b,
			    shared.k.b, NULL);
}

/* Whether a ping of @peer to @own gets an answer, one from @own. */
static bool reaches(struct tr_disco *disco, const struct node *peer,
		    const struct node *own)
{
	struct disco_msg m = { .type = DISCO_PING };
	uint8_t plain[64], packet[256], pong[TR_DISCO_PONG];
	uint8_t nonce[DISCO_NONCE_LEN];
	struct disco_shared shared;
	ssize_t n;

	randombytes_buf(m.ping.txid, sizeof(m.ping.txid));
	randombytes_buf(nonce, sizeof(nonce));
	disco_shared_key(&shared, &peer->private, &own->public);
	n = disco_encode(&m, plain, sizeof(plain));
	n = disco_seal(plain, (size_t)n, &peer->public, &shared, nonce, packet,
		       sizeof(packet));
	return n > 0 && answers(disco, packet, (size_t)n, pong) &&
	       !memcmp(pong + 6, own->public.b, KEY_LEN) &&
	       disco_open(pong, sizeof(pong), &shared, plain,
			  sizeof(plain)) == 32 &&
	       !memcmp(plain + 2, m.ping.txid, sizeof(m.ping.txid));
}

static void test_table(void)
{
	struct node own = node_new(), later = node_new();
	struct node a = node_new(), b = node_new();
	struct netlink_ext_ack ack = { 0 };
	struct key zero = { 0 };
	struct key theirs, ours;
	struct tr_disco_change change;
	struct tr_disco disco;
	long n;
	int ret;

	tr_disco_init(&disco);
	tap_ok(!reaches(&disco, &a, &own), "nobody is known at first");
	tap_ok(!set(&disco, 1, &a, &own) && reaches(&disco, &a, &own),
	       "a peer is");
	tap_ok(!reaches(&disco, &b, &own), "and only he");
	tap_ok(!reaches(&disco, &a, &later), "with this key of ours");
	tap_ok(tr_disco_get(&disco, 1, theirs.b, ours.b) &&
		       key_equal(&theirs, &a.public) &&
		       key_equal(&ours, &own.public),
	       "the public keys can be read");
	tap_ok(!tr_disco_get(&disco, 2, theirs.b, ours.b), "of nobody else");
	set(&disco, 1, &b, &own);
	tap_ok(reaches(&disco, &b, &own) && !reaches(&disco, &a, &own),
	       "a new key takes the place of the old");
	set(&disco, 2, &b, &own);
	tr_disco_del(&disco, 1);
	tap_ok(reaches(&disco, &b, &own), "a key lives while a peer has it");
	set(&disco, 1, &b, &later);
	tap_ok(reaches(&disco, &b, &later) && !reaches(&disco, &b, &own),
	       "the newest secret holds");
	tr_disco_del(&disco, 1);
	tr_disco_del(&disco, 2);
	tr_disco_del(&disco, 2);
	tap_ok(!reaches(&disco, &b, &later), "and no longer");

	ret = give(&disco, 1, a.public.b, own.public.b, zero.b, &ack);
	tap_ok(ret == -EINVAL && ack.text, "zeros are refused: %s", ack.text);
	ret = give(&disco, 1, zero.b, own.public.b, a.public.b, &ack);
	tap_ok(ret == -EINVAL, "on all sides");
	ret = give(&disco, 1, a.public.b, zero.b, a.public.b, &ack);
	tap_ok(ret == -EINVAL, "of the three");

	set(&disco, 1, &a, &own);
	for (n = 0; ; n++) {
		shim_allocations = n;
		ret = set(&disco, 1, &b, &own);
		shim_allocations = -1;
		if (!ret)
			break;
		if (ret != -ENOMEM || !reaches(&disco, &a, &own) ||
		    reaches(&disco, &b, &own))
			break;
	}
	tap_ok(!ret && n > 1 && reaches(&disco, &b, &own),
	       "without memory nothing changes, %ld ways", n);

	ret = tr_disco_prepare(&disco, &change, 1, a.public.b, own.public.b,
			       b.public.b, NULL);
	tap_ok(!ret && reaches(&disco, &b, &own) && !reaches(&disco, &a, &own),
	       "what is prepared is not in force");
	tr_disco_cancel(&disco, &change);
	tap_ok(reaches(&disco, &b, &own) && !reaches(&disco, &a, &own),
	       "nor what is cancelled");
	tr_disco_uninit(&disco);
	blobs_free();
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_sodium();
	test_bits();
	test_vectors();
	test_table();
	return tap_done();
}
