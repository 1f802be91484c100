// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include "coord/model_internal.h"
#include "lib/json.h"
#include "lib/util.h"

#define HOSTNAME_MAX 255

static int get_routes(struct json_object *v, void *out, size_t *n)
{
	struct prefix *list;
	size_t i, len;

	if (!json_object_is_type(v, json_type_array))
		return -EPROTO;
	len = json_object_array_length(v);
	if (len > MODEL_ROUTES_MAX)
		return -EPROTO;
	list = len ? xcalloc(len, sizeof(*list)) : NULL;
	for (i = 0; i < len; i++) {
		const char *s = json_text(json_object_array_get_idx(v, i));

		if (!s || prefix_parse(&list[i], s)) {
			free(list);
			return -EPROTO;
		}
	}
	free(*(struct prefix **)out);
	*(struct prefix **)out = list;
	*n = prefixes_normalize(list, len);
	return 0;
}

static int get_net_info(struct json_object *v, void *out, size_t *n)
{
	struct json_object *derp;
	int *home = out;

	if (!json_object_is_type(v, json_type_object))
		return -EPROTO;
	derp = json_member(v, "PreferredDERP");
	*home = 0;
	if (derp && (json_get_int(derp, home, NULL) || *home < 0))
		return -EPROTO;
	return 0;
}

static const struct json_field fields[] = {
	JSON_FIELD(struct hostinfo, hostname, "Hostname", json_get_string),
	JSON_LIST(struct hostinfo, routes, "RoutableIPs", get_routes),
	JSON_FIELD(struct hostinfo, home_derp, "NetInfo", get_net_info),
};

/* @o with one member more. */
static struct json_object *with_net_info(struct json_object *o,
					 struct json_object *net_info)
{
	struct json_object *copy = json_object_new_object();

	json_object_object_foreach(o, key, v) {
		json_object_object_add(copy, key, json_object_get(v));
	}
	json_object_object_add(copy, "NetInfo", json_object_get(net_info));
	return copy;
}

void hostinfo_clear(struct hostinfo *h)
{
	json_object_put(h->object);
	free(h->hostname);
	free(h->routes);
	memset(h, 0, sizeof(*h));
}

int hostinfo_read(struct model *m, struct json_object *o,
		  const struct coord_node *old, struct hostinfo *out)
{
	struct json_object *net_info = old ? json_member(old->hostinfo,
							 "NetInfo") : NULL;
	const char *why = NULL;
	size_t size;

	memset(out, 0, sizeof(*out));
	if (!o)
		out->object = json_object_new_object();
	else if (net_info && json_object_is_type(o, json_type_object) &&
		 !json_member(o, "NetInfo"))
		out->object = with_net_info(o, net_info);
	else
		out->object = json_object_get(o);
	if (json_decode(out->object, fields, ARRAY_SIZE(fields), out, &why)) {
		hostinfo_clear(out);
		return model_fail(m, -EINVAL, "Hostinfo: %s is wrong", why);
	}
	json_object_to_json_string_length(
		out->object,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
	if (size > MODEL_HOSTINFO_MAX) {
		hostinfo_clear(out);
		return model_fail(m, -EINVAL,
				  "Hostinfo: %zu bytes, %d are allowed", size,
				  MODEL_HOSTINFO_MAX);
	}
	if (!out->hostname)
		out->hostname = xstrdup("");
	if (!text_is_clean(out->hostname, HOSTNAME_MAX)) {
		hostinfo_clear(out);
		return model_fail(m, -EINVAL, "Hostinfo: Hostname is wrong");
	}
	return 0;
}

static bool same_but_net_info(struct json_object *a, struct json_object *b)
{
	int n_a = json_object_object_length(a) -
		  json_object_object_get_ex(a, "NetInfo", NULL);
	int n_b = json_object_object_length(b) -
		  json_object_object_get_ex(b, "NetInfo", NULL);

	if (n_a != n_b)
		return false;
	json_object_object_foreach(a, key, v) {
		struct json_object *w;

		if (strcmp(key, "NetInfo") != 0 &&
		    (!json_object_object_get_ex(b, key, &w) ||
		     !json_object_equal(v, w)))
			return false;
	}
	return true;
}

unsigned int hostinfo_diff(const struct coord_node *n, const struct hostinfo *h)
{
	unsigned int aspects = 0;

	if (!same_but_net_info(n->hostinfo, h->object))
		aspects |= NODE_HOSTINFO;
	if (!json_object_equal(json_member(n->hostinfo, "NetInfo"),
			       json_member(h->object, "NetInfo")))
		aspects |= NODE_NETINFO;
	if (n->home_derp != h->home_derp)
		aspects |= NODE_DERP;
	if (!prefixes_equal(n->advertised, n->n_advertised, h->routes,
			    h->n_routes))
		aspects |= NODE_ADVERTISED;
	return aspects;
}

void hostinfo_apply(struct coord_node *n, struct hostinfo *h)
{
	json_object_put(n->hostinfo);
	free(n->hostname);
	free(n->advertised);
	n->hostinfo = h->object;
	n->hostname = h->hostname;
	n->advertised = h->routes;
	n->n_advertised = h->n_routes;
	n->home_derp = h->home_derp;
	memset(h, 0, sizeof(*h));
}
