// SPDX-License-Identifier: GPL-2.0
#include "control/c2n.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/https.h"
#include "lib/util.h"

static uint8_t *respond(const char *status, const uint8_t *body, size_t n,
			size_t *len)
{
	char head[160];
	uint8_t *out;
	int h;

	h = snprintf(head, sizeof(head),
		     "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
		     "Content-Length: %zu\r\n\r\n",
		     status, n);
	out = xmalloc((size_t)h + n);
	memcpy(out, head, (size_t)h);
	memcpy(out + h, body, n);
	*len = (size_t)h + n;
	return out;
}

/* "METHOD path[?query] HTTP/1.x": finds the path. */
static bool request_line(const char *line, const char **path, size_t *n)
{
	const char *p = line;

	while (isupper((unsigned char)*p))
		p++;
	if (p == line || *p++ != ' ' || *p != '/')
		return false;
	*path = p;
	*n = strcspn(p, " ?\r\n");
	p += strcspn(p, " \r\n");
	return !strncmp(p, " HTTP/1.", 8);
}

uint8_t *c2n_answer(const uint8_t *in, size_t n, size_t *len)
{
	static const char unknown[] = "unknown c2n path\n";
	const uint8_t *end = memmem(in, n, "\r\n\r\n", 4);
	_cleanup_free_ char *line = NULL;
	const uint8_t *body;
	char value[16];
	size_t body_len, want, path_len;
	const char *path;

	if (!end || memchr(in, '\0', (size_t)(end - in)))
		return NULL;
	line = xmalloc((size_t)(end - in) + 1);
	memcpy(line, in, (size_t)(end - in));
	line[end - in] = '\0';
	if (!request_line(line, &path, &path_len))
		return NULL;
	body = end + 4;
	body_len = n - (size_t)(body - in);
	if (http_header(in, (size_t)(body - in), "Content-Length", value,
			sizeof(value)) > 0) {
		want = strtoul(value, NULL, 10);
		body_len = want < body_len ? want : body_len;
	}
	if (path_len == 5 && !memcmp(path, "/echo", 5))
		return respond("200 OK", body, body_len, len);
	return respond("400 Bad Request", (const uint8_t *)unknown,
		       sizeof(unknown) - 1, len);
}
