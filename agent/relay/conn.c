// SPDX-License-Identifier: GPL-2.0
#include "relay/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/log.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "relay/client.h"
#include "relay/http.h"
#include "relay/server.h"
#include "relay/tcp.h"
#include "relay/tls.h"
#include "relay/traffic.h"
#include "relay/ws.h"

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
/* OpenSSL's read-ahead of a busy connection; an idle one has none. */
#define READ_BUFFER_LEN 32768
#define RESTARTING_SPREAD_MS 5000
#define RESTARTING_TRY_MS 3000
/* How often deadlines are looked at: cheaper than timers of each one's own. */
#define SWEEP_MS 250
#define SAMPLE_SWEEPS 40 /* round-trip times every 10 s */
/* Lines a second, and at once, about what clients do wrong. */
#define LOG_RATE 1
#define LOG_BURST 20

struct relayd_conn {
	struct relayd_worker *worker;
	struct stream *stream;
	struct relayd_client *client; /* NULL: HTTP */
	struct relayd_ws *ws; /* between the two, or NULL */
	struct relayd_traffic *traffic; /* being looked at, or NULL */
	struct endpoint remote;
	bool tls, redirect, half_open;
	bool ready; /* the handshake is over */
	enum relayd_stat tls_version; /* what counts it; 0: not yet */
	bool replied; /* an HTTP answer is on its way, then the end */
	bool closing;
	unsigned int write_ms; /* of a deadline that begins at filled_ns */
	uint64_t filled_ns, acked;
	uint64_t moved; /* bytes both ways, when the traffic was last shown */
	uint64_t due_ns; /* half-open: its end; else the next KeepAlive */
	char *text; /* to be sent before anything else */
	size_t text_len, text_at;
	struct relayd_conn *prev, *next;
	struct relayd_conn *closing_prev, *closing_next;
};

/* Those of one worker. */
struct relayd_conns {
	struct relayd_conn *open; /* logged in */
	struct relayd_conn *half_open; /* oldest first */
	struct relayd_conn *closing; /* and in one of the above */
	unsigned int n_half_open, sweeps;
	struct event *sweep, *reap;
	struct relayd_limit log_limit;
};

static void leave_half_open(struct relayd_conn *c)
{
	struct relayd_conns *all = c->worker->conns;

	DL_DELETE(all->half_open, c);
	all->n_half_open--;
	c->half_open = false;
	relayd_count(&c->worker->stats, RELAYD_HALF_OPEN, -1);
}

static void conn_free(struct relayd_conn *c)
{
	struct relayd_worker *w = c->worker;

	if (c->closing)
		DL_DELETE2(w->conns->closing, c, closing_prev, closing_next);
	if (c->half_open)
		leave_half_open(c);
	else
		DL_DELETE(w->conns->open, c);
	relayd_client_free(c->client);
	relayd_ws_free(c->ws);
	relayd_traffic_free(c->traffic);
	if (c->tls_version)
		relayd_count(&w->stats, c->tls_version, -1);
	stream_free(c->stream);
	free(c->text);
	free(c);
	__atomic_sub_fetch(&w->load, 1, __ATOMIC_RELAXED);
}

static void due_in(struct relayd_conn *c, unsigned int ms)
{
	c->due_ns = now_ns() + ms * MS_NS;
}

static void explain(struct relayd_conn *c, const char *why)
{
	char ep[ENDPOINT_TEXT_MAX], key[8] = "";

	if (c->client && !key_is_zero(&c->client->seat.key))
		key_short(&c->client->seat.key, key);
	log_debug("%s%s%s: %s", endpoint_format(&c->remote, ep), *key ? " " : "",
		  key, why);
}

/*
 * What the other side did wrong is for the operator to see, but no more often
 * than he can read: a stranger must not fill his disk.
 */
static void blame(struct relayd_conn *c, const char *why)
{
	struct relayd_conns *all = c->worker->conns;
	char ep[ENDPOINT_TEXT_MAX];

	if (!relayd_limit_take(&all->log_limit, 1, now_ns())) {
		explain(c, why);
		return;
	}
	log_info("%s: %s", endpoint_format(&c->remote, ep), why);
}

/* From wherever: the connection goes from the loop. */
static void close_later(struct relayd_conn *c, const char *why)
{
	struct relayd_conns *all = c->worker->conns;

	if (c->closing)
		return;
	c->closing = true;
	explain(c, why);
	DL_APPEND2(all->closing, c, closing_prev, closing_next);
	event_active(all->reap, EV_TIMEOUT, 0);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_worker *w = arg;

	while (w->conns->closing)
		conn_free(w->conns->closing);
}

/* Whether the writer has been stuck for too long. */
static bool write_is_late(struct relayd_conn *c, uint64_t now)
{
	uint64_t done;

	if (!c->write_ms || !stream_is_blocked(c->stream) ||
	    now - c->filled_ns < c->write_ms * MS_NS)
		return false;
	done = relayd_tcp_info(stream_fd(c->stream)).tcpi_bytes_acked;
	if (done - c->acked < WRITE_PROGRESS)
		return true;
	c->acked = done;
	c->filled_ns = now;
	return false;
}

static void sweep_open(struct relayd_conn *c, uint64_t now)
{
	if (write_is_late(c, now)) {
		relayd_count(&c->worker->stats, RELAYD_WRITE_TIMEOUTS, 1);
		close_later(c, "it does not read what it is sent");
	} else if (now >= c->due_ns) {
		c->due_ns += KEEP_ALIVE_SECONDS * SEC_NS;
		relayd_client_keep_alive(c->client);
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_worker *w = arg;
	bool sample = ++w->conns->sweeps % SAMPLE_SWEEPS == 0;
	struct relayd_conn *c;
	uint64_t now = now_ns();

	for (c = w->conns->open; c; c = c->next) {
		sweep_open(c, now);
		if (sample)
			relayd_tcp_sample(stream_fd(c->stream),
					  &w->stats);
	}
	for (c = w->conns->half_open; c; c = c->next)
		if (now >= c->due_ns)
			close_later(c, c->client ? "no login in time" :
						   "no request in time");
}

static struct relayd_conns *conns_of(struct relayd_worker *w)
{
	static const struct timeval sweep = {.tv_usec = SWEEP_MS * 1000};
	struct relayd_conns *all = w->conns;

	if (all)
		return all;
	all = w->conns = xcalloc(1, sizeof(*all));
	relayd_limit_init(&all->log_limit, LOG_RATE, LOG_BURST, now_ns());
	all->sweep = event_new(w->base, -1, EV_PERSIST, on_sweep, w);
	all->reap = evtimer_new(w->base, on_reap, w);
	event_add(all->sweep, &sweep);
	return all;
}

/* ── what the client wants of us ────────────────────────────────────── */

static void client_want_write(void *io)
{
	struct relayd_conn *c = io;

	stream_want_write(c->stream);
}

static void client_pause(void *io, bool paused)
{
	struct relayd_conn *c = io;

	stream_pause(c->stream, paused);
	if (c->ws)
		relayd_ws_pause(c->ws, c->client, paused);
}

static void client_yield(void *io)
{
	struct relayd_conn *c = io;

	stream_yield(c->stream);
	if (c->ws)
		relayd_ws_yield(c->ws);
}

static void client_logged_in(void *io)
{
	struct relayd_conn *c = io;
	struct relayd_worker *w = c->worker;

	leave_half_open(c);
	DL_APPEND(w->conns->open, c);
	c->write_ms = w->server->config->write_timeout_ms;
	if (c->write_ms && c->client->seat.privileged)
		c->write_ms = MESH_WRITE_MS;
	/* One offset for good: not all at the same time. */
	due_in(c, KEEP_ALIVE_SECONDS * 1000 +
			  relayd_worker_random(w, KEEP_ALIVE_JITTER_MS));
}

static void client_close(void *io, const char *why)
{
	struct relayd_conn *c = io;

	relayd_count(&c->worker->stats, RELAYD_PROTOCOL_ERRORS, 1);
	blame(c, why);
	close_later(c, "closed");
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
	struct relayd_stats *stats = &c->worker->stats;
	SSL *ssl = stream_ssl(c->stream);
	bool new;

	c->ready = true;
	if (!ssl)
		return;
	SSL_set_default_read_buffer_len(ssl, READ_BUFFER_LEN);
	new = SSL_version(ssl) >= TLS1_3_VERSION;
	c->tls_version = new ? RELAYD_TLS_13_ACTIVE : RELAYD_TLS_12_ACTIVE;
	relayd_count(stats, c->tls_version, 1);
	relayd_count(stats, new ? RELAYD_TLS_13 : RELAYD_TLS_12, 1);
}

static void on_traffic(void *ctx)
{
	struct relayd_conn *c = ctx;

	stream_want_write(c->stream);
}

/* The one place of a viewer, or word that it is taken. */
static void show_traffic(struct relayd_conn *c, struct relayd_http_answer *a)
{
	c->traffic = relayd_traffic_new(c->worker, on_traffic, c);
	if (c->traffic)
		return;
	free(a->text);
	relayd_http_error(503, "somebody looks already", a);
}

static void answer(struct relayd_conn *c, struct relayd_http_answer *a)
{
	if (a->action == RELAYD_HTTP_TRAFFIC)
		show_traffic(c, a);
	c->text = a->text;
	c->text_len = a->len;
	switch (a->action) {
	case RELAYD_HTTP_TRAFFIC: /* until it goes, or has to make room */
		c->replied = true;
		c->due_ns = UINT64_MAX;
		break;
	case RELAYD_HTTP_REPLY:
		c->replied = true;
		due_in(c, REPLY_SECONDS * 1000);
		break;
	case RELAYD_HTTP_WEBSOCKET:
		relayd_count(&c->worker->stats, RELAYD_WEBSOCKET_ACCEPTS, 1);
		c->ws = relayd_ws_new();
		/* fall through */
	case RELAYD_HTTP_DERP:
		due_in(c, LOGIN_SECONDS * 1000);
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
	const char *why;
	ssize_t len = http_req_parse((const char *)data, n, &r, &why);

	if (!len && n <= RELAYD_HTTP_HEAD_MAX)
		return 0;
	if (len <= 0) {
		if (!len || len == -E2BIG)
			why = "the request's head is too long";
		relayd_count(&c->worker->stats, RELAYD_HTTP_BAD, 1);
		blame(c, why);
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
	if (c->ws) {
		n = relayd_ws_input(c->ws, c->client, data, n);
		stream_want_write(c->stream); /* pongs and the like */
		return n;
	}
	if (c->client)
		return relayd_client_input(c->client, data, n);
	return request(c, data, n);
}

/* What the client has to be sent. */
static size_t fill_derp(struct relayd_conn *c, uint8_t *buf, size_t cap)
{
	bool over;
	size_t n;

	if (!c->ws)
		return relayd_client_fill(c->client, buf, cap);
	n = relayd_ws_fill(c->ws, c->client, buf, cap, &over);
	if (over && !n)
		close_later(c, "the WebSocket is closed");
	return n;
}

static size_t on_fill(void *ctx, uint8_t *buf, size_t cap)
{
	struct relayd_conn *c = ctx;
	size_t n = c->text_len - c->text_at;

	if (c->closing)
		return 0;
	if (c->write_ms)
		c->filled_ns = now_ns();
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
			n += fill_derp(c, buf + n, cap - n);
		return n;
	}
	if (c->client)
		return fill_derp(c, buf, cap);
	if (c->traffic)
		return relayd_traffic_fill(c->traffic, buf, cap);
	if (c->replied)
		close_later(c, "answered");
	return 0;
}

static void on_closed(void *ctx, const char *why)
{
	struct relayd_conn *c = ctx;

	if (c->tls && !c->ready)
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

void relayd_conn_open(struct relayd_worker *w, int fd,
		      const struct endpoint *remote, bool tls, bool redirect)
{
	const struct relayd *server = w->server;
	unsigned int max = server->config->half_open_max / server->n_workers;
	SSL *ssl = tls ? relayd_tls_session(w->server) : NULL;
	struct relayd_conns *all = conns_of(w);
	struct relayd_conn *c;

	if (tls && !ssl) {
		close(fd);
		__atomic_sub_fetch(&w->load, 1, __ATOMIC_RELAXED);
		return;
	}
	if (all->half_open && all->n_half_open >= max) {
		relayd_count(&w->stats, RELAYD_HALF_OPEN_EVICTED, 1);
		explain(all->half_open, "too many half-open connections");
		conn_free(all->half_open);
	}
	relayd_tcp_options(fd, server->config);
	c = xcalloc(1, sizeof(*c));
	c->worker = w;
	c->remote = *remote;
	c->tls = tls;
	c->redirect = redirect;
	c->half_open = true;
	DL_APPEND(all->half_open, c);
	all->n_half_open++;
	relayd_count(&w->stats, RELAYD_HALF_OPEN, 1);
	due_in(c, REQUEST_SECONDS * 1000);
	c->stream = stream_new(w->base, fd, ssl, RELAYD_INPUT_MAX, &stream_ops,
			       c);
	if (ssl)
		stream_own_records(c->stream, server->config->ktls);
}

void relayd_conn_traffic(struct relayd_worker *w, FILE *f)
{
	struct relayd_conn *c = w->conns ? w->conns->open : NULL;
	char key[KEY_TEXT_MAX];

	for (; c; c = c->next) {
		const struct tcp_info info =
			relayd_tcp_info(stream_fd(c->stream));
		uint64_t sent = info.tcpi_bytes_sent;
		uint64_t received = info.tcpi_bytes_received;

		if (sent + received == c->moved)
			continue;
		c->moved = sent + received;
		fprintf(f,
			"{\"Sent\":%" PRIu64 ",\"Recv\":%" PRIu64
			",\"Key\":\"%s\",\"UniqueSenders\":%u}\n",
			sent, received,
			key_format(key, KEY_NODE, &c->client->seat.key),
			HASH_COUNT(c->client->seat.subs));
	}
}

void relayd_conn_restarting_all(struct relayd_worker *w)
{
	struct relayd_conn *c;

	if (!w->conns)
		return;
	for (c = w->conns->open; c; c = c->next)
		relayd_client_restarting(
			c->client, relayd_worker_random(w, RESTARTING_SPREAD_MS),
			RESTARTING_TRY_MS);
}

void relayd_conn_set_rate_all(struct relayd_worker *w)
{
	struct relayd *server = w->server;
	struct relayd_conn *c;
	uint64_t rate, burst;

	if (!w->conns)
		return;
	pthread_mutex_lock(&server->lock);
	rate = server->rate;
	burst = server->burst;
	pthread_mutex_unlock(&server->lock);
	for (c = w->conns->open; c; c = c->next)
		relayd_client_set_rate(c->client, rate, burst);
}

void relayd_conn_close_all(struct relayd_worker *w)
{
	struct relayd_conns *all = w->conns;

	if (!all)
		return;
	while (all->half_open)
		conn_free(all->half_open);
	while (all->open)
		conn_free(all->open);
	event_free(all->sweep);
	event_free(all->reap);
	free(all);
	w->conns = NULL;
}
