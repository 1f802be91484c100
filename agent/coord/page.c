// SPDX-License-Identifier: GPL-2.0
#include "coord/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coord/http.h"
#include "coord/text.h"

void page_escape(struct text *t, const char *s)
{
	for (; *s; s++) {
		if (strchr("<>&\"'", *s) || (unsigned char)*s < ' ')
			text_printf(t, "&#%d;", (unsigned char)*s);
		else
			text_add(t, s, 1);
	}
}

void page_reply(struct http_request *r, int status, const char *title,
		const char *body)
{
	struct text t = { 0 };

	text_puts(&t, "<!doctype html><meta charset=utf-8><title>tailrace"
		      "</title><body style=\"font-family:sans-serif;margin:4em"
		      "\"><h1>");
	page_escape(&t, title);
	text_printf(&t, "</h1>%s</body>\n", body);
	http_header_add(r, "Cache-Control", "no-store");
	http_header_add(r, "Referrer-Policy", "no-referrer");
	http_header_add(r, "Content-Security-Policy",
			"default-src 'none'; style-src 'unsafe-inline'; "
			"form-action 'self'; frame-ancestors 'none'");
	http_reply(r, status, "text/html; charset=utf-8", t.s, t.len);
	text_clear(&t);
}

void page_sorry(struct http_request *r, int status, const char *fmt, ...)
{
	struct text t = { 0 };
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	http_log(r, status, line);
	text_puts(&t, "<p>");
	page_escape(&t, line);
	page_reply(r, status, "This login did not work", t.s);
	text_clear(&t);
}
