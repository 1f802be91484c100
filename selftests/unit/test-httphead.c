// SPDX-License-Identifier: GPL-2.0
#include "lib/httphead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* Runs the parser on an exact-size copy, so that ASan sees an overrun. */
static ssize_t parse(const void *in, size_t n, int *status)
{
	uint8_t *copy = malloc(n ? n : 1);
	ssize_t ret;

	memcpy(copy, in, n);
	ret = http_head_parse(copy, n, status);
	free(copy);
	return ret;
}

static ssize_t parse_text(const char *in, int *status)
{
	return parse(in, strlen(in), status);
}

int main(void)
{
	static const char reply[] = "HTTP/1.1 101 Switching Protocols\r\n"
				    "Upgrade: DERP\r\n\r\n";
	static const char after[] = "HTTP/1.1 200 OK\r\n\r\n\0\0\1";
	static uint8_t big[HTTP_HEAD_MAX + 10];
	bool all = true;
	int status = 0;
	size_t i;

	tap_ok(parse_text(reply, &status) == sizeof(reply) - 1 && status == 101,
	       "a complete head");
	for (i = 0; i < sizeof(reply) - 1; i++)
		all = all && parse(reply, i, &status) == 0;
	tap_ok(all, "every truncation asks for more");
	tap_ok(parse(after, sizeof(after) - 1, &status) ==
			       (ssize_t)sizeof(after) - 4 &&
		       status == 200,
	       "bytes after the head are not part of it");
	tap_ok(parse_text("HTTP/1.0 407\r\n\r\n", &status) == 16 &&
		       status == 407,
	       "no reason phrase");
	tap_ok(parse_text("HTTP/2 200 OK\r\n\r\n", &status) == -EBADMSG &&
		       parse_text("\x15\x03\x03", &status) == -EBADMSG &&
		       parse_text("HTTP/1.1 20x OK\r\n\r\n", &status) ==
			       -EBADMSG &&
		       parse_text("HTTP/1.1 2000 OK\r\n", &status) == -EBADMSG,
	       "what is no HTTP/1 head");
	tap_ok(parse("HTTP/1.1 200 \0\r\n\r\n", 18, &status) == -EBADMSG,
	       "a zero byte inside the head");
	memset(big, 'a', sizeof(big));
	memcpy(big, "HTTP/1.1 200 ", 13);
	tap_ok(parse(big, HTTP_HEAD_MAX - 1, &status) == 0 &&
		       parse(big, sizeof(big), &status) == -EMSGSIZE,
	       "the size limit");
	return tap_done();
}
