// SPDX-License-Identifier: GPL-2.0
#include "coord/map_request.h"

#include <errno.h>
#include <json.h>
#include <string.h>

#include "coord/model.h"
#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

static int get_zstd(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	*(bool *)out = s && !strcmp(s, "zstd");
	return s ? 0 : -EPROTO;
}

static const struct json_field fields[] = {
	JSON_FIELD(struct map_request, version, "Version", json_get_int),
	JSON_FIELD(struct map_request, key, "NodeKey", json_get_node_key),
	JSON_FIELD(struct map_request, disco, "DiscoKey", json_get_disco_key),
	JSON_FIELD(struct map_request, stream, "Stream", json_get_bool),
	JSON_FIELD(struct map_request, omit_peers, "OmitPeers", json_get_bool),
	JSON_FIELD(struct map_request, read_only, "ReadOnly", json_get_bool),
	JSON_FIELD(struct map_request, zstd, "Compress", get_zstd),
	JSON_FIELD(struct map_request, hostinfo, "Hostinfo", json_get_object),
};

static uint8_t endpoint_type(struct json_object *types, size_t i)
{
	struct json_object *v;
	int type;

	if (!json_object_is_type(types, json_type_array) ||
	    i >= json_object_array_length(types))
		return 0;
	v = json_object_array_get_idx(types, i);
	return v && !json_get_int(v, &type, NULL) && type > 0 && type < 256
		       ? (uint8_t)type
		       : 0;
}

static int get_endpoints(struct map_request *m, struct json_object *o)
{
	struct json_object *list = json_member(o, "Endpoints");
	struct json_object *types = json_member(o, "EndpointTypes");
	size_t i, n;

	if (!list)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return -EPROTO;
	n = json_object_array_length(list);
	n = n < MODEL_ENDPOINTS_MAX ? n : MODEL_ENDPOINTS_MAX;
	m->has_endpoints = true;
	m->endpoints = xcalloc(n, sizeof(*m->endpoints));
	m->endpoint_types = xcalloc(n, 1);
	for (i = 0; i < n; i++) {
		struct endpoint *e = &m->endpoints[m->n_endpoints];
		struct json_object *v = json_object_array_get_idx(list, i);
		const char *s = v ? json_text(v) : NULL;

		if (!s)
			return -EPROTO;
		if (endpoint_parse(e, s) || !e->port)
			continue;
		m->endpoint_types[m->n_endpoints++] = endpoint_type(types, i);
	}
	return 0;
}

int map_request_decode(struct map_request *m, const char *body, size_t len,
		       const char **why)
{
	struct json_object *o = json_parse(body, len);
	int err;

	*why = NULL;
	if (!o) {
		*why = "JSON";
		return -EPROTO;
	}
	err = json_decode(o, fields, ARRAY_SIZE(fields), m, why);
	if (!err && get_endpoints(m, o)) {
		*why = "Endpoints";
		err = -EPROTO;
	}
	if (!err && key_is_zero(&m->key)) {
		*why = "NodeKey";
		err = -EPROTO;
	}
	json_object_put(o);
	return err;
}

void map_request_clear(struct map_request *m)
{
	json_object_put(m->hostinfo);
	free(m->endpoints);
	free(m->endpoint_types);
	*m = (struct map_request){0};
}
