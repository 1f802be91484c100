// SPDX-License-Identifier: GPL-2.0
#include "proto/derp.h"

#include <errno.h>
#include <string.h>

#include "lib/util.h"

#define MAGIC_LEN 8
#define EP_LEN 18 /* 16 bytes of address, port */
#define SERVER_KEY_MAX 1024
#define SERVER_PING_MAX 1000

static const uint8_t magic[MAGIC_LEN] = {0x44, 0x45, 0x52, 0x50,
					 0xf0, 0x9f, 0x94, 0x91};

/* Payload lengths that a receiver takes, spec section 4. */
struct limit {
	bool known; /* to this side */
	uint32_t min, max;
};

#define ANY DERP_FRAME_MAX
#define BOX (KEY_LEN + DERP_NONCE_LEN)

static const struct limit limits[2][DERP_RESTARTING + 1] =
	{
		[DERP_CLIENT] =
			{
				[DERP_SERVER_KEY] = {true, MAGIC_LEN + KEY_LEN,
						     SERVER_KEY_MAX},
				[DERP_SERVER_INFO] = {true, DERP_NONCE_LEN,
						      ANY},
				[DERP_RECV_PACKET] = {true, KEY_LEN,
						      KEY_LEN +
							      DERP_PACKET_MAX},
				[DERP_KEEP_ALIVE] = {true, 0, ANY},
				[DERP_PEER_GONE] = {true, KEY_LEN, ANY},
				[DERP_PEER_PRESENT] = {true, KEY_LEN, ANY},
				[DERP_PING] = {true, DERP_PING_LEN, ANY},
				[DERP_PONG] = {true, DERP_PING_LEN, ANY},
				[DERP_HEALTH] = {true, 0, ANY},
				[DERP_RESTARTING] = {true, 8, ANY},
			},
		[DERP_SERVER] =
			{
				[DERP_CLIENT_INFO] = {true, BOX,
						      DERP_CLIENT_INFO_MAX},
				[DERP_SEND_PACKET] = {true, KEY_LEN,
						      KEY_LEN +
							      DERP_PACKET_MAX},
				[DERP_NOTE_PREFERRED] = {true, 1, 1},
				[DERP_FORWARD_PACKET] =
					{true, 2 * KEY_LEN,
					 2 * KEY_LEN + DERP_PACKET_MAX},
				[DERP_WATCH_CONNS] = {true, 0, 0},
				[DERP_CLOSE_PEER] = {true, KEY_LEN, KEY_LEN},
				[DERP_PING] = {true,
					       DERP_PING_LEN, SERVER_PING_MAX},
				[DERP_PONG] = {true,
					       DERP_PING_LEN, SERVER_PING_MAX},
			},
};

void derp_header_encode(uint8_t out[DERP_HEADER_LEN],
			const struct derp_header *h)
{
	out[0] = h->type;
	put_be32(out + 1, h->len);
}

void derp_header_decode(struct derp_header *h,
			const uint8_t in[DERP_HEADER_LEN])
{
	h->type = in[0];
	h->len = get_be32(in + 1);
}

int derp_check(enum derp_side receiver, const struct derp_header *h)
{
	const struct limit *l;

	if (receiver == DERP_CLIENT && h->len > DERP_FRAME_MAX)
		return -EMSGSIZE;
	if (h->type >= ARRAY_SIZE(limits[0]))
		return -EOPNOTSUPP;
	l = &limits[receiver][h->type];
	if (!l->known)
		return -EOPNOTSUPP;
	if (h->len < l->min)
		return -EBADMSG;
	if (h->len > l->max)
		return l->min == l->max ? -EBADMSG : -EMSGSIZE;
	return 0;
}

static void get_key(struct key *k, const uint8_t *in)
{
	memcpy(k->b, in, KEY_LEN);
}

int derp_parse(struct derp_frame *f, enum derp_side receiver,
	       const struct derp_header *h, const uint8_t *payload)
{
	int err = derp_check(receiver, h);
	size_t fixed = 0;

	if (err)
		return err;
	memset(f, 0, sizeof(*f));
	f->type = h->type;

	switch (f->type) {
	case DERP_SERVER_KEY:
		if (memcmp(payload, magic, sizeof(magic)) != 0)
			return -EBADMSG;
		get_key(&f->key, payload + MAGIC_LEN);
		return key_is_zero(&f->key) ? -EBADMSG : 0;
	case DERP_CLIENT_INFO:
		get_key(&f->key, payload);
		if (key_is_zero(&f->key))
			return -EBADMSG;
		memcpy(f->nonce, payload + KEY_LEN, DERP_NONCE_LEN);
		fixed = BOX;
		break;
	case DERP_SERVER_INFO:
		memcpy(f->nonce, payload, DERP_NONCE_LEN);
		fixed = DERP_NONCE_LEN;
		break;
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
		get_key(&f->key, payload);
		fixed = KEY_LEN;
		break;
	case DERP_FORWARD_PACKET:
		get_key(&f->key, payload);
		get_key(&f->dst, payload + KEY_LEN);
		fixed = 2 * KEY_LEN;
		break;
	case DERP_NOTE_PREFERRED:
		f->preferred = payload[0] != 0;
		return 0;
	case DERP_PEER_GONE:
		get_key(&f->key, payload);
		if (h->len > KEY_LEN)
			f->reason = payload[KEY_LEN];
		return 0;
	case DERP_PEER_PRESENT:
		get_key(&f->key, payload);
		payload += KEY_LEN;
		if (h->len >= KEY_LEN + EP_LEN) {
			ip_from_wire16(&f->endpoint.ip, payload);
			f->endpoint.port = get_be16(payload + 16);
		}
		if (h->len > KEY_LEN + EP_LEN)
			f->flags = payload[EP_LEN];
		return 0;
	case DERP_CLOSE_PEER:
		get_key(&f->key, payload);
		return 0;
	case DERP_PING:
	case DERP_PONG:
		memcpy(f->ping, payload, DERP_PING_LEN);
		return 0;
	case DERP_RESTARTING:
		f->reconnect_ms = get_be32(payload);
		f->try_ms = get_be32(payload + 4);
		return 0;
	case DERP_HEALTH:
		break;
	case DERP_KEEP_ALIVE:
	case DERP_WATCH_CONNS:
		return 0;
	}
	f->data_len = h->len - fixed;
	if (f->data_len)
		f->data = payload + fixed;
	return 0;
}

static uint8_t *put_bytes(uint8_t *out, const void *in, size_t len)
{
	memcpy(out, in, len);
	return out + len;
}

/* Writes the fixed part of the payload; its end. */
static uint8_t *put_fixed(uint8_t *p, const struct derp_frame *f)
{
	switch (f->type) {
	case DERP_SERVER_KEY:
		p = put_bytes(p, magic, sizeof(magic));
		return put_bytes(p, f->key.b, KEY_LEN);
	case DERP_CLIENT_INFO:
		p = put_bytes(p, f->key.b, KEY_LEN);
		return put_bytes(p, f->nonce, DERP_NONCE_LEN);
	case DERP_SERVER_INFO:
		return put_bytes(p, f->nonce, DERP_NONCE_LEN);
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
	case DERP_CLOSE_PEER:
		return put_bytes(p, f->key.b, KEY_LEN);
	case DERP_FORWARD_PACKET:
		p = put_bytes(p, f->key.b, KEY_LEN);
		return put_bytes(p, f->dst.b, KEY_LEN);
	case DERP_NOTE_PREFERRED:
		*p++ = f->preferred;
		return p;
	case DERP_PEER_GONE:
		p = put_bytes(p, f->key.b, KEY_LEN);
		*p++ = f->reason;
		return p;
	case DERP_PEER_PRESENT:
		p = put_bytes(p, f->key.b, KEY_LEN);
		if (f->endpoint.ip.family) {
			ip_to_wire16(&f->endpoint.ip, p);
			put_be16(p + 16, f->endpoint.port);
			p += EP_LEN;
			*p++ = f->flags;
		}
		return p;
	case DERP_PING:
	case DERP_PONG:
		return put_bytes(p, f->ping, DERP_PING_LEN);
	case DERP_RESTARTING:
		put_be32(p, f->reconnect_ms);
		put_be32(p + 4, f->try_ms);
		return p + 8;
	case DERP_KEEP_ALIVE:
	case DERP_WATCH_CONNS:
	case DERP_HEALTH:
		return p;
	}
	return p;
}

static uint32_t data_max(enum derp_type type)
{
	switch (type) {
	case DERP_SEND_PACKET:
	case DERP_RECV_PACKET:
	case DERP_FORWARD_PACKET:
		return DERP_PACKET_MAX;
	case DERP_CLIENT_INFO:
		return DERP_CLIENT_INFO_MAX - BOX;
	case DERP_SERVER_INFO:
		return DERP_FRAME_MAX - DERP_NONCE_LEN;
	case DERP_HEALTH:
		return DERP_FRAME_MAX;
	case DERP_SERVER_KEY:
	case DERP_KEEP_ALIVE:
	case DERP_NOTE_PREFERRED:
	case DERP_PEER_GONE:
	case DERP_PEER_PRESENT:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
	case DERP_PING:
	case DERP_PONG:
	case DERP_RESTARTING:
		return 0;
	}
	return 0;
}

ssize_t derp_client_next(struct derp_frame *f, const uint8_t *data, size_t n,
			 int *err)
{
	struct derp_header h;

	if (n < DERP_HEADER_LEN)
		return 0;
	derp_header_decode(&h, data);
	*err = derp_check(DERP_CLIENT, &h);
	if (*err == -EMSGSIZE || h.len > DERP_FRAME_MAX)
		return -EMSGSIZE;
	if (n - DERP_HEADER_LEN < h.len)
		return 0;
	if (!*err)
		*err = derp_parse(f, DERP_CLIENT, &h, data + DERP_HEADER_LEN);
	return (ssize_t)(DERP_HEADER_LEN + h.len);
}

ssize_t derp_head(const struct derp_frame *f, uint8_t out[DERP_HEAD_MAX])
{
	struct derp_header h = {.type = (uint8_t)f->type};
	size_t fixed;

	if (f->data_len > data_max(f->type))
		return -EMSGSIZE;
	fixed = (size_t)(put_fixed(out + DERP_HEADER_LEN, f) - out) -
		DERP_HEADER_LEN;
	h.len = (uint32_t)(fixed + f->data_len);
	derp_header_encode(out, &h);
	return (ssize_t)(DERP_HEADER_LEN + fixed);
}

ssize_t derp_encode(const struct derp_frame *f, uint8_t *out, size_t cap)
{
	uint8_t head[DERP_HEAD_MAX];
	ssize_t n = derp_head(f, head);

	if (n < 0)
		return n;
	if (cap < (size_t)n || cap - (size_t)n < f->data_len)
		return -ENOSPC;
	out = put_bytes(out, head, (size_t)n);
	if (f->data_len)
		memcpy(out, f->data, f->data_len);
	return n + (ssize_t)f->data_len;
}
