// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include "engine/path.h"
#include "lib/util.h"
#include "addrs.h"
#include "tap.h"

struct sent {
	struct endpoint to; /* family 0: DERP */
	uint8_t txid[DISCO_TXID_LEN];
};

static struct {
	struct sent sent[64];
	size_t n;
	int calls, changes, pongs;
	struct path_pong pong;
	int error;
} world;

static int on_ping(void *ctx, const struct endpoint *to,
		   const uint8_t txid[DISCO_TXID_LEN], size_t size)
{
	struct sent *s = &world.sent[world.n++ % ARRAY_SIZE(world.sent)];

	memset(s, 0, sizeof(*s));
	if (to)
		s->to = *to;
	memcpy(s->txid, txid, DISCO_TXID_LEN);
	return world.error;
}

static void on_call(void *ctx)
{
	world.calls++;
}

static void on_changed(void *ctx)
{
	world.changes++;
}

static void on_pong(void *ctx, const struct path_pong *pong)
{
	world.pongs++;
	world.pong = *pong;
}

static const struct path_ops ops = {
	.ping = on_ping,
	.call_me_maybe = on_call,
	.changed = on_changed,
};

static void fresh(struct path *p)
{
	memset(&world, 0, sizeof(world));
	path_init(p, &ops, NULL);
	path_set_home(p, 1);
}

/* The table of nat-traversal.md 6.5. */
static void better(void)
{
	static const struct {
		const char *a, *b;
		unsigned int a_ms10, b_ms10; /* tenths of a ms */
		bool want;
	} t[] = {
		{ "1.2.3.4:1", "5.6.7.8:1", 50, 100, true },
		{ "1.2.3.4:555", "1.2.3.4:555", 50, 100, false },
		{ "1.2.3.4:1", "5.6.7.8:1", 1000, 1010, false },
		{ "1.2.3.4:1", "5.6.7.8:1", 1000, 1030, true },
		{ "1.2.3.4:1", "5.6.7.8:1", 0, 0, false },
		{ "10.0.0.2:1", "1.2.3.4:1", 1000, 910, true },
		{ "10.0.0.2:1", "1.2.3.4:1", 1000, 300, false },
		{ "[2001::5]:1", "1.2.3.4:1", 1000, 910, true },
		{ "[2001::5]:1", "1.2.3.4:1", 1000, 300, false },
		{ "192.168.0.1:1", "[2001::5]:1", 1000, 1010, true },
		{ "[fe80::1]:1", "[fd89::1]:1", 1010, 1000, true },
		{ "[fe80::1]:1", "[::1]:1", 1010, 1000, false },
	};
	struct endpoint none = { 0 }, some = ep("1.2.3.4:1");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct endpoint a = ep(t[i].a), b = ep(t[i].b);

		tap_ok(path_better(&a, t[i].a_ms10 * MS_NS / 10, &b,
				   t[i].b_ms10 * MS_NS / 10) == t[i].want,
		       "better: %s against %s is %d", t[i].a, t[i].b,
		       t[i].want);
	}
	tap_ok(path_better(&some, 1, &none, 0), "anything beats nothing");
	tap_ok(!path_better(&none, 0, &some, 1), "nothing beats nothing");
}

static void upgrade_and_break(void)
{
	struct endpoint a = ep("192.0.2.1:41641"), src[4];
	struct sent first;
	uint64_t t = 1000 * SEC_NS;
	struct path p;

	fresh(&p);
	path_set_listed(&p, &a, 1, t);
	tap_ok(!world.n && path_next(&p) == UINT64_MAX,
	       "an idle peer costs nothing");
	path_set_active(&p, true, t);
	tap_ok(world.n == 1 && world.calls == 1 &&
		       endpoint_equal(&world.sent[0].to, &a),
	       "traffic pings the candidate and calls the peer");
	tap_ok(!path_target(&p, t), "data takes the relay until a pong");
	path_set_active(&p, true, t + SEC_NS);
	tap_ok(world.n == 1, "pings to one candidate are 5 s apart");
	first = world.sent[0];
	tap_ok(path_got_pong(&p, first.txid, &a, 0, t + 20 * MS_NS) &&
		       path_target(&p, t + 20 * MS_NS),
	       "a pong moves data to the direct path");
	tap_ok(path_sources(&p, src, 4) == 1 && endpoint_equal(&src[0], &a),
	       "its source is verified");
	tap_ok(!path_got_pong(&p, first.txid, &a, 0, t + 30 * MS_NS),
	       "a replayed pong is nobody's");
	tap_ok(path_next(&p) == t + PATH_HEARTBEAT, "the heartbeat is armed");
	path_tick(&p, t + PATH_HEARTBEAT);
	tap_ok(world.n == 2 && endpoint_equal(&world.sent[1].to, &a),
	       "the heartbeat pings the best path");
	/* Nothing answers from here on. */
	world.changes = 0;
	t += 20 * MS_NS + PATH_TRUST + 1;
	tap_ok(path_next(&p) <= t, "the end of trust is an event");
	path_tick(&p, t);
	tap_ok(world.changes && !path_target(&p, t) && p.best.ep.ip.family,
	       "without trust data takes the relay, the path is remembered");
	path_tick(&p, t + PATH_PONG_TIMEOUT);
	path_tick(&p, t + 2 * PATH_PONG_TIMEOUT);
	tap_ok(!p.best.ep.ip.family, "a lost ping without trust ends the path");
	path_uninit(&p);
}

static void idle_keeps(void)
{
	struct endpoint a = ep("192.0.2.1:41641");
	uint64_t t = 1000 * SEC_NS;
	struct path p;

	fresh(&p);
	path_set_listed(&p, &a, 1, t);
	path_set_active(&p, true, t);
	path_got_pong(&p, world.sent[0].txid, &a, 0, t + MS_NS);
	path_set_idle(&p);
	path_tick(&p, t + 60 * SEC_NS);
	tap_ok(path_target(&p, t + 60 * SEC_NS) &&
		       path_next(&p) == UINT64_MAX,
	       "an idle peer keeps its direct path and costs nothing");
	world.n = 0;
	path_set_active(&p, true, t + 61 * SEC_NS);
	tap_ok(!path_target(&p, t + 61 * SEC_NS) && world.n == 1,
	       "new traffic has to prove it again");
	path_set_idle(&p);
	world.n = 0;
	t += 120 * SEC_NS;
	path_set_active(&p, false, t);
	while (path_next(&p) != UINT64_MAX)
		path_tick(&p, path_next(&p));
	tap_ok(!p.active && world.n > 5 && world.n < 20,
	       "relayed packets alone keep it up for 45 s (%zu pings)",
	       world.n);
	path_uninit(&p);
}

static void adopted(void)
{
	struct endpoint a = ep("192.0.2.1:41641");
	uint64_t t = 1000 * SEC_NS;
	struct path p;

	fresh(&p);
	path_adopt(&p, &a, t);
	tap_ok(path_target(&p, t) && world.n == 1 &&
		       endpoint_equal(&world.sent[0].to, &a),
	       "a path that the kernel uses already is kept and pinged");
	tap_ok(path_got_pong(&p, world.sent[0].txid, &a, 0, t + MS_NS) &&
		       p.best.latency == MS_NS,
	       "its pong confirms it");
	path_uninit(&p);
	fresh(&p);
	path_adopt(&p, &a, t);
	path_tick(&p, t + PATH_TRUST + 1);
	tap_ok(!path_target(&p, t + PATH_TRUST + 1),
	       "without one it is trusted no longer than any other");
	path_uninit(&p);
}

static void calls(void)
{
	struct endpoint list[2] = { ep("192.0.2.1:1"), ep("192.0.2.2:2") };
	struct endpoint other = ep("[fe80::1]:3");
	uint8_t txid[DISCO_TXID_LEN] = { 1 };
	uint64_t t = 1000 * SEC_NS;
	struct path p;

	fresh(&p);
	path_got_call_me_maybe(&p, list, 2, t);
	tap_ok(world.n == 2 && !world.calls,
	       "a call pings all at once and is not answered with a call");
	path_got_call_me_maybe(&p, list, 1, t + SEC_NS);
	tap_ok(world.n == 3 && HASH_COUNT(p.candidates) == 1,
	       "the next call replaces the list and resets the spacing");
	path_got_call_me_maybe(&p, &other, 1, t + 2 * SEC_NS);
	tap_ok(HASH_COUNT(p.candidates) == 0, "link-local is left out");
	tap_ok(path_got_ping(&p, &list[0], txid, true, t),
	       "a ping makes a candidate");
	tap_ok(!path_got_ping(&p, &list[0], txid, true, t),
	       "the same ping twice is noticed");
	tap_ok(!path_target(&p, t), "a ping alone proves no path");
	path_set_listed(&p, NULL, 0, t + PATH_SESSION + 2);
	tap_ok(HASH_COUNT(p.candidates) == 0,
	       "candidates learned from pings age out");
	path_uninit(&p);
}

static void bounded(void)
{
	struct path p;
	unsigned int i;

	fresh(&p);
	for (i = 0; i < 1000; i++) {
		uint8_t txid[DISCO_TXID_LEN] = { i & 0xff, i >> 8 };
		struct endpoint e = { .ip = ip_v4(198, 51, 100, 1),
				      .port = (uint16_t)(1000 + i) };

		path_got_ping(&p, &e, txid, true, SEC_NS);
	}
	tap_ok(HASH_COUNT(p.candidates) == PATH_MAX_CANDIDATES,
	       "a peer cannot make us remember more than %d addresses",
	       PATH_MAX_CANDIDATES);
	world.n = 0;
	for (i = 0; i < 10; i++)
		path_ping(&p, 0, on_pong, &p, SEC_NS);
	tap_ok(world.n == PATH_MAX_PINGS,
	       "nor have more than %d pings in flight", PATH_MAX_PINGS);
	path_uninit(&p);
}

static void user_ping(void)
{
	struct endpoint a = ep("192.0.2.1:1");
	uint64_t t = 1000 * SEC_NS;
	struct path p;

	fresh(&p);
	path_set_home(&p, 0);
	tap_ok(path_ping(&p, 0, on_pong, &p, t) == -ENETUNREACH,
	       "no candidate and no home: unreachable");
	path_set_home(&p, 7);
	path_set_listed(&p, &a, 1, t);
	tap_ok(!path_ping(&p, 0, on_pong, &p, t) && world.n == 2,
	       "it goes over DERP and to the candidates");
	path_got_pong(&p, world.sent[0].txid, NULL, 7, t + 50 * MS_NS);
	tap_ok(world.pongs == 1 && world.pong.derp_region == 7 &&
		       world.pong.latency == 50 * MS_NS && !p.best.ep.ip.family,
	       "a pong over DERP is reported and proves no direct path");
	path_got_pong(&p, world.sent[1].txid, &a, 0, t + 60 * MS_NS);
	tap_ok(world.pongs == 1 && path_trusted(&p, t + 60 * MS_NS),
	       "the first pong wins, the second still proves its path");
	world.error = -ENETUNREACH;
	world.n = 0;
	tap_ok(path_ping(&p, 0, on_pong, &p, t + SEC_NS) == -ENETUNREACH,
	       "an error of the socket is the caller's");
	path_uninit(&p);
}

int main(void)
{
	better();
	upgrade_and_break();
	idle_keeps();
	adopted();
	calls();
	bounded();
	user_ping();
	return tap_done();
}
