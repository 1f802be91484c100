// SPDX-License-Identifier: GPL-2.0
/*
 * A map stream, cut into pieces by its first byte: what is good as a whole is
 * good in pieces, with the same messages. (Not the reverse: json-c takes "2--"
 * for 2 when it gets a byte at a time.) Again as the content of one well-formed
 * frame.
 */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "control/map.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool count(void *ctx, struct json_object *msg)
{
	size_t *n = ctx;

	*n += 1 + strlen(json_object_to_json_string(msg));
	return true;
}

/* Returns the error, or 0. */
static ssize_t feed(const uint8_t *in, size_t n, size_t step, size_t *out)
{
	struct map_reader *r = map_reader_new(count, out);
	const char *why = NULL;
	ssize_t taken = 0;
	size_t part;

	for (; n && taken >= 0; in += part, n -= part) {
		part = n < step ? n : step;
		taken = map_reader_feed(r, in, part, &why);
		if (taken < 0 ? !why : (size_t)taken != part)
			abort();
	}
	map_reader_free(r);
	return taken < 0 ? taken : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t whole = 0, cut = 0;
	uint8_t *framed;

	if (size < 2)
		return 0;
	if (!feed(data + 1, size - 1, size, &whole) &&
	    (feed(data + 1, size - 1, data[0] % 16 + 1, &cut) || whole != cut))
		abort();
	framed = xmalloc(size + 3);
	framed[0] = (uint8_t)(size - 1);
	framed[1] = (uint8_t)((size - 1) >> 8);
	framed[2] = (uint8_t)((size - 1) >> 16);
	framed[3] = 0;
	memcpy(framed + 4, data + 1, size - 1);
	feed(framed, size + 3, data[0] + 1u, &whole);
	free(framed);
	return 0;
}
