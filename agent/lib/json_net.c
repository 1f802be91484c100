// SPDX-License-Identifier: GPL-2.0
#include "lib/json_net.h"

#include <errno.h>
#include <json.h>

#include "lib/json.h"

int json_get_node_key(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	return s && !key_parse(out, KEY_NODE, s) ? 0 : -EPROTO;
}

int json_get_disco_key(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	if (s && !*s)
		return 0;
	return s && !key_parse(out, KEY_DISCO, s) ? 0 : -EPROTO;
}

struct json_object *json_from_prefixes(const struct prefix *list, size_t n)
{
	struct json_object *o = json_object_new_array();
	char text[PREFIX_TEXT_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(o, json_object_new_string(prefix_format(
						 &list[i], text)));
	return o;
}

struct json_object *json_from_endpoints(const struct endpoint *list, size_t n)
{
	struct json_object *o = json_object_new_array();
	char text[ENDPOINT_TEXT_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(o, json_object_new_string(endpoint_format(
						 &list[i], text)));
	return o;
}
