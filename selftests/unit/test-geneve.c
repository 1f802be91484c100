// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "proto/classify.h"
#include "proto/geneve.h"
#include "tap.h"
#include "vectors.h"

static struct geneve geneve_of(struct json_object *v)
{
	struct geneve g = {
		.vni = (uint32_t)json_object_get_int64(member(v, "vni")),
		.control = json_object_get_boolean(member(v, "control")),
		.protocol = (uint16_t)strtoul(text(v, "protocol"), NULL, 16),
	};

	return g;
}

static bool geneve_equal(const struct geneve *a, const struct geneve *b)
{
	return a->vni == b->vni && a->control == b->control &&
	       a->protocol == b->protocol;
}

static void headers(struct json_object *file)
{
	struct json_object *v;

	for_each_in(v, member(file, "headers"))
	{
		struct geneve want = geneve_of(v), got;
		struct blob *in = hex_of(v, "header_hex");
		uint8_t out[GENEVE_HEADER_LEN];
		size_t i, passed = 0;

		geneve_encode(&want, out);
		tap_ok(same(in, out, sizeof(out)), "%s encodes",
		       text(v, "name"));
		tap_ok(!geneve_decode(&got, in->p, in->len) &&
			       geneve_equal(&got, &want),
		       "%s decodes", text(v, "name"));
		for (i = 0; i < in->len; i++)
			passed +=
				!geneve_decode(&got, blob_new(in->p, i)->p, i);
		tap_ok(!passed, "%s truncated is refused", text(v, "name"));
	}
}

static void classification(struct json_object *file)
{
	struct json_object *v;

	for_each_in(v, member(file, "classification"))
	{
		bool geneve = json_object_get_boolean(member(v, "geneve"));
		struct blob *in = hex_of(v, "packet_hex");
		enum packet_kind kind = classify_udp(in->p, in->len);
		struct geneve want = geneve_of(v), got = {0};
		char name[32];

		snprintf(name, sizeof(name), "%s%s", geneve ? "geneve-" : "",
			 text(v, "kind"));
		tap_ok(!strcmp(packet_kind_name(kind), name), "%s is %s",
		       text(v, "name"), name);
		if (!geneve)
			continue;
		tap_ok(!geneve_decode(&got, in->p, in->len) &&
			       got.vni == want.vni &&
			       got.control == want.control,
		       "%s: VNI and control bit", text(v, "name"));
	}
}

static void encapsulation(struct json_object *file)
{
	struct json_object *v;

	for_each_in(v, member(file, "encapsulation"))
	{
		struct geneve g = geneve_of(v);
		struct blob *inner = hex_of(v, "inner_hex");
		struct blob *outer = hex_of(v, "outer_hex");
		uint8_t out[256];

		g.protocol = GENEVE_WIREGUARD;
		geneve_encode(&g, out);
		memcpy(out + GENEVE_HEADER_LEN, inner->p, inner->len);
		tap_ok(same(outer, out, GENEVE_HEADER_LEN + inner->len), "%s",
		       text(v, "name"));
	}
}

/* Every prefix of every packet, in a block of exactly that size. */
static void truncations(struct json_object *file)
{
	struct json_object *v;
	size_t i, odd = 0;

	for_each_in(v, member(file, "classification"))
	{
		struct blob *in = hex_of(v, "packet_hex");

		for (i = 0; i <= in->len; i++) {
			enum packet_kind kind =
				classify_udp(blob_new(in->p, i)->p, i);

			odd += kind == PACKET_STUN && i < 20;
			odd += kind == PACKET_DISCO && i < 38;
			odd += kind == PACKET_GENEVE_DISCO && i < 46;
			odd += kind == PACKET_GENEVE_WIREGUARD && i < 8;
		}
	}
	tap_ok(!odd, "no prefix is taken for more than it holds");
	tap_ok(classify_udp(NULL, 0) == PACKET_WIREGUARD, "nothing at all");
}

int main(void)
{
	struct json_object *file = vectors_load("geneve.json");

	headers(file);
	classification(file);
	encapsulation(file);
	truncations(file);
	blobs_free();
	json_object_put(file);
	return tap_done();
}
