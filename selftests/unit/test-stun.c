// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "proto/stun.h"
#include "tap.h"
#include "vectors.h"

static bool accepted(struct json_object *v, const char *member_name)
{
	return json_object_get_boolean(member(v, member_name));
}

static void requests(struct json_object *file)
{
	uint8_t txid[STUN_TXID_LEN], out[STUN_REQUEST_LEN];
	struct json_object *v;
	size_t i, passed = 0;

	for_each_in(v, member(file, "requests"))
	{
		struct blob *in = hex_of(v, "packet_hex");
		struct blob *id = hex_of(v, "txid");
		bool want = accepted(v, "server_accepts");
		int err = stun_parse_request(in->p, in->len, txid);

		tap_ok(want ? !err && same(id, txid, sizeof(txid))
			    : err == -EBADMSG,
		       "%s", text(v, "name"));
		for (i = 0; i < in->len; i++)
			passed += !stun_parse_request(blob_new(in->p, i)->p, i,
						      txid);
		if (!want)
			continue;
		stun_request(out, id->p);
		tap_ok(same(in, out, sizeof(out)), "%s is what we send",
		       text(v, "name"));
	}
	tap_ok(!passed, "no truncated request is taken");
}

/* The checksum does not cover the fingerprint attribute's own header. */
static void fingerprint_header(void)
{
	static const uint8_t id[STUN_TXID_LEN];
	uint8_t in[STUN_REQUEST_LEN], txid[STUN_TXID_LEN];

	stun_request(in, id);
	in[33]++;
	tap_ok(stun_parse_request(in, sizeof(in), txid) == -EBADMSG,
	       "another attribute with the right checksum");
	in[33]--;
	in[35]--;
	tap_ok(stun_parse_request(in, sizeof(in), txid) == -EBADMSG,
	       "a fingerprint of three bytes");
}

static void responses(struct json_object *file)
{
	struct json_object *v;
	size_t i, passed = 0;

	for_each_in(v, member(file, "responses"))
	{
		struct blob *in = hex_of(v, "packet_hex");
		struct blob *id = hex_of(v, "txid");
		uint8_t txid[STUN_TXID_LEN], out[STUN_RESPONSE_MAX];
		struct endpoint got, want;
		int err = stun_parse_response(in->p, in->len, txid, &got);
		size_t whole = STUN_HEADER_LEN + in->p[3];

		if (!accepted(v, "client_accepts")) {
			tap_ok(err == -EBADMSG, "%s", text(v, "name"));
			continue;
		}
		endpoint_parse(&want, text(v, "mapped"));
		tap_ok(!err && same(id, txid, sizeof(txid)) &&
			       endpoint_equal(&got, &want),
		       "%s", text(v, "name"));
		for (i = 0; i < whole; i++)
			passed += !stun_parse_response(blob_new(in->p, i)->p, i,
						       txid, &got);
		if (text_is(v, "name", "response_ipv4") ||
		    text_is(v, "name", "response_ipv6"))
			tap_ok(same(in, out, stun_response(out, id->p, &want)),
			       "%s is what a server sends", text(v, "name"));
	}
	tap_ok(!passed, "no truncated response is taken");
}

/* Attributes that the vectors do not hold. */
static void attributes(void)
{
#define HEAD(len) "010100" len "2112a4423768e7e05964cc447128279d"
#define XOR_A "00200008000183bbea12d545" /* 203.0.113.7:41641 */
#define XOR_B "0020000800010000ea12d545" /* another port */
	static const struct {
		const char *what, *bytes, *mapped;
	} cases[] = {
		{"the last of two XOR addresses", HEAD("18") XOR_B XOR_A,
		 "203.0.113.7:41641"},
		{"MAPPED-ADDRESS behind the XOR form",
		 HEAD("18") XOR_A "0001000800010001c6336401",
		 "203.0.113.7:41641"},
		{"an address of 7 bytes", HEAD("0c") "00200007000183bbea12d545",
		 NULL},
		{"an address of 3 bytes", HEAD("08") "0020000300018300", NULL},
		{"IPv6 in 8 bytes", HEAD("0c") "00200008000283bbea12d545",
		 NULL},
		{"a bad address before a good one",
		 HEAD("18") "00200008000983bbea12d545" XOR_A, NULL},
		{"a value longer than its address",
		 HEAD("10") "0020000c000183bbea12d54500000000",
		 "203.0.113.7:41641"},
		{"padding beyond the end", HEAD("10") XOR_A "80220001", NULL},
		{"a value without its padding", HEAD("11") XOR_A "8022000161",
		 NULL},
		{"half an attribute header", HEAD("0e") XOR_A "8022", NULL},
	};
	uint8_t txid[STUN_TXID_LEN];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blob *in = hex(cases[i].bytes);
		struct endpoint got, want = {0};
		int err = stun_parse_response(in->p, in->len, txid, &got);

		if (cases[i].mapped)
			endpoint_parse(&want, cases[i].mapped);
		tap_ok(cases[i].mapped ? !err && endpoint_equal(&got, &want)
				       : err == -EBADMSG,
		       "%s", cases[i].what);
	}
}

static void round_trips(void)
{
	static const char *const list[] = {"0.0.0.0:0", "255.255.255.255:65535",
					   "[::1]:1", "[fe80::1]:3478"};
	uint8_t id[STUN_TXID_LEN] = {1, 2, 3}, txid[STUN_TXID_LEN];
	uint8_t out[STUN_RESPONSE_MAX];
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct endpoint e, got;
		size_t len;

		endpoint_parse(&e, list[i]);
		len = stun_response(out, id, &e);
		tap_ok(!stun_parse_response(out, len, txid, &got) &&
			       endpoint_equal(&e, &got) &&
			       !memcmp(id, txid, sizeof(id)),
		       "%s survives a round trip", list[i]);
	}
}

int main(void)
{
	struct json_object *file = vectors_load("stun.json");

	requests(file);
	fingerprint_header();
	responses(file);
	attributes();
	round_trips();
	blobs_free();
	json_object_put(file);
	return tap_done();
}
