// SPDX-License-Identifier: GPL-2.0
/*
 * The relays of a region: two whole ones on the loopback, each the other's
 * client, and one that misbehaves.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "derp-client.h"
#include "derp-map.h"
#include "fake-derp.h"
#include "lib/util.h"
#include "relay/mesh.h"
#include "relay/server.h"
#include "relay/tls.h"
#include "tap.h"

#define HOST "127.0.0.1"

/* A relay, in a directory of its own, and who is at home there. */
struct site {
	char dir[80], mesh_key[96];
	struct relayd_config config;
	struct relayd *server;
	struct derp_client client;
	struct test_map map;
	char pin[RELAYD_PIN_LEN + 1];
};

static struct site a, b;
static struct fake_derp fake;
static struct relayd_mesh *strange; /* the link to it */
static char top[] = "/tmp/tailrace-mesh-XXXXXX", roots[96];

/* All loops that are the test's. */
static void turn(void)
{
	event_base_loop(a.server->main->base, EVLOOP_NONBLOCK);
	if (b.server)
		event_base_loop(b.server->main->base, EVLOOP_NONBLOCK);
	usleep(1000);
}

/* The limit is for hangs only. */
#define UNTIL(cond)                                       \
	({                                                \
		uint64_t end_ = now_ns() + 30 * SEC_NS;   \
		while (!(cond) && now_ns() < end_)        \
			turn();                           \
		(cond);                                   \
	})

static int64_t figure(const struct site *s, enum relayd_stat what)
{
	uint64_t n = relayd_stat_read(&s->server->main->stats.v[what]);
	unsigned int i;

	for (i = 0; i < s->server->n_workers; i++)
		n += relayd_stat_read(&s->server->workers[i]->stats.v[what]);
	return (int64_t)n;
}

static uint16_t free_port(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&to, len) ||
	    getsockname(fd, (struct sockaddr *)&to, &len))
		abort();
	close(fd);
	return ntohs(to.sin_port);
}

static void start(struct site *s, const char *name)
{
	static char key_file[2][96];
	char *key = key_file[s == &b];

	if (!s->config.listen.port) {
		snprintf(s->dir, sizeof(s->dir), "%s/%s", top, name);
		snprintf(key, sizeof(key_file[0]), "%s.key", s->dir);
		snprintf(s->mesh_key, sizeof(s->mesh_key), "%s/mesh", top);
		s->config = (struct relayd_config){
			.listen = { .ip = ip_v4(127, 0, 0, 1),
				    .port = free_port() },
			.hostname = HOST,
			.cert_dir = top,
			.key_file = key,
			.mesh_key_file = s->mesh_key,
			.http_port = -1,
			.stun_port = -1,
			.workers = 2,
			.tls = true,
			.derp = true,
			.half_open_max = 8,
			.write_timeout_ms = 500,
		};
	}
	s->server = relayd_new(&s->config);
	if (!s->server)
		abort();
}

/* The links of @s, which runs already. */
static int mesh(struct site *s, const char *with)
{
	return relayd_mesh_start(s->server, with, &s->server->mesh);
}

static const char *address(const struct site *s)
{
	static char text[2][32];
	char *t = text[s == &b];

	snprintf(t, 32, HOST ":%u", s->config.listen.port);
	return t;
}

static void start_client(struct site *s)
{
	struct derp_node *n;

	test_map_clear(&s->map);
	n = test_map_node(&s->map, 1, HOST, "none");
	n->host_name = HOST;
	n->derp_port = s->config.listen.port;
	relayd_tls_pin(s->server->tls, s->pin);
	n->cert_name = s->pin;
	/* On a's loop, whoever's client it is. */
	client_start(&s->client, a.server->main->base, NULL);
	derps_set_map(s->client.d, s->map.regions);
	derps_set_home(s->client.d, 1);
}

static void test_lists(void)
{
	static const char *const bad[] = {
		"", ",", ",host", "host,,host", "host:", "host:0", "host:65536",
		"host:x", "/dial", ":443",
	};
	struct relayd_mesh *m;
	char longer[600];
	bool ok = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		ok &= relayd_mesh_start(a.server, bad[i], &m) == -EINVAL && !m;
	tap_ok(ok, "malformed lists");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	tap_ok(relayd_mesh_start(a.server, longer, &m) == -EINVAL,
	       "too long a name");
	a.server->has_mesh_key = false;
	tap_ok(relayd_mesh_start(a.server, "host", &m) == -EINVAL,
	       "not without a mesh key");
	a.server->has_mesh_key = true;
}

static void test_pair(void)
{
	char both[128];

	/* Its own name is in the list, as in every relay's. */
	snprintf(both, sizeof(both), "%s,%s/" HOST, address(&a), address(&b));
	tap_ok(!mesh(&a, both) && !mesh(&b, both), "two relays");
	tap_ok(UNTIL(figure(&a, RELAYD_WATCHERS) == 1 &&
		     figure(&b, RELAYD_WATCHERS) == 1),
	       "watch each other");
	start_client(&a);
	start_client(&b);
	/* Each link is a client too, of the other relay's key. */
	tap_ok(UNTIL(figure(&a, RELAYD_CLIENTS_TOTAL) == 3 &&
		     figure(&b, RELAYD_CLIENTS_TOTAL) == 3),
	       "and know each other's clients");
	derps_send(a.client.d, 1, &b.client.public_key, "over", 4);
	tap_ok(UNTIL(b.client.packets == 1) &&
		       key_equal(&b.client.src, &a.client.public_key) &&
		       b.client.len == 4 && !memcmp(b.client.data, "over", 4),
	       "from one relay's client to the other's");
	derps_send(b.client.d, 1, &a.client.public_key, "back", 4);
	tap_ok(UNTIL(a.client.packets == 1), "and back");
	tap_ok(figure(&a, RELAYD_FORWARDED_OUT) == 1 &&
		       figure(&a, RELAYD_FORWARDED_IN) == 1,
	       "both by the mesh");
}

/* A packet longer than a record, among others. */
static void test_sizes(void)
{
	static uint8_t data[DERP_PACKET_MAX];
	unsigned int n = b.client.packets;

	randombytes_buf(data, sizeof(data));
	derps_send(a.client.d, 1, &b.client.public_key, data, sizeof(data));
	tap_ok(UNTIL(b.client.packets == n + 1) &&
		       b.client.len == sizeof(data) &&
		       !memcmp(b.client.data, data, sizeof(data)),
	       "the longest packet");
	derps_send(a.client.d, 1, &b.client.public_key, data, 0);
	tap_ok(UNTIL(b.client.packets == n + 2) && !b.client.len,
	       "and the shortest");
}

static void test_gone(void)
{
	client_stop(&b.client);
	tap_ok(UNTIL(figure(&a, RELAYD_CLIENTS_TOTAL) == 2),
	       "who has left there is not known here");
	tap_ok(UNTIL(a.client.gone == 1) &&
		       a.client.reason == DERP_GONE_DISCONNECTED,
	       "and who has had packets from it hears of it");
}

static void test_restart(void)
{
	relayd_free(b.server);
	b.server = NULL;
	tap_ok(UNTIL(figure(&a, RELAYD_CLIENTS_TOTAL) == 1 &&
		     !figure(&a, RELAYD_WATCHERS)),
	       "a relay that ends takes its clients along");
	start(&b, "b");
	start_client(&b);
	tap_ok(UNTIL(figure(&a, RELAYD_CLIENTS_TOTAL) -
			     figure(&a, RELAYD_CLIENTS_LOCAL) == 1),
	       "it is dialled again when it is back");
	client_stop(&b.client);
}

static void say(enum derp_type type, const struct key *key)
{
	const struct derp_frame f = { .type = type, .key = *key };
	struct fake_conn *c;

	for (c = fake.conns; c; c = c->next)
		if (c->logged_in)
			fake_send(c, &f);
}

#define REMOTE \
	(figure(&a, RELAYD_CLIENTS_TOTAL) - figure(&a, RELAYD_CLIENTS_LOCAL))

static void test_strange(void)
{
	const struct derp_frame pong = { .type = DERP_PONG };
	uint8_t big[DERP_HEADER_LEN] = { DERP_RECV_PACKET, 0xff };
	struct key k, other;
	char with[64];

	key_generate(&k);
	key_generate(&other);
	UNTIL(!REMOTE);
	snprintf(with, sizeof(with), FAKE_NAME ":%u/" HOST, fake.port);
	fake.status = "403 Forbidden";
	tap_ok(!relayd_mesh_start(a.server, with, &strange),
	       "a strange relay");
	tap_ok(UNTIL(fake.conns) && UNTIL(!fake.conns),
	       "it refuses: it is left");
	fake.status = NULL;
	tap_ok(UNTIL(fake.logins == 1), "and asked again");
	say(DERP_PEER_PRESENT, &k);
	say(DERP_PEER_PRESENT, &k);
	say(DERP_PEER_GONE, &other);
	say(DERP_PEER_PRESENT, &other);
	say(DERP_PEER_PRESENT, &a.server->public_key);
	tap_ok(UNTIL(REMOTE == 2),
	       "it tells of one twice, of ourselves, of one that goes first");
	say(DERP_PEER_GONE, &k);
	tap_ok(UNTIL(REMOTE == 1), "one goes");
	fake_send(fake.conns, &pong);
	bufferevent_write(fake.conns->bev, big, sizeof(big));
	tap_ok(UNTIL(!fake.conns) && UNTIL(!REMOTE),
	       "it sends too long a frame: it is left, with who was behind it");
	relayd_mesh_stop(strange);
}

/* The certificates of all, for the links to trust. */
static void make_roots(void)
{
	char path[96], cmd[256];
	FILE *f;

	snprintf(roots, sizeof(roots), "%s/roots.pem", top);
	snprintf(path, sizeof(path), "%s/fake.pem", top);
	f = fopen(path, "w");
	PEM_write_X509(f, fake.cert);
	fclose(f);
	snprintf(cmd, sizeof(cmd), "cat %s %s/" HOST ".crt > %s", path, top,
		 roots);
	if (system(cmd))
		abort();
	setenv("SSL_CERT_FILE", roots, 1);
}

static void make_mesh_key(void)
{
	char path[96], text[KEY_TEXT_MAX];
	struct key k;
	FILE *f;

	key_generate(&k);
	snprintf(path, sizeof(path), "%s/mesh", top);
	f = fopen(path, "w");
	fprintf(f, "%s\n", key_format(text, "", &k));
	fclose(f);
	chmod(path, 0600);
}

int main(void)
{
	char cmd[128];

	if (sodium_init() < 0 || !mkdtemp(top))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	make_mesh_key();
	start(&a, "a");
	start(&b, "b");
	if (!fake_start(&fake, a.server->main->base, TLS1_3_VERSION, false))
		return 1;
	make_roots();
	test_lists();
	test_pair();
	test_sizes();
	test_gone();
	test_restart();
	test_strange();
	client_stop(&a.client);
	fake_stop(&fake);
	relayd_free(b.server);
	b.server = NULL;
	relayd_free(a.server);
	relayd_mesh_free(strange); /* after the workers */
	snprintf(cmd, sizeof(cmd), "rm -r %s", top);
	return tap_done() || system(cmd);
}
