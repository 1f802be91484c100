// SPDX-License-Identifier: GPL-2.0
#include "control/https.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/httphead.h"
#include "lib/util.h"

#define CHUNK_OVERHEAD (8u << 10)
#define RESPONSE_MAX (HTTP_HEAD_MAX + HTTPS_BODY_MAX + CHUNK_OVERHEAD)

struct https {
	char method[8];
	struct url url;
	struct dial *dial;
	struct bufferevent *stream;
	struct event *timer;
	void (*done)(void *ctx, int status, const char *body, size_t len,
		     const char *why);
	void *ctx;
};

ssize_t http_header(const uint8_t *in, size_t head_len, const char *name,
		    char *out, size_t cap)
{
	size_t name_len = strlen(name), len;
	const char *p = (const char *)in, *end = p + head_len, *eol;

	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol)
			break;
		if ((size_t)(eol - p) <= name_len || p[name_len] != ':' ||
		    strncasecmp(p, name, name_len))
			continue;
		p += name_len + 1;
		while (p < eol && (*p == ' ' || *p == '\t'))
			p++;
		len = (size_t)(eol - p);
		while (len && isspace((unsigned char)p[len - 1]))
			len--;
		if (len >= cap)
			return -EMSGSIZE;
		memcpy(out, p, len);
		out[len] = '\0';
		return (ssize_t)len;
	}
	return -ENOENT;
}

/* Joins the chunks at @in in place. */
static ssize_t dechunk(uint8_t *in, size_t n)
{
	size_t pos = 0, out = 0;

	for (;;) {
		uint8_t *eol = memchr(in + pos, '\n', n - pos);
		size_t size = 0, digits = 0;

		if (!eol)
			return n - pos > 64 ? -EBADMSG : -EAGAIN;
		for (; isxdigit(in[pos]); pos++, digits++) {
			int c = tolower(in[pos]);

			if (digits == 6)
				return -EMSGSIZE;
			size = size * 16 +
			       (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		}
		if (!digits || (in[pos] != '\r' && in[pos] != '\n' &&
				in[pos] != ';' && in[pos] != ' '))
			return -EBADMSG;
		pos = (size_t)(eol - in) + 1;
		if (!size) /* trailers do not matter */
			return (ssize_t)out;
		if (out + size > HTTPS_BODY_MAX)
			return -EMSGSIZE;
		if (n - pos < size + 2)
			return -EAGAIN;
		memmove(in + out, in + pos, size);
		out += size;
		pos += size;
		if (in[pos] != '\r' || in[pos + 1] != '\n')
			return -EBADMSG;
		pos += 2;
	}
}

ssize_t http_response(uint8_t *in, size_t n, bool eof, int *status,
		      uint8_t **body)
{
	ssize_t head = http_head_parse(in, n, status);
	char value[32], *end;
	size_t have;
	ssize_t len;

	if (head < 0)
		return head;
	if (!head)
		return eof ? -EBADMSG : -EAGAIN;
	*body = in + head;
	have = n - (size_t)head;
	if (http_header(in, (size_t)head, "Transfer-Encoding", value,
			sizeof(value)) > 0) {
		if (strcasecmp(value, "chunked"))
			return -EBADMSG;
		/* In place: only once, when all of it is there. */
		uint8_t *copy = xmalloc(have);

		memcpy(copy, *body, have);
		len = dechunk(copy, have);
		if (len >= 0)
			memcpy(*body, copy, (size_t)len);
		free(copy);
		return len == -EAGAIN && eof ? -EBADMSG : len;
	}
	if (http_header(in, (size_t)head, "Content-Length", value,
			sizeof(value)) > 0) {
		unsigned long want;

		if (!isdigit((unsigned char)*value))
			return -EBADMSG;
		errno = 0;
		want = strtoul(value, &end, 10);
		if (*end || errno)
			return -EBADMSG;
		if (want > HTTPS_BODY_MAX)
			return -EMSGSIZE;
		if (have >= want)
			return (ssize_t)want;
		return eof ? -EBADMSG : -EAGAIN;
	}
	if (have > HTTPS_BODY_MAX)
		return -EMSGSIZE;
	return eof ? (ssize_t)have : -EAGAIN;
}

void https_cancel(struct https *h)
{
	if (!h)
		return;
	dial_cancel(h->dial);
	if (h->stream)
		bufferevent_free(h->stream);
	event_free(h->timer);
	free(h);
}

static void finish(struct https *h, int status, const char *body, size_t len,
		   const char *why)
{
	void (*done)(void *ctx, int status, const char *body, size_t len,
		     const char *why) = h->done;
	char line[URL_AUTHORITY_MAX + 128], host[URL_AUTHORITY_MAX];
	void *ctx = h->ctx;

	if (!status) {
		snprintf(line, sizeof(line), "%s: %s",
			 url_authority(&h->url, host), why);
		why = line;
	}
	https_cancel(h);
	done(ctx, status, body, len, why);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	finish(arg, 0, NULL, 0, "no answer in time");
}

static void check(struct https *h, bool eof)
{
	struct evbuffer *in = bufferevent_get_input(h->stream);
	_cleanup_free_ uint8_t *copy = NULL;
	size_t n = evbuffer_get_length(in);
	uint8_t *body = NULL;
	int status = 0;
	ssize_t len, head;

	copy = xmalloc(n + 1);
	evbuffer_copyout(in, copy, n);
	head = http_head_parse(copy, n, &status);
	if (head > 0 && !strcmp(h->method, "HEAD")) {
		finish(h, status, "", 0, NULL);
		return;
	}
	len = http_response(copy, n, eof, &status, &body);
	if (len >= 0) {
		body[len] = '\0';
		finish(h, status, (char *)body, (size_t)len, NULL);
	} else if (len == -EMSGSIZE || (len == -EAGAIN && n >= RESPONSE_MAX)) {
		finish(h, 0, NULL, 0, "the answer is too long");
	} else if (len != -EAGAIN) {
		finish(h, 0, NULL, 0,
		       n ? "the answer is not HTTP" : "connection closed");
	}
}

static void on_read(struct bufferevent *stream, void *arg)
{
	check(arg, false);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	struct https *h = arg;

	if (what & BEV_EVENT_EOF)
		check(h, true);
	else
		finish(h, 0, NULL, 0, "connection lost");
}

static void on_dialed(void *ctx, struct bufferevent *stream, const char *why)
{
	char host[URL_AUTHORITY_MAX];
	struct https *h = ctx;

	h->dial = NULL;
	if (!stream) {
		finish(h, 0, NULL, 0, why);
		return;
	}
	h->stream = stream;
	evbuffer_add_printf(bufferevent_get_output(stream),
			    "%s %s HTTP/1.1\r\nHost: %s\r\n"
			    "Connection: close\r\nAccept: */*\r\n\r\n",
			    h->method, h->url.path[0] ? h->url.path : "/",
			    url_authority(&h->url, host));
	bufferevent_setcb(stream, on_read, NULL, on_event, h);
	bufferevent_setwatermark(stream, EV_READ, 0, RESPONSE_MAX);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
}

struct https *https_start(struct event_base *base, struct dialer *dialer,
			  const char *method, const struct url *url,
			  unsigned int timeout_ms,
			  void (*done)(void *ctx, int status, const char *body,
				       size_t len, const char *why),
			  void *ctx)
{
	struct timeval limit = {.tv_sec = timeout_ms / 1000,
				.tv_usec = timeout_ms % 1000 * 1000};
	struct https *h = xcalloc(1, sizeof(*h));

	snprintf(h->method, sizeof(h->method), "%s", method);
	h->url = *url;
	h->done = done;
	h->ctx = ctx;
	h->timer = evtimer_new(base, on_timer, h);
	event_add(h->timer, &limit);
	h->dial = dial_start(dialer, url->host, url_port(url),
			     url->https ? DIAL_TLS : DIAL_PLAIN, timeout_ms,
			     on_dialed, h);
	return h;
}
