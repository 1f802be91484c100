// SPDX-License-Identifier: GPL-2.0
/*
 * The coordination server's channels against clients that do not play by the
 * rules: it ends there, for a reason that is logged, and nowhere else.
 */
#include <sodium.h>

#include "coord-client.h"
#include "proto/noise.h"

struct liar {
	struct world *w;
	struct raw *raw;
	struct key machine;
	struct noise_handshake hs;
	struct noise_session s;
	bool up;
};

static void liar_upgrade(struct liar *l, const uint8_t *init)
{
	char text[256], b64[160];
	int n;

	sodium_bin2base64(b64, sizeof(b64), init, NOISE_INITIATION_LEN,
			  sodium_base64_VARIANT_ORIGINAL);
	n = snprintf(text, sizeof(text),
		     "POST /ts2021 HTTP/1.1\r\nConnection: upgrade\r\n"
		     "Upgrade: tailscale-control-protocol\r\n"
		     "X-Tailscale-Handshake: %s\r\n\r\n", b64);
	l->raw = raw_new(l->w, l->w->port);
	raw_send(l->raw, text, (size_t)n);
}

static void liar_init(struct liar *l, struct world *w,
		      uint8_t init[NOISE_INITIATION_LEN])
{
	struct key ephemeral;

	*l = (struct liar){ .w = w };
	key_generate(&l->machine);
	key_generate(&ephemeral);
	noise_client_start(&l->hs, 116, &l->machine, &w->public, &ephemeral,
			   init);
}

/* True when the handshake is complete; what follows stays in raw->text. */
static bool liar_up(struct liar *l)
{
	char *end = strstr(l->raw->text, "\r\n\r\n");
	size_t head = end ? (size_t)(end - l->raw->text) + 4 : 0;

	if (l->up || !head || l->raw->len < head + NOISE_RESPONSE_LEN)
		return l->up;
	l->up = !noise_client_finish(&l->hs, (uint8_t *)l->raw->text + head,
				     &l->s);
	return l->up;
}

static void liar_new(struct liar *l, struct world *w)
{
	uint8_t init[NOISE_INITIATION_LEN];

	liar_init(l, w, init);
	liar_upgrade(l, init);
	if (!UNTIL(w, liar_up(l)))
		tap_ok(false, "a handshake by hand");
}

static void liar_record(struct liar *l, const uint8_t *plain, size_t n)
{
	uint8_t frame[NOISE_FRAME_MAX];
	ssize_t len = noise_seal_record(&l->s, plain, n, frame, sizeof(frame));

	raw_send(l->raw, frame, (size_t)len);
}

/* Preface, SETTINGS, and HEADERS of GET /hello on stream 1. */
static const uint8_t hello[] =
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	"\0\0\0\4\0\0\0\0\0"
	"\0\0\x0d\1\5\0\0\0\1"
	"\x82\x87\x04\x06/hello\x01\1a";
#define HELLO_LEN (sizeof(hello) - 1)
#define PREFACE_LEN 24

static void test_by_hand(void)
{
	struct world *w = world_new(NULL);
	struct liar l;

	liar_new(&l, w);
	liar_record(&l, hello, HELLO_LEN);
	tap_ok(UNTIL(w, w->handled == 1), "a request made by hand");
	raw_free(l.raw);
	world_free(w);
}

static void test_replay(void)
{
	struct http_limits limits = http_limits_default;
	uint8_t init[NOISE_INITIATION_LEN];
	struct liar l;
	struct world *w;
	struct key public;

	limits.handshake_ms = 300;
	w = world_new(&limits);
	liar_init(&l, w, init);
	key_public(&public, &l.machine);
	liar_upgrade(&l, init);
	tap_ok(UNTIL(w, liar_up(&l)) &&
		       !http_server_channels(w->server, &public),
	       "a handshake alone proves nothing");
	tap_ok(UNTIL(w, l.raw->eof), "and does not last");
	raw_free(l.raw);
	world_free(w);
}

static void test_truncated(void)
{
	struct world *w = world_new(NULL);
	uint8_t frame[NOISE_FRAME_MAX];
	bool good = true;
	struct liar l;
	size_t n;

	/* A record cut at every byte; then HTTP/2 cut at every byte. */
	for (n = 0; n < HELLO_LEN + NOISE_RECORD_OVERHEAD && good; n++) {
		liar_new(&l, w);
		noise_seal_record(&l.s, hello, HELLO_LEN, frame, sizeof(frame));
		raw_send(l.raw, frame, n);
		UNTIL(w, !evbuffer_get_length(
				  bufferevent_get_output(l.raw->bev)));
		shutdown(bufferevent_getfd(l.raw->bev), SHUT_WR);
		good = UNTIL(w, l.raw->eof);
		raw_free(l.raw);
	}
	tap_ok(good && !w->handled, "a record cut at every byte");
	for (n = 0; n < HELLO_LEN && good; n++) {
		liar_new(&l, w);
		liar_record(&l, hello, n);
		UNTIL(w, !evbuffer_get_length(
				  bufferevent_get_output(l.raw->bev)));
		shutdown(bufferevent_getfd(l.raw->bev), SHUT_WR);
		good = UNTIL(w, l.raw->eof);
		raw_free(l.raw);
	}
	tap_ok(good && !w->handled, "HTTP/2 cut at every byte");
	/* In as many records as there are bytes, with empty ones between. */
	liar_new(&l, w);
	for (n = 0; n < HELLO_LEN; n++) {
		liar_record(&l, hello + n, 1);
		liar_record(&l, hello, 0);
	}
	tap_ok(UNTIL(w, w->handled == 1), "a record for every byte");
	raw_free(l.raw);
	world_free(w);
}

static void test_broken(void)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t n;
	} raw[] = {
		{ "another type of frame", "\1\0\x10", 3 },
		{ "a record over the limit", "\4\x0f\xff", 3 },
		{ "a record without a tag", "\4\0\x0f", 3 },
		{ "a forged record", "\4\0\x10" "0123456789abcdef", 19 },
	}, http2[] = {
		{ "no preface", "GET / HTTP/1.1\r\n\r\n", 18 },
		{ "a frame over 16 KiB", "\0\x40\1\0\0\0\0\0\1", 9 },
		{ "DATA on stream 0", "\0\0\1\0\0\0\0\0\0x", 10 },
		{ "DATA on an idle stream", "\0\0\1\0\0\0\0\0\1x", 10 },
		{ "HEADERS on an even stream",
		  "\0\0\1\1\5\0\0\0\2\x82", 10 },
		{ "PUSH_PROMISE", "\0\0\4\5\4\0\0\0\1\0\0\0\2", 13 },
		{ "a header block that is none",
		  "\0\0\2\1\5\0\0\0\1\xff\xff", 11 },
		{ "a window of zero", "\0\0\4\x08\0\0\0\0\0\0\0\0\0", 13 },
		{ "a CONTINUATION of nothing", "\0\0\0\x09\4\0\0\0\1", 9 },
		{ "a PING of seven bytes", "\0\0\7\6\0\0\0\0\0" "1234567", 16 },
	};
	struct world *w = world_new(NULL);
	struct client *other = connected(w, NULL);
	struct liar l;
	size_t i;

	said_forget();
	for (i = 0; i < ARRAY_SIZE(raw); i++) {
		liar_new(&l, w);
		raw_send(l.raw, raw[i].bytes, raw[i].n);
		tap_ok(UNTIL(w, l.raw->eof), "closed: %s", raw[i].what);
		is_said("Noise");
		raw_free(l.raw);
	}
	for (i = 0; i < ARRAY_SIZE(http2); i++) {
		liar_new(&l, w);
		/* Behind a preface and SETTINGS, but for the first. */
		if (i)
			liar_record(&l, hello, PREFACE_LEN + 9);
		liar_record(&l, (const uint8_t *)http2[i].bytes, http2[i].n);
		tap_ok(UNTIL(w, l.raw->eof), "closed: %s", http2[i].what);
		is_said("HTTP/2");
		raw_free(l.raw);
	}
	tap_ok(!w->handled && served(other), "others are served");
	client_free(other);
	world_free(w);
}

/* Every byte of a request wrong in turn: no harm, whatever it means. */
static void test_mutated(void)
{
	struct http_limits limits = http_limits_default;
	uint8_t copy[sizeof(hello)];
	struct client *other;
	struct world *w;
	bool good = true;
	struct liar l;
	size_t i;

	limits.channel_idle_ms = limits.request_ms = limits.handshake_ms = 500;
	w = world_new(&limits);
	other = connected(w, NULL);
	for (i = 0; i < HELLO_LEN && good; i++) {
		memcpy(copy, hello, sizeof(copy));
		copy[i] ^= (uint8_t)(1u << (i % 8));
		liar_new(&l, w);
		liar_record(&l, copy, HELLO_LEN);
		shutdown(bufferevent_getfd(l.raw->bev), SHUT_WR);
		good = UNTIL(w, l.raw->eof);
		raw_free(l.raw);
	}
	client_free(other);
	other = connected(w, NULL);
	tap_ok(good && served(other), "a request with every byte wrong in turn");
	client_free(other);
	world_free(w);
}

static void test_big_header(void)
{
	struct world *w = world_new(NULL);
	static uint8_t block[12000];
	struct liar l;
	size_t n = 0;

	/* GET https /hello, then "a: aaaa…" in literals of 120 bytes. */
	memcpy(block + 9, "\x82\x87\x04\x06/hello\x01\1a", 13);
	for (n = 9 + 13; n + 125 < sizeof(block); n += 124) {
		memcpy(block + n, "\x00\x01" "a\x78", 4);
		memset(block + n + 4, 'a', 120);
	}
	memcpy(block, "\0\0\0\1\5\0\0\0\1", 9);
	put_be16(block + 1, (uint16_t)(n - 9));
	liar_new(&l, w);
	liar_record(&l, hello, PREFACE_LEN + 9);
	liar_record(&l, block, 4000);
	liar_record(&l, block + 4000, 4000);
	liar_record(&l, block + 8000, n - 8000);
	/* A request behind it: the channel goes on. */
	liar_record(&l, (const uint8_t *)"\0\0\x0d\1\5\0\0\0\3"
		    "\x82\x87\x04\x06/hello\x01\1a", 22);
	tap_ok(UNTIL(w, w->handled == 1), "a header too long is no request, "
					  "the next is one");
	is_said("431");
	raw_free(l.raw);
	world_free(w);
}

/* Half a request body does not last, its channel does. */
static void test_half_body(void)
{
	struct http_limits limits = http_limits_default;
	struct world *w;
	struct liar l;

	limits.request_ms = 200;
	w = world_new(&limits);
	liar_new(&l, w);
	liar_record(&l, hello, PREFACE_LEN + 9);
	/* POST /hello, no END_STREAM, one byte of DATA. */
	liar_record(&l, (const uint8_t *)"\0\0\x0d\1\4\0\0\0\1"
		    "\x83\x87\x04\x06/hello\x01\1a" "\0\0\1\0\0\0\0\0\1x", 32);
	l.raw->len = 0;
	/* The server's RST_STREAM is one record of 13 bytes. */
	tap_ok(UNTIL(w, l.raw->len >= 13 + NOISE_RECORD_OVERHEAD) &&
		       !l.raw->eof && !w->handled,
	       "half a body is given up");
	liar_record(&l, (const uint8_t *)"\0\0\x0d\1\5\0\0\0\3"
		    "\x82\x87\x04\x06/hello\x01\1a", 22);
	tap_ok(UNTIL(w, w->handled == 1), "and the next request is served");
	raw_free(l.raw);
	world_free(w);
}

/* Bodies that never end use up what there is, others still get through. */
static void test_bodies(void)
{
	struct http_limits limits = http_limits_default;
	static uint8_t piece[9 + 4000] = "\0\x0f\xa0\0\0\0\0\0\1";
	static char body[40000];
	struct client *c;
	struct world *w;
	struct liar l[3];
	struct answer a;
	size_t i, j;

	limits.bodies = 128 << 10;
	w = world_new(&limits);
	c = connected(w, NULL);
	memset(body, 'b', sizeof(body));
	for (i = 0; i < ARRAY_SIZE(l); i++) {
		liar_new(&l[i], w);
		liar_record(&l[i], hello, PREFACE_LEN + 9);
		liar_record(&l[i], (const uint8_t *)"\0\0\x0d\1\4\0\0\0\1"
			    "\x83\x87\x04\x06/hello\x01\1a", 22);
		for (j = 0; j < 10; j++)
			liar_record(&l[i], piece, sizeof(piece));
		UNTIL(w, !evbuffer_get_length(
				  bufferevent_get_output(l[i].raw->bev)));
		served(c);
	}
	ask(c, &a, "POST", "/echo", body, sizeof(body));
	tap_ok(UNTIL(w, a.ended) && a.status == 200 && a.len == sizeof(body),
	       "unfinished bodies make room for honest ones");
	for (i = 0; i < ARRAY_SIZE(l); i++)
		raw_free(l[i].raw);
	tap_ok(served(c), "and the server goes on");
	client_free(c);
	world_free(w);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("test", false);
	said_begin();
	test_by_hand();
	test_replay();
	test_truncated();
	test_broken();
	test_mutated();
	test_big_header();
	test_half_body();
	test_bodies();
	return tap_done();
}
