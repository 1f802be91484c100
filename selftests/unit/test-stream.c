// SPDX-License-Identifier: GPL-2.0
/*
 * A stream that makes its TLS records itself after the handshake, against
 * OpenSSL's client: all suites, sizes and pieces, KeyUpdate, the end.
 */
#include "lib/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/key.h"
#include "lib/ktls.h"
#include "lib/tlsrecord.h"
#include "lib/util.h"
#include "relay/tls.h"
#include "tap.h"

#define BULK (1u << 20)
#define TURNS 200000 /* of a loop that waits; for hangs only */

/* The server's end; it echoes, or sends @to_send bytes of its own. */
static struct {
	struct stream *stream;
	bool ready, owned, closed, echo;
	char why[128];
	uint8_t *in; /* what has arrived and, echoing, not gone back */
	size_t n_in, total, to_send, sent;
	size_t pause_at; /* 0: never */
	bool paused;
} end;

static struct event_base *base;
static SSL_CTX *server_ctx, *client_ctx;
static SSL *client;
static int sock; /* the client's */
static bool kernel; /* makes the records, if it can */
static uint8_t *bulk, *back;

static void on_ready(void *ctx)
{
	end.ready = true;
}

static size_t on_read(void *ctx, const uint8_t *data, size_t n)
{
	size_t room = 2 * BULK - end.n_in;

	if (n > room)
		n = room;
	/* As DERP frames do: not always all there is. */
	if (n > 3000)
		n -= 1000;
	memcpy(end.in + end.n_in, data, n);
	end.n_in += n;
	end.total += n;
	if (end.pause_at && end.total >= end.pause_at && !end.paused) {
		end.paused = true;
		stream_pause(end.stream, true);
	}
	if (end.total % 7 == 0)
		stream_yield(end.stream);
	if (end.echo)
		stream_want_write(end.stream);
	return n;
}

static size_t on_fill(void *ctx, uint8_t *buf, size_t cap)
{
	size_t n = end.echo ? end.n_in : end.to_send - end.sent;

	if (n > cap)
		n = cap;
	if (!end.echo) {
		memcpy(buf, bulk + end.sent, n);
		end.sent += n;
		return n;
	}
	memcpy(buf, end.in, n);
	memmove(end.in, end.in + n, end.n_in - n);
	end.n_in -= n;
	return n;
}

static void on_closed(void *ctx, const char *why)
{
	end.closed = true;
	snprintf(end.why, sizeof(end.why), "%s", why);
	stream_free(end.stream);
	end.stream = NULL;
}

static const struct stream_ops ops = {
	.ready = on_ready,
	.read = on_read,
	.fill = on_fill,
	.closed = on_closed,
};

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Two ends of a TCP connection: the kernel has no TLS for others. */
static void tcp_pair(int fds[2])
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(to);
	int small = 32768; /* less than what is sent in one go */

	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(l, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	if (bind(l, (struct sockaddr *)&to, len) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&to, &len) ||
	    connect(fds[1], (struct sockaddr *)&to, len))
		abort();
	fds[0] = accept4(l, NULL, NULL, SOCK_NONBLOCK);
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	close(l);
}

/* Connects two sockets and shakes hands. */
static bool start(bool echo)
{
	uint8_t *in = end.in;
	int fds[2], i;
	SSL *ssl = SSL_new(server_ctx);

	memset(&end, 0, sizeof(end));
	end.in = in;
	end.echo = echo;
	if (kernel)
		tcp_pair(fds);
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		abort();
	sock = fds[1];
	client = SSL_new(client_ctx);
	SSL_set_fd(client, sock);
	end.stream = stream_new(base, fds[0], ssl, 100000, &ops, NULL);
	stream_own_records(end.stream, kernel);
	for (i = 0; i < 1000 && (!end.ready || !SSL_is_init_finished(client));
	     i++) {
		SSL_connect(client);
		turn();
	}
	turn();
	end.owned = end.stream && !stream_ssl(end.stream);
	return end.ready;
}

static void stop(void)
{
	stream_free(end.stream);
	end.stream = NULL;
	SSL_free(client);
	close(sock);
}

/* Writes @n of the bulk in pieces of @piece while reading what comes. */
static bool exchange(size_t n, size_t piece)
{
	size_t put = 0, got = 0, done;
	unsigned int turns = 0;

	while ((put < n || got < n) && !end.closed && ++turns < TURNS) {
		size_t len = n - put < piece ? n - put : piece;

		ERR_clear_error();
		if (len && SSL_write_ex(client, bulk + put, len, &done))
			put += done;
		turn();
		while (got < n &&
		       SSL_read_ex(client, back + got, n - got, &done))
			got += done;
	}
	return got == n && !memcmp(back, bulk, n);
}

static void test_echo(const char *suite)
{
	static const size_t pieces[] = { 1, 100, 1259, 16384 };
	size_t i;

	SSL_CTX_set_ciphersuites(client_ctx, suite);
	tap_ok(start(true), "%s: a handshake", suite);
	tap_ok(end.owned, "%s: OpenSSL has handed over", suite);
	for (i = 0; i < ARRAY_SIZE(pieces); i++)
		tap_ok(exchange(pieces[i] == 1 ? 2000 : BULK, pieces[i]),
		       "%s: echo in records of %zu bytes", suite, pieces[i]);
	stop();
}

/* A record larger than what a turn has room for is given in parts. */
static void test_small_turn(void)
{
	start(true);
	stream_set_turn(end.stream, 100);
	tap_ok(exchange(BULK, 16384), "small turns: echo of long records");
	tap_ok(exchange(BULK, 5000), "small turns: and of others");
	stop();
}

/* Records cut anywhere: the client's bytes go one by one. */
static void test_dribble(void)
{
	BIO *out = BIO_new(BIO_s_mem());
	bool ok = true;
	char *data;
	size_t done;
	long n, i;

	start(true);
	SSL_set0_wbio(client, out);
	SSL_write_ex(client, bulk, 700, &done);
	SSL_write_ex(client, bulk + 700, 300, &done);
	n = BIO_get_mem_data(out, &data);
	for (i = 0; i < n; i++) {
		ok &= send(sock, data + i, 1, MSG_NOSIGNAL) == 1;
		turn();
	}
	for (i = 0; i < 100; i++)
		turn();
	tap_ok(ok && end.total == 1000, "byte by byte: it arrives");
	for (i = 0; SSL_read_ex(client, back + i, 1000 - (size_t)i, &done);)
		i += (long)done;
	tap_ok(i == 1000 && !memcmp(back, bulk, 1000),
	       "byte by byte: and comes back");
	stop();
}

static void test_key_update(int kind, const char *what)
{
	bool ok = true;
	int i;

	start(true);
	ok = exchange(5000, 1000);
	for (i = 0; i < 5; i++) {
		ok &= SSL_key_update(client, kind) &&
		      exchange(50000, 1000) &&
		      SSL_get_key_update_type(client) == SSL_KEY_UPDATE_NONE;
	}
	tap_ok(ok && !end.closed, "KeyUpdate, %s: five in a row", what);
	stop();
}

static void test_blocked(void)
{
	size_t got = 0, done;
	unsigned int turns = 0;
	int i;

	start(false);
	end.to_send = BULK;
	stream_want_write(end.stream);
	for (i = 0; i < 100; i++)
		turn();
	tap_ok(stream_is_blocked(end.stream) && end.sent < BULK,
	       "who does not read blocks the writer");
	while (got < BULK && ++turns < TURNS) {
		turn();
		while (SSL_read_ex(client, back + got, BULK - got, &done))
			got += done;
	}
	tap_ok(got == BULK && !memcmp(back, bulk, BULK),
	       "and gets it all later");
	stop();
}

static void test_pause(void)
{
	unsigned int turns;
	size_t put = 0, done, before;

	start(false);
	end.pause_at = 100000;
	for (turns = 0; turns < 1000 && put < 300000; turns++) {
		if (SSL_write_ex(client, bulk + put, 10000, &done))
			put += done;
		turn();
	}
	before = end.total;
	tap_ok(end.paused && before < 250000, "paused it takes no more");
	stream_pause(end.stream, false);
	for (turns = 0; turns < TURNS && end.total < 300000; turns++) {
		if (put < 300000 &&
		    SSL_write_ex(client, bulk + put, 10000, &done))
			put += done;
		turn();
	}
	tap_ok(end.total == 300000 && !memcmp(end.in, bulk, 300000),
	       "un-paused it takes the rest");
	stop();
}

static void test_end(void)
{
	char c;
	int i;

	start(true);
	exchange(100, 100);
	SSL_shutdown(client);
	for (i = 0; i < 10; i++)
		turn();
	tap_ok(end.closed && !strcmp(end.why, "closed by the other side"),
	       "the client says goodbye: %s", end.why);
	stop();

	start(true);
	exchange(100, 100);
	stream_free(end.stream);
	end.stream = NULL;
	i = SSL_read(client, &c, 1);
	tap_ok(SSL_get_error(client, i) == SSL_ERROR_ZERO_RETURN,
	       "we say goodbye");
	stop();

	start(true);
	shutdown(sock, SHUT_WR);
	for (i = 0; i < 10; i++)
		turn();
	tap_ok(end.closed && !strcmp(end.why, "closed by the other side"),
	       "it goes without a word: %s", end.why);
	stop();
}

/* @n bytes that are no record of this connection, with its alert. */
static void test_garbage(const void *data, size_t n, int alert,
			 const char *what)
{
	const char *got = "";
	char c;
	int i;

	start(true);
	exchange(100, 100);
	ERR_clear_error();
	if (send(sock, data, n, MSG_NOSIGNAL) != (ssize_t)n)
		abort();
	for (i = 0; i < 10; i++)
		turn();
	SSL_read(client, &c, 1);
	if (ERR_GET_REASON(ERR_peek_error()) == SSL_AD_REASON_OFFSET + alert)
		got = "alert";
	tap_ok(end.closed && *got, "%s: %s", what, end.why);
	stop();
}

static void test_all_garbage(void)
{
	static const uint8_t plain_alert[] = { 21, 3, 3, 0, 2, 2, 40 };
	static const uint8_t long_record[] = { 23, 3, 3, 0xff, 0xff, 0 };
	static const uint8_t ccs[] = { 20, 3, 3, 0, 1, 1 };
	uint8_t forged[5 + 100] = { 23, 3, 3, 0, 100 };

	test_garbage("GET / HTTP/1.1\r\n\r\n", 18, SSL_AD_UNEXPECTED_MESSAGE,
		     "plain HTTP");
	test_garbage(plain_alert, sizeof(plain_alert),
		     SSL_AD_UNEXPECTED_MESSAGE, "a plain alert");
	test_garbage(long_record, sizeof(long_record),
		     SSL_AD_RECORD_OVERFLOW, "a record over the limit");
	test_garbage(ccs, sizeof(ccs), SSL_AD_UNEXPECTED_MESSAGE,
		     "ChangeCipherSpec");
	test_garbage(forged, sizeof(forged), SSL_AD_BAD_RECORD_MAC,
		     "a forged record");
}

static void test_old_tls(void)
{
	SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION);
	tap_ok(start(true) && !end.owned, "TLS 1.2 stays with OpenSSL");
	tap_ok(exchange(BULK, 1259), "and works");
	stop();
	SSL_CTX_set_max_proto_version(client_ctx, 0);
}

/* Of /proc/net/tls_stat. */
static long kernel_count(const char *name)
{
	FILE *f = fopen("/proc/net/tls_stat", "r");
	char line[128], format[64];
	long n = -1;

	snprintf(format, sizeof(format), "%s %%ld", name);
	while (f && n < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &n) != 1)
			n = -1;
	if (f)
		fclose(f);
	return n;
}

/*
 * A kernel from 6.14 on takes a new key; an older one cannot, and then the
 * connection ends with a word.
 */
static void test_kernel_update(void)
{
	bool ok;

	start(true);
	ok = exchange(5000, 1000) &&
	     SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
	if (exchange(50000, 1000))
		tap_ok(ok, "kernel: KeyUpdate");
	else
		tap_ok(ok && end.closed, "kernel: KeyUpdate: %s", end.why);
	stop();
}

static void test_kernel(void)
{
	static const char *const suites[] = { "TLS_AES_128_GCM_SHA256",
					      "TLS_AES_256_GCM_SHA384",
					      "TLS_CHACHA20_POLY1305_SHA256" };
	long tx = kernel_count("TlsTxSw"), rx = kernel_count("TlsRxSw");
	uint8_t forged[5 + 100] = { 23, 3, 3, 0, 100 };
	size_t i;

	kernel = true;
	if (!ktls_available()) {
		/* Asked for in vain: the records are made here. */
		test_echo(suites[0]);
		kernel = false;
		return;
	}
	for (i = 0; i < ARRAY_SIZE(suites); i++)
		test_echo(suites[i]);
	/* Not every kernel has ChaCha20-Poly1305: then it is for us to do. */
	tap_ok(kernel_count("TlsTxSw") >= tx + 2 &&
		       kernel_count("TlsRxSw") >= rx + 2,
	       "kernel: it has made and opened the records");
	test_small_turn();
	test_dribble();
	test_blocked();
	test_pause();
	test_end();
	test_garbage(forged, sizeof(forged), SSL_AD_BAD_RECORD_MAC,
		     "a forged record");
	test_kernel_update();
	kernel = false;
}

static void make_contexts(void)
{
	char dir[] = "/tmp/test-stream.XXXXXX", path[64];
	struct key k;

	if (!mkdtemp(dir))
		abort();
	key_generate(&k);
	server_ctx = relayd_tls_load(dir, "127.0.0.1", &k, false);
	client_ctx = SSL_CTX_new(TLS_client_method());
	if (!server_ctx || !client_ctx)
		abort();
	snprintf(path, sizeof(path), "%s/127.0.0.1.crt", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/127.0.0.1.key", dir);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	bulk = xmalloc(BULK);
	back = xmalloc(BULK);
	end.in = xmalloc(2 * BULK);
	randombytes_buf(bulk, BULK);
	make_contexts();
	SSL_CTX_set_mode(client_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	test_echo("TLS_AES_128_GCM_SHA256");
	test_echo("TLS_AES_256_GCM_SHA384");
	test_echo("TLS_CHACHA20_POLY1305_SHA256");
	test_small_turn();
	test_dribble();
	test_key_update(SSL_KEY_UPDATE_NOT_REQUESTED, "one way");
	test_key_update(SSL_KEY_UPDATE_REQUESTED, "ours asked for");
	test_blocked();
	test_pause();
	test_end();
	test_all_garbage();
	test_old_tls();
	test_kernel();
	free(bulk);
	free(back);
	free(end.in);
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	event_base_free(base);
	return tap_done();
}
