// SPDX-License-Identifier: GPL-2.0
#include "coord/columns.h"

#include <errno.h>
#include <json.h>
#include <string.h>

#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

/* The text of @o, which is put. */
static char *to_text(struct json_object *o)
{
	char *text = xstrdup(json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));

	json_object_put(o);
	return text;
}

/* A list of at most @max entries; NULL if it is none. */
static struct json_object *from_text(const char *text, size_t max, size_t *n)
{
	struct json_object *o = text ? json_parse(text, strlen(text)) : NULL;

	if (json_object_is_type(o, json_type_array)) {
		*n = json_object_array_length(o);
		if (*n <= max)
			return o;
	}
	json_object_put(o);
	return NULL;
}

char *strings_to_text(char *const *list, size_t n)
{
	struct json_object *o = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(o, json_object_new_string(list[i]));
	return to_text(o);
}

int strings_from_text(const char *text, size_t max,
		      bool (*valid)(const char *s), char ***out, size_t *n_out)
{
	struct json_object *o;
	char **list = NULL;
	size_t i, n;

	o = from_text(text, max, &n);
	if (!o)
		return -EIO;
	if (n)
		list = xcalloc(n, sizeof(*list));
	for (i = 0; i < n; i++) {
		const char *s = json_text(json_object_array_get_idx(o, i));

		if (!s || !valid(s))
			break;
		list[i] = xstrdup(s);
	}
	json_object_put(o);
	if (i < n) {
		free_strings(list, i);
		return -EIO;
	}
	*out = list;
	*n_out = n;
	return 0;
}

char *prefixes_to_text(const struct prefix *list, size_t n)
{
	return to_text(json_from_prefixes(list, n));
}

int prefixes_from_text(const char *text, size_t max, struct prefix **out,
		       size_t *n_out)
{
	struct prefix *list = NULL;
	struct json_object *o;
	size_t i, n;

	o = from_text(text, max, &n);
	if (!o)
		return -EIO;
	if (n)
		list = xcalloc(n, sizeof(*list));
	for (i = 0; i < n; i++) {
		const char *s = json_text(json_object_array_get_idx(o, i));

		if (!s || prefix_parse(&list[i], s))
			break;
	}
	json_object_put(o);
	if (i < n) {
		free(list);
		return -EIO;
	}
	*out = list;
	*n_out = n;
	return 0;
}

char *endpoints_to_text(const struct endpoint *list, const uint8_t *types,
			size_t n)
{
	struct json_object *o = json_object_new_array(), *pair;
	char text[ENDPOINT_TEXT_MAX];
	size_t i;

	for (i = 0; i < n; i++) {
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_string(endpoint_format(
						    &list[i], text)));
		json_object_array_add(pair, json_object_new_int(types[i]));
		json_object_array_add(o, pair);
	}
	return to_text(o);
}

int endpoints_from_text(const char *text, size_t max, struct endpoint **out,
			uint8_t **types, size_t *n_out)
{
	struct endpoint *list = NULL;
	struct json_object *o;
	uint8_t *kinds = NULL;
	size_t i, n;

	o = from_text(text, max, &n);
	if (!o)
		return -EIO;
	if (n) {
		list = xcalloc(n, sizeof(*list));
		kinds = xcalloc(n, sizeof(*kinds));
	}
	for (i = 0; i < n; i++) {
		struct json_object *pair = json_object_array_get_idx(o, i);
		const char *s;
		int kind;

		if (!json_object_is_type(pair, json_type_array) ||
		    json_object_array_length(pair) != 2)
			break;
		s = json_text(json_object_array_get_idx(pair, 0));
		if (!s || endpoint_parse(&list[i], s) ||
		    json_get_int(json_object_array_get_idx(pair, 1), &kind,
				 NULL) ||
		    kind < 0 || kind > UINT8_MAX)
			break;
		kinds[i] = (uint8_t)kind;
	}
	json_object_put(o);
	if (i < n) {
		free(list);
		free(kinds);
		return -EIO;
	}
	*out = list;
	*types = kinds;
	*n_out = n;
	return 0;
}
