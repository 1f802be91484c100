// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "lib/util.h"
#include "proto/disco.h"
#include "proto/geneve.h"
#include "tap.h"
#include "vectors.h"

static struct json_object *keys;

static struct key half(const char *who, const char *which)
{
	struct json_object *o = member(keys, who);

	if (!o) {
		printf("Bail out! no key of %s\n", who);
		exit(1);
	}
	return key_of(o, which);
}

static struct disco_shared shared_of(const char *own, const struct key *peer)
{
	struct key private_key = half(own, "private_hex");
	struct disco_shared s;

	if (disco_shared_key(&s, &private_key, peer))
		printf("Bail out! no shared key for %s\n", own);
	return s;
}

static enum disco_type type_of(const char *name)
{
	static const struct {
		const char *name;
		enum disco_type type;
	} names[] = {
		{"ping", DISCO_PING},
		{"pong", DISCO_PONG},
		{"call_me_maybe", DISCO_CALL_ME_MAYBE},
		{"bind_udp_relay_endpoint", DISCO_BIND},
		{"bind_udp_relay_endpoint_challenge", DISCO_BIND_CHALLENGE},
		{"bind_udp_relay_endpoint_answer", DISCO_BIND_ANSWER},
		{"call_me_maybe_via", DISCO_CALL_ME_MAYBE_VIA},
		{"allocate_udp_relay_endpoint_request", DISCO_ALLOCATE_REQUEST},
		{"allocate_udp_relay_endpoint_response",
		 DISCO_ALLOCATE_RESPONSE},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, name))
			return names[i].type;
	return 0;
}

static bool key_is(struct json_object *f, const char *name, const struct key *k)
{
	struct key want = key_of(f, name);

	return key_equal(&want, k);
}

static bool pair_is(struct json_object *f, const struct key pair[2])
{
	struct json_object *list = member(f, "client_disco");
	size_t i;

	for (i = 0; i < 2; i++) {
		struct key want;

		if (key_parse(&want, "",
			      json_object_get_string(
				      json_object_array_get_idx(list, i))) ||
		    !key_equal(&want, &pair[i]))
			return false;
	}
	return true;
}

static bool endpoint_is(const char *want, const struct endpoint *e)
{
	char out[ENDPOINT_TEXT_MAX];

	return !strcmp(endpoint_format(e, out), want);
}

static bool endpoints_are(struct json_object *list,
			  const struct disco_endpoints *e)
{
	struct json_object *want;

	if (json_object_array_length(list) != e->count)
		return false;
	for_each_in(want, list)
	{
		if (!endpoint_is(json_object_get_string(want),
				 &e->list[want_i]))
			return false;
	}
	return true;
}

static bool number_is(struct json_object *f, const char *name, uint64_t n)
{
	return member(f, name) && json_object_get_uint64(member(f, name)) == n;
}

static bool relay_is(struct json_object *f, const struct disco_relay *r)
{
	return key_is(f, "server_disco", &r->server_disco) &&
	       pair_is(f, r->client_disco) &&
	       number_is(f, "lamport_id", r->lamport_id) &&
	       number_is(f, "vni", r->vni) &&
	       number_is(f, "bind_lifetime_ns",
			 (uint64_t)r->bind_lifetime_ns) &&
	       number_is(f, "steady_state_lifetime_ns",
			 (uint64_t)r->steady_lifetime_ns) &&
	       endpoints_are(member(f, "addr_ports"), &r->endpoints);
}

static bool fields_are(struct json_object *f, const struct disco_msg *m)
{
	struct key zero = {0};

	switch (m->type) {
	case DISCO_PING:
		return same(hex_of(f, "txid"), m->ping.txid, DISCO_TXID_LEN) &&
		       (member(f, "node_key")
				? key_is(f, "node_key", &m->ping.node_key)
				: key_equal(&zero, &m->ping.node_key)) &&
		       number_is(f, "padding", m->ping.padding);
	case DISCO_PONG:
		return same(hex_of(f, "txid"), m->pong.txid, DISCO_TXID_LEN) &&
		       endpoint_is(text(f, "src"), &m->pong.src);
	case DISCO_CALL_ME_MAYBE:
		return endpoints_are(member(f, "endpoints"), &m->call_me_maybe);
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return number_is(f, "vni", m->bind.vni) &&
		       number_is(f, "generation", m->bind.generation) &&
		       key_is(f, "remote_key", &m->bind.remote_key) &&
		       same(hex_of(f, "challenge"), m->bind.challenge,
			    DISCO_CHALLENGE_LEN);
	case DISCO_CALL_ME_MAYBE_VIA:
		return relay_is(f, &m->via);
	case DISCO_ALLOCATE_REQUEST:
		return pair_is(f, m->request.client_disco) &&
		       number_is(f, "generation", m->request.generation);
	case DISCO_ALLOCATE_RESPONSE:
		return number_is(f, "generation", m->response.generation) &&
		       relay_is(f, &m->response.relay);
	}
	return false;
}

/* The packet without its Geneve header; the header's fields are checked. */
static struct blob *inner_of(struct json_object *v)
{
	struct blob *b = hex_of(v, "packet_hex");
	struct json_object *h = member(v, "geneve");
	struct geneve g;

	if (!h)
		return b;
	tap_ok(!geneve_decode(&g, b->p, b->len) && g.protocol == GENEVE_DISCO &&
		       g.vni == json_object_get_uint64(member(h, "vni")) &&
		       g.control ==
			       json_object_get_boolean(member(h, "control")),
	       "%s: Geneve header", text(v, "name"));
	return blob_new(b->p + GENEVE_HEADER_LEN, b->len - GENEVE_HEADER_LEN);
}

static void truncate_packet(const char *name, const struct blob *packet,
			    const struct disco_shared *s)
{
	uint8_t plain[2048];
	size_t i, passed = 0;

	for (i = 0; i < packet->len; i++) {
		struct blob *cut = blob_new(packet->p, i);

		passed += disco_open(cut->p, i, s, plain, sizeof(plain)) >= 0;
		passed += disco_is_client_packet(cut->p, i) != (i >= 38);
		passed += disco_is_relay_packet(cut->p, i) != (i >= 62);
	}
	tap_ok(!passed, "%s: no truncated packet opens", name);
}

/* Lengths at which a cut plaintext may still decode. */
static bool may_decode(enum disco_type type, size_t len)
{
	switch (type) {
	case DISCO_PING:
		return len >= 14;
	case DISCO_PONG:
		return len >= 32;
	case DISCO_CALL_ME_MAYBE:
		return len >= 2;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return len >= 74;
	case DISCO_CALL_ME_MAYBE_VIA:
		return len >= 2 + 142 && (len - 2 - 124) % 18 == 0;
	case DISCO_ALLOCATE_REQUEST:
		return len >= 70;
	case DISCO_ALLOCATE_RESPONSE:
		return len >= 2 + 146 && (len - 2 - 128) % 18 == 0;
	}
	return false;
}

static void truncate_plain(const char *name, const struct blob *plain)
{
	struct disco_msg m;
	size_t i, wrong = 0;

	for (i = 0; i <= plain->len; i++) {
		int err = disco_decode(&m, blob_new(plain->p, i)->p, i);

		wrong += !err != (i >= 2 && may_decode(plain->p[0], i));
	}
	tap_ok(!wrong, "%s: truncated at every byte", name);
}

static void vector(struct json_object *v)
{
	const char *name = text(v, "name");
	struct key sender = half(text(v, "sender_key"), "public_hex");
	struct key recipient = half(text(v, "recipient_key"), "public_hex");
	struct disco_shared in = shared_of(text(v, "recipient_key"), &sender);
	struct disco_shared out = shared_of(text(v, "sender_key"), &recipient);
	struct blob *plain = hex_of(v, "plaintext_hex");
	struct blob *nonce = hex_of(v, "nonce_hex"), *packet = inner_of(v);
	uint8_t buf[2048], again[2048];
	struct disco_msg m;
	struct key from;
	ssize_t n;

	tap_ok(disco_is_client_packet(packet->p, packet->len) &&
		       !disco_sender(packet->p, packet->len, &from) &&
		       key_equal(&from, &sender),
	       "%s: the sender", name);
	n = disco_open(packet->p, packet->len, &in, buf, plain->len);
	tap_ok(n >= 0 && same(plain, buf, (size_t)n), "%s: opens", name);
	n = disco_seal(plain->p, plain->len, &sender, &out, nonce->p, buf,
		       plain->len + DISCO_OVERHEAD);
	tap_ok(n >= 0 && same(packet, buf, (size_t)n), "%s: seals", name);
	truncate_packet(name, packet, &in);

	if (text_is(v, "expect", "decrypts_but_ignored")) {
		tap_ok(disco_decode(&m, plain->p, plain->len) < 0,
		       "%s: is ignored", name);
		return;
	}
	tap_ok(!disco_decode(&m, plain->p, plain->len) &&
		       m.type == type_of(text(v, "type")) &&
		       fields_are(member(v, "fields"), &m),
	       "%s: decodes", name);
	truncate_plain(name, plain);
	n = disco_encode(&m, again, sizeof(again));
	if (strncmp(name, "compat_", 7))
		tap_ok(n >= 0 && same(plain, again, (size_t)n), "%s: encodes",
		       name);
	tap_ok(n > 0 && disco_encode(&m, again, (size_t)n - 1) == -ENOSPC &&
		       disco_encode(&m, again, (size_t)n) == n,
	       "%s: needs all of its buffer", name);
}

static void negative(struct json_object *v)
{
	struct blob *in = hex_of(v, "packet_hex");
	uint8_t plain[2048];
	struct key sender;
	int err = disco_sender(in->p, in->len, &sender);

	if (!err) {
		struct disco_shared s =
			shared_of(text(v, "recipient_key"), &sender);

		err = disco_open(in->p, in->len, &s, plain, sizeof(plain)) < 0;
	}
	tap_ok(err, "negative: %s", text(v, "name"));
}

static void shared_keys(struct json_object *list)
{
	struct json_object *v;

	for_each_in(v, list)
	{
		struct key a = half(text(v, "a"), "public_hex");
		struct key b = half(text(v, "b"), "public_hex");
		struct disco_shared ab = shared_of(text(v, "a"), &b);
		struct disco_shared ba = shared_of(text(v, "b"), &a);
		struct key want = key_of(v, "shared_hex");

		tap_ok(key_equal(&ab.k, &want) && key_equal(&ba.k, &want),
		       "the key of %s and %s", text(v, "a"), text(v, "b"));
	}
}

static void zero_keys(void)
{
	struct key alice = half("alice-disco", "private_hex"), zero = {0};
	struct key bob = half("bob-disco", "public_hex");
	struct disco_shared s = shared_of("alice-disco", &bob);
	uint8_t nonce[DISCO_NONCE_LEN] = {0}, buf[256], plain[2] = {3, 0};
	struct key k;
	ssize_t n;

	tap_ok(disco_seal(plain, 2, &zero, &s, nonce, buf, sizeof(buf)) ==
		       -EINVAL,
	       "a zero sender seals nothing");
	n = disco_seal(plain, 2, &bob, &s, nonce, buf, sizeof(buf));
	memset(buf + DISCO_MAGIC_LEN, 0, KEY_LEN);
	tap_ok(disco_sender(buf, (size_t)n, &k) == -EBADMSG,
	       "a zero sender is no disco packet");
	tap_ok(disco_shared_key(&s, &alice, &zero) == -EINVAL &&
		       key_is_zero(&s.k),
	       "a zero public key gives no shared key");
	tap_ok(disco_shared_key(&s, &zero, &bob) == -EINVAL,
	       "nor does a zero private key");
	k = zero;
	k.b[0] = 1;
	tap_ok(disco_shared_key(&s, &alice, &k) == -EINVAL,
	       "nor one of low order");
}

static struct disco_relay a_relay(void)
{
	struct disco_relay r = {
		.server_disco = half("carol-relay-server-disco", "public_hex"),
		.client_disco = {half("alice-disco", "public_hex"),
				 half("bob-disco", "public_hex")},
		.lamport_id = UINT64_MAX,
		.vni = 0xffffff,
		.bind_lifetime_ns = -1,
		.steady_lifetime_ns = INT64_MAX,
		.endpoints = {.count = 1, .list = {{.port = 7777}}},
	};

	r.endpoints.list[0].ip = ip_v4(192, 0, 2, 1);
	return r;
}

static int encode_decode(const struct disco_msg *m, struct disco_msg *got)
{
	uint8_t buf[DISCO_PLAIN_MAX];
	ssize_t n = disco_encode(m, buf, sizeof(buf));

	return n < 0 ? (int)n : disco_decode(got, blob_new(buf, n)->p, n);
}

static void refused_fields(void)
{
	struct disco_msg m = {.type = DISCO_CALL_ME_MAYBE_VIA,
			      .via = a_relay()};
	struct disco_msg got;
	uint8_t buf[DISCO_PLAIN_MAX];
	size_t i, passed = 0;
	ssize_t n;

	tap_ok(!encode_decode(&m, &got) && got.via.bind_lifetime_ns == -1 &&
		       got.via.lamport_id == UINT64_MAX,
	       "extreme values survive a round trip");
	n = disco_encode(&m, buf, sizeof(buf));
	for (i = 0; i < 3; i++) {
		struct blob *b = blob_new(buf, (size_t)n);

		memset(b->p + 2 + i * KEY_LEN, 0, KEY_LEN);
		passed += disco_decode(&got, b->p, b->len) != -EBADMSG;
	}
	tap_ok(!passed, "a relay with any zero key is refused");
	put_be32(buf + 2 + 104, 0);
	passed += disco_decode(&got, buf, (size_t)n) != -EBADMSG;
	put_be32(buf + 2 + 104, 0x1000000);
	passed += disco_decode(&got, buf, (size_t)n) != -EBADMSG;
	tap_ok(!passed, "so is a VNI of 0 or of 25 bits");

	m.via.endpoints.count = 0;
	tap_ok(encode_decode(&m, &got) == -EINVAL,
	       "a relay without address is not sent");
	m.via.endpoints.count = DISCO_ENDPOINTS_MAX + 1;
	tap_ok(encode_decode(&m, &got) == -EINVAL, "nor one with too many");
	m = (struct disco_msg){.type = DISCO_PING, .ping.padding = 32};
	tap_ok(encode_decode(&m, &got) == -EINVAL,
	       "nor padding that reads as a node key");
	m = (struct disco_msg){.type = DISCO_PONG};
	tap_ok(encode_decode(&m, &got) == -EINVAL,
	       "nor a pong without address");
	m = (struct disco_msg){.type = DISCO_BIND, .bind.vni = 1};
	tap_ok(encode_decode(&m, &got) == -EINVAL,
	       "nor a bind without remote key");
	m = (struct disco_msg){.type = DISCO_ALLOCATE_REQUEST};
	tap_ok(encode_decode(&m, &got) == -EINVAL,
	       "nor a request without clients");
}

/* Section 5: what each type makes of a version it does not know. */
static void versions(struct json_object *list)
{
	struct json_object *v;

	for_each_in(v, list)
	{
		struct blob *plain = hex_of(v, "plaintext_hex");
		struct disco_msg m, old;
		int err, was = disco_decode(&old, plain->p, plain->len);

		if (was || !strncmp(text(v, "name"), "compat_", 7))
			continue;
		plain->p[1] = 1;
		err = disco_decode(&m, plain->p, plain->len);
		if (plain->p[0] >= DISCO_CALL_ME_MAYBE_VIA)
			tap_ok(err == -EOPNOTSUPP, "%s, version 1: ignored",
			       text(v, "name"));
		else if (plain->p[0] == DISCO_CALL_ME_MAYBE)
			tap_ok(!err && !m.call_me_maybe.count,
			       "%s, version 1: empty", text(v, "name"));
		else
			tap_ok(!err && fields_are(member(v, "fields"), &m),
			       "%s, version 1: as version 0", text(v, "name"));
	}
}

static void endpoint_limit(void)
{
	uint8_t plain[2 + 18 * (DISCO_ENDPOINTS_MAX + 5)] = {3, 0};
	struct disco_msg m, got;
	bool same_list;
	size_t i;

	for (i = 2; i < sizeof(plain); i += 18) {
		memset(plain + i + 10, 0xff, 2);
		put_be16(plain + i + 16, (uint16_t)i);
	}
	tap_ok(!disco_decode(&m, plain, sizeof(plain)) &&
		       m.call_me_maybe.count == DISCO_ENDPOINTS_MAX &&
		       m.call_me_maybe.list[0].ip.family == 4 &&
		       m.call_me_maybe.list[0].port == 2,
	       "a list too long is cut");
	same_list = !encode_decode(&m, &got) &&
		    got.call_me_maybe.count == DISCO_ENDPOINTS_MAX;
	for (i = 0; same_list && i < DISCO_ENDPOINTS_MAX; i++)
		same_list = endpoint_equal(&m.call_me_maybe.list[i],
					   &got.call_me_maybe.list[i]);
	tap_ok(same_list, "the longest list survives a round trip");
}

static void in_place(void)
{
	struct key alice = half("alice-disco", "public_hex");
	struct key bob = half("bob-disco", "public_hex");
	struct disco_shared s = shared_of("alice-disco", &bob);
	uint8_t nonce[DISCO_NONCE_LEN] = {9}, a[512], b[512];
	size_t i;
	ssize_t n;

	for (i = 0; i < 100; i++)
		a[DISCO_OVERHEAD + i] = b[i] = (uint8_t)i;
	n = disco_seal(a + DISCO_OVERHEAD, 100, &alice, &s, nonce, a,
		       sizeof(a));
	tap_ok(n == 100 + DISCO_OVERHEAD &&
		       disco_open(a, (size_t)n, &s, a, sizeof(a)) == 100 &&
		       !memcmp(a, b, 100),
	       "sealing and opening in one buffer");
	tap_ok(disco_seal(b, 100, &alice, &s, nonce, a, 99 + DISCO_OVERHEAD) ==
		       -ENOSPC,
	       "no packet beyond the buffer");
	n = disco_seal(b, 100, &alice, &s, nonce, a, sizeof(a));
	tap_ok(disco_open(a, (size_t)n, &s, b, 99) == -ENOSPC,
	       "no plaintext beyond the buffer");
}

int main(void)
{
	struct json_object *file = vectors_load("disco.json"), *v;

	keys = member(file, "keys");
	shared_keys(member(file, "precomputed_shared_keys"));
	for_each_in(v, member(file, "vectors")) vector(v);
	for_each_in(v, member(file, "negative")) negative(v);
	versions(member(file, "vectors"));
	zero_keys();
	refused_fields();
	endpoint_limit();
	in_place();
	blobs_free();
	json_object_put(file);
	return tap_done();
}
