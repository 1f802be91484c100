// SPDX-License-Identifier: GPL-2.0
#include "relay/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "lib/log.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "relay/client.h"
#include "relay/http.h"
#include "relay/server.h"
#include "relay/tls.h"

/* Until the request is there; until ClientInfo is (spec/derp.md 6, 8.5). */
#define REQUEST_SECONDS 30
#define LOGIN_SECONDS 10
/* An answer nobody reads. */
#define REPLY_SECONDS 30
#define KEEP_ALIVE_SECONDS 60
#define KEEP_ALIVE_JITTER_MS 5000
#define MESH_WRITE_MS 30000
/* A blocked writer that gets rid of so much in its time may go on. */
#define WRITE_PROGRESS 2048
/* What is read before other connections have their turn. */
#define TURN_BYTES 16384
/*
 * No more than this waits unsent in the kernel, where it cannot be dropped for
 * something newer.
 */
#define UNSENT_MAX 32768
#define RESTARTING_SPREAD_MS 5000
#define RESTARTING_TRY_MS 3000

struct relayd_conn {
	struct relayd_worker *worker;
	struct stream *stream;
	struct relayd_client *client; /* NULL: HTTP */
	struct event *timer;	      /* deadlines; also to close later */
	struct event *keep_alive;
	struct endpoint remote;
	bool tls, redirect, half_open;
	bool replied; /* an HTTP answer is on its way, then the end */
	bool closing;
	unsigned int write_ms;
	uint64_t filled_ns, acked;
	char *text; /* to be sent before anything else */
	size_t text_len, text_at;
	struct relayd_conn *prev, *next;
};

static void conn_free(struct relayd_conn *c)
{
	struct relayd_worker *w = c->worker;

	if (c->half_open) {
		DL_DELETE(w->half_open, c);
		w->n_half_open--;
		relayd_count(&w->stats, RELAYD_HALF_OPEN, -1);
	} else {
		DL_DELETE(w->conns, c);
	}
	relayd_client_free(c->client);
	stream_free(c->stream);
	event_free(c->timer);
	if (c->keep_alive)
		event_free(c->keep_alive);
	free(c->text);
	free(c);
	__atomic_sub_fetch(&w->load, 1, __ATOMIC_RELAXED);
}

static void arm(struct relayd_conn *c, unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000,
			     .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	event_add(c->timer, &tv);
}

static void explain(struct relayd_conn *c, const char *why)
{
	char ep[ENDPOINT_TEXT_MAX], key[8];

	endpoint_format(&c->remote, ep);
	if (c->client && !key_is_zero(&c->client->seat.key))
		log_debug("%s %s: %s", ep,
			  key_short(&c->client->seat.key, key), why);
	else
		log_debug("%s: %s", ep, why);
}

/* From wherever: the connection goes from the loop. */
static void close_later(struct relayd_conn *c, const char *why)
{
	if (c->closing)
		return;
	c->closing = true;
	explain(c, why);
	event_active(c->timer, EV_TIMEOUT, 0);
}

/* Bytes that the other side has acknowledged. */
static uint64_t acked(const struct relayd_conn *c)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(stream_fd(c->stream), IPPROTO_TCP, TCP_INFO, &info,
		       &len))
		return 0;
	return info.tcpi_bytes_acked;
}

/* Whether the writer has been stuck for too long; sets the timer if not. */
static bool write_is_late(struct relayd_conn *c)
{
	uint64_t now = now_ns(), limit = c->write_ms * MS_NS;
	uint64_t done;

	if (!stream_is_blocked(c->stream))
		return false;
	if (now - c->filled_ns < limit) {
		arm(c, (unsigned int)((limit - (now - c->filled_ns)) / MS_NS) +
			       1);
		return false;
	}
	done = acked(c);
	if (done - c->acked < WRITE_PROGRESS)
		return true;
	c->acked = done;
	arm(c, c->write_ms);
	return false;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_conn *c = arg;

	if (!c->closing && !c->half_open) {
		if (!write_is_late(c))
			return;
		relayd_count(&c->worker->stats, RELAYD_WRITE_TIMEOUTS, 1);
		explain(c, "it does not read what it is sent");
	} else if (!c->closing) {
		explain(c, c->client ? "no login in time" :
				       "no request in time");
	}
	conn_free(c);
}

static void on_keep_alive(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_conn *c = arg;

	relayd_client_keep_alive(c->client);
}

/* ── what the client wants of us ────────────────────────────────────── */

static void client_want_write(void *io)
{
	struct relayd_conn *c = io;

	if (!c->half_open && c->write_ms && !event_pending(c->timer, EV_TIMEOUT, NULL)) {
		c->filled_ns = now_ns();
		arm(c, c->write_ms);
	}
	stream_want_write(c->stream);
}

static void client_pause(void *io, bool paused)
{
	struct relayd_conn *c = io;

	stream_pause(c->stream, paused);
}

static void client_yield(void *io)
{
	struct relayd_conn *c = io;

	stream_yield(c->stream);
}

static void client_logged_in(void *io)
{
	struct relayd_conn *c = io;
	struct relayd_worker *w = c->worker;
	const struct relayd_config *config = w->server->config;
	uint32_t jitter = relayd_worker_random(w, KEEP_ALIVE_JITTER_MS);
	struct timeval tv = {.tv_sec = KEEP_ALIVE_SECONDS + jitter / 1000,
			     .tv_usec = (suseconds_t)(jitter % 1000) * 1000};

	DL_DELETE(w->half_open, c);
	w->n_half_open--;
	relayd_count(&w->stats, RELAYD_HALF_OPEN, -1);
	c->half_open = false;
	DL_APPEND(w->conns, c);
	event_del(c->timer);
	c->write_ms = config->write_timeout_ms;
	if (c->write_ms && c->client->seat.privileged)
		c->write_ms = MESH_WRITE_MS;
	c->keep_alive = event_new(w->base, -1, EV_PERSIST, on_keep_alive, c);
	event_add(c->keep_alive, &tv);
}

static void client_close(void *io, const char *why)
{
	struct relayd_conn *c = io;

	relayd_count(&c->worker->stats, RELAYD_PROTOCOL_ERRORS, 1);
	close_later(c, why);
}

static const struct relayd_client_io client_io = {
	.want_write = client_want_write,
	.pause = client_pause,
	.yield = client_yield,
	.logged_in = client_logged_in,
	.close = client_close,
};

/* ── the stream ─────────────────────────────────────────────────────── */

static void on_ready(void *ctx)
{
	struct relayd_conn *c = ctx;
	SSL *ssl = stream_ssl(c->stream);

	if (ssl)
		relayd_count(&c->worker->stats,
			     SSL_version(ssl) >= TLS1_3_VERSION ? RELAYD_TLS_13 :
								  RELAYD_TLS_12,
			     1);
}

static void answer(struct relayd_conn *c, struct relayd_http_answer *a)
{
	c->text = a->text;
	c->text_len = a->len;
	switch (a->action) {
	case RELAYD_HTTP_REPLY:
		c->replied = true;
		arm(c, REPLY_SECONDS * 1000);
		break;
	case RELAYD_HTTP_DERP:
		arm(c, LOGIN_SECONDS * 1000);
		stream_set_turn(c->stream, TURN_BYTES);
		c->client = relayd_client_new(c->worker, &client_io, c,
					      &c->remote, a->not_ideal);
		break;
	}
	stream_want_write(c->stream);
}

static size_t request(struct relayd_conn *c, const uint8_t *data, size_t n)
{
	struct relayd_http_answer a;
	struct http_req r;
	const char *why = "the request's head is too long";
	ssize_t len = http_req_parse((const char *)data, n, &r, &why);

	if (!len && n <= RELAYD_HTTP_HEAD_MAX)
		return 0;
	if (len <= 0) {
		relayd_count(&c->worker->stats, RELAYD_HTTP_BAD, 1);
		explain(c, why);
		relayd_http_error(len == -EBADMSG   ? 400 :
				  len == -ENOTSUP ? 411 :
						      431,
				  why, &a);
		answer(c, &a);
		return n;
	}
	relayd_http_answer(c->worker->server, &r, &c->remote, c->redirect, &a);
	answer(c, &a);
	return (size_t)len;
}

static size_t on_read(void *ctx, const uint8_t *data, size_t n)
{
	struct relayd_conn *c = ctx;

	if (c->closing || c->replied)
		return n;
	if (c->client)
		return relayd_client_input(c->client, data, n);
	return request(c, data, n);
}

static size_t on_fill(void *ctx, uint8_t *buf, size_t cap)
{
	struct relayd_conn *c = ctx;
	size_t n = c->text_len - c->text_at;

	if (c->closing)
		return 0;
	if (!c->half_open && c->write_ms) {
		c->filled_ns = now_ns();
	}
	if (c->text) {
		if (n > cap)
			n = cap;
		memcpy(buf, c->text + c->text_at, n);
		c->text_at += n;
		if (c->text_at < c->text_len)
			return n;
		free(c->text);
		c->text = NULL;
		c->text_len = c->text_at = 0;
		if (c->client)
			n += relayd_client_fill(c->client, buf + n, cap - n);
		return n;
	}
	if (c->client)
		return relayd_client_fill(c->client, buf, cap);
	if (c->replied)
		close_later(c, "answered");
	return 0;
}

static void on_closed(void *ctx, const char *why)
{
	struct relayd_conn *c = ctx;

	if (c->tls && !c->client && !SSL_is_init_finished(stream_ssl(c->stream)))
		relayd_count(&c->worker->stats, RELAYD_TLS_FAILED, 1);
	explain(c, why);
	conn_free(c);
}

static const struct stream_ops stream_ops = {
	.ready = on_ready,
	.read = on_read,
	.fill = on_fill,
	.closed = on_closed,
};

static void set_options(int fd, const struct relayd_config *config)
{
	int one = 1, unsent = UNSENT_MAX;
	int idle = (int)(config->tcp_keepalive_ms / 1000);
	int user = (int)config->tcp_user_timeout_ms;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	if (idle) {
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	}
	if (user)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user,
			   sizeof(user));
}

void relayd_conn_open(struct relayd_worker *w, int fd,
		      const struct endpoint *remote, bool tls, bool redirect)
{
	const struct relayd *server = w->server;
	unsigned int max = server->config->half_open_max / server->n_workers;
	SSL *ssl = tls ? relayd_tls_session(w->server) : NULL;
	struct relayd_conn *c;

	if (tls && !ssl) {
		close(fd);
		__atomic_sub_fetch(&w->load, 1, __ATOMIC_RELAXED);
		return;
	}
	if (w->half_open && w->n_half_open >= max) {
		relayd_count(&w->stats, RELAYD_HALF_OPEN_EVICTED, 1);
		explain(w->half_open, "too many half-open connections");
		conn_free(w->half_open);
	}
	set_options(fd, server->config);
	c = xcalloc(1, sizeof(*c));
	c->worker = w;
	c->remote = *remote;
	c->tls = tls;
	c->redirect = redirect;
	c->half_open = true;
	DL_APPEND(w->half_open, c);
	w->n_half_open++;
	relayd_count(&w->stats, RELAYD_HALF_OPEN, 1);
	c->timer = evtimer_new(w->base, on_timer, c);
	arm(c, REQUEST_SECONDS * 1000);
	c->stream = stream_new(w->base, fd, ssl, RELAYD_INPUT_MAX, &stream_ops,
			       c);
}

void relayd_conn_restarting_all(struct relayd_worker *w)
{
	struct relayd_conn *c;

	DL_FOREACH(w->conns, c)
		relayd_client_restarting(
			c->client, relayd_worker_random(w, RESTARTING_SPREAD_MS),
			RESTARTING_TRY_MS);
}

void relayd_conn_set_rate_all(struct relayd_worker *w)
{
	struct relayd *server = w->server;
	struct relayd_conn *c;
	uint64_t rate, burst;

	pthread_mutex_lock(&server->lock);
	rate = server->rate;
	burst = server->burst;
	pthread_mutex_unlock(&server->lock);
	DL_FOREACH(w->conns, c)
		relayd_client_set_rate(c->client, rate, burst);
}

void relayd_conn_close_all(struct relayd_worker *w)
{
	while (w->half_open)
		conn_free(w->half_open);
	while (w->conns)
		conn_free(w->conns);
}
