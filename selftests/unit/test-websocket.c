// SPDX-License-Identifier: GPL-2.0
#include "proto/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tap.h"

/* The handshake of RFC 6455, section 1.3, with our subprotocol. */
static const char hello[] =
	"GET /derp HTTP/1.1\r\nHost: server.example.com\r\n"
	"Upgrade: websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	"Origin: http://example.com\r\n"
	"Sec-WebSocket-Protocol: chat, derp\r\n"
	"Sec-WebSocket-Version: 13\r\n\r\n";

/* "Hello" as in section 5.7: whole and masked, then the end of a fragment. */
static const uint8_t masked_hello[] = { 0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d,
					0x7f, 0x9f, 0x4d, 0x51, 0x58 };

static int answer(const char *from, const char *to, char *out, bool *wanted)
{
	char text[1024], *at;
	struct http_req r;
	const char *why;
	int status;

	snprintf(text, sizeof(text), "%s", hello);
	if (from) {
		char rest[1024];

		at = strstr(text, from);
		snprintf(rest, sizeof(rest), "%s", at + strlen(from));
		snprintf(at, sizeof(text) - (size_t)(at - text), "%s%s", to,
			 rest);
	}
	if (http_req_parse(text, strlen(text), &r, &why) <= 0)
		return -1;
	*wanted = websocket_wanted(&r, "derp");
	status = websocket_answer(&r, "derp", out);
	return status;
}

static void test_handshake(void)
{
	char out[WEBSOCKET_ANSWER_MAX];
	bool w;

	tap_ok(answer(NULL, NULL, out, &w) == 101 && w &&
		       strstr(out, "Sec-WebSocket-Accept: "
				   "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") &&
		       strstr(out, "Sec-WebSocket-Protocol: derp\r\n"),
	       "the handshake of the RFC");
	answer("chat, derp", "derpy", out, &w);
	tap_ok(!w, "another subprotocol is not ours");
	answer("Upgrade: websocket", "Upgrade: DERP", out, &w);
	tap_ok(!w, "another upgrade is not ours");
	tap_ok(answer("Version: 13", "Version: 8", out, &w) == 426 &&
		       strstr(out, "Sec-WebSocket-Version: 13\r\n"),
	       "another version is told which one there is");
	tap_ok(answer("Sec-WebSocket-Version: 13\r\n", "", out, &w) == 400,
	       "no version");
	tap_ok(answer("25jZQ==", "25jZ==", out, &w) == 400 &&
		       answer("dGhl", "d=hl", out, &w) == 400 &&
		       answer("dGhl", "d~hl", out, &w) == 400 &&
		       answer("Sec-WebSocket-Key", "X", out, &w) == 400,
	       "no key, or one that is not 16 bytes");
	tap_ok(answer("GET", "POST", out, &w) == 400 &&
		       answer("Connection: Upgrade", "Connection: close", out,
			      &w) == 400,
	       "no upgrade, no GET");
}

/* A client's frame. Returns its length. */
static size_t put_frame(uint8_t *out, uint8_t first, const void *payload,
			size_t len)
{
	static const uint8_t mask[4] = { 0xa1, 0x02, 0xf3, 0x44 };
	size_t n = 0, i;

	out[n++] = first;
	if (len < 126) {
		out[n++] = (uint8_t)(0x80 | len);
	} else if (len <= 65535) {
		out[n++] = 0x80 | 126;
		put_be16(out + n, (uint16_t)len);
		n += 2;
	} else {
		out[n++] = 0x80 | 127;
		put_be64(out + n, len);
		n += 8;
	}
	memcpy(out + n, mask, 4);
	n += 4;
	for (i = 0; i < len; i++)
		out[n++] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
	return n;
}

/* Feeds @in in pieces of @step; what came out, or the error. */
static ssize_t decode(struct websocket *w, const uint8_t *in, size_t n,
		      size_t step, uint8_t *out)
{
	size_t at, got = 0, part;

	for (at = 0; at < n; at += part) {
		uint8_t *piece;
		ssize_t ret;

		part = step < n - at ? step : n - at;
		piece = xmalloc(part); /* exact, for the sanitizer */
		memcpy(piece, in + at, part);
		ret = websocket_decode(w, piece, part);
		if (ret > 0) {
			memcpy(out + got, piece, (size_t)ret);
			got += (size_t)ret;
		}
		free(piece);
		if (ret < 0)
			return ret;
	}
	return (ssize_t)got;
}

/* Fragments, all sizes of lengths, a ping between fragments. */
static size_t stream_in(uint8_t *in, uint8_t *plain, size_t *plain_len)
{
	static const size_t lens[] = { 0, 1, 125, 126, 65535, 65536, 70001 };
	size_t i, n = 0, got = 0;

	for (i = 0; i < 70001 * 4; i++)
		plain[i] = (uint8_t)(i * 31 + i / 251);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		bool first = i == 0, last = i == 3 || i == 6;

		/* messages: 0..3, 4..6 */
		n += put_frame(in + n,
			       (uint8_t)((last ? 0x80 : 0) |
					 (first || i == 4 ? 2 : 0)),
			       plain + got, lens[i]);
		got += lens[i];
		if (i == 1)
			n += put_frame(in + n, 0x89, "are you there", 13);
	}
	*plain_len = got;
	return n;
}

static void test_decode(void)
{
	static uint8_t in[400000], plain[400000], out[400000];
	static const size_t steps[] = { 1, 2, 3, 7, 14, 1000, 400000 };
	uint8_t control[WEBSOCKET_CONTROLS_MAX];
	size_t n, len, i;

	struct websocket w = { 0 };

	tap_ok(decode(&w, masked_hello, sizeof(masked_hello), 100, out) == 5 &&
		       !memcmp(out, "Hello", 5),
	       "the masked frame of the RFC");
	n = stream_in(in, plain, &len);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		memset(&w, 0, sizeof(w));
		tap_ok(decode(&w, in, n, steps[i], out) == (ssize_t)len &&
			       !memcmp(out, plain, len) &&
			       websocket_has_control(&w) &&
			       websocket_put_control(&w, control) == 15 &&
			       !memcmp(control, "\x8a\x0d"
						"are you there", 15) &&
			       !websocket_has_control(&w),
		       "fragments and a ping, in pieces of %zu", steps[i]);
	}
}

/* Every prefix of a stream gives what it carries and no error. */
static void test_truncated(void)
{
	static uint8_t in[4096], out[4096], zeros[300];
	size_t n = put_frame(in, 0x02, "first", 5), k, bad = 0;

	n += put_frame(in + n, 0x8a, "pong", 4);
	n += put_frame(in + n, 0x80, "second", 6);
	n += put_frame(in + n, 0x82, zeros, 300);
	n += put_frame(in + n, 0x88, "\x03\xe8", 2);
	for (k = 0; k < n; k++) {
		struct websocket w = { 0 };
		ssize_t ret = decode(&w, in, k, 4096, out);

		bad += ret < 0 || ret > 311 || websocket_has_control(&w);
	}
	tap_ok(!bad, "cut at every byte: no error, nothing to say");
}

static void test_close(void)
{
	uint8_t in[256], out[256], control[WEBSOCKET_CONTROLS_MAX];
	struct websocket w = { 0 };
	size_t n = put_frame(in, 0x88, "\x03\xe9" "bye", 5);

	tap_ok(decode(&w, in, n, 3, out) == -ESHUTDOWN &&
		       websocket_put_control(&w, control) == 4 &&
		       !memcmp(control, "\x88\x02\x03\xe9", 4) && w.closed,
	       "a close is answered with its code");
	tap_ok(websocket_decode(&w, in, 1) == -ESHUTDOWN, "and ends it");
	memset(&w, 0, sizeof(w));
	n = put_frame(in, 0x88, "", 0);
	tap_ok(decode(&w, in, n, 1, out) == -ESHUTDOWN &&
		       websocket_put_control(&w, control) == 4 &&
		       get_be16(control + 2) == 1000,
	       "a close without a code");
	memset(&w, 0, sizeof(w));
	websocket_close(&w, WEBSOCKET_GOING_AWAY);
	tap_ok(websocket_put_control(&w, control) == 4 &&
		       get_be16(control + 2) == 1001 &&
		       !websocket_put_control(&w, control),
	       "our own, once");
}

static void test_broken(void)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t n;
		uint16_t code;
	} cases[] = {
		{ "not masked", "\x82\x01x", 3, 1002 },
		{ "a reserved bit", "\xc2\x80mask", 6, 1002 },
		{ "a reserved opcode", "\x83\x80mask", 6, 1002 },
		{ "text", "\x81\x80mask", 6, 1003 },
		{ "a continuation of nothing", "\x80\x80mask", 6, 1002 },
		{ "a message in a message", "\x02\x80mask\x82\x80mask", 12,
		  1002 },
		{ "text in a message", "\x02\x80mask\x81\x80mask", 12, 1002 },
		{ "a fragmented ping", "\x09\x80mask", 6, 1002 },
		{ "a long ping", "\x89\xfe\x00\x7emask", 8, 1002 },
		{ "a length in a longer form", "\x82\xfe\x00\x7dmask", 8,
		  1002 },
		{ "a length in the longest form",
		  "\x82\xff\0\0\0\0\0\0\xff\xffmask", 14, 1002 },
		{ "a length with its top bit",
		  "\x82\xff\x80\0\0\0\0\0\0\0mask", 14, 1002 },
		{ "half a close code", "\x88\x81masko", 7, 1002 },
	};
	uint8_t out[64], control[WEBSOCKET_CONTROLS_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct websocket w = { 0 };

		tap_ok(decode(&w, (const uint8_t *)cases[i].bytes, cases[i].n,
			      64, out) == -EBADMSG &&
			       websocket_put_control(&w, control) == 4 &&
			       get_be16(control + 2) == cases[i].code,
		       "%s", cases[i].what);
	}
}

static void test_heads(void)
{
	uint8_t buf[WEBSOCKET_OUT_HEAD_MAX];
	uint8_t *end = buf + sizeof(buf);

	tap_ok(websocket_put_head(end, 5) == 2 && !memcmp(end - 2, "\x82\x05", 2),
	       "the head of a short message");
	tap_ok(websocket_put_head(end, 126) == 4 &&
		       !memcmp(end - 4, "\x82\x7e\0\x7e", 4) &&
		       websocket_put_head(end, 65535) == 4,
	       "of a longer one");
	tap_ok(websocket_put_head(end, 65536) == 10 &&
		       !memcmp(buf, "\x82\x7f\0\0\0\0\0\1\0\0", 10),
	       "of a long one");
}

int main(void)
{
	test_handshake();
	test_decode();
	test_truncated();
	test_close();
	test_broken();
	test_heads();
	return tap_done();
}
