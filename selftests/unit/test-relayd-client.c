// SPDX-License-Identifier: GPL-2.0
/* The server's side of DERP: frames in, frames out. */
#include "relayd.h"

#include "loop.h"
#include "tap.h"

static struct core core;
static const uint8_t disco[62] = "TS\xf0\x9f\x92\xac";

static void test_login(void)
{
	struct derp_client_info old = { .version = 1 };
	struct derp_server_info info;
	struct derp_frame f;
	uint8_t junk[70] = { 0 };
	struct peer a;

	peer_open(&a, &core);
	tap_ok(a.wants && peer_gets(&a, DERP_SERVER_KEY, &f) &&
		       key_equal(&f.key, &core.server.public_key),
	       "ServerKey before anything was said");
	peer_hello(&a, NULL);
	tap_ok(a.logged_in && peer_gets(&a, DERP_SERVER_INFO, &f) &&
		       !derp_open_server_info(&info, &f,
					      &core.server.public_key,
					      &a.private_key) &&
		       info.version == DERP_VERSION,
	       "ClientInfo is answered by ServerInfo");
	tap_ok(stat_of(&core, RELAYD_CONNECTIONS) == 1 &&
		       stat_of(&core, RELAYD_CLIENTS_LOCAL) == 1,
	       "counted");
	peer_hello(&a, NULL);
	tap_ok(!a.closed && stat_of(&core, RELAYD_UNKNOWN_FRAMES) == 1,
	       "another ClientInfo is skipped");
	peer_close(&a);
	tap_ok(!stat_of(&core, RELAYD_CONNECTIONS) &&
		       !stat_of(&core, RELAYD_CLIENTS_TOTAL),
	       "gone");

	peer_open(&a, &core);
	key_generate(&a.private_key); /* not the one it names */
	peer_hello(&a, NULL);
	tap_ok(a.closed && !a.logged_in, "a key it does not have: %s", a.why);
	peer_close(&a);
	peer_open(&a, &core);
	peer_packet(&a, &core.server.public_key, "x", 1);
	tap_ok(a.closed, "a packet before the login: %s", a.why);
	peer_close(&a);
	peer_open(&a, &core);
	peer_hello(&a, &old);
	tap_ok(a.closed, "an old version: %s", a.why);
	peer_close(&a);
	peer_open(&a, &core);
	memcpy(junk, "\x02\x00\x04\x00\x00", 5); /* what may be sent elsewhere */
	peer_feed(&a, junk, sizeof(junk));
	tap_ok(a.closed, "a ClientInfo longer than any: %s", a.why);
	peer_close(&a);
}

static void test_packets(void)
{
	static uint8_t big[DERP_PACKET_MAX];
	struct peer a, b;
	struct derp_frame f;
	bool ok;

	peer_start(&a, &core);
	peer_start(&b, &core);
	peer_packet(&a, &b.public_key, "hello", 5);
	tap_ok(b.wants && peer_gets(&b, DERP_RECV_PACKET, &f) &&
		       key_equal(&f.key, &a.public_key) && f.data_len == 5 &&
		       !memcmp(f.data, "hello", 5),
	       "a packet from one to the other");
	peer_packet(&a, &b.public_key, "", 0);
	tap_ok(peer_gets(&b, DERP_RECV_PACKET, &f) && !f.data_len,
	       "an empty one");
	randombytes_buf(big, sizeof(big));
	peer_packet(&a, &b.public_key, big, sizeof(big));
	peer_packet(&a, &b.public_key, "after", 5);
	tap_ok(peer_gets(&b, DERP_RECV_PACKET, &f) &&
		       f.data_len == sizeof(big) &&
		       !memcmp(f.data, big, sizeof(big)),
	       "the largest, in four records");
	tap_ok(peer_next(&b, &f) && f.data_len == 5, "and what comes after it");
	peer_packet(&a, &b.public_key, big, 3000);
	peer_packet(&a, &b.public_key, big, 3000);
	peer_drain_by(&b, DERP_HEAD_MAX + DERP_INFO_BOX_MAX);
	ok = peer_next(&b, &f) && f.data_len == 3000;
	tap_ok(ok && peer_next(&b, &f) && f.data_len == 3000 &&
		       !memcmp(f.data, big, 3000),
	       "in records much smaller than a packet");
	peer_packet(&a, &a.public_key, "self", 4);
	tap_ok(peer_gets(&a, DERP_RECV_PACKET, &f) &&
		       key_equal(&f.key, &a.public_key),
	       "to oneself");
	tap_ok(stat_of(&core, RELAYD_PACKETS_RECEIVED) == 7 &&
		       stat_of(&core, RELAYD_PACKETS_SENT) == 7 &&
		       stat_of(&core, RELAYD_BYTES_SENT) ==
			       5 + 0 + 65536 + 5 + 6000 + 4,
	       "counted");
	peer_close(&a);
	peer_close(&b);
}

/* The same bytes, cut anywhere. */
static void test_cuts(void)
{
	uint8_t in[256];
	size_t n = 0, cut;
	struct derp_frame f = { .type = DERP_SEND_PACKET,
				.data = (const uint8_t *)"0123456789",
				.data_len = 10 };
	struct derp_frame pref = { .type = DERP_NOTE_PREFERRED,
				   .preferred = true };
	struct derp_frame got;
	struct peer a, b;
	bool ok = true;

	peer_start(&a, &core);
	peer_start(&b, &core);
	f.key = b.public_key;
	n += (size_t)derp_encode(&pref, in + n, sizeof(in) - n);
	n += (size_t)derp_encode(&f, in + n, sizeof(in) - n);
	for (cut = 0; cut <= n; cut++) {
		uint8_t *first = xmalloc(cut), *rest;
		size_t took, left;

		memcpy(first, in, cut); /* of exact size, for the sanitizer */
		took = peer_feed(&a, first, cut);
		left = n - took;
		rest = xmalloc(left);
		memcpy(rest, in + took, left);
		ok = ok && peer_feed(&a, rest, left) == left &&
		     peer_gets(&b, DERP_RECV_PACKET, &got) &&
		     got.data_len == 10 && !peer_next(&b, &got) && !a.closed;
		free(first);
		free(rest);
	}
	tap_ok(ok, "frames cut at each of their bytes");
	tap_ok(stat_of(&core, RELAYD_HOME_CONNECTIONS) == 1,
	       "NotePreferred, many times the same");
	pref.preferred = false;
	peer_send(&a, &pref);
	tap_ok(!stat_of(&core, RELAYD_HOME_CONNECTIONS) &&
		       !stat_of(&core, RELAYD_HOME_MOVES_OUT),
	       "and taken back, too early for a move");
	peer_close(&a);
	peer_close(&b);
}

static unsigned int count_packets(struct peer *p, uint8_t *first, uint8_t *last)
{
	struct derp_frame f;
	unsigned int n = 0;

	peer_drain(p);
	while (peer_next(p, &f)) {
		if (f.type != DERP_RECV_PACKET)
			continue;
		if (!n++)
			*first = f.data[f.data_len - 1];
		*last = f.data[f.data_len - 1];
	}
	return n;
}

static void test_overflow(void)
{
	static uint8_t big[DERP_PACKET_MAX];
	uint8_t data[70] = { 0 }, first = 0, last = 0;
	uint64_t *head = core.w->stats.dropped[RELAYD_QUEUE_HEAD];
	struct derp_frame f;
	struct peer a, b;
	unsigned int i, n;

	peer_start(&a, &core);
	peer_start(&b, &core);
	peer_packet(&a, &b.public_key, disco, sizeof(disco));
	for (i = 0; i < 40; i++) {
		data[1] = (uint8_t)i;
		peer_packet(&a, &b.public_key, data, 2);
	}
	tap_ok(head[0] == 8 && !head[1], "data over 32 push out the oldest");
	peer_drain(&b);
	tap_ok(peer_next(&b, &f) && f.data_len == 2 && f.data[1] == 8 &&
		       peer_next(&b, &f) && f.data_len == 62,
	       "disco has a queue and a turn of its own");
	tap_ok(count_packets(&b, &first, &last) == 31 && first == 9 &&
		       last == 39,
	       "the newest are there, in order");
	memcpy(data, disco, sizeof(disco));
	for (i = 0; i < 34; i++) {
		data[62] = (uint8_t)i;
		peer_packet(&a, &b.public_key, data, 63);
	}
	tap_ok(head[1] == 2, "disco over 32 pushes out the oldest");
	n = count_packets(&b, &first, &last);
	tap_ok(n == 32 && first == 2 && last == 33, "and keeps the newest");
	for (i = 0; i < 6; i++) {
		big[sizeof(big) - 1] = (uint8_t)i;
		peer_packet(&a, &b.public_key, big, sizeof(big));
	}
	n = count_packets(&b, &first, &last);
	tap_ok(n == RELAYD_QUEUE_BYTES / sizeof(big) && last == 5,
	       "large packets are bounded by bytes");
	for (i = 0; i < 20; i++)
		peer_packet(&a, &b.public_key, data, 63);
	peer_close(&b);
	tap_ok(core.w->stats.dropped[RELAYD_GONE_DISCONNECTED][1] == 20,
	       "what waited for one that leaves is counted");
	peer_close(&a);
}

static void test_unknown(void)
{
	struct derp_frame f;
	struct key nobody;
	unsigned int i, n = 0;
	struct peer a;

	peer_start(&a, &core);
	randombytes_buf(nobody.b, sizeof(nobody.b));
	peer_packet(&a, &nobody, "data", 4);
	peer_drain(&a);
	tap_ok(!peer_next(&a, &f), "data for nobody: silence");
	peer_packet(&a, &nobody, disco, sizeof(disco));
	tap_ok(peer_gets(&a, DERP_PEER_GONE, &f) &&
		       f.reason == DERP_GONE_NOT_HERE &&
		       key_equal(&f.key, &nobody),
	       "disco for nobody: not here");
	for (i = 0; i < 10; i++)
		peer_packet(&a, &nobody, disco, sizeof(disco));
	peer_drain(&a);
	while (peer_next(&a, &f))
		n++;
	tap_ok(n == 2, "at most three at a time");
	tap_ok(core.w->stats.dropped[RELAYD_UNKNOWN_DEST][0] == 1 &&
		       core.w->stats.dropped[RELAYD_UNKNOWN_DEST][1] == 11,
	       "counted");
	peer_packet(&a, &nobody, disco, sizeof(disco));
	peer_close(&a);
}

static void test_gone(void)
{
	struct peer a, a2, b, c;
	struct derp_frame f;

	peer_start(&a, &core);
	peer_start(&b, &core);
	peer_start(&c, &core);
	peer_packet(&a, &b.public_key, "1", 1);
	peer_packet(&a, &b.public_key, "2", 1);
	peer_drain(&b);
	b.n_out = 0;
	peer_open(&a2, &core);
	a2.private_key = a.private_key;
	a2.public_key = a.public_key;
	peer_hello(&a2, NULL);
	peer_close(&a);
	peer_drain(&b);
	tap_ok(!b.n_out, "one of two connections of a key leaves: nothing");
	peer_close(&a2);
	tap_ok(peer_gets(&b, DERP_PEER_GONE, &f) &&
		       f.reason == DERP_GONE_DISCONNECTED &&
		       !peer_next(&b, &f),
	       "the last one leaves: whoever heard from it is told once");
	peer_drain(&c);
	tap_ok(!c.n_out, "others are not");
	/* Subscriptions that are on their way when their owner leaves. */
	peer_packet(&c, &b.public_key, "3", 1);
	peer_drain(&b);
	b.n_out = 0;
	peer_close(&c);
	peer_close(&b);
	peer_start(&a, &core);
	peer_start(&b, &core);
	peer_packet(&a, &b.public_key, "4", 1);
	peer_drain(&b);
	peer_close(&b); /* the subscriber first */
	peer_close(&a);
	tap_ok(!stat_of(&core, RELAYD_CLIENTS_TOTAL), "nothing is left");
}

static void test_duplicates(void)
{
	struct peer a, old, new;
	struct derp_frame f;
	struct derp_frame ping = { .type = DERP_PING };

	peer_start(&a, &core);
	peer_start(&old, &core);
	peer_open(&new, &core);
	new.private_key = old.private_key;
	new.public_key = old.public_key;
	peer_hello(&new, NULL);
	peer_drain(&new);
	new.n_out = 0;
	tap_ok(stat_of(&core, RELAYD_DUP_KEYS) == 1 &&
		       stat_of(&core, RELAYD_DUP_CONNS) == 2,
	       "two connections of one key");
	peer_packet(&a, &old.public_key, "1", 1);
	peer_drain(&old);
	tap_ok(!old.n_out && peer_gets(&new, DERP_RECV_PACKET, &f),
	       "the newest gets the packets");
	peer_send(&old, &ping);
	peer_drain(&old);
	old.n_out = 0;
	peer_packet(&a, &old.public_key, "2", 1);
	peer_drain(&new);
	tap_ok(!new.n_out && peer_gets(&old, DERP_RECV_PACKET, &f),
	       "until the other one says something");
	peer_close(&old);
	peer_packet(&a, &new.public_key, "3", 1);
	tap_ok(peer_gets(&new, DERP_RECV_PACKET, &f) &&
		       !stat_of(&core, RELAYD_DUP_KEYS) &&
		       !stat_of(&core, RELAYD_DUP_CONNS) &&
		       stat_of(&core, RELAYD_DUP_CONNS_TOTAL) == 2,
	       "the one that is left is no duplicate");
	peer_close(&new);
	peer_close(&a);
}

static void test_pings(void)
{
	struct derp_frame ping = { .type = DERP_PING, .ping = "1234567" };
	struct derp_frame f;
	struct peer a;

	peer_start(&a, &core);
	peer_send(&a, &ping);
	ping.ping[0] = '2';
	peer_send(&a, &ping);
	tap_ok(peer_gets(&a, DERP_PONG, &f) && f.ping[0] == '1' &&
		       !peer_next(&a, &f),
	       "one pong is pending, more pings are ignored");
	peer_send(&a, &ping);
	tap_ok(peer_gets(&a, DERP_PONG, &f) && f.ping[0] == '2',
	       "the next is answered");
	relayd_client_keep_alive(a.c);
	tap_ok(a.wants && peer_gets(&a, DERP_KEEP_ALIVE, &f), "KeepAlive");
	relayd_client_restarting(a.c, 4000, 3000);
	tap_ok(peer_gets(&a, DERP_RESTARTING, &f) && f.reconnect_ms == 4000 &&
		       f.try_ms == 3000,
	       "Restarting");
	peer_close(&a);
}

/* What each header does to a client that is logged in. */
static void test_malformed(void)
{
	static const struct {
		uint8_t type;
		uint32_t len;
		bool closes;
		const char *what;
	} cases[] = {
		{ DERP_SEND_PACKET, 31, true, "SendPacket without a key" },
		{ DERP_SEND_PACKET, 32 + 65537, true, "SendPacket too long" },
		{ DERP_NOTE_PREFERRED, 0, true, "NotePreferred of 0 bytes" },
		{ DERP_NOTE_PREFERRED, 2, true, "NotePreferred of 2 bytes" },
		{ DERP_PING, 7, true, "Ping of 7 bytes" },
		{ DERP_PING, 1001, true, "Ping of 1001 bytes" },
		{ DERP_PING, 1000, false, "Ping of 1000 bytes" },
		{ DERP_WATCH_CONNS, 0, true, "WatchConns without the right" },
		{ DERP_CLOSE_PEER, 32, true, "ClosePeer without the right" },
		{ DERP_FORWARD_PACKET, 64, true,
		  "ForwardPacket without the right" },
		{ DERP_SERVER_KEY, 40, false, "ServerKey" },
		{ DERP_RECV_PACKET, 100, false, "RecvPacket" },
		{ 0x0b, 0, false, "an unknown type" },
		{ 0x7f, 200000, false, "a long unknown type" },
	};
	struct derp_frame ping = { .type = DERP_PING }, f;
	uint8_t *data = calloc(1, 200000 + DERP_HEADER_LEN);
	struct derp_header h;
	struct peer a;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		peer_start(&a, &core);
		h.type = cases[i].type;
		h.len = cases[i].len;
		derp_header_encode(data, &h);
		peer_feed(&a, data, DERP_HEADER_LEN + cases[i].len);
		if (!a.closed) {
			peer_drain(&a);
			a.n_out = 0;
			peer_send(&a, &ping);
		}
		tap_ok(a.closed == cases[i].closes &&
			       (a.closed || peer_gets(&a, DERP_PONG, &f)),
		       "%s %s", cases[i].what,
		       cases[i].closes ? "closes" : "does not harm");
		peer_close(&a);
	}
	free(data);
}

static void test_privileged(void)
{
	struct derp_client_info info = { .version = DERP_VERSION,
					 .has_mesh_key = true };
	struct derp_frame f = { .type = DERP_FORWARD_PACKET,
				.data = (const uint8_t *)"far",
				.data_len = 3 };
	struct peer mesh, a;

	key_generate(&core.server.mesh_key);
	core.server.has_mesh_key = true;
	info.mesh_key = core.server.mesh_key;
	peer_start(&a, &core);
	peer_open(&mesh, &core);
	peer_hello(&mesh, &info);
	tap_ok(mesh.logged_in && mesh.c->seat.privileged, "the mesh key");
	peer_drain(&mesh);
	mesh.n_out = 0;
	randombytes_buf(f.key.b, sizeof(f.key.b));
	f.dst = a.public_key;
	peer_send(&mesh, &f);
	tap_ok(peer_gets(&a, DERP_RECV_PACKET, &f) && f.data_len == 3 &&
		       stat_of(&core, RELAYD_FORWARDED_IN) == 1,
	       "a forwarded packet");
	f = (struct derp_frame){ .type = DERP_CLOSE_PEER,
				 .key = a.public_key };
	peer_send(&mesh, &f);
	peer_drain(&a);
	tap_ok(a.closed && !mesh.closed, "ClosePeer: %s", a.why);
	peer_close(&a);
	peer_close(&mesh);
	info.mesh_key.b[0] ^= 1;
	peer_open(&mesh, &core);
	peer_hello(&mesh, &info);
	tap_ok(mesh.logged_in && !mesh.c->seat.privileged,
	       "a wrong mesh key makes an ordinary client");
	peer_close(&mesh);
	core.server.has_mesh_key = false;
}

static void test_turns(void)
{
	uint8_t in[64 * 40];
	struct derp_frame f = { .type = DERP_SEND_PACKET };
	struct peer a, b;
	size_t n = 0, took;
	int i;

	peer_start(&a, &core);
	peer_start(&b, &core);
	f.key = b.public_key;
	for (i = 0; i < 20; i++)
		n += (size_t)derp_encode(&f, in + n, sizeof(in) - n);
	took = relayd_client_input(a.c, in, n);
	tap_ok(a.yielded && took == n / 20 * 16, "16 packets make a turn");
	peer_close(&a);
	peer_close(&b);
}

static void test_rate(void)
{
	static uint8_t data[60000];
	struct peer a, b;
	struct derp_frame f;
	int i;

	core.server.rate = 1000000;
	core.server.burst = 100000;
	peer_start(&a, &core);
	peer_start(&b, &core);
	peer_packet(&a, &b.public_key, data, sizeof(data));
	tap_ok(!a.paused, "within the burst");
	peer_packet(&a, &b.public_key, data, sizeof(data));
	tap_ok(a.paused && stat_of(&core, RELAYD_RATE_WAITS) == 1,
	       "over it: no more is read from it");
	tap_ok(RUN_UNTIL(core.w->base, !a.paused), "for some time");
	for (i = 0; i < 2; i++)
		if (!peer_gets(&b, DERP_RECV_PACKET, &f))
			break;
	tap_ok(i == 2, "nothing is dropped");
	relayd_client_set_rate(a.c, 0, 0);
	for (i = 0; i < 10; i++)
		peer_packet(&a, &b.public_key, data, sizeof(data));
	tap_ok(!a.paused, "a limit can be lifted");
	core.server.rate = core.server.burst = 0;
	peer_close(&a);
	peer_close(&b);
}

static unsigned int asked, cancelled;

static void ask(void *ctx, struct relayd_client *c)
{
	asked++;
}

static void cancel(void *ctx, struct relayd_client *c)
{
	cancelled++;
}

static void test_admission(void)
{
	static const struct relayd_admission admission = { .ask = ask,
							   .cancel = cancel };
	struct derp_frame ping = { .type = DERP_PING }, f;
	struct peer a;

	core.server.admission = &admission;
	peer_open(&a, &core);
	peer_hello(&a, NULL);
	tap_ok(asked == 1 && a.paused && !a.logged_in, "somebody is asked");
	relayd_client_admit(a.c, true, NULL);
	tap_ok(a.logged_in && !a.paused, "and says yes");
	peer_drain(&a);
	a.n_out = 0;
	peer_send(&a, &ping);
	tap_ok(peer_gets(&a, DERP_PONG, &f), "then it goes on");
	peer_close(&a);
	peer_open(&a, &core);
	peer_hello(&a, NULL);
	relayd_client_admit(a.c, false, "unknown");
	tap_ok(a.closed && stat_of(&core, RELAYD_REJECTED) == 1, "no: %s",
	       a.why);
	peer_close(&a);
	peer_open(&a, &core);
	peer_hello(&a, NULL);
	peer_close(&a);
	tap_ok(cancelled == 1, "it leaves while they think");
	core.server.admission = NULL;
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	core_start(&core);
	test_login();
	test_packets();
	test_cuts();
	test_overflow();
	test_unknown();
	test_gone();
	test_duplicates();
	test_pings();
	test_malformed();
	test_privileged();
	test_turns();
	test_rate();
	test_admission();
	core_stop(&core);
	return tap_done();
}
