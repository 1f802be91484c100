// SPDX-License-Identifier: GPL-2.0
/*
 * A whole relay on the loopback: TLS, workers, limits, reload. Its main loop is
 * the test's own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "derp-client.h"
#include "derp-map.h"
#include "lib/util.h"
#include "loop.h"
#include "proto/stun.h"
#include "relay/metrics.h"
#include "relay/server.h"
#include "relay/tls.h"
#include "tap.h"

#define HOST "127.0.0.1"

static char dir[64];
static struct test_map map;
static struct event_base *base;
static struct relayd *server;
static struct event *tick;

static char *in_dir(char out[128], const char *name)
{
	snprintf(out, 128, "%s/%s", dir, name);
	return out;
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f = fopen(in_dir(path, name), "w");

	fputs(text, f);
	fclose(f);
	chmod(path, 0600);
}

static uint16_t free_port(int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type, 0);

	if (bind(fd, (struct sockaddr *)&a, len) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		abort();
	close(fd);
	return ntohs(a.sin_port);
}

static struct relayd_config make_config(void)
{
	static char key[128];
	struct relayd_config c = {
		.listen = { .ip = ip_v4(127, 0, 0, 1) },
		.hostname = HOST,
		.cert_dir = dir,
		.key_file = in_dir(key, "relay.key"),
		.http_port = -1,
		.stun_port = free_port(SOCK_DGRAM),
		.workers = 2,
		.tls = true,
		.derp = true,
		.half_open_max = 8,
		.write_timeout_ms = 500,
	};

	c.listen.port = free_port(SOCK_STREAM);
	return c;
}

/* What the workers do wakes nobody here. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
}

static void stop(void)
{
	event_free(tick);
	relayd_free(server);
}

static bool start(const struct relayd_config *c)
{
	static const struct timeval often = { .tv_usec = 2000 };
	static char cert_name[RELAYD_PIN_LEN + 1];
	struct derp_node *n;

	server = relayd_new(c);
	if (!server)
		return false;
	base = server->main->base;
	tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	event_add(tick, &often);
	test_map_clear(&map);
	n = test_map_node(&map, 1, HOST, "none");
	n->host_name = HOST;
	n->derp_port = c->listen.port;
	relayd_tls_pin(server->tls, cert_name);
	n->cert_name = cert_name;
	return true;
}

static uint64_t figure(enum relayd_stat what)
{
	uint64_t n = relayd_stat_read(&server->main->stats.v[what]);
	unsigned int i;

	for (i = 0; i < server->n_workers; i++)
		n += relayd_stat_read(&server->workers[i]->stats.v[what]);
	return n;
}

static void start_client(struct derp_client *c)
{
	client_start(c, base, NULL);
	derps_set_map(c->d, map.regions);
	derps_set_home(c->d, 1);
}

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(server->config->listen.port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static bool is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

	return !n || (n < 0 && errno != EAGAIN);
}

static struct derp_client a, b;

static void test_packets(void)
{
	struct stat st;
	char path[128];

	start_client(&a);
	start_client(&b);
	tap_ok(RUN_UNTIL(base, a.connects && b.connects),
	       "two clients trust the certificate by its hash %s", a.why);
	tap_ok(!stat(in_dir(path, HOST ".key"), &st) &&
		       (st.st_mode & 0777) == 0600,
	       "its key is for nobody else");
	derps_send(a.d, 1, &b.public_key, "over", 4);
	tap_ok(RUN_UNTIL(base, b.packets == 1) &&
		       key_equal(&b.src, &a.public_key),
	       "from one worker's client to the other's");
	derps_send(b.d, 1, &a.public_key, "back", 4);
	tap_ok(RUN_UNTIL(base, a.packets == 1), "and back");
}

static void test_stun(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server->config->stun_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	uint8_t out[STUN_REQUEST_LEN], in[STUN_RESPONSE_MAX];
	uint8_t txid[STUN_TXID_LEN] = "abcdefghijk", got[STUN_TXID_LEN];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct endpoint mapped;
	ssize_t n = -1;

	stun_request(out, txid);
	sendto(fd, "junk", 4, 0, (struct sockaddr *)&to, sizeof(to));
	sendto(fd, out, sizeof(out), 0, (struct sockaddr *)&to, sizeof(to));
	RUN_UNTIL(base, n > 0 || (n = recv(fd, in, sizeof(in), 0)) > 0);
	tap_ok(n > 0 && !stun_parse_response(in, (size_t)n, got, &mapped) &&
		       !memcmp(got, txid, sizeof(txid)) &&
		       mapped.ip.family == 4,
	       "STUN");
	tap_ok(figure(RELAYD_STUN_NOT_STUN) == 1 &&
		       figure(RELAYD_STUN_SUCCESS) == 1,
	       "what is no request gets no answer");
	close(fd);
}

static void test_half_open(void)
{
	int fds[12];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial();
	tap_ok(RUN_UNTIL(base, figure(RELAYD_HALF_OPEN_EVICTED) == 4 &&
				       is_closed(fds[0])) &&
		       !is_closed(fds[11]),
	       "of the half-open connections the oldest go");
	derps_send(a.d, 1, &b.public_key, "still", 5);
	tap_ok(RUN_UNTIL(base, b.packets == 2), "clients do not notice");
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	tap_ok(RUN_UNTIL(base, !figure(RELAYD_HALF_OPEN)), "they leave");
}

static void test_reload(void)
{
	char pin[2][RELAYD_PIN_LEN + 1], path[128];
	struct derp_client c;

	relayd_tls_pin(server->tls, pin[0]);
	write_file(HOST ".crt", "no certificate\n");
	relayd_reload(server);
	relayd_tls_pin(server->tls, pin[1]);
	tap_ok(!strcmp(pin[0], pin[1]), "a bad certificate: the old one stays");
	unlink(in_dir(path, HOST ".crt"));
	unlink(in_dir(path, HOST ".key"));
	relayd_reload(server);
	relayd_tls_pin(server->tls, pin[1]);
	tap_ok(strcmp(pin[0], pin[1]) != 0, "a new certificate is in force");
	start_client(&c);
	tap_ok(RUN_UNTIL(base, c.failures) && !c.connects,
	       "who pins the old one does not connect: %s", c.why);
	client_stop(&c);
	derps_send(a.d, 1, &b.public_key, "still", 5);
	tap_ok(RUN_UNTIL(base, b.packets == 3) && !a.failures && !b.failures,
	       "who is connected stays");
}

static void test_rate_file(void)
{
	char path[128];

	struct relayd_config *c = (struct relayd_config *)server->config;

	c->rate_file = in_dir(path, "rate.json");
	write_file("rate.json", "{\"PerClientRateLimitBytesPerSec\":1000,"
				"\"PerClientRateBurstBytes\":70000}");
	relayd_reload(server);
	tap_ok(server->rate == 1000 && server->burst == 70000, "a rate file");
	write_file("rate.json", "{\"PerClientRateLimitBytesPerSec\":-1}");
	relayd_reload(server);
	tap_ok(server->rate == 1000, "a bad one: the old limits stay");
	write_file("rate.json", "{}");
	relayd_reload(server);
	tap_ok(!server->rate, "an empty one: no limit");
	c->rate_file = NULL;
}

/* Logs in as @private_key with blocking calls; what comes stays unread. */
static SSL *log_in(SSL_CTX *ctx, const struct key *private_key)
{
	static const char request[] = "GET /derp HTTP/1.1\r\nHost: " HOST
				      "\r\nUpgrade: DERP\r\n"
				      "Derp-Fast-Start: 1\r\n\r\n";
	const struct derp_client_info info = { .version = DERP_VERSION };
	const uint8_t nonce[DERP_NONCE_LEN] = { 0 };
	uint64_t accepted = figure(RELAYD_TCP_ACCEPTED);
	SSL *ssl = SSL_new(ctx);
	uint8_t out[1024];
	int fd = dial(), small = 4096;
	size_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	RUN_UNTIL(base, figure(RELAYD_TCP_ACCEPTED) > accepted);
	fcntl(fd, F_SETFL, 0);
	SSL_set_fd(ssl, fd);
	memcpy(out, request, sizeof(request) - 1);
	n = sizeof(request) - 1;
	n += (size_t)derp_encode_login(&info, private_key, &server->public_key,
				       nonce, out + n, sizeof(out) - n);
	if (SSL_connect(ssl) != 1 || SSL_write(ssl, out, (int)n) != (int)n)
		abort();
	return ssl;
}

/* Asks for the traffic; the answer is read without waiting. */
static SSL *look(SSL_CTX *ctx)
{
	static const char request[] = "GET /debug/traffic HTTP/1.1\r\n"
				      "Host: " HOST "\r\n\r\n";
	uint64_t accepted = figure(RELAYD_TCP_ACCEPTED);
	SSL *ssl = SSL_new(ctx);
	int fd = dial();

	RUN_UNTIL(base, figure(RELAYD_TCP_ACCEPTED) > accepted);
	fcntl(fd, F_SETFL, 0);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1 ||
	    SSL_write(ssl, request, sizeof(request) - 1) <= 0)
		abort();
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return ssl;
}

/* Whether @what has come; @text keeps what has. */
static bool shows(SSL *ssl, char text[4096], const char *what)
{
	size_t n = strlen(text);
	int got = SSL_read(ssl, text + n, (int)(4095 - n));

	if (got > 0)
		text[n + (size_t)got] = '\0';
	return strstr(text, what);
}

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_free(ssl);
	close(fd);
}

static void test_traffic(void)
{
	static char first[4096], second[4096], third[4096];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = look(ctx), *other;
	char key[KEY_TEXT_MAX], line[128];

	snprintf(line, sizeof(line), "\"Key\":\"%s\",\"UniqueSenders\":1}",
		 key_format(key, KEY_NODE, &b.public_key));
	tap_ok(RUN_UNTIL(base, shows(ssl, first, line)) &&
		       !strncmp(first, "HTTP/1.1 200 ", 13),
	       "traffic: who has moved, and for how many senders");
	tap_ok(RUN_UNTIL(base, shows(ssl, first, "}\n\n")),
	       "traffic: an empty line ends a report");
	*first = '\0';
	tap_ok(RUN_UNTIL(base, shows(ssl, first, "\n")) && !strchr(first, '{'),
	       "traffic: who rests is not shown again");
	derps_send(a.d, 1, &b.public_key, "go", 2);
	tap_ok(RUN_UNTIL(base, shows(ssl, first, line)),
	       "traffic: who moves is");
	other = look(ctx);
	tap_ok(RUN_UNTIL(base, shows(other, second, "HTTP/1.1 503 ")),
	       "traffic: one viewer at a time");
	hang_up(other);
	hang_up(ssl);
	tap_ok(RUN_UNTIL(base, !__atomic_load_n(&server->traffic,
						__ATOMIC_RELAXED)),
	       "traffic: he goes");
	other = look(ctx);
	tap_ok(RUN_UNTIL(base, shows(other, third, "HTTP/1.1 200 ")),
	       "traffic: and the next one may look");
	hang_up(other);
	SSL_CTX_free(ctx);
	RUN_UNTIL(base, b.packets == 4);
}

static void test_deaf(void)
{
	static uint8_t data[DERP_PACKET_MAX];
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	uint64_t before = figure(RELAYD_CONNECTIONS);
	struct key private_key, public_key;
	SSL *ssl;
	int i, fd;

	key_generate(&private_key);
	key_public(&public_key, &private_key);
	ssl = log_in(ctx, &private_key);
	RUN_UNTIL(base, figure(RELAYD_CONNECTIONS) > before);
	/* The sender is never held up: its own packets come back. */
	for (i = 0; i < 5000 && !figure(RELAYD_WRITE_TIMEOUTS); i++) {
		unsigned int n = a.packets;

		if (i < 100)
			derps_send(a.d, 1, &public_key, data, sizeof(data));
		derps_send(a.d, 1, &a.public_key, "echo", 4);
		if (!RUN_UNTIL(base, a.packets > n))
			break;
	}
	tap_ok(RUN_UNTIL(base, figure(RELAYD_WRITE_TIMEOUTS) == 1) &&
		       RUN_UNTIL(base, figure(RELAYD_CONNECTIONS) == before),
	       "who reads nothing is thrown out, others have their share");
	fd = SSL_get_fd(ssl);
	SSL_free(ssl);
	close(fd);
	SSL_CTX_free(ctx);
}

static void on_term(evutil_socket_t fd, short what, void *arg)
{
	raise(SIGTERM);
}

static void test_restarting(void)
{
	const struct timeval soon = { .tv_usec = 1000 };
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	uint64_t before = figure(RELAYD_CONNECTIONS);
	struct event *term = evtimer_new(base, on_term, NULL);
	static uint8_t in[65536];
	struct derp_frame f = { .type = DERP_SEND_PACKET };
	struct key private_key, other_key;
	uint8_t out[DERP_HEAD_MAX];
	struct derp_header h;
	size_t n = 0, at = 0;
	bool told = false;
	SSL *ssl, *other;
	int fd, got;

	key_generate(&private_key);
	key_generate(&other_key);
	ssl = log_in(ctx, &private_key);
	other = log_in(ctx, &other_key);
	RUN_UNTIL(base, figure(RELAYD_CONNECTIONS) == before + 2);
	/* Workers that have to tell each other who has gone as they stop. */
	key_public(&f.key, &private_key);
	n = (size_t)derp_encode(&f, out, sizeof(out));
	SSL_write(other, out, (int)n);
	key_public(&f.key, &other_key);
	derp_encode(&f, out, sizeof(out));
	SSL_write(ssl, out, (int)n);
	n = 0;
	RUN_UNTIL(base, figure(RELAYD_PACKETS_SENT) == 2);
	event_add(term, &soon);
	tap_ok(!relayd_run(server), "SIGTERM ends it");
	event_free(term);
	stop();
	while (n < sizeof(in) &&
	       (got = SSL_read(ssl, in + n, (int)(sizeof(in) - n))) > 0)
		n += (size_t)got;
	for (; n - at >= DERP_HEADER_LEN; at += DERP_HEADER_LEN + h.len) {
		derp_header_decode(&h, in + at);
		told |= h.type == DERP_RESTARTING;
	}
	tap_ok(told && at == n, "clients are told to come back");
	fd = SSL_get_fd(ssl);
	SSL_free(ssl);
	close(fd);
	fd = SSL_get_fd(other);
	SSL_free(other);
	close(fd);
	SSL_CTX_free(ctx);
}

int main(void)
{
	struct relayd_config config;
	struct key first;
	char cmd[128];

	if (sodium_init() < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	snprintf(dir, sizeof(dir), "/tmp/tailrace-relayd-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	config = make_config();
	tap_ok(start(&config), "a relay makes its own key and certificate");
	first = server->public_key;
	test_packets();
	test_stun();
	test_half_open();
	test_reload();
	test_rate_file();
	test_traffic();
	test_deaf();
	client_stop(&a);
	client_stop(&b);
	stop();
	tap_ok(start(&config) && key_equal(&first, &server->public_key),
	       "started again, it is the same");
	test_restarting();
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	return tap_done() || system(cmd);
}
