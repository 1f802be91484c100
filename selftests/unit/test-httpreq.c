// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/httpreq.h"
#include "lib/util.h"
#include "tap.h"

static const char upgrade[] = "POST /ts2021 HTTP/1.1\r\n"
			      "Host: control.example.com\r\n"
			      "upgrade: tailscale-control-protocol\r\n"
			      "Connection: keep-alive, Upgrade\r\n"
			      "X-Tailscale-Handshake:  AHEBAGDl \t\r\n"
			      "Content-Length: 0\r\n\r\n";

static void test_whole(void)
{
	const struct http_slice *v;
	struct http_req r;
	const char *why;
	ssize_t n;
	char *text;

	n = http_req_parse(upgrade, sizeof(upgrade) - 1 + 0, &r, &why);
	tap_ok(n == sizeof(upgrade) - 1, "a whole head is taken");
	tap_ok(http_slice_is(&r.method, "POST") &&
		       http_slice_is(&r.target, "/ts2021"),
	       "method and target");
	tap_ok(r.upgrade && r.keep_alive && !r.http10 && !r.content_length,
	       "connection, version and length");
	v = http_req_header(&r, "x-tailscale-handshake");
	text = v ? http_slice_dup(v) : NULL;
	tap_ok(text && !strcmp(text, "AHEBAGDl"),
	       "a header's value has no blanks around it");
	free(text);
	tap_ok(!http_req_header(&r, "X-Tailscale"), "an absent header");
}

/* In an exactly sized buffer, for the sanitizer. */
static ssize_t parse(const char *in, size_t n, struct http_req *r)
{
	char *copy = xmalloc(n + !n);
	const char *why;
	ssize_t ret;

	memcpy(copy, in, n);
	ret = http_req_parse(copy, n, r, &why);
	if ((ret < 0) != !!why)
		ret = -EDOM;
	free(copy);
	return ret;
}

static void test_truncated(void)
{
	struct http_req r;
	size_t n;

	for (n = 0; n < sizeof(upgrade) - 1; n++)
		if (parse(upgrade, n, &r))
			break;
	tap_ok(n == sizeof(upgrade) - 1, "cut at every byte it waits for more");
}

static void test_refused(void)
{
	static const struct {
		const char *what, *head;
		int err;
	} cases[] = {
		{ "no request line", "\r\n\r\n", -EBADMSG },
		{ "a response", "HTTP/1.1 200 OK\r\n\r\n", -EBADMSG },
		{ "HTTP/0.9", "GET /\r\n\r\n", -EBADMSG },
		{ "HTTP/2", "PRI * HTTP/2.0\r\n\r\n", -EBADMSG },
		{ "HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", -EBADMSG },
		{ "two blanks", "GET  / HTTP/1.1\r\n\r\n", -EBADMSG },
		{ "a blank in the target", "GET /a b HTTP/1.1\r\n\r\n",
		  -EBADMSG },
		{ "a target beyond ASCII", "GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
		  -EBADMSG },
		{ "LF without CR", "GET / HTTP/1.1\nHost: a\n\n", -EBADMSG },
		{ "CR without LF", "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
		  -EBADMSG },
		{ "a folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
		  -EBADMSG },
		{ "a blank before the colon",
		  "GET / HTTP/1.1\r\nA : b\r\n\r\n", -EBADMSG },
		{ "no colon", "GET / HTTP/1.1\r\nAb\r\n\r\n", -EBADMSG },
		{ "no name", "GET / HTTP/1.1\r\n: b\r\n\r\n", -EBADMSG },
		{ "a control character",
		  "GET / HTTP/1.1\r\nA: b\x01\r\n\r\n", -EBADMSG },
		{ "a chunked body",
		  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  -ENOTSUP },
		{ "two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\n"
				 "content-length: 1\r\n\r\n", -EBADMSG },
		{ "two hosts", "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		  -EBADMSG },
		{ "a signed length",
		  "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", -EBADMSG },
		{ "an empty length",
		  "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", -EBADMSG },
		{ "an endless length",
		  "POST / HTTP/1.1\r\n"
		  "Content-Length: 99999999999999999999\r\n\r\n", -EBADMSG },
	};
	struct http_req r;
	char many[4096];
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		tap_ok(parse(cases[i].head, strlen(cases[i].head), &r) ==
			       cases[i].err,
		       "refused: %s", cases[i].what);
	tap_ok(parse("GET \0/ HTTP/1.1", 15, &r) == -EBADMSG,
	       "refused: a zero byte, at once");

	len = (size_t)sprintf(many, "GET / HTTP/1.0\r\n");
	for (i = 0; i < HTTPREQ_HEADERS_MAX; i++)
		len += (size_t)sprintf(many + len, "A%zu: b\r\n", i);
	sprintf(many + len, "\r\n");
	tap_ok(parse(many, len + 2, &r) == (ssize_t)len + 2 &&
		       r.n_headers == HTTPREQ_HEADERS_MAX && !r.keep_alive,
	       "as many headers as there may be, and HTTP/1.0 closes");
	len += (size_t)sprintf(many + len, "A: b\r\n\r\n");
	tap_ok(parse(many, len, &r) == -E2BIG, "refused: one more");
}

static void test_tokens(void)
{
	struct http_slice s = { "a, b ,,Close", 12 };

	tap_ok(http_slice_has_token(&s, "close") &&
		       http_slice_has_token(&s, "B") &&
		       !http_slice_has_token(&s, "clos") &&
		       !http_slice_has_token(&s, "c"),
	       "tokens of a list");
}

int main(void)
{
	test_whole();
	test_truncated();
	test_refused();
	test_tokens();
	return tap_done();
}
