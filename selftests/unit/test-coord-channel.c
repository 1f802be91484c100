// SPDX-License-Identifier: GPL-2.0
/*
 * The coordination server's channels against the agent's own client; those
 * that do not play by the rules are in test-coord-hostile.c.
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
	return tap_done();
}
