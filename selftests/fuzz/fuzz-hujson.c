// SPDX-License-Identifier: GPL-2.0
/*
 * HuJSON: every value stands inside the file and behind the one before it; what
 * is refused is refused at a place inside the file. What we take without
 * comments and commas, json-c takes as well.
 */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/hujson.h"
#include "lib/json.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct hujson_limits limits = { 1 << 16, 16, 5000 };

static size_t walk(const struct hujson *v, unsigned int *line,
		   unsigned int *column, unsigned int depth)
{
	size_t n = 0;

	if (depth > limits.depth + 1)
		abort();
	for (; v; v = v->next) {
		if (v->line < *line || (v->line == *line && v->column < *column))
			abort();
		*line = v->line;
		*column = v->column;
		if ((v->kind == HUJSON_STRING || v->kind == HUJSON_NUMBER) !=
		    !!v->text)
			abort();
		n += 1 + walk(v->children, line, column, depth + 1);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct hujson_error err = { 0 };
	struct hujson *v = hujson_parse(text, size, &limits, &err);
	unsigned int line = 1, column = 1;
	struct json_object *o;

	if (v) {
		if (walk(v, &line, &column, 0) > limits.values)
			abort();
		/* without comments and spare commas it is JSON; null has no object */
		if (!memchr(text, '/', size) && !memchr(text, ',', size) &&
		    v->kind != HUJSON_NULL) {
			o = json_parse(text, size);
			if (!o)
				abort();
			json_object_put(o);
		}
	} else if (!err.line || !err.column || !*err.text ||
		   err.column > size + 1) {
		abort();
	}
	hujson_free(v);
	return 0;
}
