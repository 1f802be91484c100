// SPDX-License-Identifier: GPL-2.0
/* A request from its first byte to its answer, wherever it came in. */
#include "coord/conn.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "lib/log.h"

#define BODY_FIRST 1024u
#define TEXT_TYPE "text/plain; charset=utf-8"

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return status < 400 ? "OK" : "Error";
}

struct request *request_new(struct conn *c, enum http_side side,
			    const struct answer_io *io)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->pub.server = c->server;
	r->pub.side = side;
	r->conn = c;
	r->io = io;
	r->since = r->progress = now_ns();
	DL_APPEND(c->requests, r);
	c->n_requests++;
	return r;
}

static void wipe_string(char *s)
{
	if (s)
		sodium_memzero(s, strlen(s));
	free(s);
}

/* The body is complete, or of no use. */
static void body_done(struct http_server *s, struct request *r)
{
	if (!r->body_prev)
		return;
	DL_DELETE2(s->receiving, r, body_prev, body_next);
	r->body_prev = r->body_next = NULL;
}

static void drop_body(struct http_server *s, struct request *r)
{
	body_done(s, r);
	if (!r->body)
		return;
	sodium_memzero(r->body, r->body_len);
	free(r->body);
	s->bodies -= r->body_cap;
	r->body = NULL;
	r->body_len = r->body_cap = 0;
	r->pub.body = NULL;
	r->pub.body_len = 0;
}

void request_free(struct request *r)
{
	size_t i;

	if (r->conn) {
		DL_DELETE(r->conn->requests, r);
		r->conn->n_requests--;
	}
	drop_body(r->pub.server, r);
	free(r->method);
	wipe_string(r->target);
	free(r->host);
	wipe_string(r->authorization);
	wipe_string(r->cookie);
	for (i = 0; i < r->n_extra; i++) {
		free(r->extra[i].name);
		wipe_string(r->extra[i].value);
	}
	if (r->queue)
		evbuffer_free(r->queue);
	free(r);
}

/* Room for @more bytes of bodies; false: it is only ours that could go. */
static bool make_room(struct http_server *s, struct request *r, size_t more)
{
	while (s->bodies + more > s->limits.bodies) {
		struct request *oldest = s->receiving;

		if (!oldest || oldest == r)
			return false;
		conn_log(oldest->conn, "body broken off: too many unfinished");
		oldest->io->cancel(oldest); /* frees it */
	}
	return true;
}

int request_body(struct request *r, const uint8_t *data, size_t n, size_t max)
{
	struct http_server *s = r->pub.server;
	size_t cap = r->body_cap ? r->body_cap : BODY_FIRST;

	if (n > max || r->body_len > max - n)
		return 413;
	while (cap < r->body_len + n + 1)
		cap *= 2;
	if (cap != r->body_cap) {
		uint8_t *grown;

		if (!make_room(s, r, cap - r->body_cap))
			return 503;
		if (!r->body_prev)
			DL_APPEND2(s->receiving, r, body_prev, body_next);
		grown = xmalloc(cap);
		if (r->body) {
			memcpy(grown, r->body, r->body_len);
			sodium_memzero(r->body, r->body_len);
			free(r->body);
		}
		s->bodies += cap - r->body_cap;
		r->body = grown;
		r->body_cap = cap;
	}
	memcpy(r->body + r->body_len, data, n);
	r->body_len += n;
	r->body[r->body_len] = '\0';
	return 0;
}

static bool covers(const struct http_route *route, const char *path)
{
	size_t n = strlen(route->path);

	if (route->path[n - 1] == '/')
		return !strncmp(route->path, path, n);
	return !strcmp(route->path, path);
}

/* The longest path that covers; of those, the one with the method. */
static const struct http_route *find(const struct request *r, bool *known)
{
	const struct http_server *s = r->pub.server;
	const char *method = r->bare ? "GET" : r->method;
	const struct http_route *best = NULL;
	size_t i, longest = 0;

	*known = false;
	for (i = 0; i <= s->n_routes; i++) {
		const struct http_route *route =
			i < s->n_routes ? &s->routes[i] : &http_key_route;
		size_t n = strlen(route->path);

		if (!(route->sides & (int)r->pub.side) || n < longest ||
		    !covers(route, r->pub.path))
			continue;
		if (n > longest)
			best = NULL;
		longest = n;
		*known = true;
		if (!strcmp(route->method, method))
			best = route;
	}
	return best;
}

/* The public view of what has arrived. */
static void publish(struct request *r)
{
	struct http_request *p = &r->pub;
	char *query = strchr(r->target, '?');

	if (query)
		*query++ = '\0';
	p->method = r->method;
	p->path = r->target;
	p->rest = "";
	p->query = query ? query : "";
	p->host = r->host ? r->host : "";
	p->authorization = r->authorization ? r->authorization : "";
	p->cookie = r->cookie ? r->cookie : "";
	p->body = r->body ? r->body : (const uint8_t *)"";
	p->body_len = r->body_len;
	p->remote = r->conn->remote;
	p->tls = r->conn->tls;
}

void request_dispatch(struct request *r)
{
	struct http_server *s = r->pub.server;
	const struct http_route *route;
	uint8_t *body = r->body;
	size_t len = r->body_len, cap = r->body_cap;
	bool known;

	r->dispatched = true;
	body_done(s, r);
	r->bare = !strcmp(r->method, "HEAD");
	publish(r);
	s->requests[r->pub.side == HTTP_NOISE]++;
	if (r->refuse) {
		http_reply_text(&r->pub, r->refuse, "%s",
				http_reason(r->refuse));
		return;
	}
	route = find(r, &known);
	if (!route) {
		http_reply_text(&r->pub, known ? 405 : 404, "%s",
				known ? "method not allowed" : "not found");
		return;
	}
	if (route->path[strlen(route->path) - 1] == '/')
		r->pub.rest = r->pub.path + strlen(route->path);
	/* The handler may free @r: the body is ours meanwhile. */
	r->body = NULL;
	r->body_len = r->body_cap = 0;
	route->handler(s->ctx, &r->pub);
	if (body) {
		sodium_memzero(body, len);
		free(body);
		s->bodies -= cap;
	}
}

int http_header_add(struct http_request *p, const char *name, const char *value)
{
	struct request *r = (struct request *)p;
	const char *c;

	for (c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-')
			return -EINVAL;
	for (c = value; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return -EINVAL;
	if (r->n_extra == EXTRA_HEADERS_MAX)
		return -ENOSPC;
	r->extra[r->n_extra].name = xstrdup(name);
	r->extra[r->n_extra++].value = xstrdup(value);
	return 0;
}

static void begin(struct request *r, int status, const char *type, ssize_t len)
{
	struct http_server *s = r->pub.server;

	if ((size_t)status / 100 < ARRAY_SIZE(s->answers))
		s->answers[status / 100]++;
	r->started = true;
	if (!r->conn->closing)
		r->io->head(r, status, type ? type : TEXT_TYPE, len, r->bare);
}

/* No word to the owner any more; the transport frees it when it is sent. */
static void finish(struct request *r)
{
	r->ended = true;
	r->pub.ops = NULL;
	if (!r->conn->closing)
		r->io->end(r);
}

void http_reply(struct http_request *p, int status, const char *type,
		const void *body, size_t len)
{
	struct request *r = (struct request *)p;

	begin(r, status, type, (ssize_t)len);
	if (len && !r->bare && !r->conn->closing)
		r->io->write(r, body, len);
	finish(r);
}

void http_log(struct http_request *p, int status, const char *why)
{
	struct request *r = (struct request *)p;

	conn_log(r->conn, "%s %s: %d, %s", p->method, p->path, status, why);
}

void http_reply_text(struct http_request *r, int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (status >= 400)
		http_log(r, status, text);
	n = strlen(text);
	text[n++] = '\n';
	http_reply(r, status, NULL, text, n);
}

void http_start(struct http_request *p, int status, const char *type)
{
	begin((struct request *)p, status, type, -1);
}

int http_write(struct http_request *p, const void *data, size_t n)
{
	struct request *r = (struct request *)p;
	size_t queued;

	if (r->conn->closing || r->bare)
		return 0;
	queued = r->io->queued(r);
	if (queued && queued + n > p->server->limits.backlog)
		return -ENOBUFS;
	if (!queued)
		r->progress = now_ns();
	r->io->write(r, data, n);
	return 0;
}

size_t http_queued(const struct http_request *p)
{
	const struct request *r = (const struct request *)p;

	return r->conn->closing ? 0 : r->io->queued(r);
}

void http_end(struct http_request *p)
{
	finish((struct request *)p);
}

void http_cancel(struct http_request *p)
{
	struct request *r = (struct request *)p;

	r->pub.ops = NULL;
	if (r->conn->closing)
		r->ended = true; /* the reaper has it */
	else
		r->io->cancel(r);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* NULL for what is no encoding, or hides a NUL. */
static char *decode(const char *p, const char *end)
{
	char *out = xmalloc((size_t)(end - p) + 1), *o = out;

	for (; p < end; p++) {
		int c = (unsigned char)*p;

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (end - p < 3 || hex(p[1]) < 0 || hex(p[2]) < 0)
				c = 0;
			else
				c = hex(p[1]) * 16 + hex(p[2]);
			p += 2;
		}
		if (!c) {
			free(out);
			return NULL;
		}
		*o++ = (char)c;
	}
	*o = '\0';
	return out;
}

char *http_param(const char *query, const char *name)
{
	size_t n = strlen(name);
	const char *p = query, *end;

	for (; *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, '&');
		if ((size_t)(end - p) > n && p[n] == '=' &&
		    !strncmp(p, name, n))
			return decode(p + n + 1, end);
	}
	return NULL;
}
