// SPDX-License-Identifier: GPL-2.0
/* The coordination server's HTTP/1.1: what it answers, and what it refuses. */
#include "coord-world.h"

/* Sends @text on a connection of its own and waits for the other's end. */
static struct raw *whole(struct world *w, const char *text)
{
	struct raw *r = raw_say(w, text);

	if (!UNTIL(w, r->eof))
		tap_ok(false, "the connection ends: %s", text);
	return r;
}

static bool answers(struct world *w, const char *text, const char *start)
{
	struct raw *r = whole(w, text);
	bool good = !strncmp(r->text, start, strlen(start));

	if (!good)
		printf("# %s\n", r->text);
	raw_free(r);
	return good;
}

static void test_requests(void)
{
	struct world *w = world_new(NULL);
	struct raw *r;

	r = whole(w, "POST /echo?a=1&b=2 HTTP/1.1\r\nHost: h:1\r\n"
		     "Connection: close\r\nCookie: c=1\r\n"
		     "Authorization: Bearer t\r\nContent-Length: 5\r\n\r\n12345");
	tap_ok(!strcmp(r->text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
				"Content-Type: text/plain\r\nX-First: 1\r\n"
				"X-Second: 2\r\nConnection: close\r\n\r\n12345"),
	       "a whole answer");
	raw_free(r);
	tap_ok(!strcmp(w->method, "POST") && !strcmp(w->path, "/echo") &&
		       !strcmp(w->query, "a=1&b=2") && !strcmp(w->host, "h:1"),
	       "method, path, query, host");
	tap_ok(!strcmp(w->body, "12345") && w->body_len == 5 &&
		       !strcmp(w->authorization, "Bearer t") &&
		       !strcmp(w->cookie, "c=1"),
	       "body and credentials");
	tap_ok(ip_is_loopback(&w->remote.ip) && w->remote.port && !w->was_tls &&
		       key_is_zero(&w->machine),
	       "where it came from");

	tap_ok(answers(w, "GET /tree/a/b HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ") &&
		       !strcmp(w->rest, "a/b"),
	       "a path below a route");
	tap_ok(answers(w, "GET /tree/leaf HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ") &&
		       !*w->rest,
	       "the longest route wins");
	r = whole(w, "HEAD /hello HTTP/1.0\r\n\r\n");
	tap_ok(strstr(r->text, "Content-Length: 6\r\n") &&
		       !strstr(r->text, "hello"),
	       "HEAD is GET without a body");
	raw_free(r);
	tap_ok(answers(w, "GET /machine/map HTTP/1.0\r\n\r\n", "HTTP/1.1 404 "),
	       "a machine's path is not for the public");
	tap_ok(answers(w, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 404 "),
	       "nor are metrics");
	r = raw_new(w, w->local);
	raw_send(r, "GET /metrics HTTP/1.0\r\n\r\n", 25);
	tap_ok(UNTIL(w, r->eof) && !strncmp(r->text, "HTTP/1.1 200", 12),
	       "they have a listener of their own");
	raw_free(r);
	r = raw_new(w, w->local);
	raw_send(r, "GET /key?v=1 HTTP/1.0\r\n\r\n", 25);
	tap_ok(UNTIL(w, r->eof) && !strncmp(r->text, "HTTP/1.1 404", 12),
	       "which has nothing else");
	raw_free(r);

	r = raw_say(w, "GET /hello HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\n"
		       "Content-Length: 2\r\n\r\nhiGET /hold HTTP/1.1\r\n\r\n"
		       "GET /hello HTTP/1.0\r\n\r\n");
	tap_ok(UNTIL(w, w->held && strstr(r->text, "\r\n\r\nhi")) &&
		       strstr(r->text, "\r\n\r\nhello\nHTTP/1.1 "),
	       "one connection, one request after the other");
	r->len = 0;
	http_reply_text(w->held, 200, "at last");
	tap_ok(UNTIL(w, r->eof) &&
		       strstr(r->text, "at last\nHTTP/1.1 200 OK") &&
		       strstr(r->text, "hello\n"),
	       "and the next waits for a late answer");
	raw_free(r);
	world_free(w);
}

static void test_key(void)
{
	struct world *w = world_new(NULL);
	char text[KEY_TEXT_MAX];
	struct raw *r;

	r = whole(w, "GET /key?v=116 HTTP/1.0\r\n\r\n");
	tap_ok(strstr(r->text, "\"publicKey\":\"mkey:") &&
		       strstr(r->text,
			      key_format(text, KEY_MACHINE, &w->public)) &&
		       strstr(r->text, "\"legacyPublicKey\":\"mkey:0000"),
	       "/key");
	raw_free(r);
	tap_ok(answers(w, "GET /key HTTP/1.0\r\n\r\n", "HTTP/1.1 400 ") &&
		       answers(w, "GET /key?v=x HTTP/1.0\r\n\r\n",
			       "HTTP/1.1 400 "),
	       "/key without a version");
	world_free(w);
}

static void test_stream(void)
{
	struct world *w = world_new(NULL);
	struct raw *r = raw_say(w, "GET /stream HTTP/1.1\r\n\r\n");

	UNTIL(w, w->held);
	http_write(w->held, "one", 3);
	tap_ok(UNTIL(w, strstr(r->text, "\r\n\r\n3\r\none\r\n")) &&
		       strstr(r->text, "Transfer-Encoding: chunked"),
	       "a streamed answer is chunked");
	tap_ok(UNTIL(w, w->drained), "its writer is told that it is out");
	http_write(w->held, "", 0);
	http_write(w->held, "0123456789abcdef", 16);
	http_end(w->held);
	w->held = NULL;
	tap_ok(UNTIL(w, strstr(r->text, "10\r\n0123456789abcdef\r\n0\r\n\r\n")),
	       "and ends");
	raw_send(r, "GET /stream HTTP/1.1\r\n\r\n", 24);
	UNTIL(w, w->held);
	raw_free(r);
	tap_ok(UNTIL(w, w->closed == 1), "the client is gone: closed is told");

	r = raw_say(w, "GET /stream HTTP/1.0\r\n\r\n");
	UNTIL(w, w->held);
	http_write(w->held, "one", 3);
	http_end(w->held);
	w->held = NULL;
	tap_ok(UNTIL(w, r->eof) && strstr(r->text, "\r\n\r\none") &&
		       !strstr(r->text, "chunked"),
	       "HTTP/1.0 gets it until the end");
	raw_free(r);
	r = raw_say(w, "GET /stream HTTP/1.1\r\n\r\n");
	UNTIL(w, w->held);
	http_cancel(w->held);
	w->held = NULL;
	tap_ok(UNTIL(w, r->eof) && w->closed == 1,
	       "cancelled: the connection ends, no callback");
	raw_free(r);
	world_free(w);
}

static void test_headers(void)
{
	struct world *w = world_new(NULL);
	struct raw *r = raw_say(w, "GET /hold HTTP/1.0\r\n\r\n");
	int i;

	UNTIL(w, w->held);
	tap_ok(http_header_add(w->held, "Location", "/x\r\nA: b") == -EINVAL &&
		       http_header_add(w->held, "Loc:ation", "/x") == -EINVAL,
	       "a header cannot smuggle another");
	for (i = 0; i < 8; i++)
		http_header_add(w->held, "X-Many", "1");
	tap_ok(http_header_add(w->held, "X-Many", "1") == -ENOSPC,
	       "eight further headers");
	http_reply_text(w->held, 302, "there");
	tap_ok(UNTIL(w, r->eof) &&
		       !strncmp(r->text, "HTTP/1.1 302 Found\r\n", 20),
	       "another status");
	raw_free(r);
	world_free(w);
}

static void test_refusals(void)
{
	static const struct {
		const char *what, *text, *start;
	} cases[] = {
		{ "an unknown path", "GET /hell HTTP/1.0\r\n\r\n",
		  "HTTP/1.1 404 " },
		{ "a known path, another method",
		  "PUT /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 405 " },
		{ "no HTTP at all", "\x16\x03\x01\x02\r\n", "HTTP/1.1 400 " },
		{ "a preface of HTTP/2 outside of Noise",
		  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 " },
		{ "a chunked body",
		  "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "HTTP/1.1 411 " },
		{ "a body too long",
		  "POST /echo HTTP/1.1\r\nContent-Length: 65537\r\n\r\n",
		  "HTTP/1.1 413 " },
		{ "a proxy's request", "GET http://h/hello HTTP/1.1\r\n\r\n",
		  "HTTP/1.1 400 " },
		{ "ts2021 by GET", "GET /ts2021 HTTP/1.1\r\n\r\n",
		  "HTTP/1.1 405 " },
		{ "ts2021 without Upgrade", "POST /ts2021 HTTP/1.1\r\n\r\n",
		  "HTTP/1.1 400 " },
		{ "ts2021 without a handshake",
		  "POST /ts2021 HTTP/1.1\r\n"
		  "Upgrade: tailscale-control-protocol\r\n\r\n",
		  "HTTP/1.1 400 " },
		{ "a handshake that is no base64",
		  "POST /ts2021 HTTP/1.1\r\n"
		  "Upgrade: tailscale-control-protocol\r\n"
		  "X-Tailscale-Handshake: ??\r\n\r\n", "HTTP/1.1 400 " },
		{ "a handshake that is too short",
		  "POST /ts2021 HTTP/1.1\r\n"
		  "Upgrade: tailscale-control-protocol\r\n"
		  "X-Tailscale-Handshake: AHEBAGA=\r\n\r\n", "HTTP/1.1 400 " },
	};
	struct world *w = world_new(NULL);
	char *big = xmalloc(20000);
	size_t i;

	said_forget();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		tap_ok(answers(w, cases[i].text, cases[i].start), "refused: %s",
		       cases[i].what);
		is_said("127.0.0.1:");
	}
	i = (size_t)sprintf(big, "GET /hello HTTP/1.1\r\nA: ");
	memset(big + i, 'a', 20000 - i - 1);
	big[19999] = '\0';
	tap_ok(answers(w, big, "HTTP/1.1 431 "), "refused: an endless header");
	is_said("the header is too long");
	free(big);
	tap_ok(!w->handled, "no handler saw any of it");
	tap_ok(answers(w, "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 200 "),
	       "and others are served");
	world_free(w);
}

/* Every prefix of a request, then the end: no harm, no handler. */
static void test_truncated(void)
{
	static const char text[] = "POST /echo HTTP/1.1\r\nHost: a\r\n"
				   "Content-Length: 3\r\n\r\nabc";
	struct world *w = world_new(NULL);
	size_t n;
	bool good = true;

	for (n = 0; n < sizeof(text) - 1 && good; n++) {
		struct raw *r = raw_new(w, w->port);

		raw_send(r, text, n);
		UNTIL(w, !evbuffer_get_length(bufferevent_get_output(r->bev)));
		shutdown(bufferevent_getfd(r->bev), SHUT_WR);
		good = UNTIL(w, r->eof);
		raw_free(r);
	}
	tap_ok(good && !w->handled, "a request cut at every byte");
	world_free(w);
}

/* One byte at a time it is still a request. */
static void test_crumbs(void)
{
	static const char text[] = "POST /echo HTTP/1.1\r\nConnection: close\r\n"
				   "Content-Length: 3\r\n\r\nabc";
	struct world *w = world_new(NULL);
	struct raw *r = raw_new(w, w->port);
	size_t i;

	for (i = 0; i < sizeof(text) - 1; i++) {
		raw_send(r, text + i, 1);
		UNTIL(w, !evbuffer_get_length(bufferevent_get_output(r->bev)));
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	tap_ok(UNTIL(w, r->eof) && w->handled == 1 && !strcmp(w->body, "abc"),
	       "a request byte by byte");
	raw_free(r);
	world_free(w);
}

static void test_deadlines(void)
{
	struct http_limits limits = http_limits_default;
	struct raw *silent, *slow, *body, *idle;
	struct world *w;

	limits.handshake_ms = limits.request_ms = limits.idle_ms = 100;
	w = world_new(&limits);
	silent = raw_new(w, w->port);
	slow = raw_say(w, "GET /hello HTT");
	body = raw_say(w, "POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nab");
	idle = raw_say(w, "GET /hello HTTP/1.1\r\n\r\n");
	tap_ok(UNTIL(w, silent->eof) && !silent->len,
	       "who says nothing is sent away");
	tap_ok(UNTIL(w, slow->eof), "half a header does not last");
	tap_ok(UNTIL(w, body->eof), "nor half a body");
	tap_ok(UNTIL(w, idle->eof) && strstr(idle->text, "hello"),
	       "nor an idle connection");
	tap_ok(w->handled == 1, "a handler saw the one whole request");
	raw_free(silent);
	raw_free(slow);
	raw_free(body);
	raw_free(idle);

	slow = raw_say(w, "GET /hold HTTP/1.1\r\n\r\n");
	idle = raw_new(w, w->port);
	UNTIL(w, idle->eof && w->held);
	tap_ok(!slow->eof && w->held, "a late answer is the handler's affair");
	raw_free(idle);
	raw_free(slow);
	world_free(w);
}

static void test_stall(void)
{
	struct http_limits limits = http_limits_default;
	static char block[1 << 20];
	struct world *w;
	struct raw *r;
	int i, err = 0;

	limits.stall_ms = 200;
	limits.backlog = 2 << 20;
	w = world_new(&limits);
	r = raw_say(w, "GET /stream HTTP/1.1\r\n\r\n");
	UNTIL(w, w->held);
	bufferevent_disable(r->bev, EV_READ);
	for (i = 0; i < 100 && !err; i++)
		err = http_write(w->held, block, sizeof(block));
	tap_ok(err == -ENOBUFS && http_queued(w->held) <= limits.backlog + 64,
	       "who reads nothing has a bounded backlog");
	tap_ok(UNTIL(w, w->closed), "and does not last");
	raw_free(r);
	world_free(w);
}

static void test_tls(void)
{
	char cert[] = "/tmp/coord-cert-XXXXXX", key[] = "/tmp/coord-key-XXXXXX";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct endpoint at = loopback(0);
	struct world *w = world_new(NULL);
	char why[HTTP_WHY_MAX];
	struct raw *r;
	long serial;
	int i;

	close(mkstemp(cert));
	close(mkstemp(key));
	tap_ok(http_server_listen(w->server, &at, HTTP_PUBLIC, true) < 0,
	       "no TLS without a certificate");
	tap_ok(http_server_tls(w->server, cert, key, why) == -EINVAL &&
		       strstr(why, cert),
	       "an empty file is none: %s", why);
	write_certificate(cert, key, 1);
	tap_ok(!http_server_tls(w->server, cert, key, why), "this is one");
	w->tls = (uint16_t)http_server_listen(w->server, &at, HTTP_PUBLIC,
					      true);
	for (i = 1; i <= 2; i++) {
		SSL *ssl = SSL_new(ctx);
		struct endpoint to = loopback(w->tls);
		struct sockaddr_storage ss;
		socklen_t len = endpoint_to_sockaddr(&to, &ss);
		int fd = socket(AF_INET, SOCK_STREAM, 0), ret, e;
		char text[512] = "";

		/* Twice: the second time after a reload. */
		if (connect(fd, (struct sockaddr *)&ss, len))
			tap_ok(false, "connect: %s", strerror(errno));
		evutil_make_socket_nonblocking(fd);
		SSL_set_fd(ssl, fd);
		do {
			event_base_loop(w->base, EVLOOP_NONBLOCK);
			ret = SSL_connect(ssl);
			e = SSL_get_error(ssl, ret);
		} while (ret <= 0 && e == SSL_ERROR_WANT_READ);
		SSL_write(ssl, "GET /hello HTTP/1.1\r\n\r\n", 23);
		do {
			event_base_loop(w->base, EVLOOP_NONBLOCK);
			ret = SSL_read(ssl, text, sizeof(text) - 1);
			e = SSL_get_error(ssl, ret);
		} while (ret <= 0 && e == SSL_ERROR_WANT_READ);
		serial = ret > 0 ? ASN1_INTEGER_get(X509_get0_serialNumber(
					   SSL_get0_peer_certificate(ssl))) :
				   0;
		tap_ok(strstr(text, "200 OK") && serial == i && w->was_tls,
		       "a request over TLS, certificate %ld", serial);
		SSL_free(ssl);
		close(fd);
		write_certificate(cert, key, 2);
		http_server_tls(w->server, cert, key, why);
	}
	unlink(key);
	tap_ok(http_server_tls(w->server, cert, key, why) == -EINVAL,
	       "a reload that fails: %s", why);
	r = raw_new(w, w->tls);
	raw_send(r, "GET /hello HTTP/1.1\r\n\r\n", 23);
	tap_ok(UNTIL(w, r->eof), "plain text is no TLS");
	raw_free(r);
	unlink(cert);
	SSL_CTX_free(ctx);
	world_free(w);
}

static void test_param(void)
{
	char *a = http_param("x=1&state=a%2Bb+c&y=", "state");
	char *b = http_param("x=1&y=", "y");

	tap_ok(a && !strcmp(a, "a+b c") && b && !*b, "parameters are decoded");
	tap_ok(!http_param("xx=1", "x") && !http_param("x=%0", "x") &&
		       !http_param("x=%00", "x") && !http_param("", "x"),
	       "none, or no encoding");
	free(a);
	free(b);
}

static void count(void *ctx, const char *name, size_t value, const char *what)
{
	struct http_limits l = http_limits_default;

	if (!http_limits_set(&l, name, value))
		++*(size_t *)ctx;
}

static void test_limits(void)
{
	struct http_limits l = http_limits_default;
	size_t n = 0;

	http_limits_each(&l, count, &n);
	tap_ok(n == sizeof(l) / sizeof(size_t), "%zu limits have a name", n);
	tap_ok(!http_limits_set(&l, "per-machine", 3) && l.per_machine == 3 &&
		       http_limits_set(&l, "per-machine", 0) == -ERANGE &&
		       http_limits_set(&l, "nonsense", 1) == -ENOENT,
	       "and can be set by it");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("test", false);
	said_begin();
	test_requests();
	test_key();
	test_stream();
	test_headers();
	test_refusals();
	test_truncated();
	test_crumbs();
	test_deadlines();
	test_stall();
	test_tls();
	test_param();
	test_limits();
	return tap_done();
}
