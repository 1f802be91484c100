// SPDX-License-Identifier: GPL-2.0
/* Who hears of comings and goings (WatchConns). */
#include "relayd.h"

#include "relay/watch.h"
#include "tap.h"

static struct core core;
static struct peer watcher;

static void watch(struct peer *p)
{
	const struct derp_frame f = { .type = DERP_WATCH_CONNS };

	peer_send(p, &f);
}

/* Logged in with the mesh key, with what that says looked at. */
static void start_privileged(struct peer *p)
{
	struct derp_client_info info = { .version = DERP_VERSION,
					 .has_mesh_key = true,
					 .mesh_key = core.server.mesh_key };
	struct derp_frame f;

	peer_open(p, &core);
	peer_hello(p, &info);
	peer_drain(p);
	if (!peer_next(p, &f) || !peer_next(p, &f) || peer_next(p, &f))
		abort();
}

/* The next thing it is told is @type of @key. */
static bool told(struct peer *p, enum derp_type type, const struct key *key,
		 struct derp_frame *f)
{
	return peer_gets(p, type, f) && key_equal(&f->key, key);
}

static bool told_nothing(struct peer *p)
{
	struct derp_frame f;

	peer_drain(p);
	return !peer_next(p, &f);
}

static void test_present(void)
{
	struct peer a, again;
	struct derp_frame f;

	watch(&watcher);
	tap_ok(told(&watcher, DERP_PEER_PRESENT, &watcher.public_key, &f) &&
		       f.flags == DERP_PRESENT_MESH,
	       "who is there is told: the watcher itself");
	peer_start(&a, &core);
	tap_ok(told(&watcher, DERP_PEER_PRESENT, &a.public_key, &f) &&
		       f.flags == DERP_PRESENT_REGULAR &&
		       f.endpoint.port == 1234 &&
		       f.endpoint.ip.family == 4 && f.endpoint.ip.b[0] == 192,
	       "who comes is told, with address and flags");
	watch(&watcher);
	tap_ok(told_nothing(&watcher), "watching twice is watching once");

	peer_open(&again, &core);
	again.private_key = a.private_key;
	again.public_key = a.public_key;
	peer_hello(&again, NULL);
	tap_ok(told(&watcher, DERP_PEER_PRESENT, &a.public_key, &f),
	       "a second connection of a key is told too");
	peer_close(&a);
	tap_ok(told_nothing(&watcher), "the first one's end is not");
	f.key = again.public_key;
	peer_close(&again);
	tap_ok(told(&watcher, DERP_PEER_GONE, &f.key, &f) &&
		       f.reason == DERP_GONE_DISCONNECTED,
	       "the last one's is");
	tap_ok(told_nothing(&watcher), "and that is all");
}

static void test_prober(void)
{
	const struct derp_client_info info = { .version = DERP_VERSION,
					       .is_prober = true };
	struct derp_frame f;
	struct peer p;

	peer_open(&p, &core);
	peer_hello(&p, &info);
	tap_ok(told(&watcher, DERP_PEER_PRESENT, &p.public_key, &f) &&
		       f.flags == DERP_PRESENT_PROBER,
	       "a prober is one");
	peer_close(&p);
	peer_drain(&watcher);
	while (peer_next(&watcher, &f))
		;
}

static void test_rights(void)
{
	struct derp_frame f;
	struct peer p;

	peer_start(&p, &core);
	watch(&p);
	tap_ok(p.closed && stat_of(&core, RELAYD_WATCHERS) == 1,
	       "not without the mesh key: %s", p.why);
	peer_close(&p);

	/* A relay that has dialled itself. */
	peer_open(&p, &core);
	p.private_key = core.server.private_key;
	p.public_key = core.server.public_key;
	peer_hello(&p, &(struct derp_client_info){
				.version = DERP_VERSION,
				.has_mesh_key = true,
				.mesh_key = core.server.mesh_key });
	peer_drain(&p);
	while (peer_next(&p, &f))
		;
	watch(&p);
	tap_ok(told_nothing(&p) && stat_of(&core, RELAYD_WATCHERS) == 1,
	       "the relay itself is told nothing");
	peer_close(&p);
	peer_drain(&watcher);
	while (peer_next(&watcher, &f))
		;
}

/* A connection of the table alone: thousands come and go in no time. */
struct stub {
	struct relayd_queue queue;
	struct relayd_seat seat;
};

static void stub_wake(struct relayd_queue *q)
{
}

static void stub_come(struct stub *s, uint32_t id)
{
	memset(s, 0, sizeof(*s));
	relayd_queue_init(&s->queue, core.w, stub_wake);
	put_be32(s->seat.key.b, id + 1);
	s->seat.queue = &s->queue;
	s->seat.endpoint = (struct endpoint){ .ip = ip_v4(192, 0, 2, 9) };
	s->seat.present_flags = DERP_PRESENT_REGULAR;
	relayd_table_add(core.server.table, core.w, &s->seat);
}

static void stub_go(struct stub *s)
{
	relayd_table_remove(core.server.table, core.w, &s->seat);
	relayd_queue_close(&s->queue);
}

/* The order stays, no frame is cut, whatever room there is. */
static void test_order(void)
{
	struct derp_frame f;
	struct stub s;
	bool ok = true;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		stub_come(&s, i);
		stub_go(&s);
	}
	peer_drain_by(&watcher, DERP_HEAD_MAX + DERP_INFO_BOX_MAX);
	for (i = 0; i < 1000; i++) {
		ok &= peer_next(&watcher, &f) &&
		      f.type == DERP_PEER_PRESENT &&
		      get_be32(f.key.b) == i + 1;
		ok &= peer_next(&watcher, &f) && f.type == DERP_PEER_GONE &&
		      get_be32(f.key.b) == i + 1;
	}
	tap_ok(ok && !watcher.n_out, "a thousand come and go, in order");
}

static void test_behind(void)
{
	struct derp_frame f;
	struct peer second;
	struct stub s;
	uint32_t i;

	start_privileged(&second);
	watch(&second);
	peer_drain(&second);
	while (peer_next(&second, &f))
		;
	peer_drain(&watcher);
	while (peer_next(&watcher, &f))
		;
	for (i = 0; i < RELAYD_WATCH_BEHIND_MAX / 2; i++) {
		stub_come(&s, i);
		stub_go(&s);
		if (i % 1000 == 0) {
			peer_drain(&second);
			second.n_out = 0;
		}
	}
	tap_ok(!watcher.c->queue.doomed, "%u events behind is allowed",
	       RELAYD_WATCH_BEHIND_MAX);
	stub_come(&s, 0);
	stub_go(&s);
	stub_come(&s, 0); /* what there was at the beginning counts on top */
	stub_go(&s);
	tap_ok(watcher.c->queue.doomed && watcher.wants, "a few more are not");
	peer_drain(&watcher);
	tap_ok(watcher.closed, "it is closed: %s", watcher.why);
	tap_ok(!second.closed && !second.c->queue.doomed,
	       "who keeps up stays");
	peer_close(&second);
}

int main(void)
{
	struct relayd_watchers *watchers;

	if (sodium_init() < 0)
		return 1;
	core_start(&core);
	key_generate(&core.server.mesh_key);
	core.server.has_mesh_key = true;
	watchers = core.server.watchers =
		relayd_watchers_new(core.server.table);
	start_privileged(&watcher);
	test_present();
	test_prober();
	test_rights();
	test_order();
	test_behind();
	peer_close(&watcher);
	tap_ok(!stat_of(&core, RELAYD_WATCHERS), "nobody watches any more");
	relayd_watchers_free(watchers);
	core_stop(&core);
	return tap_done();
}
