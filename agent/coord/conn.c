// SPDX-License-Identifier: GPL-2.0
#include "coord/conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <utlist.h>

#include "lib/log.h"

#define LINGER_MS 2000

static void log_line(struct conn *c, const char *fmt, va_list ap)
{
	struct http_server *s = c->server;
	char text[ENDPOINT_TEXT_MAX], line[512];

	if (!s->log_tokens) {
		s->log_dropped++;
		return;
	}
	s->log_tokens--;
	vsnprintf(line, sizeof(line), fmt, ap);
	log_info("%s: %s", endpoint_format(&c->remote, text), line);
}

void conn_log(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(c, fmt, ap);
	va_end(ap);
}

static void unlist(struct conn *c)
{
	struct http_server *s = c->server;

	if (c->proven) {
		DL_DELETE(s->proven, c);
	} else {
		DL_DELETE(s->unproven, c);
		s->n_unproven--;
	}
}

void conn_close(struct conn *c, enum drop why, const char *fmt, ...)
{
	struct http_server *s = c->server;
	va_list ap;

	if (c->closing)
		return;
	if (fmt) {
		va_start(ap, fmt);
		log_line(c, fmt, ap);
		va_end(ap);
	}
	s->drops[c->last ? c->why : why]++;
	c->closing = true;
	if (c->bev) {
		bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	}
	if (c->channel)
		channel_detach(c->channel);
	unlist(c);
	s->n_conns--;
	DL_APPEND(s->dying, c);
	event_active(s->reaper, EV_TIMEOUT, 0);
}

static void conn_free(struct conn *c)
{
	struct request *r;

	while ((r = c->requests)) {
		const struct http_request_ops *ops = r->pub.ops;

		DL_DELETE(c->requests, r);
		c->n_requests--;
		if (r->dispatched && !r->ended && ops && ops->closed)
			ops->closed(&r->pub, "the connection was closed");
		r->conn = NULL;
		request_free(r);
	}
	channel_free(c->channel);
	if (c->first)
		event_free(c->first);
	if (c->bev)
		bufferevent_free(c->bev);
	else
		close(c->fd);
	free(c);
}

void conn_reap(struct http_server *s)
{
	struct conn *c;

	while ((c = s->dying)) {
		DL_DELETE(s->dying, c);
		conn_free(c);
	}
}

bool conn_evict(struct http_server *s)
{
	struct conn *c = NULL;

	/* One that waits for our own answer is the last to go. */
	DL_FOREACH(s->unproven, c)
	{
		if (!c->n_requests)
			break;
	}
	if (!c)
		c = s->unproven;
	if (!c)
		return false;
	conn_close(c, DROP_LIMIT,
		   "closed to make room: too many connections that show no key");
	return true;
}

void conn_proven(struct conn *c)
{
	unlist(c);
	c->proven = true;
	DL_APPEND(c->server->proven, c);
}

static void linger(struct conn *c)
{
	SSL *ssl = c->tls ? bufferevent_openssl_get_ssl(c->bev) : NULL;

	if (ssl) {
		SSL_shutdown(ssl);
		ERR_clear_error();
	}
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->deadline = now_ns() + LINGER_MS * MS_NS;
}

void conn_finish(struct conn *c, enum drop why)
{
	c->last = true;
	c->why = why;
	if (!evbuffer_get_length(bufferevent_get_output(c->bev)))
		linger(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct conn *c = arg;

	if (c->last) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	switch (c->state) {
	case CONN_HTTP1:
		http1_read(c);
		break;
	case CONN_CHANNEL:
		channel_read(c);
		break;
	case CONN_SILENT:
	case CONN_LINGER:
		break;
	}
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	if (c->last && c->state != CONN_LINGER &&
	    !evbuffer_get_length(bufferevent_get_output(bev)))
		linger(c);
	else if (c->state == CONN_CHANNEL)
		channel_write(c);
	else if (c->state == CONN_HTTP1)
		http1_drained(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;
	unsigned long e;

	if (what & BEV_EVENT_CONNECTED) /* TLS is up */
		return;
	e = c->tls ? bufferevent_get_openssl_error(bev) : 0;
	if (e && !(what & BEV_EVENT_EOF) && c->state != CONN_LINGER)
		conn_close(c, DROP_TLS, "TLS: %s",
			   ERR_reason_error_string(e) ?
				   ERR_reason_error_string(e) :
				   "unknown error");
	else
		conn_close(c, DROP_END, NULL);
}

/* The first byte is there: now the connection is worth buffers. */
static void on_first(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct http_server *s = c->server;
	SSL *ssl;

	if (c->tls) {
		ssl = SSL_new(s->tls);
		if (ssl)
			c->bev = bufferevent_openssl_socket_new(
				s->base, c->fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
				BEV_OPT_CLOSE_ON_FREE);
	} else {
		c->bev = bufferevent_socket_new(s->base, c->fd,
						BEV_OPT_CLOSE_ON_FREE);
	}
	if (!c->bev) {
		conn_close(c, DROP_TLS, "TLS cannot start");
		return;
	}
	event_free(c->first);
	c->first = NULL;
	c->state = CONN_HTTP1;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, s->limits.head);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

struct conn *conn_new(struct listener *l, int fd, const struct endpoint *from)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct http_server *s = l->server;

	c->server = s;
	c->side = l->side;
	c->tls = l->tls;
	c->fd = fd;
	c->remote = *from;
	c->deadline = now_ns() + s->limits.handshake_ms * MS_NS;
	c->first = event_new(s->base, fd, EV_READ, on_first, c);
	event_add(c->first, NULL);
	DL_APPEND(s->unproven, c);
	s->n_unproven++;
	s->n_conns++;
	s->accepted++;
	return c;
}

/* Output of which the socket has taken nothing for too long. */
static bool stalled(struct conn *c, uint64_t now)
{
	size_t n = evbuffer_get_length(bufferevent_get_output(c->bev));

	if (!n || n != c->out_seen) {
		c->out_seen = n;
		c->out_since = now;
	}
	return n && now - c->out_since > c->server->limits.stall_ms * MS_NS;
}

void conn_tick(struct conn *c, uint64_t now)
{
	static const char *const late[] = {
		[CONN_SILENT] = "nothing was sent in time",
		[CONN_HTTP1] = "no complete request in time",
		[CONN_CHANNEL] = "no use of the channel in time",
		[CONN_LINGER] = NULL,
	};

	if (c->deadline && now > c->deadline) {
		if (c->state == CONN_CHANNEL && c->proven && !c->last)
			channel_goaway(c); /* idle: in good order */
		else if (c->state == CONN_HTTP1 && !c->n_requests &&
			 !evbuffer_get_length(bufferevent_get_input(c->bev)))
			conn_close(c, DROP_DEADLINE, NULL); /* idle */
		else
			conn_close(c, DROP_DEADLINE,
				   late[c->state] ? "%s" : NULL,
				   late[c->state]);
		return;
	}
	if (c->bev && stalled(c, now))
		conn_close(c, DROP_STALL, "took nothing for too long");
	else if (c->state == CONN_CHANNEL)
		channel_tick(c, now);
}
