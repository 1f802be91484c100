// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "lib/util.h"
#include "proto/derp.h"
#include "tap.h"
#include "vectors.h"

static struct json_object *file;

static struct key half(const char *who, const char *which)
{
	return key_of(member(member(file, "keys"), who), which);
}

/* Parses one whole frame as @receiver does, from a block of its own size. */
static int parse(struct derp_frame *f, enum derp_side receiver,
		 const struct blob *in)
{
	struct derp_header h;
	int err;

	if (in->len < DERP_HEADER_LEN)
		return -EAGAIN;
	derp_header_decode(&h, in->p);
	err = derp_check(receiver, &h);
	if (err)
		return err;
	if (h.len != in->len - DERP_HEADER_LEN)
		return -EAGAIN;
	return derp_parse(f, receiver, &h, in->p + DERP_HEADER_LEN);
}

static bool key_is(struct json_object *fields, const char *name,
		   const struct key *k)
{
	struct key want = {0};

	if (member(fields, name))
		want = key_of(fields, name);
	return key_equal(&want, k);
}

static bool number_is(struct json_object *fields, const char *name, uint64_t n)
{
	return json_object_get_uint64(member(fields, name)) == n;
}

static bool data_is(struct json_object *fields, const struct derp_frame *f)
{
	return same(hex_of(fields, "data_hex"), f->data, f->data_len);
}

static bool present_is(struct json_object *v, const struct derp_frame *f)
{
	char ep[ENDPOINT_TEXT_MAX] = "";

	if (f->endpoint.ip.family)
		endpoint_format(&f->endpoint, ep);
	return key_is(v, "peer_hex", &f->key) && text_is(v, "ip_port", ep) &&
	       number_is(v, "flags", f->flags);
}

static bool fields_are(struct json_object *frame, const struct derp_frame *f)
{
	struct json_object *v = member(frame, "fields");

	switch (f->type) {
	case DERP_SERVER_KEY:
		return key_is(v, "server_public_hex", &f->key) && !f->data_len;
	case DERP_CLIENT_INFO:
		return key_is(v, "client_public_hex", &f->key) &&
		       same(hex_of(frame, "nonce_hex"), f->nonce,
			    sizeof(f->nonce));
	case DERP_SERVER_INFO:
		return same(hex_of(frame, "nonce_hex"), f->nonce,
			    sizeof(f->nonce));
	case DERP_SEND_PACKET:
		return key_is(v, "dst_hex", &f->key) && data_is(v, f);
	case DERP_RECV_PACKET:
		return key_is(v, "src_hex", &f->key) && data_is(v, f);
	case DERP_FORWARD_PACKET:
		return key_is(v, "src_hex", &f->key) &&
		       key_is(v, "dst_hex", &f->dst) && data_is(v, f);
	case DERP_NOTE_PREFERRED:
		return json_object_get_boolean(member(v, "preferred")) ==
		       f->preferred;
	case DERP_PEER_GONE:
		return key_is(v, "peer_hex", &f->key) &&
		       number_is(v, "reason", f->reason);
	case DERP_PEER_PRESENT:
		return present_is(v, f);
	case DERP_CLOSE_PEER:
		return key_is(v, "peer_hex", &f->key);
	case DERP_PING:
	case DERP_PONG:
		return same(hex_of(v, "data_hex"), f->ping, sizeof(f->ping));
	case DERP_HEALTH:
		return f->data_len == strlen(text(v, "problem")) &&
		       !strncmp(text(v, "problem"),
				f->data ? (const char *)f->data : "",
				f->data_len);
	case DERP_RESTARTING:
		return number_is(v, "reconnect_in_ms", f->reconnect_ms) &&
		       number_is(v, "try_for_ms", f->try_ms);
	case DERP_KEEP_ALIVE:
	case DERP_WATCH_CONNS:
		return true;
	}
	return false;
}

/* Forms that are read but never written. */
static bool is_old_form(const char *name)
{
	return strstr(name, "legacy") || strstr(name, "future");
}

static void encodes(const char *name, const struct derp_frame *f,
		    const struct blob *in)
{
	uint8_t out[512];
	ssize_t n = derp_encode(f, out, in->len);

	tap_ok(n >= 0 && same(in, out, (size_t)n), "%s encodes", name);
	tap_ok(derp_encode(f, out, in->len - 1) == -ENOSPC,
	       "%s needs all of its buffer", name);
}

/*
 * Every shorter payload with a header that says so. A known type either refuses
 * it or reads only what is there.
 */
static void truncations(const char *name, enum derp_side side,
			const struct blob *in)
{
	size_t i, wrong = 0;
	struct derp_frame f;

	for (i = 0; i + DERP_HEADER_LEN < in->len; i++) {
		struct blob *cut = blob_new(in->p, i + DERP_HEADER_LEN);
		int err;

		put_be32(cut->p + 1, (uint32_t)i);
		err = parse(&f, side, cut);
		wrong += err && err != -EBADMSG;
		wrong += !err && f.data &&
			 f.data + f.data_len != cut->p + cut->len;
	}
	tap_ok(!wrong, "%s truncated at every byte", name);
}

static void frame(struct json_object *v)
{
	static const char *const sides[] = {"client", "server"};
	const char *name = text(v, "name"), *dir = text(v, "direction");
	unsigned long type = strtoul(text(v, "frame_type"), NULL, 16);
	struct blob *in = hex_of(v, "frame_hex");
	enum derp_side side;

	for (side = DERP_CLIENT; side <= DERP_SERVER; side++) {
		bool for_us = !strcmp(dir, "both") ||
			      !strcmp(dir, "s2c") == (side == DERP_CLIENT);
		struct derp_frame f;
		int err = parse(&f, side, in);

		if (!for_us || type == 0x7f) {
			tap_ok(err == -EOPNOTSUPP, "%s is skipped by a %s",
			       name, sides[side]);
			continue;
		}
		tap_ok(!err && f.type == type && fields_are(v, &f),
		       "%s is read by a %s", name, sides[side]);
		truncations(name, side, in);
		if (!is_old_form(name))
			encodes(name, &f, in);
	}
}

static struct json_object *frame_named(const char *name)
{
	struct json_object *v;

	for_each_in(v, member(file, "frames"))
	{
		if (text_is(v, "name", name))
			return v;
	}
	printf("Bail out! no frame %s\n", name);
	exit(1);
}

/* Boxes: opened, and sealed again from what was read. */
static void client_info(struct json_object *v)
{
	struct key own = half(text(v, "sealed_from"), "private_hex");
	struct key server = half("server", "public_hex");
	struct key server_private = half("server", "private_hex");
	struct key mesh = key_of(file, "mesh_key_hex");
	struct blob *in = hex_of(v, "frame_hex");
	const char *json = text(v, "json");
	uint8_t box[DERP_INFO_BOX_MAX];
	struct derp_client_info info;
	struct derp_frame f;
	ssize_t n;

	parse(&f, DERP_SERVER, in);
	tap_ok(!derp_open_client_info(&info, &f, &server_private) &&
		       info.version == DERP_VERSION &&
		       info.can_ack_pings ==
			       !!strstr(json, "\"CanAckPings\":true") &&
		       info.is_prober == !!strstr(json, "IsProber") &&
		       info.has_mesh_key == !!strstr(json, "meshKey") &&
		       (!info.has_mesh_key ||
			key_equal(&info.mesh_key, &mesh)) &&
		       !strcmp(info.app_name,
			       strstr(json, "AppName") ? "example" : ""),
	       "%s: the box opens", text(v, "name"));
	n = derp_seal_client_info(&info, &own, &server, f.nonce, box);
	tap_ok(n >= 0 && (size_t)n == f.data_len &&
		       !memcmp(box, f.data, f.data_len),
	       "%s: the box seals", text(v, "name"));
}

static void server_info(struct json_object *v)
{
	struct key server = half("server", "public_hex");
	struct key server_private = half("server", "private_hex");
	struct key client = half(text(v, "sealed_to"), "public_hex");
	struct key client_private = half(text(v, "sealed_to"), "private_hex");
	bool limited = strstr(text(v, "json"), "TokenBucket");
	uint8_t box[DERP_INFO_BOX_MAX];
	struct derp_server_info info;
	struct derp_frame f;
	ssize_t n;

	parse(&f, DERP_CLIENT, hex_of(v, "frame_hex"));
	tap_ok(!derp_open_server_info(&info, &f, &server, &client_private) &&
		       info.version == DERP_VERSION &&
		       info.rate == (limited ? 1000000 : 0) &&
		       info.burst == (limited ? 2000000 : 0),
	       "%s: the box opens", text(v, "name"));
	n = derp_seal_server_info(&info, &server_private, &client, f.nonce,
				  box);
	tap_ok(n >= 0 && (size_t)n == f.data_len &&
		       !memcmp(box, f.data, f.data_len),
	       "%s: the box seals", text(v, "name"));
}

static void invalid(struct json_object *v)
{
	struct key server_private = half("server", "private_hex");
	bool server = text_is(v, "receiver", "server");
	struct derp_client_info info;
	struct derp_frame f;
	int err = parse(&f, server ? DERP_SERVER : DERP_CLIENT,
			hex_of(v, "bytes_hex"));

	if (!err && f.type == DERP_CLIENT_INFO)
		err = derp_open_client_info(&info, &f, &server_private);
	tap_ok(err == -EBADMSG, "invalid: %s", text(v, "name"));
}

/* The frames of a transcript, one direction after the other, as one stream. */
static void transcript(struct json_object *v)
{
	enum derp_side side;

	for (side = DERP_CLIENT; side <= DERP_SERVER; side++) {
		const char *dir = side == DERP_CLIENT ? "s2c" : "c2s";
		size_t len = 0, at = 0, want = 0, got = 0;
		struct json_object *step;
		uint8_t stream[4096];

		for_each_in(step, member(v, "steps"))
		{
			struct blob *b;

			if (!text_is(step, "dir", dir) ||
			    !member(step, "frame"))
				continue;
			b = hex_of(frame_named(text(step, "frame")),
				   "frame_hex");
			memcpy(stream + len, b->p, b->len);
			len += b->len;
			want++;
		}
		while (len - at >= DERP_HEADER_LEN) {
			struct derp_header h;
			struct derp_frame f;

			derp_header_decode(&h, stream + at);
			at += DERP_HEADER_LEN;
			if (h.len > len - at ||
			    derp_parse(&f, side, &h, stream + at))
				break;
			at += h.len;
			got++;
		}
		tap_ok(got == want && at == len, "%s: the %s stream",
		       text(v, "name"), dir);
	}
}

static void limits(void)
{
	static const struct {
		enum derp_side side;
		struct derp_header h;
		int want;
	} cases[] = {
		{DERP_CLIENT, {DERP_SERVER_KEY, 40}, 0},
		{DERP_CLIENT, {DERP_SERVER_KEY, 1024}, 0},
		{DERP_CLIENT, {DERP_SERVER_KEY, 1025}, -EMSGSIZE},
		{DERP_SERVER, {DERP_CLIENT_INFO, 262144}, 0},
		{DERP_SERVER, {DERP_CLIENT_INFO, 262145}, -EMSGSIZE},
		{DERP_CLIENT, {DERP_SERVER_INFO, 23}, -EBADMSG},
		{DERP_SERVER, {DERP_SEND_PACKET, 65536 + 32}, 0},
		{DERP_SERVER, {DERP_SEND_PACKET, 65536 + 33}, -EMSGSIZE},
		{DERP_CLIENT, {DERP_RECV_PACKET, 65536 + 32}, 0},
		{DERP_CLIENT, {DERP_RECV_PACKET, 65536 + 33}, -EMSGSIZE},
		{DERP_SERVER, {DERP_FORWARD_PACKET, 65536 + 64}, 0},
		{DERP_SERVER, {DERP_FORWARD_PACKET, 65536 + 65}, -EMSGSIZE},
		{DERP_SERVER, {DERP_FORWARD_PACKET, 63}, -EBADMSG},
		{DERP_SERVER, {DERP_PING, 1000}, 0},
		{DERP_SERVER, {DERP_PING, 1001}, -EMSGSIZE},
		{DERP_CLIENT, {DERP_PING, 1 << 20}, 0},
		{DERP_CLIENT, {DERP_KEEP_ALIVE, 5}, 0},
		{DERP_CLIENT, {DERP_HEALTH, (1 << 20) + 1}, -EMSGSIZE},
		{DERP_CLIENT, {0xff, 1 << 20}, -EOPNOTSUPP},
		{DERP_CLIENT, {0xff, (1 << 20) + 1}, -EMSGSIZE},
		{DERP_SERVER, {0xff, UINT32_MAX}, -EOPNOTSUPP},
		{DERP_SERVER, {0x0b, 0}, -EOPNOTSUPP},
		{DERP_CLIENT, {0x00, 0}, -EOPNOTSUPP},
		{DERP_SERVER, {DERP_CLOSE_PEER, 33}, -EBADMSG},
		{DERP_CLIENT, {DERP_RESTARTING, 7}, -EBADMSG},
	};
	static uint8_t big[DERP_PACKET_MAX + 1];
	struct derp_frame f = {.type = DERP_SEND_PACKET, .data = big};
	uint8_t head[DERP_HEAD_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		tap_ok(derp_check(cases[i].side, &cases[i].h) == cases[i].want,
		       "type %02x with %u bytes", cases[i].h.type,
		       cases[i].h.len);
	f.data_len = DERP_PACKET_MAX;
	tap_ok(derp_head(&f, head) == DERP_HEADER_LEN + KEY_LEN &&
		       get_be32(head + 1) == KEY_LEN + DERP_PACKET_MAX,
	       "the longest packet");
	f.data_len++;
	tap_ok(derp_head(&f, head) == -EMSGSIZE, "one longer");
	f.type = DERP_KEEP_ALIVE;
	tap_ok(derp_head(&f, head) == -EMSGSIZE,
	       "data in a frame that has none");
}

/* Seals any JSON as client_a's ClientInfo; what the server makes of it. */
static int open_json(const char *json, size_t len,
		     struct derp_client_info *info)
{
	struct key own = half("client_a", "private_hex");
	struct key server = half("server", "public_hex");
	struct key server_private = half("server", "private_hex");
	struct derp_frame f = {.type = DERP_CLIENT_INFO,
			       .key = half("client_a", "public_hex")};
	static uint8_t box[DERP_INFO_JSON_MAX + 64];

	if (crypto_box_easy(box, (const uint8_t *)json, len, f.nonce, server.b,
			    own.b))
		return -EIO;
	f.data_len = len + DERP_TAG_LEN;
	f.data = blob_new(box, f.data_len)->p;
	return derp_open_client_info(info, &f, &server_private);
}

static void json(void)
{
#define K "b721e404578963e023e572f98646c5c62722300d33f0a79382c60bcb243065b8"
	static const struct {
		const char *text;
		int want;
	} cases[] = {
		{"{}", 0},
		{" {\"version\":2}\n", 0},
		{"{\"VERSION\":2,\"canackPINGS\":true}", 0},
		{"{\"MESHKEY\":\"" K "\"}", 0},
		{"{\"meshKey\":null,\"version\":null}", 0},
		{"{\"later\":{\"a\":[1,2]},\"version\":2}", 0},
		{"", -EBADMSG},
		{"null", -EBADMSG},
		{"[]", -EBADMSG},
		{"{\"version\":2", -EBADMSG},
		{"{\"version\":2} x", -EBADMSG},
		{"{\"version\":2}{}", -EBADMSG},
		{"{\"version\":\"2\"}", -EBADMSG},
		{"{\"version\":2.5}", -EBADMSG},
		{"{\"version\":4294967296}", -EBADMSG},
		{"{\"CanAckPings\":1}", -EBADMSG},
		{"{\"AppName\":7}", -EBADMSG},
		{"{\"meshKey\":\"\"}", -EBADMSG},
		{"{\"meshKey\":\"" K "00\"}", -EBADMSG},
		{"{\"meshKey\":7}", -EBADMSG},
		{"/* */{}", -EBADMSG},
		{"{\"a\":[[[[[[[[[[1]]]]]]]]]]}", -EBADMSG},
	};
	struct derp_client_info info, zero = {0};
	static char big[DERP_INFO_JSON_MAX + 1];
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		err = open_json(cases[i].text, strlen(cases[i].text), &info);
		tap_ok(err == cases[i].want, "JSON %zu is %s", i,
		       cases[i].want ? "refused" : "taken");
		if (err)
			tap_ok(!memcmp(&info, &zero, sizeof(info)),
			       "leaves nothing behind");
	}
	open_json("{\"VERSION\":2,\"canackPINGS\":true}", 32, &info);
	tap_ok(info.version == 2 && info.can_ack_pings,
	       "names match in any case");
	open_json("{\"MESHKEY\":\"" K "\"}", strlen(K) + 14, &info);
	tap_ok(info.has_mesh_key, "meshKey too");

	tap_ok(open_json("{}\0x", 4, &info) == -EBADMSG,
	       "a NUL does not end the JSON");
	memset(big, ' ', sizeof(big));
	memcpy(big, "{}", 2);
	tap_ok(!open_json(big, DERP_INFO_JSON_MAX, &info), "the longest JSON");
	tap_ok(open_json(big, DERP_INFO_JSON_MAX + 1, &info) == -EBADMSG,
	       "one longer");
}

static void longest_info(void)
{
	struct key own = half("client_a", "private_hex");
	struct key server = half("server", "public_hex"), zero = {0};
	struct key server_private = half("server", "private_hex");
	uint8_t nonce[DERP_NONCE_LEN] = {0};
	struct blob *box = blob_new("", 0);
	struct derp_client_info info = {.version = -2147483647,
					.has_mesh_key = true,
					.is_prober = true},
				got;
	struct derp_server_info rates = {-2147483647, INT64_MIN, INT64_MIN};
	struct derp_frame f = {.key = half("client_a", "public_hex")};
	ssize_t n;

	info.mesh_key = own;
	memset(info.app_name, 1, DERP_APP_NAME_MAX); /* \u0001 each */
	box->p = realloc(box->p, DERP_INFO_BOX_MAX);
	n = derp_seal_client_info(&info, &own, &server, nonce, box->p);
	f.data = box->p;
	f.data_len = (size_t)n;
	tap_ok(n > 0 && !derp_open_client_info(&got, &f, &server_private) &&
		       !memcmp(&info, &got, sizeof(info)),
	       "the longest ClientInfo survives a round trip (%zd bytes)", n);
	n = derp_seal_server_info(&rates, &own, &server, nonce, box->p);
	tap_ok(n > 0 && n < DERP_INFO_BOX_MAX, "the longest ServerInfo");
	tap_ok(derp_seal_client_info(&info, &own, &zero, nonce, box->p) ==
			       -EINVAL &&
		       derp_seal_client_info(&info, &zero, &server, nonce,
					     box->p) == -EINVAL,
	       "a zero key seals nothing");
}

static void meta(void)
{
	struct json_object *v = member(file, "meta_cert");
	const char *cn = text(v, "common_name");
	uint64_t serial = json_object_get_uint64(member(v, "serial"));
	struct key server = half("server", "public_hex"), k = {0}, zero;
	char out[DERP_META_CN_LEN + 1], none[DERP_META_CN_LEN + 1];
	size_t i, passed = 0;

	tap_ok(!derp_meta_parse(cn, strlen(cn), serial, &k) &&
		       key_equal(&k, &server),
	       "the meta certificate's name");
	derp_meta_format(out, &server);
	tap_ok(!strcmp(out, cn), "and back");
	for (i = 0; i < strlen(cn); i++)
		passed += !derp_meta_parse((const char *)blob_new(cn, i)->p, i,
					   serial, &k);
	tap_ok(!passed, "no shorter name");
	memset(&zero, 0, sizeof(zero));
	derp_meta_format(none, &zero);
	tap_ok(derp_meta_parse(none, strlen(none), 2, &k) == -EINVAL,
	       "no zero key");
	tap_ok(derp_meta_parse(cn, strlen(cn), 0, &k) == -EINVAL &&
		       derp_meta_parse(cn, strlen(cn), 256, &k) == -EINVAL,
	       "no serial of 0 or of 9 bits");
	out[0] = 'D';
	tap_ok(derp_meta_parse(out, strlen(out), 2, &k) == -EINVAL,
	       "no other prefix");
}

int main(void)
{
	struct json_object *v;

	file = vectors_load("derp.json");
	for_each_in(v, member(file, "frames"))
	{
		frame(v);
		if (text_is(v, "frame_type", "0x02"))
			client_info(v);
		else if (text_is(v, "frame_type", "0x03"))
			server_info(v);
	}
	for_each_in(v, member(file, "invalid")) invalid(v);
	for_each_in(v, member(file, "transcripts")) transcript(v);
	limits();
	json();
	longest_info();
	meta();
	blobs_free();
	json_object_put(file);
	return tap_done();
}
