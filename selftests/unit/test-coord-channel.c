// SPDX-License-Identifier: GPL-2.0
/*
 * The coordination server's channels against the agent's own client, and
 * against clients that do not play by the rules.
 */
#include <sodium.h>

#include "coord-client.h"
#include "proto/noise.h"

/* ── what works ─────────────────────────────────────────────────────────── */

static void test_requests(void)
{
	struct world *w = world_new(NULL);
	struct client *c = connected(w, NULL);
	static char big[(1 << 20) + 1];
	struct key public;
	struct answer a, b;

	key_public(&public, &c->machine);
	ask(c, &a, "POST", "/echo?x=y", "12345", 5);
	tap_ok(UNTIL(w, a.ended) && a.status == 200 && !a.cut &&
		       !strcmp(a.text, "12345"),
	       "a request and its answer");
	tap_ok(key_equal(&w->machine, &public) && w->version == 116 &&
		       ip_is_loopback(&w->remote.ip),
	       "the machine is known");
	tap_ok(!strcmp(w->method, "POST") && !strcmp(w->path, "/echo") &&
		       !strcmp(w->query, "x=y") && !strcmp(w->host, "unused") &&
		       w->body_len == 5,
	       "the request's parts");
	tap_ok(http_server_channels(w->server, &public) == 1,
	       "one channel of this machine");
	ask(c, &a, "GET", "/nothing", NULL, 0);
	ask(c, &b, "PUT", "/hello", NULL, 0);
	tap_ok(UNTIL(w, a.ended && b.ended) && a.status == 404 &&
		       b.status == 405,
	       "unknown paths and methods");
	ask(c, &a, "HEAD", "/hello", NULL, 0);
	tap_ok(UNTIL(w, a.ended) && a.status == 200 && !a.len && !a.cut,
	       "HEAD has no body");

	memset(big, 'b', sizeof(big));
	ask(c, &a, "POST", "/echo", big, sizeof(big) - 1);
	tap_ok(UNTIL(w, a.ended) && a.status == 200 &&
		       a.len == sizeof(big) - 1 && !a.cut,
	       "the longest body there may be, there and back");
	w->handled = 0;
	ask(c, &a, "POST", "/echo", big, sizeof(big));
	tap_ok(UNTIL(w, a.ended) && a.status == 413 && !w->handled,
	       "one byte more is refused");
	tap_ok(served(c), "and the channel lives on");

	ask(c, &a, "GET", "/hold", NULL, 0);
	UNTIL(w, w->held);
	tap_ok(served(c), "a late answer holds nobody up");
	http_reply_text(w->held, 200, "late");
	tap_ok(UNTIL(w, a.ended) && !strcmp(a.text, "late\n"), "and comes");
	client_free(c);
	tap_ok(UNTIL(w, !http_server_channels(w->server, &public)),
	       "the channel is gone");
	world_free(w);
}

static void test_stream(void)
{
	struct world *w = world_new(NULL);
	struct client *c = connected(w, NULL);
	struct answer a;
	int i;

	ask(c, &a, "POST", "/machine/map", "{}", 2);
	tap_ok(UNTIL(w, a.status == 200) && !a.len, "a stream begins");
	for (i = 0; i < 3; i++) {
		w->drained = 0;
		http_write(w->held, "piece;", 6);
		UNTIL(w, w->drained);
	}
	tap_ok(UNTIL(w, a.len == 18) && w->drained == 1,
	       "pieces come as they are written, and their writer knows");
	http_write(w->held, "last", 4);
	http_end(w->held);
	w->held = NULL;
	tap_ok(UNTIL(w, a.ended) && !a.cut && a.len == 22,
	       "what is queued before the end comes");

	ask(c, &a, "POST", "/machine/map", "{}", 2);
	UNTIL(w, a.status == 200);
	ts2021_cancel(a.stream);
	tap_ok(UNTIL(w, w->closed == 1) && !w->held,
	       "the client cancels: %s", w->why);
	ask(c, &a, "POST", "/machine/map", "{}", 2);
	UNTIL(w, a.status == 200);
	http_cancel(w->held);
	tap_ok(UNTIL(w, a.ended) && a.cut && w->closed == 1,
	       "we cancel: the client is told, we are not");
	w->held = NULL;
	ask(c, &a, "POST", "/machine/map", "{}", 2);
	UNTIL(w, a.status == 200);
	client_free(c);
	tap_ok(UNTIL(w, w->closed == 2), "the client goes: %s", w->why);
	world_free(w);
}

static void test_slow(void)
{
	struct http_limits limits = http_limits_default;
	struct client *slow, *other;
	static char block[1 << 20];
	size_t written = 0;
	struct world *w;
	struct answer a;
	int i, err = 0;

	limits.backlog = 2 << 20;
	w = world_new(&limits);
	slow = connected(w, NULL);
	other = connected(w, NULL);
	ask(slow, &a, "POST", "/machine/map", "{}", 2);
	UNTIL(w, a.status == 200);
	ts2021_pause(a.stream, true);
	/* Its window of 4 MiB takes some, then it piles up. */
	for (i = 0; i < 1000 && !err; i++) {
		err = http_write(w->held, block, sizeof(block));
		if (!err)
			written += sizeof(block);
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	tap_ok(err == -ENOBUFS && http_queued(w->held) <= limits.backlog,
	       "who reads nothing has a bounded backlog: %zu bytes",
	       http_queued(w->held));
	tap_ok(served(slow), "other requests on its channel are answered");
	tap_ok(served(other), "and those of others");
	ts2021_pause(a.stream, false);
	tap_ok(UNTIL(w, a.len == written), "nothing was lost of %zu bytes",
	       written);
	client_free(slow);
	client_free(other);
	world_free(w);
}

static void test_stall(void)
{
	struct http_limits limits = http_limits_default;
	static char block[5 << 20];
	struct client *c;
	struct world *w;
	struct answer a;

	limits.stall_ms = 300;
	w = world_new(&limits);
	c = connected(w, NULL);
	ask(c, &a, "POST", "/machine/map", "{}", 2);
	UNTIL(w, a.status == 200);
	ts2021_pause(a.stream, true);
	http_write(w->held, block, sizeof(block));
	tap_ok(UNTIL(w, w->closed == 1) && UNTIL(w, a.ended),
	       "who reads nothing for too long loses the stream: %s", w->why);
	tap_ok(served(c), "but not the channel");
	client_free(c);
	world_free(w);
}

/* ── what is refused ────────────────────────────────────────────────────── */

static void test_handshake(void)
{
	struct world *w = world_new(NULL);
	struct client *c = client_new(w, NULL);
	struct key wrong;

	key_public(&wrong, &c->machine);
	client_dial(c, &wrong);
	tap_ok(UNTIL(w, c->done) && !c->t && c->refused,
	       "another server's key: %s", c->why);
	c->version = 99;
	client_dial(c, &w->public);
	tap_ok(UNTIL(w, c->done) && !c->t && strstr(c->why, "99"),
	       "an old client: %s", c->why);
	c->version = 100;
	client_dial(c, &w->public);
	tap_ok(UNTIL(w, c->done) && served(c), "the oldest there may be");
	client_free(c);
	world_free(w);
}

static void test_per_machine(void)
{
	struct http_limits limits = http_limits_default;
	struct client *c[3];
	struct world *w;
	struct key machine, public;
	int i;

	limits.per_machine = 2;
	w = world_new(&limits);
	key_generate(&machine);
	key_public(&public, &machine);
	for (i = 0; i < 3; i++) {
		c[i] = connected(w, &machine);
		served(c[i]);
	}
	tap_ok(UNTIL(w, c[0]->closed) && served(c[1]) && served(c[2]),
	       "a machine's oldest channel makes room");
	tap_ok(http_server_channels(w->server, &public) == 2, "two are left");
	http_server_close_machine(w->server, &public, "deleted");
	tap_ok(UNTIL(w, c[1]->closed && c[2]->closed) &&
		       !http_server_channels(w->server, &public),
	       "all of them can be closed");
	for (i = 0; i < 3; i++)
		client_free(c[i]);
	world_free(w);
}

static void test_idle(void)
{
	struct http_limits limits = http_limits_default;
	struct client *idle, *busy;
	struct world *w;
	struct answer a;

	limits.channel_idle_ms = 200;
	w = world_new(&limits);
	busy = connected(w, NULL);
	idle = connected(w, NULL);
	ask(busy, &a, "POST", "/machine/map", "{}", 2);
	served(idle);
	tap_ok(UNTIL(w, idle->closed) && !busy->closed,
	       "an idle channel ends in good order: %s", idle->why);
	client_free(idle);
	UNTIL(w, a.status);
	http_end(w->held);
	tap_ok(UNTIL(w, busy->closed), "and a busy one when it becomes idle");
	client_free(busy);
	world_free(w);
}

static void test_drain(void)
{
	struct world *w = world_new(NULL);
	struct client *c = connected(w, NULL);
	struct raw *r;

	served(c);
	http_server_drain(w->server);
	tap_ok(UNTIL(w, c->closed), "draining says goodbye: %s", c->why);
	r = raw_new(w, w->port);
	tap_ok(UNTIL(w, r->eof), "and takes nobody new");
	raw_free(r);
	client_free(c);
	world_free(w);
}

static void test_flood(void)
{
	struct http_limits limits = http_limits_default;
	struct client *c, *other;
	struct answer a[40];
	struct world *w;
	size_t i;

	limits.requests_burst = 10;
	limits.requests_per_s = 1;
	w = world_new(&limits);
	c = connected(w, NULL);
	other = connected(w, NULL);
	for (i = 0; i < ARRAY_SIZE(a) && c->t; i++)
		ask(c, &a[i], "GET", "/hello", NULL, 0);
	tap_ok(UNTIL(w, c->closed), "requests without end: closed");
	tap_ok(w->handled <= 12 && served(other), "others are served");
	client_free(c);
	client_free(other);
	world_free(w);
}

/* ── a client that can misbehave ────────────────────────────────────────── */

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

	for (i = 0; i < ARRAY_SIZE(raw); i++) {
		liar_new(&l, w);
		raw_send(l.raw, raw[i].bytes, raw[i].n);
		tap_ok(UNTIL(w, l.raw->eof), "closed: %s", raw[i].what);
		raw_free(l.raw);
	}
	for (i = 0; i < ARRAY_SIZE(http2); i++) {
		liar_new(&l, w);
		/* Behind a preface and SETTINGS, but for the first. */
		if (i)
			liar_record(&l, hello, PREFACE_LEN + 9);
		liar_record(&l, (const uint8_t *)http2[i].bytes, http2[i].n);
		tap_ok(UNTIL(w, l.raw->eof), "closed: %s", http2[i].what);
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
	test_requests();
	test_stream();
	test_slow();
	test_stall();
	test_handshake();
	test_per_machine();
	test_idle();
	test_drain();
	test_flood();
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
