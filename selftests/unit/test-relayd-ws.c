// SPDX-License-Identifier: GPL-2.0
/* A client in a WebSocket, at the core of a relay. */
#include "relay/ws.h"

#include <stdio.h>

#include "relayd.h"
#include "tap.h"

static struct core core;
static struct peer in_ws, other;
static struct relayd_ws *ws;
static struct relayd_client_io io;

static void ws_pause(void *p, bool paused)
{
	io_pause(p, paused);
	relayd_ws_pause(ws, in_ws.c, paused);
}

static void ws_yield(void *p)
{
	io_yield(p);
	relayd_ws_yield(ws);
}

/* A client's frame of a WebSocket around @data. Returns its length. */
static size_t wrap(uint8_t *out, uint8_t first, const uint8_t *data, size_t len)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	size_t n = 0, i;

	out[n++] = first;
	out[n++] = 0x80 | (len < 126 ? (uint8_t)len : 126);
	if (len >= 126) {
		put_be16(out + n, (uint16_t)len);
		n += 2;
	}
	memcpy(out + n, mask, 4);
	n += 4;
	for (i = 0; i < len; i++)
		out[n++] = data[i] ^ mask[i & 3];
	return n;
}

/* As the stream does, but @step bytes at a time. */
static void feed(const uint8_t *data, size_t n, size_t step)
{
	size_t at = 0;

	while (at < n && !in_ws.paused && !in_ws.closed) {
		size_t part = step < n - at ? step : n - at;

		at += relayd_ws_input(ws, in_ws.c, data + at, part);
	}
	if (at < n)
		abort();
}

/* Everything it was sent, unwrapped; true if it is all one kind of frame. */
static bool drain(uint8_t first)
{
	static uint8_t buf[16384];
	bool over = false, good = true;
	size_t n, at, len;

	while (!over && (n = relayd_ws_fill(ws, in_ws.c, buf, sizeof(buf),
					    &over))) {
		for (at = 0; at < n; at += len) {
			good = good && buf[at] == first;
			len = buf[at + 1];
			at += 2;
			if (len == 126) {
				len = get_be16(buf + at);
				at += 2;
			}
			memcpy(in_ws.out + in_ws.n_out, buf + at, len);
			in_ws.n_out += len;
		}
	}
	return good;
}

static size_t client_info(uint8_t *out, size_t cap)
{
	const struct derp_client_info info = { .version = DERP_VERSION };
	const uint8_t nonce[DERP_NONCE_LEN] = { 0 };

	return (size_t)derp_encode_login(&info, &in_ws.private_key,
					 &core.server.public_key, nonce, out,
					 cap);
}

static size_t packets(uint8_t *out, size_t cap, unsigned int count, size_t len)
{
	static uint8_t data[DERP_PACKET_MAX];
	struct derp_frame f = { .type = DERP_SEND_PACKET,
				.key = other.public_key,
				.data = data,
				.data_len = len };
	size_t n = 0;

	while (count--)
		n += (size_t)derp_encode(&f, out + n, cap - n);
	return n;
}

static void test_login(void)
{
	struct endpoint remote = { .ip = ip_v4(192, 0, 2, 1), .port = 1 };
	uint8_t frame[1024], wire[1100];
	struct derp_frame f;

	io = peer_io;
	io.pause = ws_pause;
	io.yield = ws_yield;
	peer_open(&in_ws, &core);
	relayd_client_free(in_ws.c);
	ws = relayd_ws_new();
	in_ws.c = relayd_client_new(core.w, &io, &in_ws, &remote, false);
	tap_ok(drain(0x82) && peer_next(&in_ws, &f) &&
		       f.type == DERP_SERVER_KEY,
	       "ServerKey in a binary message");
	feed(wire, wrap(wire, 0x82, frame, client_info(frame, sizeof(frame))),
	     1);
	tap_ok(in_ws.logged_in && drain(0x82) && peer_next(&in_ws, &f) &&
		       f.type == DERP_SERVER_INFO,
	       "a login, byte by byte");
}

static void test_packets(void)
{
	static uint8_t frames[DERP_PACKET_MAX], wire[70000];
	unsigned int got = 0;
	struct derp_frame f;
	size_t n, half;

	/* Two messages whose border is inside of a frame. */
	n = packets(frames, sizeof(frames), 30, 50);
	half = n / 2 + 7;
	n = wrap(wire, 0x82, frames, half) +
	    wrap(wire + wrap(wire, 0x82, frames, half), 0x82, frames + half,
		 n - half);
	feed(wire, n, 16384);
	while (peer_gets(&other, DERP_RECV_PACKET, &f))
		got += key_equal(&f.key, &in_ws.public_key) &&
		       f.data_len == 50;
	tap_ok(got == 30 && in_ws.yielded, "packets in and out of it");
	n = packets(frames, sizeof(frames), 1, 60000);
	feed(wire, wrap(wire, 0x82, frames, n), 16384);
	tap_ok(peer_gets(&other, DERP_RECV_PACKET, &f) && f.data_len == 60000,
	       "a large one");
	peer_packet(&other, &in_ws.public_key, frames, 60000);
	peer_packet(&other, &in_ws.public_key, "hello", 5);
	tap_ok(drain(0x82) && peer_next(&in_ws, &f) && f.data_len == 60000 &&
		       !memcmp(f.data, frames, 60000) &&
		       peer_next(&in_ws, &f) && f.data_len == 5,
	       "and back, in several messages");
}

static void test_pause(void)
{
	static uint8_t frames[2000], wire[2100];
	struct derp_frame f;
	size_t n = packets(frames, sizeof(frames), 10, 100);
	unsigned int got = 0;

	/* It has to wait after the second packet; the others are decoded. */
	relayd_limit_init(&in_ws.c->rate, 1, 1, now_ns());
	feed(wire, wrap(wire, 0x82, frames, n), sizeof(wire));
	while (peer_gets(&other, DERP_RECV_PACKET, &f))
		got++;
	tap_ok(got == 2 && in_ws.paused, "a pause in the middle");
	relayd_limit_init(&in_ws.c->rate, 0, 0, now_ns());
	ws_pause(&in_ws, false);
	while (peer_gets(&other, DERP_RECV_PACKET, &f))
		got++;
	tap_ok(got == 10, "what was read already follows after it");
}

static void test_close(void)
{
	uint8_t wire[64], buf[16384];
	bool over;

	feed(wire, wrap(wire, 0x89, (const uint8_t *)"x", 1), 64);
	tap_ok(drain(0x8a) && in_ws.n_out == 1 && in_ws.out[0] == 'x',
	       "a pong");
	in_ws.n_out = 0;
	feed(wire, wrap(wire, 0x88, (const uint8_t *)"\x03\xe8", 2), 64);
	tap_ok(relayd_ws_is_over(ws) &&
		       relayd_ws_fill(ws, in_ws.c, buf, sizeof(buf), &over) ==
			       4 &&
		       over && buf[0] == 0x88,
	       "a close is answered");
	tap_ok(!relayd_ws_fill(ws, in_ws.c, buf, sizeof(buf), &over) && over,
	       "and the last thing");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	core_start(&core);
	peer_start(&other, &core);
	test_login();
	test_packets();
	test_pause();
	test_close();
	relayd_ws_free(ws);
	peer_close(&in_ws);
	peer_close(&other);
	core_stop(&core);
	return tap_done();
}
