/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_COORD_WORLD_H
#define UNIT_COORD_WORLD_H

/*
 * The coordination server's transport on loopback, in the test's own loop,
 * with handlers that answer in every way there is; and raw connections to it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coord/http.h"
#include "lib/key.h"
#include "lib/log.h"
#include "lib/util.h"
#include "tap.h"

#define LIMIT_S 60

struct world {
	struct event_base *base;
	struct http_server *server;
	struct key private, public;
	uint16_t port, local, tls;
	/* What handlers saw: the last request, and how many. */
	int handled, closed, drained;
	char method[16], path[128], rest[128], query[128], host[128];
	char body[256], authorization[64], cookie[64], why[128];
	size_t body_len;
	struct endpoint remote;
	bool was_tls;
	struct key machine;
	uint16_t version;
	struct http_request *held; /* of /hold and /stream */
};

static void world_closed(struct http_request *r, const char *why)
{
	struct world *w = r->ctx;

	w->closed++;
	snprintf(w->why, sizeof(w->why), "%s", why);
	if (w->held == r)
		w->held = NULL;
}

static void world_drained(struct http_request *r)
{
	((struct world *)r->ctx)->drained++;
}

static const struct http_request_ops world_ops = {
	.closed = world_closed,
	.drained = world_drained,
};

static void world_note(struct world *w, struct http_request *r)
{
	w->handled++;
	snprintf(w->method, sizeof(w->method), "%s", r->method);
	snprintf(w->path, sizeof(w->path), "%s", r->path);
	snprintf(w->rest, sizeof(w->rest), "%s", r->rest);
	snprintf(w->query, sizeof(w->query), "%s", r->query);
	snprintf(w->host, sizeof(w->host), "%s", r->host);
	snprintf(w->body, sizeof(w->body), "%s", r->body);
	snprintf(w->authorization, sizeof(w->authorization), "%s",
		 r->authorization);
	snprintf(w->cookie, sizeof(w->cookie), "%s", r->cookie);
	w->body_len = r->body_len;
	w->remote = r->remote;
	w->was_tls = r->tls;
	w->machine = r->machine;
	w->version = r->version;
}

/* The body back, with two headers. */
static void world_echo(void *ctx, struct http_request *r)
{
	world_note(ctx, r);
	http_header_add(r, "X-First", "1");
	http_header_add(r, "X-Second", "2");
	http_reply(r, 200, "text/plain", r->body, r->body_len);
}

static void world_hello(void *ctx, struct http_request *r)
{
	world_note(ctx, r);
	http_reply_text(r, 200, "hello");
}

static void world_hold(void *ctx, struct http_request *r)
{
	struct world *w = ctx;

	world_note(w, r);
	r->ops = &world_ops;
	r->ctx = w;
	w->held = r;
}

static void world_stream(void *ctx, struct http_request *r)
{
	world_hold(ctx, r);
	http_start(r, 200, "application/x-stream");
}

#define ANYWHERE (HTTP_PUBLIC | HTTP_NOISE)

static const struct http_route world_routes[] = {
	{ ANYWHERE, "GET", "/hello", world_hello },
	{ ANYWHERE, "POST", "/echo", world_echo },
	{ ANYWHERE, "GET", "/hold", world_hold },
	{ ANYWHERE, "POST", "/stream", world_stream },
	{ ANYWHERE, "GET", "/stream", world_stream },
	{ ANYWHERE, "GET", "/tree/", world_hello },
	{ ANYWHERE, "GET", "/tree/leaf", world_echo },
	{ HTTP_LOCAL, "GET", "/metrics", world_hello },
	{ HTTP_NOISE, "POST", "/machine/map", world_stream },
};

static struct endpoint loopback(uint16_t port)
{
	return (struct endpoint){ .ip = ip_v4(127, 0, 0, 1), .port = port };
}

static inline struct world *world_new(const struct http_limits *limits)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct http_server_config config = {
		.noise_private = &w->private,
		.min_version = 100,
		.limits = limits,
		.routes = world_routes,
		.n_routes = ARRAY_SIZE(world_routes),
		.ctx = w,
	};
	struct endpoint at = loopback(0);

	w->base = event_base_new();
	key_generate(&w->private);
	key_public(&w->public, &w->private);
	w->server = http_server_new(w->base, &config);
	w->port = (uint16_t)http_server_listen(w->server, &at, HTTP_PUBLIC,
					       false);
	w->local = (uint16_t)http_server_listen(w->server, &at, HTTP_LOCAL,
						false);
	return w;
}

static inline void world_free(struct world *w)
{
	http_server_free(w->server);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	event_base_free(w->base);
	free(w);
}

static void world_limit(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* ── what is logged ─────────────────────────────────────────────────────── */

static int said_fd = -1;

/* From now on the log goes to where is_said() finds it. */
static inline void said_begin(void)
{
	said_fd = memfd_create("log", MFD_CLOEXEC);
	if (said_fd < 0 || dup2(said_fd, STDERR_FILENO) < 0)
		abort();
}

static inline void said_forget(void)
{
	if (ftruncate(said_fd, 0))
		abort();
	lseek(said_fd, 0, SEEK_SET);
}

/* The first line since the last call has @text in it. */
static inline bool is_said(const char *text)
{
	char log[8192];
	ssize_t n;
	bool good;

	n = pread(said_fd, log, sizeof(log) - 1, 0);
	log[n > 0 ? n : 0] = '\0';
	said_forget();
	log[strcspn(log, "\n")] = '\0';
	good = tap_ok(strstr(log, text), "logged: %s",
		      strchr(log, ' ') ? strchr(log, ' ') + 1 : log);
	if (!good)
		printf("# wanted %s\n", text);
	return good;
}

/* Runs the loop until @cond; the limit is for hangs only. */
#define UNTIL(w, cond)                                                   \
	({                                                               \
		struct timeval limit_ = { LIMIT_S, 0 };                  \
		bool late_ = false;                                      \
		struct event *ev_ =                                      \
			evtimer_new((w)->base, world_limit, &late_);     \
		evtimer_add(ev_, &limit_);                               \
		while (!(cond) && !late_)                                \
			event_base_loop((w)->base, EVLOOP_ONCE);         \
		event_free(ev_);                                         \
		!late_;                                                  \
	})

/* ── a raw client ───────────────────────────────────────────────────────── */

struct raw {
	struct bufferevent *bev;
	bool eof; /* or reset */
	char text[16384]; /* what came so far, cut */
	size_t len;
};

static void raw_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct raw *r = arg;

	if (r->len < sizeof(r->text) - 1)
		r->len += (size_t)evbuffer_remove(
			in, r->text + r->len, sizeof(r->text) - 1 - r->len);
	evbuffer_drain(in, evbuffer_get_length(in));
	r->text[r->len] = '\0';
}

static void raw_event(struct bufferevent *bev, short what, void *arg)
{
	if (!(what & BEV_EVENT_CONNECTED))
		((struct raw *)arg)->eof = true;
}

static inline struct raw *raw_new(struct world *w, uint16_t port)
{
	struct raw *r = xcalloc(1, sizeof(*r));
	struct endpoint at = loopback(port);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&at, &ss);

	r->bev = bufferevent_socket_new(w->base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(r->bev, raw_read, NULL, raw_event, r);
	bufferevent_enable(r->bev, EV_READ | EV_WRITE);
	bufferevent_socket_connect(r->bev, (struct sockaddr *)&ss, (int)len);
	return r;
}

static inline void raw_send(struct raw *r, const void *data, size_t n)
{
	bufferevent_write(r->bev, data, n);
}

static inline struct raw *raw_say(struct world *w, const char *text)
{
	struct raw *r = raw_new(w, w->port);

	raw_send(r, text, strlen(text));
	return r;
}

static inline void raw_free(struct raw *r)
{
	bufferevent_free(r->bev);
	free(r);
}

/* ── certificates ───────────────────────────────────────────────────────── */

/* A key and a certificate for 127.0.0.1 that signs itself, as PEM files. */
static inline void write_certificate(const char *cert_path,
				     const char *key_path, long serial)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_EXTENSION *e;
	FILE *f;

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
				"IP:127.0.0.1");
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(cert, key, EVP_sha256());
	f = fopen(cert_path, "we");
	PEM_write_X509(f, cert);
	fclose(f);
	f = fopen(key_path, "we");
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

#endif
