// SPDX-License-Identifier: GPL-2.0
/* The DERP client against a server in the same loop. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "derp-client.h"
#include "derp-map.h"
#include "fake-derp.h"
#include "tap.h"

static void fake_raw(struct fake_conn *c, const void *data, size_t n)
{
	struct evbuffer *out = evbuffer_new();

	evbuffer_add(out, data, n);
	fake_flush(c, out);
}

/* "sha256-raw:<hex>" of the server's certificate. */
static char *fake_pin(const struct fake_derp *s, char out[KEY_TEXT_MAX])
{
	unsigned int len;
	struct key hash;

	X509_digest(s->cert, EVP_sha256(), hash.b, &len);
	return key_format(out, "sha256-raw:", &hash);
}

static struct event_base *base;
static const char *more_roots;

static struct derp_node *map_node(struct test_map *m, int id, uint16_t port)
{
	struct derp_node *n = test_map_node(m, id, "127.0.0.1", "none");

	n->derp_port = port;
	n->insecure_for_tests = true;
	return n;
}

static void map_use(struct test_map *m, struct derp_client *c)
{
	derps_set_map(c->d, m->regions);
}

static void login_one(int tls, bool meta, const char *name)
{
	struct fake_derp s = { 0 };
	struct test_map m = { 0 };
	struct derp_client c;

	client_start(&c, base, more_roots);
	fake_start(&s, base, tls, meta);
	map_node(&m, 1, s.port);
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.connects && s.conns->preferred == 1) &&
		       s.logins == 1 && key_equal(&s.conns->client,
						  &c.public_key) &&
		       derps_is_connected(c.d, 1) && !s.conns->ideal[0],
	       "%s: login, and this is home", name);
	tap_ok(s.conns && s.conns->fast == (meta && tls == TLS1_3_VERSION),
	       "%s: %s start", name, s.conns->fast ? "fast" : "slow");
	client_stop(&c);
	RUN_UNTIL(base, !s.conns);
	fake_stop(&s);
	test_map_clear(&m);
}

/* Dials once with the given certificate demands; whether it logged in. */
static bool admits(struct fake_derp *s, const char *host, const char *cert_name,
		   char why[256])
{
	struct test_map m = { 0 };
	struct derp_node *n;
	struct derp_client c;
	bool in;

	client_start(&c, base, more_roots);
	n = map_node(&m, 1, s->port);
	n->host_name = (char *)host;
	n->cert_name = (char *)cert_name;
	n->insecure_for_tests = false;
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	RUN_UNTIL(base, c.connects || c.failures);
	in = c.connects;
	strcpy(why, c.why);
	client_stop(&c);
	RUN_UNTIL(base, !s->conns);
	test_map_clear(&m);
	return in;
}

static void test_certificates(void)
{
	char file[] = "/tmp/tailrace-derp-XXXXXX", pin[KEY_TEXT_MAX], why[256];
	struct fake_derp s = { 0 };
	struct key hash;
	EVP_PKEY *key;
	FILE *f = fdopen(mkstemp(file), "w");

	fake_start(&s, base, TLS1_3_VERSION, true);
	fake_pin(&s, pin);
	tap_ok(!admits(&s, FAKE_NAME, "", why) && strstr(why, "certificate"),
	       "an unknown root is refused (%s)", why);
	tap_ok(admits(&s, FAKE_NAME, pin, why), "a pinned hash (%s)", why);
	tap_ok(!admits(&s, "other.test", pin, why),
	       "a pinned hash does not excuse another name (%s)", why);
	pin[20] = pin[20] == '0' ? '1' : '0';
	tap_ok(!admits(&s, FAKE_NAME, pin, why), "another hash (%s)", why);
	tap_ok(!admits(&s, FAKE_NAME, "sha256-raw:12", why),
	       "a malformed pin (%s)", why);

	PEM_write_X509(f, s.cert);
	fclose(f);
	setenv("SSL_CERT_FILE", file, 1);
	tap_ok(admits(&s, FAKE_NAME, "", why),
	       "a known root, with the meta certificate in the chain (%s)",
	       why);
	tap_ok(!admits(&s, "other.test", "", why), "for another name (%s)",
	       why);
	tap_ok(admits(&s, "front.test", FAKE_NAME, why),
	       "CertName is verified instead of HostName (%s)", why);
	unsetenv("SSL_CERT_FILE");
	more_roots = file;
	tap_ok(admits(&s, FAKE_NAME, "", why), "a root given beside (%s)", why);
	more_roots = "/nonexistent";
	tap_ok(!admits(&s, FAKE_NAME, "", why), "one that cannot be read");
	more_roots = NULL;
	unlink(file);
	fake_stop(&s);

	s.expires = -1;
	fake_start(&s, base, TLS1_3_VERSION, true);
	tap_ok(!admits(&s, FAKE_NAME, fake_pin(&s, pin), why),
	       "a pinned but expired certificate (%s)", why);
	fake_stop(&s);
	key = fake_key(EVP_PKEY_EC);
	s.extra = fake_cert(key, FAKE_NAME, "DNS:" FAKE_NAME, 3, -60, 3600);
	EVP_PKEY_free(key);
	X509_digest(s.extra, EVP_sha256(), hash.b, NULL);
	fake_start(&s, base, TLS1_3_VERSION, true);
	tap_ok(!admits(&s, FAKE_NAME, fake_pin(&s, pin), why),
	       "a pinned certificate with company (%s)", why);
	tap_ok(!admits(&s, FAKE_NAME, key_format(pin, "sha256-raw:", &hash),
		       why),
	       "the pinned certificate shown along, not proven (%s)", why);
	fake_stop(&s);
	/* A thief has the pinned certificate, but not its key. */
	s.name = "derpkey";
	key = fake_key(EVP_PKEY_EC);
	s.extra = fake_cert(key, FAKE_NAME, "DNS:" FAKE_NAME, 3, -60, 3600);
	EVP_PKEY_free(key);
	X509_digest(s.extra, EVP_sha256(), hash.b, NULL);
	fake_start(&s, base, TLS1_3_VERSION, false);
	tap_ok(!admits(&s, FAKE_NAME, key_format(pin, "sha256-raw:", &hash),
		       why),
	       "nor behind one that passes for a meta certificate (%s)", why);
	fake_stop(&s);
}

static struct derp_client c;
static struct fake_derp s;
static struct test_map m;
static struct key peer;

/* A logged-in client, for what follows. */
static void setup(void)
{
	client_start(&c, base, more_roots);
	fake_start(&s, base, TLS1_3_VERSION, true);
	map_node(&m, 1, s.port);
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	RUN_UNTIL(base, c.connects && s.conns->preferred == 1);
}

static void teardown(void)
{
	client_stop(&c);
	fake_stop(&s);
	test_map_clear(&m);
}

static void test_packets(void)
{
	static uint8_t big[DERP_PACKET_MAX + 1];
	struct derp_frame f = { .type = DERP_RECV_PACKET, .key = peer };
	uint8_t unknown[] = { 0x42, 0, 0, 0, 3, 1, 2, 3 };
	uint8_t brief[] = { 0x05, 0, 0, 0, 2, 1, 2 };
	unsigned int before;
	bool good = true;
	size_t i;

	setup();
	randombytes_buf(big, sizeof(big));
	tap_ok(derps_send(c.d, 1, &peer, "hello", 5) == 0 &&
		       RUN_UNTIL(base, s.packets == 1) &&
		       !memcmp(s.last, "hello", 5) && s.last_len == 5 &&
		       key_equal(&s.last_dst, &peer),
	       "a packet out");
	tap_ok(derps_send(c.d, 1, &peer, "", 0) == 0 &&
		       derps_send(c.d, 1, &peer, big, DERP_PACKET_MAX) == 0 &&
		       RUN_UNTIL(base, s.packets == 3) &&
		       s.last_len == DERP_PACKET_MAX &&
		       !memcmp(s.last, big, 64),
	       "the smallest and the largest");
	tap_ok(derps_send(c.d, 1, &peer, big, sizeof(big)) == -EMSGSIZE &&
		       derps_send(c.d, 9, &peer, "x", 1) == -ENOENT,
	       "too large; a region that does not exist");

	f.data = big;
	f.data_len = 1280;
	fake_send(s.conns, &f);
	tap_ok(RUN_UNTIL(base, c.packets == 1) && c.len == 1280 &&
		       !memcmp(c.data, big, 1280) && c.region == 1 &&
		       key_equal(&c.src, &peer) && derps_route(c.d, &peer) == 1,
	       "a packet in, and its route");
	f.data_len = 0;
	fake_send(s.conns, &f);
	f.data_len = DERP_PACKET_MAX;
	fake_send(s.conns, &f);
	tap_ok(RUN_UNTIL(base, c.packets == 3) && c.len == DERP_PACKET_MAX &&
		       !memcmp(c.data, big, DERP_PACKET_MAX),
	       "empty and largest in");
	s.chunk = 1;
	for (i = 0; i < 20; i++) {
		f.data_len = i;
		fake_send(s.conns, &f);
		good = good && RUN_UNTIL(base, c.packets == 4 + i) &&
		       c.len == i && !memcmp(c.data, big, i);
	}
	tap_ok(good, "frames split at every byte");
	s.chunk = 0;
	fake_raw(s.conns, unknown, sizeof(unknown));
	fake_raw(s.conns, brief, sizeof(brief));
	f.data_len = 7;
	fake_send(s.conns, &f);
	tap_ok(RUN_UNTIL(base, c.packets == 24) && c.len == 7 && !c.failures,
	       "an unknown and a short frame are skipped");

	/* Several frames in one record, at a large total. */
	before = c.packets;
	f.data_len = 1400;
	for (i = 0; i < 2000; i++)
		fake_send(s.conns, &f);
	tap_ok(RUN_UNTIL(base, c.packets == before + 2000) && c.len == 1400,
	       "2000 packets in a burst");
	tap_ok(derps_last_frame(c.d, 1) > 0 &&
		       derps_stats(c.d)->received == before + 2000,
	       "they are counted");
	teardown();
}

static void test_oversize(void)
{
	uint8_t huge[] = { 0x05, 0, 0x10, 0, 1 };
	static uint8_t large[DERP_HEADER_LEN + DERP_FRAME_MAX] = { 0x42, 0,
								   0x10, 0, 0 };
	struct derp_frame f = { .type = DERP_RECV_PACKET, .key = peer };

	setup();
	fake_raw(s.conns, large, sizeof(large));
	fake_send(s.conns, &f);
	tap_ok(RUN_UNTIL(base, c.packets == 1 || c.failures) && !c.failures,
	       "an unknown frame of 1 MiB is skipped");
	fake_raw(s.conns, huge, sizeof(huge));
	tap_ok(RUN_UNTIL(base, c.failures == 1) && strstr(c.why, "limit"),
	       "one byte more ends the connection (%s)", c.why);
	tap_ok(RUN_UNTIL(base, c.connects == 2), "and home is connected again");
	teardown();
}

static void test_control_frames(void)
{
	struct derp_frame ping = { .type = DERP_PING,
				   .ping = { 1, 2, 3, 4, 5, 6, 7, 8 } };
	struct derp_frame gone = { .type = DERP_PEER_GONE,
				   .key = peer,
				   .reason = DERP_GONE_NOT_HERE };
	struct derp_frame recv = { .type = DERP_RECV_PACKET, .key = peer };
	struct derp_frame health = { .type = DERP_HEALTH,
				     .data = (const uint8_t *)"too\nbusy",
				     .data_len = 8 };
	struct derp_frame restarting = { .type = DERP_RESTARTING,
					 .reconnect_ms = 20,
					 .try_ms = 3000 };

	setup();
	fake_send(s.conns, &ping);
	tap_ok(RUN_UNTIL(base, s.pongs == 1) && !memcmp(s.pong, ping.ping, 8),
	       "a ping is answered with the same bytes");
	fake_send(s.conns, &recv);
	RUN_UNTIL(base, c.packets == 1);
	fake_send(s.conns, &gone);
	tap_ok(RUN_UNTIL(base, c.gone == 1) && c.reason == DERP_GONE_NOT_HERE &&
		       !derps_route(c.d, &peer) &&
		       derps_stats(c.d)->not_here == 1,
	       "PeerGone ends the route");
	fake_send(s.conns, &recv);
	tap_ok(RUN_UNTIL(base, c.packets == 2) && derps_route(c.d, &peer) == 1,
	       "which a new packet brings back");
	fake_send(s.conns, &health);
	tap_ok(RUN_UNTIL(base, c.healths == 1) && !strcmp(c.health, "too?busy"),
	       "health text, control characters masked");
	health.data_len = 0;
	fake_send(s.conns, &health);
	tap_ok(RUN_UNTIL(base, c.healths == 2) && !c.health[0],
	       "and healthy again");
	health.data_len = 3;
	fake_send(s.conns, &health);
	tap_ok(RUN_UNTIL(base, !strcmp(derps_health(c.d, 1), "too")) &&
		       c.healths == 2,
	       "a complaint that comes and goes is not told every time");

	fake_send(s.conns, &restarting);
	event_base_loop(base, EVLOOP_NONBLOCK);
	fake_down(&s);
	tap_ok(RUN_UNTIL(base, c.failures > 3) && c.connects == 1,
	       "a restarting server is tried again and again");
	tap_ok(!derps_route(c.d, &peer) && !derps_is_connected(c.d, 1),
	       "routes end with the connection");
	fake_listen(&s);
	tap_ok(RUN_UNTIL(base, c.connects == 2), "until it is back");
	teardown();
}

/* A server, or somebody with our key, that ends what it has let in. */
static void test_flapping(void)
{
	uint64_t began = now_ns();
	unsigned int n;

	setup();
	for (n = 1; n <= 9; n++) {
		RUN_UNTIL(base, c.connects == n && s.conns);
		fake_close(s.conns);
		RUN_UNTIL(base, c.failures == n);
	}
	tap_ok(c.connects == 9 && now_ns() - began > 900 * MS_NS,
	       "logins that do not last are tried again ever later");
	teardown();
}

static void test_pending(void)
{
	unsigned int i;

	setup();
	fake_down(&s);
	RUN_UNTIL(base, c.failures);
	for (i = 0; i < 40; i++) {
		uint8_t byte = (uint8_t)i;

		derps_send(c.d, 1, &peer, &byte, 1);
	}
	fake_listen(&s);
	tap_ok(RUN_UNTIL(base, s.packets == 32) && s.first[0] == 8 &&
		       s.last[0] == 39 && derps_stats(c.d)->dropped_head == 8,
	       "the newest 32 packets wait for the connection, in order");
	teardown();
}

static void test_backlog(void)
{
	static uint8_t data[1400];
	unsigned int i;

	setup();
	bufferevent_disable(s.conns->bev, EV_READ);
	for (i = 0; i < 20000; i++) {
		put_be32(data, i);
		derps_send(c.d, 1, &peer, data, sizeof(data));
		if (i % 64 == 0)
			event_base_loop(base, EVLOOP_NONBLOCK);
	}
	tap_ok(derps_stats(c.d)->dropped_head > 1000 && !c.failures,
	       "28 MB to a server that does not read: %llu packets dropped",
	       (unsigned long long)derps_stats(c.d)->dropped_head);
	bufferevent_enable(s.conns->bev, EV_READ);
	tap_ok(RUN_UNTIL(base, s.packets && get_be32(s.last) == 19999) &&
		       s.packets == 20000 - derps_stats(c.d)->dropped_head,
	       "the newest and all not dropped arrive whole");
	teardown();
}

static void test_rate(void)
{
	static uint8_t data[1000];
	unsigned int i;

	client_start(&c, base, more_roots);
	s.info.rate = 1;
	s.info.burst = 10 * (1000 + KEY_LEN + DERP_HEADER_LEN);
	fake_start(&s, base, TLS1_3_VERSION, true);
	map_node(&m, 1, s.port);
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	RUN_UNTIL(base, c.connects);
	for (i = 0; i < 15; i++)
		derps_send(c.d, 1, &peer, data, sizeof(data));
	tap_ok(RUN_UNTIL(base, s.packets == 10) &&
		       derps_stats(c.d)->dropped_rate == 5,
	       "the server's rate is kept");
	teardown();
}

static void test_regions(void)
{
	struct fake_derp two = { 0 };
	struct derp_frame f = { .type = DERP_RECV_PACKET, .key = peer };
	struct key other;

	setup();
	fake_start(&two, base, TLS1_2_VERSION, false);
	map_node(&m, 2, two.port);
	map_use(&m, &c);
	tap_ok(derps_home(c.d) == 1 && s.conns && derps_is_connected(c.d, 1),
	       "a new region leaves the others connected");
	fake_send(s.conns, &f);
	RUN_UNTIL(base, c.packets == 1);
	derps_send(c.d, 2, &peer, "on demand", 9);
	tap_ok(derps_pick(c.d, &peer, 2) == 1,
	       "until it is connected, the peer's route serves");
	tap_ok(RUN_UNTIL(base, two.packets == 1 && c.connects == 2) &&
		       two.conns->preferred != 1,
	       "a packet connects to another region, not as home");
	fake_send(two.conns, &f);
	tap_ok(RUN_UNTIL(base, c.packets == 2) &&
		       derps_route(c.d, &peer) == 2 &&
		       derps_pick(c.d, &peer, 7) == 2 &&
		       derps_pick(c.d, &peer, 1) == 1,
	       "where a peer was heard serves if its home is not connected");
	derps_forget(c.d, &peer);
	tap_ok(!derps_route(c.d, &peer) && derps_pick(c.d, &peer, 7) == 7,
	       "a route is forgotten on demand");
	derps_set_home(c.d, 2);
	tap_ok(RUN_UNTIL(base, two.conns->preferred == 1 &&
				       s.conns->preferred == 0),
	       "both are told about a new home");

	m.node[1][0].name = "2b";
	map_use(&m, &c);
	tap_ok(derps_home(c.d) == 0 && RUN_UNTIL(base, !two.conns) && s.conns,
	       "a changed region is closed and no longer home");
	derps_set_home(c.d, 1);
	key_generate(&other);
	derps_set_key(c.d, &other);
	key_public(&other, &other);
	tap_ok(RUN_UNTIL(base, s.logins == 2) &&
		       RUN_UNTIL(base, s.conns && !s.conns->next) &&
		       key_equal(&s.conns->client, &other),
	       "a new key logs in anew");
	derps_set_network(c.d, false);
	tap_ok(derps_send(c.d, 1, &peer, "x", 1) == -ENETDOWN &&
		       RUN_UNTIL(base, !s.conns),
	       "network down");
	derps_set_network(c.d, true);
	tap_ok(RUN_UNTIL(base, s.logins == 3), "network up connects home");
	derps_set_map(c.d, NULL);
	tap_ok(derps_home(c.d) == 0 && RUN_UNTIL(base, !s.conns),
	       "no map, no connection");
	fake_stop(&two);
	teardown();
}

static void test_link_change(void)
{
	struct timeval longer = { .tv_sec = 3, .tv_usec = 300000 };

	setup();
	RUN_UNTIL(base, derps_is_connected(c.d, 1));
	derps_link_changed(c.d);
	event_base_loopexit(base, &longer);
	event_base_dispatch(base);
	tap_ok(!c.failures && c.connects == 1 && s.conns,
	       "a live connection survives a link change");
	s.mute_pings = true;
	/* Again and again: the answer to the first ping may be on its way. */
	tap_ok(RUN_UNTIL(base, (derps_link_changed(c.d), c.failures)) &&
		       strstr(c.why, "ping"),
	       "one that does not answer is closed (%s)", c.why);
	tap_ok(RUN_UNTIL(base, c.connects == 2), "and made anew");
	teardown();
}

static void test_failures(void)
{
	struct fake_derp bad = { 0 };
	struct derp_node *n;

	client_start(&c, base, more_roots);
	fake_start(&bad, base, TLS1_3_VERSION, false);
	fake_start(&s, base, TLS1_3_VERSION, true);
	n = map_node(&m, 1, bad.port);
	map_use(&m, &c);

	bad.status = "426 Upgrade Required";
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.failures) && strstr(c.why, "426"),
	       "an HTTP error is told (%s)", c.why);
	map_node(&m, 1, s.port);
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.connects) && c.failures == 2,
	       "the next attempt begins with the node behind it");
	m.region[0].n_nodes = 1;
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	c.connects = 0;
	bad.status = NULL;
	bad.reject = true;
	c.failures = 0;
	tap_ok(RUN_UNTIL(base, c.failures) && !c.connects,
	       "a rejected login (%s)", c.why);
	bad.reject = false;
	fake_down(&bad);
	c.failures = 0;
	tap_ok(RUN_UNTIL(base, c.failures) && strstr(c.why, "refused"),
	       "nobody there (%s)", c.why);

	map_node(&m, 1, s.port);
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.connects) && !strcmp(s.conns->ideal, "1a"),
	       "the second node, told that the first was ideal");
	n->stun_only = true;
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.connects == 2), "STUN-only nodes are skipped");
	m.node[0][1].ipv4 = "none";
	c.failures = 0;
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.failures), "no family left (%s)", c.why);
	fake_stop(&bad);
	teardown();
}

static void test_plain(void)
{
	client_start(&c, base, more_roots);
	s.port = 3340;
	if (!fake_start(&s, base, 0, false)) {
		tap_ok(true, "plain HTTP # SKIP port 3340 is taken");
		tap_ok(true, "TLS on 3340 # SKIP port 3340 is taken");
		teardown();
		return;
	}
	map_node(&m, 1, s.port);
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.connects), "plain HTTP on port 3340");
	m.node[0][0].insecure_for_tests = false;
	map_use(&m, &c);
	derps_set_home(c.d, 1);
	tap_ok(RUN_UNTIL(base, c.failures), "but only for tests (%s)", c.why);
	teardown();
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	base = event_base_new();
	randombytes_buf(peer.b, sizeof(peer.b));

	login_one(TLS1_3_VERSION, true, "TLS 1.3 with meta certificate");
	login_one(TLS1_3_VERSION, false, "TLS 1.3 without");
	login_one(TLS1_2_VERSION, true, "TLS 1.2");
	test_certificates();
	test_packets();
	test_oversize();
	test_control_frames();
	test_flapping();
	test_pending();
	test_backlog();
	test_rate();
	test_regions();
	test_link_change();
	test_failures();
	test_plain();

	event_base_free(base);
	libevent_global_shutdown();
	return tap_done();
}
