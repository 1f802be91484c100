// SPDX-License-Identifier: GPL-2.0
/*
 * A stranger's frames: what they carry does not depend on how they are cut into
 * pieces, and never grows. First byte: how.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All of @in in pieces of @step; the error, or 0 with what came out in @out. */
static int decode(struct websocket *w, const uint8_t *in, size_t n, size_t step,
		  uint8_t *out, size_t *got)
{
	size_t at, part;

	*got = 0;
	for (at = 0; at < n; at += part) {
		uint8_t *piece;
		ssize_t ret;

		part = step < n - at ? step : n - at;
		piece = malloc(part);
		memcpy(piece, in + at, part);
		ret = websocket_decode(w, piece, part);
		if (ret > (ssize_t)part)
			abort();
		if (ret > 0) {
			memcpy(out + *got, piece, (size_t)ret);
			*got += (size_t)ret;
		}
		free(piece);
		if (ret < 0)
			return (int)ret;
	}
	return 0;
}

static void handshake(const uint8_t *data, size_t size)
{
	char out[WEBSOCKET_ANSWER_MAX];
	struct http_req r;
	const char *why;

	if (http_req_parse((const char *)data, size, &r, &why) <= 0)
		return;
	websocket_wanted(&r, "derp");
	websocket_answer(&r, "derp", out);
	if (strlen(out) < 4 || memcmp(out + strlen(out) - 4, "\r\n\r\n", 4))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct websocket whole = { 0 }, cut = { 0 };
	uint8_t a[WEBSOCKET_CONTROLS_MAX], b[WEBSOCKET_CONTROLS_MAX];
	uint8_t *out, *out_cut;
	size_t n, n_cut;
	int err, err_cut;

	if (!size || size > 65536)
		return 0;
	if (data[0] == 0) {
		handshake(data + 1, size - 1);
		return 0;
	}
	out = malloc(size);
	out_cut = malloc(size);
	err = decode(&whole, data + 1, size - 1, size, out, &n);
	err_cut = decode(&cut, data + 1, size - 1, data[0], out_cut, &n_cut);
	/* What precedes an error in its piece is not delivered. */
	if (err != err_cut || (!err && n != n_cut) ||
	    memcmp(out, out_cut, n < n_cut ? n : n_cut))
		abort();
	n = websocket_put_control(&whole, a);
	if (n > sizeof(a) || websocket_put_control(&cut, b) != n ||
	    memcmp(a, b, n))
		abort();
	free(out);
	free(out_cut);
	return 0;
}
