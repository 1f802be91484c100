// SPDX-License-Identifier: GPL-2.0
/* HTTP/1.1 on a connection: requests one after the other, and the upgrade. */
#include "coord/conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "lib/httpreq.h"
#include "proto/noise.h"

#define PROTOCOL "tailscale-control-protocol"

static struct evbuffer *output(struct conn *c)
{
	return bufferevent_get_output(c->bev);
}

static void http1_head(struct request *r, int status, const char *type,
		       ssize_t body_len, bool bare)
{
	struct evbuffer *out = output(r->conn);
	size_t i;

	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", status,
			    http_reason(status));
	if (body_len < 0 && r->chunked)
		evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
	else if (body_len < 0)
		r->keep_alive = false; /* its end is the connection's */
	else if (status != 204)
		evbuffer_add_printf(out, "Content-Length: %zd\r\n", body_len);
	if (body_len)
		evbuffer_add_printf(out, "Content-Type: %s\r\n", type);
	for (i = 0; i < r->n_extra; i++)
		evbuffer_add_printf(out, "%s: %s\r\n", r->extra[i].name,
				    r->extra[i].value);
	evbuffer_add_printf(out, "%s\r\n",
			    r->keep_alive ? "" : "Connection: close\r\n");
	if (body_len >= 0)
		r->chunked = false;
}

static void http1_write(struct request *r, const void *data, size_t n)
{
	struct evbuffer *out = output(r->conn);

	if (!n) /* an empty chunk would be the end */
		return;
	if (r->chunked)
		evbuffer_add_printf(out, "%zx\r\n", n);
	evbuffer_add(out, data, n);
	if (r->chunked)
		evbuffer_add(out, "\r\n", 2);
}

static size_t http1_queued(const struct request *r)
{
	return evbuffer_get_length(output(r->conn));
}

static void http1_end(struct request *r)
{
	struct conn *c = r->conn;
	bool keep_alive = r->keep_alive;

	if (r->chunked && !r->bare)
		evbuffer_add(output(c), "0\r\n\r\n", 5);
	request_free(r);
	if (!keep_alive) {
		conn_finish(c, DROP_END);
		return;
	}
	c->deadline = now_ns() + c->server->limits.idle_ms * MS_NS;
	if (!c->reading && evbuffer_get_length(bufferevent_get_input(c->bev)))
		bufferevent_trigger(c->bev, EV_READ,
				    BEV_TRIG_DEFER_CALLBACKS);
}

static void http1_cancel(struct request *r)
{
	struct conn *c = r->conn;

	request_free(r);
	conn_close(c, DROP_END, NULL);
}

const struct answer_io http1_io = {
	.head = http1_head,
	.write = http1_write,
	.queued = http1_queued,
	.end = http1_end,
	.cancel = http1_cancel,
};

void http1_drained(struct conn *c)
{
	struct request *r = c->requests;

	if (r && r->started && r->pub.ops && r->pub.ops->drained)
		r->pub.ops->drained(&r->pub);
}

/* An answer to bytes that are no request; nothing after it makes sense. */
static void refuse(struct conn *c, int status, const char *why)
{
	conn_log(c, "malformed HTTP request: %s", why);
	evbuffer_add_printf(output(c),
			    "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
			    "Content-Length: %zu\r\nConnection: close\r\n\r\n"
			    "%s\n",
			    status, http_reason(status), strlen(why) + 1, why);
	conn_finish(c, DROP_HTTP1);
}

/* POST /ts2021 (spec/control.md 3.3). */
static void upgrade(struct conn *c, const struct http_req *head)
{
	const struct http_slice *to = http_req_header(head, "Upgrade");
	const struct http_slice *text =
		http_req_header(head, "X-Tailscale-Handshake");
	uint8_t in[NOISE_INITIATION_LEN];
	size_t n = 0;
	int err;

	if (!http_slice_is(&head->method, "POST")) {
		refuse(c, 405, "ts2021 takes POST");
	} else if (!to || !http_slice_is_nocase(to, PROTOCOL)) {
		refuse(c, 400, "ts2021 without Upgrade: " PROTOCOL);
	} else if (!text) {
		refuse(c, 400, "ts2021 without X-Tailscale-Handshake");
	} else if (sodium_base642bin(in, sizeof(in), text->p, text->n, NULL, &n,
				     NULL, sodium_base64_VARIANT_ORIGINAL) ||
		   n != sizeof(in)) {
		refuse(c, 400, "X-Tailscale-Handshake is no initiation");
	} else {
		evbuffer_add_printf(output(c),
				    "HTTP/1.1 101 Switching Protocols\r\n"
				    "Upgrade: " PROTOCOL "\r\n"
				    "Connection: upgrade\r\n\r\n");
		err = channel_start(c, in);
		if (err) {
			conn_log(c, "Noise handshake refused: %s",
				 err == -EPROTONOSUPPORT ?
					 "the client's version is too old" :
				 err == -EPROTO ? "no initiation" :
						  "wrong server key or forged");
			conn_finish(c, DROP_NOISE);
		}
	}
}

static char *dup_header(const struct http_req *head, const char *name)
{
	const struct http_slice *v = http_req_header(head, name);

	return v ? http_slice_dup(v) : NULL;
}

static bool is_path(const struct http_req *head, const char *path)
{
	size_t n = strlen(path);

	return head->target.n >= n && !memcmp(head->target.p, path, n) &&
	       (head->target.n == n || head->target.p[n] == '?');
}

static void begin(struct conn *c, const struct http_req *head)
{
	const struct http_slice *expect = http_req_header(head, "Expect");
	struct http_server *s = c->server;
	struct request *r;

	if (head->target.p[0] != '/') {
		refuse(c, 400, "the target is no path");
		return;
	}
	if (c->side == HTTP_PUBLIC && is_path(head, "/ts2021")) {
		upgrade(c, head);
		return;
	}
	if (head->content_length > s->limits.http1_body) {
		refuse(c, 413, "the body is too long");
		return;
	}
	r = request_new(c, c->side, &http1_io);
	r->method = http_slice_dup(&head->method);
	r->target = http_slice_dup(&head->target);
	r->host = dup_header(head, "Host");
	r->authorization = dup_header(head, "Authorization");
	r->cookie = dup_header(head, "Cookie");
	r->keep_alive = head->keep_alive && !s->draining;
	r->chunked = !head->http10;
	r->body_want = (size_t)head->content_length;
	c->deadline = r->body_want ?
			      now_ns() + s->limits.request_ms * MS_NS : 0;
	if (r->body_want && expect &&
	    http_slice_is_nocase(expect, "100-continue"))
		evbuffer_add_printf(output(c), "HTTP/1.1 100 Continue\r\n\r\n");
}

/* True if a head was taken. */
static bool read_head(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t n = evbuffer_get_length(in), max = c->server->limits.head;
	struct http_req head;
	const char *why;
	ssize_t len;

	if (!n || n == c->scanned)
		return false;
	len = http_req_parse((char *)evbuffer_pullup(in, -1), n, &head, &why);
	c->scanned = n;
	if (len == -ENOTSUP)
		refuse(c, 411, "a body needs a Content-Length");
	else if (len == -E2BIG || (!len && n >= max) ||
		 (len > 0 && (size_t)len > max))
		refuse(c, 431, "the header is too long");
	else if (len < 0)
		refuse(c, 400, why);
	else if (len)
		begin(c, &head);
	if (len <= 0)
		return false;
	c->scanned = 0;
	evbuffer_drain(in, (size_t)len);
	return true;
}

/* True if the body is complete. */
static bool read_body(struct conn *c, struct request *r)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	uint8_t buf[4096];

	while (r->body_want) {
		size_t n = r->body_want < sizeof(buf) ? r->body_want :
							sizeof(buf);
		int got = evbuffer_remove(in, buf, n);

		if (got <= 0)
			return false;
		r->body_want -= (size_t)got;
		r->refuse = request_body(r, buf, (size_t)got,
					 c->server->limits.http1_body);
		sodium_memzero(buf, (size_t)got);
		if (r->refuse) {
			r->keep_alive = false; /* the rest is not read */
			return true;
		}
	}
	return true;
}

void http1_read(struct conn *c)
{
	c->reading = true;
	while (c->state == CONN_HTTP1 && !c->closing && !c->last) {
		struct request *r = c->requests;

		if (!r) {
			if (!read_head(c))
				break;
			continue;
		}
		if (r->dispatched || !read_body(c, r))
			break;
		c->deadline = 0; /* the time is ours now */
		request_dispatch(r);
	}
	c->reading = false;
	/* What followed the upgrade in the same read. */
	if (c->state == CONN_CHANNEL && !c->closing && !c->last)
		channel_read(c);
}
