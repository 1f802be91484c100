/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_PAGE_H
#define COORD_PAGE_H

/*
 * Pages for browsers: without scripts, never kept, never framed. Whatever came
 * from outside goes through page_escape().
 */
struct http_request;
struct text;

/* Answers @r with a page; @body is HTML, @title text. */
void page_reply(struct http_request *r, int status, const char *title,
		const char *body);
void page_escape(struct text *t, const char *s);
/* A login that came to nothing: why, as text, for the person and for the log. */
void page_sorry(struct http_request *r, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
