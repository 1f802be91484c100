// SPDX-License-Identifier: GPL-2.0
#include "proto/disco.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "lib/util.h"

#define PREAMBLE_LEN 2 /* type, version */
#define EP_LEN 18      /* 16 bytes of address, port */
#define PING_LEN DISCO_TXID_LEN
#define PONG_LEN (DISCO_TXID_LEN + EP_LEN)
#define BIND_LEN (4 + 4 + KEY_LEN + DISCO_CHALLENGE_LEN)
#define REQUEST_LEN (2 * KEY_LEN + 4)
#define RELAY_LEN (3 * KEY_LEN + 8 + 4 + 8 + 8) /* without endpoints */
#define GENERATION_LEN 4
#define CLIENT_TEST_LEN (DISCO_MAGIC_LEN + KEY_LEN)
#define VNI_MAX 0xffffffu

static const uint8_t magic[DISCO_MAGIC_LEN] = {0x54, 0x53, 0xf0,
					       0x9f, 0x92, 0xac};

_Static_assert(DISCO_TAG_LEN == crypto_box_MACBYTES, "box tag");
_Static_assert(DISCO_NONCE_LEN == crypto_box_NONCEBYTES, "box nonce");
_Static_assert(KEY_LEN == crypto_box_BEFORENMBYTES, "box shared key");

static bool has_magic(const uint8_t *in, size_t len, size_t min)
{
	return len >= min && memcmp(in, magic, sizeof(magic)) == 0;
}

bool disco_is_client_packet(const uint8_t *in, size_t len)
{
	return has_magic(in, len, CLIENT_TEST_LEN);
}

bool disco_is_relay_packet(const uint8_t *in, size_t len)
{
	return has_magic(in, len, DISCO_HEADER_LEN);
}

int disco_shared_key(struct disco_shared *shared, const struct key *own_private,
		     const struct key *peer_public)
{
	/* libsodium refuses low-order points, the zero key among them. */
	if (key_is_zero(own_private) ||
	    crypto_box_beforenm(shared->k.b, peer_public->b, own_private->b)) {
		key_wipe(&shared->k);
		return -EINVAL;
	}
	return 0;
}

int disco_sender(const uint8_t *in, size_t len, struct key *sender)
{
	struct key k;

	if (!has_magic(in, len, DISCO_OVERHEAD))
		return -EBADMSG;
	memcpy(k.b, in + DISCO_MAGIC_LEN, KEY_LEN);
	if (key_is_zero(&k))
		return -EBADMSG;
	*sender = k;
	return 0;
}

ssize_t disco_open(const uint8_t *in, size_t len,
		   const struct disco_shared *shared, uint8_t *plain,
		   size_t cap)
{
	uint8_t nonce[DISCO_NONCE_LEN];

	if (!has_magic(in, len, DISCO_OVERHEAD))
		return -EBADMSG;
	if (cap < len - DISCO_OVERHEAD)
		return -ENOSPC;
	/* @plain may cover it. */
	memcpy(nonce, in + DISCO_MAGIC_LEN + KEY_LEN, sizeof(nonce));
	if (crypto_box_open_easy_afternm(plain, in + DISCO_HEADER_LEN,
					 len - DISCO_HEADER_LEN, nonce,
					 shared->k.b))
		return -EBADMSG;
	return (ssize_t)(len - DISCO_OVERHEAD);
}

ssize_t disco_seal(const uint8_t *plain, size_t len,
		   const struct key *sender_public,
		   const struct disco_shared *shared,
		   const uint8_t nonce[DISCO_NONCE_LEN], uint8_t *out,
		   size_t cap)
{
	if (key_is_zero(sender_public))
		return -EINVAL;
	if (cap < DISCO_OVERHEAD || cap - DISCO_OVERHEAD < len)
		return -ENOSPC;
	if (crypto_box_easy_afternm(out + DISCO_HEADER_LEN, plain, len, nonce,
				    shared->k.b))
		return -EINVAL;
	memcpy(out, magic, sizeof(magic));
	memcpy(out + DISCO_MAGIC_LEN, sender_public->b, KEY_LEN);
	memcpy(out + DISCO_MAGIC_LEN + KEY_LEN, nonce, DISCO_NONCE_LEN);
	return (ssize_t)(len + DISCO_OVERHEAD);
}

static void get_endpoint(struct endpoint *e, const uint8_t *in)
{
	memset(e, 0, sizeof(*e));
	ip_from_wire16(&e->ip, in);
	e->port = get_be16(in + 16);
}

static uint8_t *put_endpoint(uint8_t *out, const struct endpoint *e)
{
	ip_to_wire16(&e->ip, out);
	put_be16(out + 16, e->port);
	return out + EP_LEN;
}

/* @len is a multiple of EP_LEN. */
static void get_endpoints(struct disco_endpoints *list, const uint8_t *in,
			  size_t len)
{
	size_t i;

	list->count = len / EP_LEN;
	if (list->count > DISCO_ENDPOINTS_MAX)
		list->count = DISCO_ENDPOINTS_MAX;
	for (i = 0; i < list->count; i++)
		get_endpoint(&list->list[i], in + i * EP_LEN);
}

static uint8_t *put_endpoints(uint8_t *out, const struct disco_endpoints *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		out = put_endpoint(out, &list->list[i]);
	return out;
}

static bool endpoints_valid(const struct disco_endpoints *list)
{
	size_t i;

	if (list->count > DISCO_ENDPOINTS_MAX)
		return false;
	for (i = 0; i < list->count; i++)
		if (!list->list[i].ip.family)
			return false;
	return true;
}

static bool pair_valid(const struct key pair[2])
{
	return !key_is_zero(&pair[0]) && !key_is_zero(&pair[1]);
}

static bool vni_valid(uint32_t vni)
{
	return vni >= 1 && vni <= VNI_MAX;
}

static bool relay_valid(const struct disco_relay *r)
{
	return !key_is_zero(&r->server_disco) && pair_valid(r->client_disco) &&
	       vni_valid(r->vni) && r->endpoints.count >= 1 &&
	       endpoints_valid(&r->endpoints);
}

static const uint8_t *get_key(struct key *k, const uint8_t *in)
{
	memcpy(k->b, in, KEY_LEN);
	return in + KEY_LEN;
}

static uint8_t *put_bytes(uint8_t *out, const void *in, size_t len)
{
	memcpy(out, in, len);
	return out + len;
}

static int decode_relay(struct disco_relay *r, const uint8_t *in, size_t len)
{
	if (len < RELAY_LEN + EP_LEN || (len - RELAY_LEN) % EP_LEN)
		return -EBADMSG;
	get_endpoints(&r->endpoints, in + RELAY_LEN, len - RELAY_LEN);
	in = get_key(&r->server_disco, in);
	in = get_key(&r->client_disco[0], in);
	in = get_key(&r->client_disco[1], in);
	r->lamport_id = get_be64(in);
	r->vni = get_be32(in + 8);
	r->bind_lifetime_ns = (int64_t)get_be64(in + 12);
	r->steady_lifetime_ns = (int64_t)get_be64(in + 20);
	return relay_valid(r) ? 0 : -EBADMSG;
}

static void put_relay(uint8_t *out, const struct disco_relay *r)
{
	out = put_bytes(out, r->server_disco.b, KEY_LEN);
	out = put_bytes(out, r->client_disco[0].b, KEY_LEN);
	out = put_bytes(out, r->client_disco[1].b, KEY_LEN);
	put_be64(out, r->lamport_id);
	put_be32(out + 8, r->vni);
	put_be64(out + 12, (uint64_t)r->bind_lifetime_ns);
	put_be64(out + 20, (uint64_t)r->steady_lifetime_ns);
	put_endpoints(out + 28, &r->endpoints);
}

static int decode_ping(struct disco_ping *p, const uint8_t *in, size_t len)
{
	if (len < PING_LEN)
		return -EBADMSG;
	memcpy(p->txid, in, DISCO_TXID_LEN);
	memset(&p->node_key, 0, sizeof(p->node_key));
	p->padding = len - PING_LEN;
	if (p->padding >= KEY_LEN) {
		get_key(&p->node_key, in + PING_LEN);
		p->padding -= KEY_LEN;
	}
	return 0;
}

static int decode_pong(struct disco_pong *p, const uint8_t *in, size_t len)
{
	if (len < PONG_LEN)
		return -EBADMSG;
	memcpy(p->txid, in, DISCO_TXID_LEN);
	get_endpoint(&p->src, in + DISCO_TXID_LEN);
	return 0;
}

static int decode_bind(struct disco_bind *b, const uint8_t *in, size_t len)
{
	if (len < BIND_LEN)
		return -EBADMSG;
	b->vni = get_be32(in);
	b->generation = get_be32(in + 4);
	in = get_key(&b->remote_key, in + 8);
	memcpy(b->challenge, in, DISCO_CHALLENGE_LEN);
	return vni_valid(b->vni) && !key_is_zero(&b->remote_key) ? 0 : -EBADMSG;
}

static int decode_request(struct disco_allocate_request *r, const uint8_t *in,
			  size_t len)
{
	if (len < REQUEST_LEN)
		return -EBADMSG;
	in = get_key(&r->client_disco[0], in);
	in = get_key(&r->client_disco[1], in);
	r->generation = get_be32(in);
	return pair_valid(r->client_disco) ? 0 : -EBADMSG;
}

static int decode_response(struct disco_allocate_response *r, const uint8_t *in,
			   size_t len)
{
	if (len < GENERATION_LEN)
		return -EBADMSG;
	r->generation = get_be32(in);
	return decode_relay(&r->relay, in + GENERATION_LEN,
			    len - GENERATION_LEN);
}

int disco_decode(struct disco_msg *m, const uint8_t *plain, size_t len)
{
	const uint8_t *body;
	uint8_t version;

	if (len < PREAMBLE_LEN)
		return -EBADMSG;
	if (plain[0] < DISCO_PING || plain[0] > DISCO_ALLOCATE_RESPONSE)
		return -EOPNOTSUPP;
	m->type = plain[0];
	version = plain[1];
	body = plain + PREAMBLE_LEN;
	len -= PREAMBLE_LEN;

	switch (m->type) {
	case DISCO_PING:
		return decode_ping(&m->ping, body, len);
	case DISCO_PONG:
		return decode_pong(&m->pong, body, len);
	case DISCO_CALL_ME_MAYBE:
		get_endpoints(&m->call_me_maybe, body,
			      version || len % EP_LEN ? 0 : len);
		return 0;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return decode_bind(&m->bind, body, len);
	case DISCO_CALL_ME_MAYBE_VIA:
		return version ? -EOPNOTSUPP : decode_relay(&m->via, body, len);
	case DISCO_ALLOCATE_REQUEST:
		return version ? -EOPNOTSUPP
			       : decode_request(&m->request, body, len);
	case DISCO_ALLOCATE_RESPONSE:
		return version ? -EOPNOTSUPP
			       : decode_response(&m->response, body, len);
	}
	return -EOPNOTSUPP;
}

/* Length of the body that disco_encode() writes, -EINVAL if it must not. */
static ssize_t body_length(const struct disco_msg *m)
{
	size_t len;

	switch (m->type) {
	case DISCO_PING:
		/* Without the key, 32 bytes of padding would be read as one. */
		if (key_is_zero(&m->ping.node_key))
			return m->ping.padding ? -EINVAL : PING_LEN;
		if (m->ping.padding > UINT16_MAX)
			return -EINVAL;
		return (ssize_t)(PING_LEN + KEY_LEN + m->ping.padding);
	case DISCO_PONG:
		return m->pong.src.ip.family ? PONG_LEN : -EINVAL;
	case DISCO_CALL_ME_MAYBE:
		if (!endpoints_valid(&m->call_me_maybe))
			return -EINVAL;
		return (ssize_t)(m->call_me_maybe.count * EP_LEN);
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		return vni_valid(m->bind.vni) &&
				       !key_is_zero(&m->bind.remote_key)
			       ? BIND_LEN
			       : -EINVAL;
	case DISCO_CALL_ME_MAYBE_VIA:
		if (!relay_valid(&m->via))
			return -EINVAL;
		len = RELAY_LEN + m->via.endpoints.count * EP_LEN;
		return (ssize_t)len;
	case DISCO_ALLOCATE_REQUEST:
		return pair_valid(m->request.client_disco) ? REQUEST_LEN
							   : -EINVAL;
	case DISCO_ALLOCATE_RESPONSE:
		if (!relay_valid(&m->response.relay))
			return -EINVAL;
		len = GENERATION_LEN + RELAY_LEN +
		      m->response.relay.endpoints.count * EP_LEN;
		return (ssize_t)len;
	}
	return -EINVAL;
}

ssize_t disco_encode(const struct disco_msg *m, uint8_t *out, size_t cap)
{
	ssize_t len = body_length(m);

	if (len < 0)
		return len;
	len += PREAMBLE_LEN;
	if (cap < (size_t)len)
		return -ENOSPC;
	*out++ = (uint8_t)m->type;
	*out++ = 0;

	switch (m->type) {
	case DISCO_PING:
		out = put_bytes(out, m->ping.txid, DISCO_TXID_LEN);
		if (!key_is_zero(&m->ping.node_key)) {
			out = put_bytes(out, m->ping.node_key.b, KEY_LEN);
			memset(out, 0, m->ping.padding);
		}
		break;
	case DISCO_PONG:
		out = put_bytes(out, m->pong.txid, DISCO_TXID_LEN);
		put_endpoint(out, &m->pong.src);
		break;
	case DISCO_CALL_ME_MAYBE:
		put_endpoints(out, &m->call_me_maybe);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		put_be32(out, m->bind.vni);
		put_be32(out + 4, m->bind.generation);
		out = put_bytes(out + 8, m->bind.remote_key.b, KEY_LEN);
		put_bytes(out, m->bind.challenge, DISCO_CHALLENGE_LEN);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		put_relay(out, &m->via);
		break;
	case DISCO_ALLOCATE_REQUEST:
		out = put_bytes(out, m->request.client_disco[0].b, KEY_LEN);
		out = put_bytes(out, m->request.client_disco[1].b, KEY_LEN);
		put_be32(out, m->request.generation);
		break;
	case DISCO_ALLOCATE_RESPONSE:
		put_be32(out, m->response.generation);
		put_relay(out + GENERATION_LEN, &m->response.relay);
		break;
	}
	return len;
}

const char *disco_type_name(enum disco_type type)
{
	switch (type) {
	case DISCO_PING:
		return "ping";
	case DISCO_PONG:
		return "pong";
	case DISCO_CALL_ME_MAYBE:
		return "call-me-maybe";
	case DISCO_BIND:
		return "bind";
	case DISCO_BIND_CHALLENGE:
		return "bind-challenge";
	case DISCO_BIND_ANSWER:
		return "bind-answer";
	case DISCO_CALL_ME_MAYBE_VIA:
		return "call-me-maybe-via";
	case DISCO_ALLOCATE_REQUEST:
		return "allocate-request";
	case DISCO_ALLOCATE_RESPONSE:
		return "allocate-response";
	}
	return "unknown";
}
