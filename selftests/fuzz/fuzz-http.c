// SPDX-License-Identifier: GPL-2.0
/* What HTTP/1.x control and middleboxes may say: answers, requests, URLs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/c2n.h"
#include "control/https.h"
#include "control/register.h"
#include "control/url.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void response(const uint8_t *data, size_t size, bool eof)
{
	uint8_t *copy = xmalloc(size), *body = NULL;
	int status = 0;
	ssize_t len;

	memcpy(copy, data, size);
	len = http_response(copy, size, eof, &status, &body);
	if (len > (ssize_t)HTTPS_BODY_MAX || (eof && len == -EAGAIN))
		abort();
	if (len >= 0 &&
	    (body < copy || body + len > copy + size || status < 100))
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct register_response r;
	char value[16], *text;
	const char *why;
	struct url u, again;
	uint8_t *answer;
	size_t len;

	response(data, size, false);
	response(data, size, true);
	http_header(data, size, "Upgrade", value, sizeof(value));
	answer = c2n_answer(data, size, &len);
	free(answer);
	register_decode(&r, (const char *)data, size, &why);
	register_response_clear(&r);

	text = xmalloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	if (!url_parse(&u, text)) {
		char host[URL_AUTHORITY_MAX];
		char out[URL_AUTHORITY_MAX + URL_PATH_MAX + 16];

		snprintf(out, sizeof(out), "http%s://%s%s", u.https ? "s" : "",
			 url_authority(&u, host), u.path);
		if (url_parse(&again, out) || memcmp(&u, &again, sizeof(u)))
			abort();
	}
	free(text);
	return 0;
}
