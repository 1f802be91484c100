/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_FAKE_CONTROL_H
#define UNIT_FAKE_CONTROL_H

/*
 * A control server on loopback, in the test's own event loop: /key, the
 * upgrade, Noise and HTTP/2. What it answers is the test's business.
 */

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "control/https.h"
#include "lib/httphead.h"
#include "lib/key.h"
#include "lib/util.h"
#include "proto/noise.h"

struct fake_conn;

struct fake_req {
	struct fake_conn *conn;
	int32_t id;
	char method[8], path[256];
	struct evbuffer *body, *out;
	int status; /* 0: not answered */
	bool ended; /* the answer */
	struct fake_req *prev, *next;
};

struct fake {
	struct event_base *base;
	struct evconnlistener *listener;
	uint16_t port;
	struct key private_key, published;
	/* Behaviour */
	SSL_CTX *tls;		    /* NULL: plain HTTP */
	const char *upgrade_answer; /* instead of an upgrade, this */
	size_t upgrade_answer_len;
	bool early; /* payload, in three records */
	void (*handle)(void *ctx, struct fake_req *r);
	void *ctx;
	/* What happened */
	int key_fetches, upgrades, heads;
	struct key client;
	struct fake_conn *conns;
};

struct fake_conn {
	struct fake *f;
	struct bufferevent *bev;
	bool noise;
	struct noise_session s;
	nghttp2_session *http;
	struct fake_req *reqs;
	struct fake_conn *prev, *next;
};

static void fake_conn_free(struct fake_conn *c)
{
	struct fake_req *r, *tmp;

	DL_DELETE(c->f->conns, c);
	DL_FOREACH_SAFE(c->reqs, r, tmp)
	{
		evbuffer_free(r->body);
		evbuffer_free(r->out);
		free(r);
	}
	if (c->http)
		nghttp2_session_del(c->http);
	bufferevent_free(c->bev);
	free(c);
}

static void fake_record(struct fake_conn *c, const void *data, size_t n)
{
	uint8_t frame[NOISE_FRAME_MAX];
	ssize_t len = noise_seal_record(&c->s, data, n, frame, sizeof(frame));

	evbuffer_add(bufferevent_get_output(c->bev), frame, (size_t)len);
}

static void fake_pump(struct fake_conn *c)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(c->http, &data)) > 0) {
		while (n) {
			size_t part = n > 4000 ? 4000 : (size_t)n;

			fake_record(c, data, part);
			data += part;
			n -= (ssize_t)part;
		}
	}
}

static ssize_t fake_read(nghttp2_session *http, int32_t id, uint8_t *out,
			 size_t cap, uint32_t *flags,
			 nghttp2_data_source *source, void *arg)
{
	struct fake_req *r = source->ptr;
	int n = evbuffer_remove(r->out, out, cap);

	if (r->ended && !evbuffer_get_length(r->out))
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (n <= 0)
		return NGHTTP2_ERR_DEFERRED;
	return n;
}

/* Begins the answer; the body may come in pieces, fake_end() ends it. */
static void fake_status(struct fake_req *r, int status, const char *retry)
{
	char text[8];
	nghttp2_nv nv[] = {
		{(uint8_t *)":status", (uint8_t *)text, 7, 3, 0},
		{(uint8_t *)"retry-after", (uint8_t *)retry, 11,
		 retry ? strlen(retry) : 0, 0},
	};
	nghttp2_data_provider body = {.source.ptr = r,
				      .read_callback = fake_read};

	snprintf(text, sizeof(text), "%d", status);
	r->status = status;
	nghttp2_submit_response(r->conn->http, r->id, nv, retry ? 2 : 1, &body);
}

static void fake_send(struct fake_req *r, const void *data, size_t n)
{
	evbuffer_add(r->out, data, n);
	nghttp2_session_resume_data(r->conn->http, r->id);
	fake_pump(r->conn);
}

static void fake_end(struct fake_req *r)
{
	r->ended = true;
	nghttp2_session_resume_data(r->conn->http, r->id);
	fake_pump(r->conn);
}

static void fake_answer(struct fake_req *r, int status, const char *body)
{
	fake_status(r, status, NULL);
	evbuffer_add(r->out, body, strlen(body));
	fake_end(r);
}

/* One message of a map stream, plain. */
static void fake_map(struct fake_req *r, const char *json)
{
	uint32_t n = (uint32_t)strlen(json);
	uint8_t size[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
			   (uint8_t)(n >> 24)};

	evbuffer_add(r->out, size, 4);
	fake_send(r, json, n);
}

static int fake_on_begin(nghttp2_session *http, const nghttp2_frame *frame,
			 void *arg)
{
	struct fake_conn *c = arg;
	struct fake_req *r = xcalloc(1, sizeof(*r));

	r->conn = c;
	r->id = frame->hd.stream_id;
	r->body = evbuffer_new();
	r->out = evbuffer_new();
	DL_APPEND(c->reqs, r);
	nghttp2_session_set_stream_user_data(http, r->id, r);
	return 0;
}

static int fake_on_header(nghttp2_session *http, const nghttp2_frame *frame,
			  const uint8_t *name, size_t name_len,
			  const uint8_t *value, size_t value_len, uint8_t flags,
			  void *arg)
{
	struct fake_req *r =
		nghttp2_session_get_stream_user_data(http, frame->hd.stream_id);

	if (!strcmp((const char *)name, ":path"))
		snprintf(r->path, sizeof(r->path), "%s", (const char *)value);
	if (!strcmp((const char *)name, ":method"))
		snprintf(r->method, sizeof(r->method), "%s",
			 (const char *)value);
	return 0;
}

static int fake_on_data(nghttp2_session *http, uint8_t flags, int32_t id,
			const uint8_t *data, size_t n, void *arg)
{
	struct fake_req *r = nghttp2_session_get_stream_user_data(http, id);

	return r ? evbuffer_add(r->body, data, n) : 0;
}

static int fake_on_frame(nghttp2_session *http, const nghttp2_frame *frame,
			 void *arg)
{
	struct fake_conn *c = arg;
	struct fake_req *r;

	if ((frame->hd.type != NGHTTP2_HEADERS &&
	     frame->hd.type != NGHTTP2_DATA) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	r = nghttp2_session_get_stream_user_data(http, frame->hd.stream_id);
	if (!r)
		return 0;
	evbuffer_add(r->body, "", 1);
	c->f->handle(c->f->ctx, r);
	return 0;
}

static const char *fake_body(struct fake_req *r)
{
	return (const char *)evbuffer_pullup(r->body, -1);
}

static int fake_on_close(nghttp2_session *http, int32_t id, uint32_t error,
			 void *arg)
{
	struct fake_req *r = nghttp2_session_get_stream_user_data(http, id);
	struct fake_conn *c = arg;

	if (!r)
		return 0;
	DL_DELETE(c->reqs, r);
	evbuffer_free(r->body);
	evbuffer_free(r->out);
	free(r);
	return 0;
}

static void fake_http(struct fake_conn *c)
{
	static const char json[] =
		"{\"nodeKeyChallenge\":\"chalpub:"
		"0000000000000000000000000000000000000000000000000000000000000"
		"000\"}";
	uint8_t header[NOISE_EARLY_HEADER_LEN];
	nghttp2_session_callbacks *cb;

	if (c->f->early) {
		noise_early_header_encode(header, sizeof(json) - 1);
		fake_record(c, header, 5);
		fake_record(c, header + 5, 4);
		fake_record(c, json, sizeof(json) - 1);
	}
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
								fake_on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, fake_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
								  fake_on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, fake_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
							       fake_on_close);
	nghttp2_session_server_new(&c->http, cb, c);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->http, 0, NULL, 0);
	fake_pump(c);
}

/* True if the connection is to be closed. */
static bool fake_upgrade(struct fake_conn *c, const uint8_t *head, size_t n)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	uint8_t init[NOISE_INITIATION_LEN], response[NOISE_RESPONSE_LEN];
	struct key ephemeral;
	char text[256];
	size_t len = 0;

	c->f->upgrades++;
	if (c->f->upgrade_answer) {
		evbuffer_add(out, c->f->upgrade_answer,
			     c->f->upgrade_answer_len);
		return false;
	}
	http_header(head, n, "X-Tailscale-Handshake", text, sizeof(text));
	sodium_base642bin(init, sizeof(init), text, strlen(text), NULL, &len,
			  NULL, sodium_base64_VARIANT_ORIGINAL);
	evbuffer_add_printf(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
				 "tailscale-control-protocol\r\nConnection: "
				 "upgrade\r\n\r\n");
	key_generate(&ephemeral);
	if (len != sizeof(init) ||
	    noise_server_accept(init, &c->f->private_key, &ephemeral, response,
				&c->s, &c->f->client))
		return true; /* as real servers do */
	evbuffer_add(out, response, sizeof(response));
	c->noise = true;
	fake_http(c);
	return false;
}

/* One HTTP/1.1 request; true if the connection is to be closed. */
static bool fake_http1(struct fake_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	char text[KEY_TEXT_MAX];
	uint8_t head[4096];
	size_t n;

	if (end.pos < 0)
		return false;
	n = (size_t)end.pos + 4;
	evbuffer_remove(in, head, n);
	if (!memcmp(head, "POST /ts2021 ", 13))
		return fake_upgrade(c, head, n);
	if (!memcmp(head, "GET /key?v=116 ", 15)) {
		c->f->key_fetches++;
		key_format(text, KEY_MACHINE, &c->f->published);
		evbuffer_add_printf(out,
				    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n"
				    "\r\n{\"publicKey\":\"%s\"}",
				    strlen(text) + 16, text);
	} else if (!memcmp(head, "HEAD /ping?", 11)) {
		c->f->heads++;
		evbuffer_add_printf(out, "HTTP/1.1 200 OK\r\n\r\n");
	}
	return false;
}

static void fake_on_close_after(struct bufferevent *bev, void *arg)
{
	fake_conn_free(arg);
}

static void fake_on_event(struct bufferevent *bev, short what, void *arg)
{
	if (!(what & BEV_EVENT_CONNECTED))
		fake_conn_free(arg);
}

static void fake_on_read(struct bufferevent *bev, void *arg)
{
	struct fake_conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	uint8_t frame[NOISE_FRAME_MAX], plain[NOISE_FRAME_MAX];
	ssize_t n;
	int size;

	if (!c->noise && fake_http1(c)) {
		bufferevent_setcb(bev, NULL, fake_on_close_after, fake_on_event,
				  c);
		return;
	}
	while (c->noise && evbuffer_copyout(in, frame, 3) == 3) {
		size = noise_record_size(frame);
		if (size < 0 || evbuffer_get_length(in) < (size_t)size)
			break;
		evbuffer_remove(in, frame, (size_t)size);
		n = noise_open_record(&c->s, frame, (size_t)size, plain,
				      sizeof(plain));
		if (n < 0 ||
		    nghttp2_session_mem_recv(c->http, plain, (size_t)n) < 0) {
			fake_conn_free(c);
			return;
		}
		fake_pump(c);
	}
}

static void fake_on_accept(struct evconnlistener *l, evutil_socket_t fd,
			   struct sockaddr *sa, int len, void *arg)
{
	struct fake_conn *c = xcalloc(1, sizeof(*c));

	c->f = arg;
	if (c->f->tls)
		c->bev = bufferevent_openssl_socket_new(
			c->f->base, fd, SSL_new(c->f->tls),
			BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	else
		c->bev = bufferevent_socket_new(c->f->base, fd,
						BEV_OPT_CLOSE_ON_FREE);
	DL_APPEND(c->f->conns, c);
	bufferevent_setcb(c->bev, fake_on_read, NULL, fake_on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

/* GOAWAY on every connection. */
static inline void fake_goaway(struct fake *f)
{
	struct fake_conn *c;

	DL_FOREACH(f->conns, c)
	{
		if (!c->http)
			continue;
		nghttp2_submit_goaway(c->http, 0, 0, 0, NULL, 0);
		fake_pump(c);
	}
}

static void fake_drop(struct fake *f)
{
	struct fake_conn *c, *tmp;

	DL_FOREACH_SAFE(f->conns, c, tmp)
	fake_conn_free(c);
}

static void fake_start(struct fake *f, struct event_base *base)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);

	f->base = base;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = evconnlistener_new_bind(
		base, fake_on_accept, f,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
		(struct sockaddr *)&sin, sizeof(sin));
	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&sin,
		    &len);
	f->port = ntohs(sin.sin_port);
	key_generate(&f->private_key);
	key_public(&f->published, &f->private_key);
}

static void fake_stop(struct fake *f)
{
	fake_drop(f);
	evconnlistener_free(f->listener);
}

#endif
