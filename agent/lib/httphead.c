// SPDX-License-Identifier: GPL-2.0
#include "lib/httphead.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN" and then a space or the end of the line. */
static int status_line(const uint8_t *in, size_t n, int *status)
{
	static const char start[] = "HTTP/1.";
	size_t have = n < sizeof(start) - 1 ? n : sizeof(start) - 1;

	if (memcmp(in, start, have))
		return -EBADMSG;
	if (n < 13)
		return 0;
	if (!digit(in[7]) || in[8] != ' ' || in[9] < '1' || in[9] > '9' ||
	    !digit(in[10]) || !digit(in[11]) ||
	    (in[12] != ' ' && in[12] != '\r'))
		return -EBADMSG;
	*status = (in[9] - '0') * 100 + (in[10] - '0') * 10 + (in[11] - '0');
	return 1;
}

ssize_t http_head_parse(const uint8_t *in, size_t n, int *status)
{
	size_t scan = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX;
	const uint8_t *end;
	int found;

	if (!n)
		return 0;
	found = status_line(in, n, status);
	if (found <= 0)
		return found;
	end = memmem(in, scan, "\r\n\r\n", 4);
	/* What follows the head may well hold zero bytes, the head may not. */
	if (memchr(in, '\0', end ? (size_t)(end - in) : scan))
		return -EBADMSG;
	if (end)
		return end - in + 4;
	return n >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
}
