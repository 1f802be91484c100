// SPDX-License-Identifier: GPL-2.0
/*
 * A request head of a stranger. What is accepted is made of the input's own
 * bytes, and no shorter input is accepted as well.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/httpreq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const struct http_slice *s, const char *in, size_t n)
{
	if (s->p < in || s->n > n || s->p + s->n > in + n ||
	    memchr(s->p, '\n', s->n) || memchr(s->p, '\r', s->n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *)data, *why;
	struct http_req r, again;
	ssize_t n = http_req_parse(in, size, &r, &why);
	size_t i;

	if ((n < 0) != !!why)
		abort();
	if (n <= 0)
		return 0;
	if ((size_t)n > size || memcmp(in + n - 4, "\r\n\r\n", 4))
		abort();
	inside(&r.method, in, (size_t)n);
	inside(&r.target, in, (size_t)n);
	for (i = 0; i < r.n_headers; i++) {
		inside(&r.headers[i].name, in, (size_t)n);
		inside(&r.headers[i].value, in, (size_t)n);
	}
	if (http_req_parse(in, (size_t)n - 1, &again, &why) ||
	    http_req_parse(in, (size_t)n, &again, &why) != n)
		abort();
	return 0;
}
