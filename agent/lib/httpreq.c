// SPDX-License-Identifier: GPL-2.0
#include "lib/httpreq.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"

/* RFC 9110 5.6.2. */
static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool http_slice_is(const struct http_slice *s, const char *text)
{
	return s->n == strlen(text) && !memcmp(s->p, text, s->n);
}

bool http_slice_is_nocase(const struct http_slice *s, const char *text)
{
	return s->n == strlen(text) && !strncasecmp(s->p, text, s->n);
}

char *http_slice_dup(const struct http_slice *s)
{
	char *out = xmalloc(s->n + 1);

	memcpy(out, s->p, s->n);
	out[s->n] = '\0';
	return out;
}

static struct http_slice trim(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	while (end > p && is_blank(end[-1]))
		end--;
	return (struct http_slice){ p, (size_t)(end - p) };
}

bool http_slice_has_token(const struct http_slice *list, const char *token)
{
	const char *p = list->p, *end = p + list->n;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		struct http_slice part = trim(p, comma ? comma : end);

		if (http_slice_is_nocase(&part, token))
			return true;
		if (!comma)
			break;
		p = comma + 1;
	}
	return false;
}

const struct http_slice *http_req_header(const struct http_req *r,
					 const char *name)
{
	size_t i;

	for (i = 0; i < r->n_headers; i++)
		if (http_slice_is_nocase(&r->headers[i].name, name))
			return &r->headers[i].value;
	return NULL;
}

/* "POST /path HTTP/1.1", without its end. */
static const char *request_line(const char *p, const char *end,
				struct http_req *out)
{
	const char *start = p;

	while (p < end && is_token(*p))
		p++;
	out->method = (struct http_slice){ start, (size_t)(p - start) };
	if (!out->method.n || p == end || *p != ' ')
		return "no method";
	start = ++p;
	while (p < end && *p > ' ' && *p < 0x7f)
		p++;
	out->target = (struct http_slice){ start, (size_t)(p - start) };
	if (!out->target.n || p == end || *p != ' ')
		return "no target";
	p++;
	if (end - p != 8 || memcmp(p, "HTTP/1.", 7) ||
	    (p[7] != '0' && p[7] != '1'))
		return "not HTTP/1";
	out->http10 = p[7] == '0';
	return NULL;
}

static const char *header_line(const char *p, const char *end,
			       struct http_slice *name,
			       struct http_slice *value)
{
	const char *start = p, *c;

	while (p < end && is_token(*p))
		p++;
	*name = (struct http_slice){ start, (size_t)(p - start) };
	if (!name->n || p == end || *p != ':')
		return "malformed header line";
	*value = trim(p + 1, end);
	for (c = value->p; c < value->p + value->n; c++)
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return "control character in a header";
	return NULL;
}

static const char *content_length(const struct http_slice *v, uint64_t *out)
{
	size_t i;

	if (!v->n || v->n > 18)
		return "malformed Content-Length";
	*out = 0;
	for (i = 0; i < v->n; i++) {
		if (v->p[i] < '0' || v->p[i] > '9')
			return "malformed Content-Length";
		*out = *out * 10 + (uint64_t)(v->p[i] - '0');
	}
	return NULL;
}

/* What decides the framing. */
static int framing(struct http_req *out, const char **why)
{
	size_t i, lengths = 0, hosts = 0;

	out->keep_alive = !out->http10;
	for (i = 0; i < out->n_headers; i++) {
		const struct http_slice *name = &out->headers[i].name;
		const struct http_slice *value = &out->headers[i].value;

		if (http_slice_is_nocase(name, "Connection")) {
			if (http_slice_has_token(value, "close"))
				out->keep_alive = false;
			if (http_slice_has_token(value, "upgrade"))
				out->upgrade = true;
		} else if (http_slice_is_nocase(name, "Transfer-Encoding")) {
			*why = "Transfer-Encoding";
			return -ENOTSUP;
		} else if (http_slice_is_nocase(name, "Host")) {
			hosts++;
		} else if (http_slice_is_nocase(name, "Content-Length")) {
			lengths++;
			*why = content_length(value, &out->content_length);
			if (*why)
				return -EBADMSG;
		}
	}
	if (lengths > 1 || hosts > 1) {
		*why = "two Content-Length or Host headers";
		return -EBADMSG;
	}
	return 0;
}

ssize_t http_req_parse(const char *in, size_t n, struct http_req *out,
		       const char **why)
{
	const char *p = in, *end = in + n, *eol;
	int err;

	*why = NULL;
	memset(out, 0, offsetof(struct http_req, headers));
	out->n_headers = 0;
	for (;; p = eol + 1) {
		struct http_slice name, value;
		const char *stop;

		eol = memchr(p, '\n', (size_t)(end - p));
		/* A line ends in CRLF; its CR may be the last byte so far. */
		stop = memchr(p, '\r', (size_t)((eol ? eol : end) - p));
		if (stop && stop + 1 != (eol ? eol : end)) {
			*why = "CR inside of a line";
			return -EBADMSG;
		}
		if (memchr(p, '\0', (size_t)((eol ? eol : end) - p))) {
			*why = "a zero byte";
			return -EBADMSG;
		}
		if (!eol)
			return 0;
		if (!stop) {
			*why = "LF without CR";
			return -EBADMSG;
		}
		if (p == in) {
			*why = request_line(p, stop, out);
			if (*why)
				return -EBADMSG;
			continue;
		}
		if (p == stop)
			break;
		*why = header_line(p, stop, &name, &value);
		if (*why)
			return -EBADMSG;
		if (out->n_headers == HTTPREQ_HEADERS_MAX) {
			*why = "too many headers";
			return -E2BIG;
		}
		out->headers[out->n_headers].name = name;
		out->headers[out->n_headers++].value = value;
	}
	err = framing(out, why);
	return err ? err : eol + 1 - in;
}
