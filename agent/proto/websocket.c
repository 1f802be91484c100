// SPDX-License-Identifier: GPL-2.0
#include "proto/websocket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

#define KEY_TEXT_LEN 24 /* base64 of 16 bytes */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define SHA1_LEN 20

enum opcode {
	CONTINUATION = 0,
	TEXT = 1,
	BINARY = 2,
	CLOSE = 8,
	PING = 9,
	PONG = 10,
};

#define FIN 0x80
#define RESERVED 0x70
#define MASKED 0x80

bool websocket_wanted(const struct http_req *r, const char *protocol)
{
	const struct http_slice *upgrade = http_req_header(r, "Upgrade");
	size_t i;

	if (!upgrade || !http_slice_is_nocase(upgrade, "websocket"))
		return false;
	/* The list may be spread over several headers. */
	for (i = 0; i < r->n_headers; i++)
		if (http_slice_is_nocase(&r->headers[i].name,
					 "Sec-WebSocket-Protocol") &&
		    http_slice_has_token(&r->headers[i].value, protocol))
			return true;
	return false;
}

/* Base64 of exactly 16 bytes? */
static bool key_is_valid(const struct http_slice *key)
{
	uint8_t out[KEY_TEXT_LEN / 4 * 3];

	if (!key || key->n != KEY_TEXT_LEN || key->p[22] != '=' ||
	    key->p[23] != '=' || memchr(key->p, '=', 22))
		return false;
	return EVP_DecodeBlock(out, (const uint8_t *)key->p,
			       KEY_TEXT_LEN) == sizeof(out);
}

static void accept_key(const struct http_slice *key, char out[29])
{
	char text[KEY_TEXT_LEN + sizeof(GUID)];
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	memcpy(text, key->p, KEY_TEXT_LEN);
	memcpy(text + KEY_TEXT_LEN, GUID, sizeof(GUID));
	if (!EVP_Digest(text, sizeof(text) - 1, hash, &n, EVP_sha1(), NULL))
		abort();
	EVP_EncodeBlock((uint8_t *)out, hash, SHA1_LEN);
}

int websocket_answer(const struct http_req *r, const char *protocol,
		     char out[WEBSOCKET_ANSWER_MAX])
{
	const struct http_slice *version =
		http_req_header(r, "Sec-WebSocket-Version");
	const struct http_slice *key = http_req_header(r, "Sec-WebSocket-Key");
	char accept[29];

	if (version && !http_slice_is(version, "13")) {
		snprintf(out, WEBSOCKET_ANSWER_MAX,
			 "HTTP/1.1 426 Upgrade Required\r\n"
			 "Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n"
			 "Connection: close\r\n\r\n");
		return 426;
	}
	if (!version || !http_slice_is(&r->method, "GET") || r->http10 ||
	    !r->upgrade || !key_is_valid(key)) {
		snprintf(out, WEBSOCKET_ANSWER_MAX,
			 "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
			 "Connection: close\r\n\r\n");
		return 400;
	}
	accept_key(key, accept);
	snprintf(out, WEBSOCKET_ANSWER_MAX,
		 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
		 "Sec-WebSocket-Protocol: %s\r\n\r\n",
		 accept, protocol);
	return 101;
}

void websocket_close(struct websocket *w, uint16_t code)
{
	if (!w->closed && !w->want_close)
		w->want_close = code;
}

static ssize_t broken(struct websocket *w, uint16_t code)
{
	websocket_close(w, code);
	return -EBADMSG;
}

/* How long the head that begins with @b is (section 5.2). */
static size_t head_size(uint8_t b)
{
	size_t mask = b & MASKED ? 4 : 0;

	b &= 0x7f;
	return 2 + mask + (b == 127 ? 8 : b == 126 ? 2 : 0);
}

/* Takes the complete head of a frame; 0 or what broken() says. */
static ssize_t take_head(struct websocket *w)
{
	const uint8_t *h = w->head;
	uint8_t opcode = h[0] & 0x0f;
	bool fin = h[0] & FIN;

	w->left = h[1] & 0x7f;
	if (w->left == 126)
		w->left = get_be16(h + 2);
	else if (w->left == 127)
		w->left = get_be64(h + 2);
	/* Clients mask; lengths are in their shortest form. */
	if (h[0] & RESERVED || !(h[1] & MASKED) || w->left >> 63 ||
	    ((h[1] & 0x7f) == 126 && w->left < 126) ||
	    ((h[1] & 0x7f) == 127 && w->left <= UINT16_MAX))
		return broken(w, WEBSOCKET_PROTOCOL_ERROR);
	switch (opcode) {
	case CLOSE:
	case PING:
	case PONG:
		if (!fin || w->left > WEBSOCKET_CONTROL_MAX)
			return broken(w, WEBSOCKET_PROTOCOL_ERROR);
		w->control_len = 0;
		break;
	case CONTINUATION:
		if (!w->in_message)
			return broken(w, WEBSOCKET_PROTOCOL_ERROR);
		w->in_message = !fin;
		break;
	case BINARY:
		if (w->in_message)
			return broken(w, WEBSOCKET_PROTOCOL_ERROR);
		w->in_message = !fin;
		break;
	case TEXT:
		return broken(w, w->in_message ? WEBSOCKET_PROTOCOL_ERROR :
						 WEBSOCKET_NOT_BINARY);
	default: /* reserved by the RFC */
		return broken(w, WEBSOCKET_PROTOCOL_ERROR);
	}
	w->opcode = opcode;
	memcpy(w->mask, h + head_size(h[1]) - 4, 4);
	w->mask_at = 0;
	w->head_len = 0;
	return 0;
}

static void unmask(struct websocket *w, uint8_t *out, const uint8_t *in,
		   size_t n)
{
	uint64_t mask, word;
	uint8_t m[8];
	size_t i;

	for (i = 0; i < 8; i++)
		m[i] = w->mask[(w->mask_at + i) & 3];
	memcpy(&mask, m, 8);
	/* @out is not behind @in, so a word is read before it is written over. */
	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&word, in + i, 8);
		word ^= mask;
		memcpy(out + i, &word, 8);
	}
	for (; i < n; i++)
		out[i] = in[i] ^ m[i & 7];
	w->mask_at = (uint8_t)((w->mask_at + n) & 3);
}

/* A control frame is complete. */
static ssize_t take_control(struct websocket *w)
{
	if (w->opcode == PING) {
		memcpy(w->pong, w->control, w->control_len);
		w->pong_len = w->control_len;
		w->want_pong = true;
	} else if (w->opcode == CLOSE) {
		if (w->control_len == 1)
			return broken(w, WEBSOCKET_PROTOCOL_ERROR);
		/* The code goes back as it came; none is 1000 here. */
		websocket_close(w, w->control_len ? get_be16(w->control) :
						    1000);
		return -ESHUTDOWN;
	}
	return 0;
}

/* Collects a head from @in; how much of it, or an error. */
static ssize_t collect_head(struct websocket *w, const uint8_t *in, size_t n)
{
	size_t took = 0, want;
	ssize_t err;

	while (took < n) {
		w->head[w->head_len++] = in[took++];
		want = w->head_len < 2 ? 2 : head_size(w->head[1]);
		if (w->head_len < want)
			continue;
		err = take_head(w);
		return err ? err : (ssize_t)took;
	}
	return (ssize_t)took;
}

static bool in_frame(const struct websocket *w)
{
	return w->left > 0;
}

ssize_t websocket_decode(struct websocket *w, uint8_t *buf, size_t n)
{
	size_t at = 0, got = 0, part;
	ssize_t err;

	if (w->want_close || w->closed)
		return -ESHUTDOWN;
	while (at < n) {
		if (!in_frame(w)) {
			err = collect_head(w, buf + at, n - at);
			if (err < 0)
				return err;
			at += (size_t)err;
			if (w->head_len)
				break; /* incomplete */
		}
		part = w->left < n - at ? (size_t)w->left : n - at;
		if (w->opcode < CLOSE) {
			unmask(w, buf + got, buf + at, part);
			got += part;
		} else {
			unmask(w, w->control + w->control_len, buf + at, part);
			w->control_len = (uint8_t)(w->control_len + part);
		}
		at += part;
		w->left -= part;
		if (!w->left && w->opcode >= CLOSE) {
			err = take_control(w);
			if (err < 0)
				return err;
		}
	}
	return (ssize_t)got;
}

bool websocket_has_control(const struct websocket *w)
{
	return !w->closed && (w->want_pong || w->want_close);
}

size_t websocket_put_control(struct websocket *w,
			     uint8_t out[WEBSOCKET_CONTROLS_MAX])
{
	size_t n = 0;

	if (w->closed)
		return 0;
	if (w->want_pong) {
		out[n++] = FIN | PONG;
		out[n++] = w->pong_len;
		memcpy(out + n, w->pong, w->pong_len);
		n += w->pong_len;
		w->want_pong = false;
	}
	if (w->want_close) {
		out[n++] = FIN | CLOSE;
		out[n++] = 2;
		put_be16(out + n, w->want_close);
		n += 2;
		w->closed = true;
	}
	return n;
}

size_t websocket_put_head(uint8_t *payload, size_t len)
{
	uint8_t *h;

	if (len < 126) {
		h = payload - 2;
		h[1] = (uint8_t)len;
	} else if (len <= UINT16_MAX) {
		h = payload - 4;
		h[1] = 126;
		put_be16(h + 2, (uint16_t)len);
	} else {
		h = payload - 10;
		h[1] = 127;
		put_be64(h + 2, len);
	}
	h[0] = FIN | BINARY;
	return (size_t)(payload - h);
}
