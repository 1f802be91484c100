/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_HTTPREQ_H
#define LIB_HTTPREQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The head of an HTTP/1.x request (RFC 9112), for servers. Strict, because
 * leniency is what smuggling lives on: no folded lines, no bare CR or LF, no
 * two lengths, no blank before a colon. Sans-IO: slices of the caller's bytes.
 */
#define HTTPREQ_HEADERS_MAX 64

struct http_slice {
	const char *p;
	size_t n;
};

struct http_req {
	struct http_slice method, target; /* the target as sent */
	bool http10;
	bool keep_alive; /* by version and Connection */
	bool upgrade; /* Connection names it */
	uint64_t content_length; /* 0 if absent */
	struct {
		struct http_slice name, value; /* without blanks around */
	} headers[HTTPREQ_HEADERS_MAX];
	size_t n_headers;
};

/*
 * The head's length with its empty line; 0 when more bytes are needed (the
 * caller has a limit of its own); -EBADMSG if it is malformed or has two
 * lengths; -E2BIG over HTTPREQ_HEADERS_MAX; -ENOTSUP with a Transfer-Encoding
 * (answer 411). @why names the error in a few words. Malformed bytes may show
 * before the head is complete.
 */
ssize_t http_req_parse(const char *in, size_t n, struct http_req *out,
		       const char **why);

/* The first header of that name, case does not matter; NULL if absent. */
const struct http_slice *http_req_header(const struct http_req *r,
					 const char *name);

bool http_slice_is(const struct http_slice *s, const char *text);
bool http_slice_is_nocase(const struct http_slice *s, const char *text);
/* Is @token in the comma-separated list? Case does not matter. */
bool http_slice_has_token(const struct http_slice *list, const char *token);
/* A malloced string. */
char *http_slice_dup(const struct http_slice *s);

#endif
