// SPDX-License-Identifier: GPL-2.0
#include "coord/http.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <utlist.h>

#include "coord/conn.h"
#include "lib/log.h"
#include "lib/metrics.h"

#define BACKLOG 4096
/* Accepted in one turn: those that are here already have their turn, too. */
#define ACCEPT_TURN 64
/* Unsent bytes that the kernel may hold for one connection. */
#define NOTSENT_MAX (16 << 10)
#define TICK_MAX_MS 1000
#define TICK_MIN_MS 10
/* Descriptors for everything but connections. */
#define FDS_RESERVED 64
#define LOG_BURST 30
#define LOG_PER_TICK 1

/* GET /key?v=N (spec/control.md section 2). */
static void answer_key(void *ctx, struct http_request *r)
{
	char *v = http_param(r->query, "v");
	char text[KEY_TEXT_MAX], zero_text[KEY_TEXT_MAX], json[512];
	struct key zero = { { 0 } };
	int n;

	if (!v || !*v || strspn(v, "0123456789") != strlen(v)) {
		http_reply_text(r, 400, "v=N, the capability version, is missing");
		free(v);
		return;
	}
	free(v);
	n = snprintf(json, sizeof(json),
		     "{\"legacyPublicKey\":\"%s\",\"publicKey\":\"%s\"}\n",
		     key_format(zero_text, KEY_MACHINE, &zero),
		     key_format(text, KEY_MACHINE, &r->server->noise_public));
	http_reply(r, 200, "application/json", json, (size_t)n);
}

const struct http_route http_key_route = {
	.sides = HTTP_PUBLIC,
	.method = "GET",
	.path = "/key",
	.handler = answer_key,
};

static void tick_list(struct conn *list, uint64_t now)
{
	struct conn *c, *next;

	/* conn_close() moves @c to another list, nothing frees it here. */
	for (c = list; c; c = next) {
		next = c->next;
		conn_tick(c, now);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	uint64_t now = now_ns();
	struct listener *l;

	tick_list(s->unproven, now);
	tick_list(s->proven, now);
	if (s->log_tokens < LOG_BURST)
		s->log_tokens += LOG_PER_TICK;
	if (s->log_dropped && s->log_tokens == LOG_BURST) {
		log_info("%u more lines about connections were left out",
			 s->log_dropped);
		s->log_dropped = 0;
	}
	if (!s->accept_paused)
		return;
	s->accept_paused = false;
	for (l = s->listeners; l; l = l->next)
		event_add(l->readable, NULL);
}

static void on_reaper(evutil_socket_t fd, short what, void *arg)
{
	conn_reap(arg);
}

/* As often as the shortest deadline needs, not more. */
static struct timeval tick_interval(const struct http_limits *l)
{
	const size_t all[] = { l->handshake_ms, l->request_ms, l->idle_ms,
			       l->channel_idle_ms, l->stall_ms };
	size_t i, ms = TICK_MAX_MS;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		ms = all[i] / 4 < ms ? all[i] / 4 : ms;
	ms = ms < TICK_MIN_MS ? TICK_MIN_MS : ms;
	return (struct timeval){ .tv_sec = (time_t)(ms / 1000),
				 .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
}

/* More connections than descriptors would only be refused later. */
static void fit_descriptors(struct http_limits *l)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur == RLIM_INFINITY ||
	    l->connections + FDS_RESERVED <= r.rlim_cur)
		return;
	l->connections = r.rlim_cur > 2 * FDS_RESERVED ?
				 r.rlim_cur - FDS_RESERVED : FDS_RESERVED;
	log_warn("at most %zu connections: the limit of open files is %llu",
		 l->connections, (unsigned long long)r.rlim_cur);
}

struct http_server *http_server_new(struct event_base *base,
				    const struct http_server_config *c)
{
	struct http_server *s = xcalloc(1, sizeof(*s));
	struct timeval every;

	s->base = base;
	s->noise_private = *c->noise_private;
	key_public(&s->noise_public, &s->noise_private);
	s->min_version = c->min_version;
	s->limits = c->limits ? *c->limits : http_limits_default;
	fit_descriptors(&s->limits);
	s->routes = c->routes;
	s->n_routes = c->n_routes;
	s->ctx = c->ctx;
	s->log_tokens = LOG_BURST;
	every = tick_interval(&s->limits);
	s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	event_add(s->tick, &every);
	s->reaper = event_new(base, -1, 0, on_reaper, s);
	return s;
}

static void stop_listening(struct http_server *s)
{
	struct listener *l, *tmp;

	LL_FOREACH_SAFE(s->listeners, l, tmp)
	{
		LL_DELETE(s->listeners, l);
		event_free(l->readable);
		close(l->fd);
		free(l);
	}
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	stop_listening(s);
	while (s->unproven)
		conn_close(s->unproven, DROP_OWNER, NULL);
	while (s->proven)
		conn_close(s->proven, DROP_OWNER, NULL);
	conn_reap(s);
	event_free(s->tick);
	event_free(s->reaper);
	SSL_CTX_free(s->tls);
	key_wipe(&s->noise_private);
	free(s);
}

void http_server_drain(struct http_server *s)
{
	struct conn *c, *next;

	s->draining = true;
	stop_listening(s);
	for (c = s->unproven; c; c = next) {
		next = c->next;
		if (!c->n_requests)
			conn_close(c, DROP_OWNER, NULL);
	}
	for (c = s->proven; c; c = c->next)
		channel_goaway(c);
}

/* ── TLS ────────────────────────────────────────────────────────────────── */

/* The upgrade needs HTTP/1.1: a client that offers h2 as well is told so. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
		       const unsigned char *in, unsigned int n, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, len, ours,
				  sizeof(ours) - 1, in,
				  n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static int tls_error(SSL_CTX *ctx, const char *path, char why[HTTP_WHY_MAX])
{
	unsigned long e = ERR_get_error();

	snprintf(why, HTTP_WHY_MAX, "%s: %s", path,
		 ERR_SYSTEM_ERROR(e)	 ? strerror(ERR_GET_REASON(e)) :
		 ERR_reason_error_string(e) ? ERR_reason_error_string(e) :
					      "unusable");
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return -EINVAL;
}

int http_server_tls(struct http_server *s, const char *cert_path,
		    const char *key_path, char why[HTTP_WHY_MAX])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return tls_error(ctx, "TLS", why);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* An idle connection keeps no record buffers, and no sessions. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1)
		return tls_error(ctx, cert_path, why);
	if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1)
		return tls_error(ctx, key_path, why);
	SSL_CTX_free(s->tls);
	s->tls = ctx;
	return 0;
}

/* ── listening ──────────────────────────────────────────────────────────── */

static void set_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

static void setup_socket(struct http_server *s, int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	/* A peer that is gone: what it does not acknowledge ends it. */
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)s->limits.stall_ms);
	set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_MAX);
}

/* Out of descriptors: what waits in the queue has to, until somebody leaves. */
static void pause_accept(struct http_server *s)
{
	struct listener *l;

	conn_evict(s);
	s->accept_paused = true;
	for (l = s->listeners; l; l = l->next)
		event_del(l->readable);
}

static void on_accept(evutil_socket_t listening, short what, void *arg)
{
	struct listener *l = arg;
	struct http_server *s = l->server;
	int i;

	for (i = 0; i < ACCEPT_TURN; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct endpoint from = { 0 };
		int fd = accept4(listening, (struct sockaddr *)&ss, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM)
				pause_accept(s);
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			return;
		}
		endpoint_from_sockaddr(&from, (struct sockaddr *)&ss);
		setup_socket(s, fd);
		if (s->n_unproven >= s->limits.unproven ||
		    s->n_conns >= s->limits.connections)
			conn_evict(s);
		if (s->n_conns >= s->limits.connections) {
			s->drops[DROP_LIMIT]++;
			close(fd); /* all of them are machines */
			continue;
		}
		conn_new(l, fd, &from);
	}
}

int http_server_listen(struct http_server *s, const struct endpoint *at,
		       enum http_side side, bool tls)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, &ss);
	_cleanup_fd_ int fd = -1;
	struct endpoint bound;
	struct listener *l;

	if (tls && !s->tls)
		return -EINVAL;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0)
		return -errno;
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, BACKLOG))
		return -errno;
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    endpoint_from_sockaddr(&bound, (struct sockaddr *)&ss))
		return -errno;
	l = xcalloc(1, sizeof(*l));
	l->server = s;
	l->side = side;
	l->tls = tls;
	l->fd = fd;
	fd = -1;
	l->readable = event_new(s->base, l->fd, EV_READ | EV_PERSIST, on_accept,
				l);
	event_add(l->readable, NULL);
	LL_PREPEND(s->listeners, l);
	return bound.port;
}

/* ── machines ───────────────────────────────────────────────────────────── */

static struct machine *machine_find(const struct http_server *s,
				    const struct key *key)
{
	struct machine *m;

	HASH_FIND(hh, s->machines, key, sizeof(*key), m);
	return m;
}

size_t http_server_channels(const struct http_server *s, const struct key *key)
{
	struct machine *m = machine_find(s, key);

	return m ? m->n : 0;
}

void http_server_close_machine(struct http_server *s, const struct key *key,
			       const char *why)
{
	struct machine *m = machine_find(s, key);
	size_t n = m ? m->n : 0;

	/* The last one takes @m along. */
	for (; n; n--)
		conn_close(channel_conn(m->channels), DROP_OWNER, "closed: %s",
			   why);
}

void http_server_metrics(const struct http_server *s, struct metrics *m)
{
	static const char *const whys[DROPS] = {
		[DROP_END] = "end",	    [DROP_LIMIT] = "limit",
		[DROP_DEADLINE] = "deadline", [DROP_STALL] = "stall",
		[DROP_TLS] = "tls",	    [DROP_HTTP1] = "http1",
		[DROP_NOISE] = "noise",	    [DROP_HTTP2] = "http2",
		[DROP_FLOOD] = "flood",	    [DROP_OWNER] = "owner",
	};
	char label[64];
	size_t i;

	metrics_gauge(m, "tailrace_coord_connections", "Open connections.",
		      "state=\"unproven\"", (double)s->n_unproven);
	metrics_gauge(m, "tailrace_coord_connections", NULL, "state=\"channel\"",
		      (double)(s->n_conns - s->n_unproven));
	metrics_gauge(m, "tailrace_coord_machines_connected",
		      "Machine keys with an open channel.", NULL,
		      (double)HASH_COUNT(s->machines));
	metrics_counter(m, "tailrace_coord_connections_accepted_total",
			"Connections accepted.", NULL, s->accepted);
	metrics_counter(m, "tailrace_coord_channels_total",
			"Noise channels whose machine key was proven.", NULL,
			s->channels_opened);
	for (i = 0; i < DROPS; i++) {
		snprintf(label, sizeof(label), "reason=\"%s\"", whys[i]);
		metrics_counter(m, "tailrace_coord_connections_closed_total",
				"Connections closed, by reason.", label,
				s->drops[i]);
	}
	metrics_counter(m, "tailrace_coord_http_requests_total", "Requests.",
			"transport=\"http1\"", s->requests[0]);
	metrics_counter(m, "tailrace_coord_http_requests_total", NULL,
			"transport=\"noise\"", s->requests[1]);
	for (i = 2; i < ARRAY_SIZE(s->answers); i++) {
		snprintf(label, sizeof(label), "code=\"%zuxx\"", i);
		metrics_counter(m, "tailrace_coord_http_answers_total",
				"Answers begun, by status.", label,
				s->answers[i]);
	}
	metrics_counter(m, "tailrace_coord_noise_bytes_total",
			"Bytes inside of Noise channels.", "direction=\"in\"",
			s->bytes_in);
	metrics_counter(m, "tailrace_coord_noise_bytes_total", NULL,
			"direction=\"out\"", s->bytes_out);
	metrics_gauge(m, "tailrace_coord_request_bodies_bytes",
		      "Memory in unfinished request bodies.", NULL,
		      (double)s->bodies);
}
