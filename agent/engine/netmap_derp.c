// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json.h>

#include "engine/map_update.h"
#include "lib/json.h"
#include "lib/util.h"

/* DERPMap (control.md 5.8). What it leaves out is merged by netmap.c. */

static const struct json_field derp_node_fields[] = {
	JSON_FIELD(struct derp_node, name, "Name", json_get_string),
	JSON_FIELD(struct derp_node, host_name, "HostName", json_get_string),
	JSON_FIELD(struct derp_node, cert_name, "CertName", json_get_string),
	JSON_FIELD(struct derp_node, ipv4, "IPv4", json_get_string),
	JSON_FIELD(struct derp_node, ipv6, "IPv6", json_get_string),
	JSON_FIELD(struct derp_node, stun_port, "STUNPort", json_get_int),
	JSON_FIELD(struct derp_node, stun_only, "STUNOnly", json_get_bool),
	JSON_FIELD(struct derp_node, derp_port, "DERPPort", json_get_int),
	JSON_FIELD(struct derp_node, insecure_for_tests, "InsecureForTests",
		   json_get_bool),
	JSON_FIELD(struct derp_node, stun_test_ip, "STUNTestIP",
		   json_get_string),
	JSON_FIELD(struct derp_node, can_port80, "CanPort80", json_get_bool),
};

static int get_derp_node(struct json_object *v, void *out, size_t *n)
{
	struct derp_node *d = out;
	const char *why = NULL;

	if (!v)
		return JSON_SKIP;
	if (json_decode(v, derp_node_fields, ARRAY_SIZE(derp_node_fields), d,
			&why) ||
	    d->stun_port < -1 || d->stun_port > 65535 || d->derp_port < 0 ||
	    d->derp_port > 65535)
		return -EPROTO;
	own_string(&d->name);
	own_string(&d->host_name);
	own_string(&d->cert_name);
	own_string(&d->ipv4);
	own_string(&d->ipv6);
	own_string(&d->stun_test_ip);
	return 0;
}

static int get_derp_nodes(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(struct derp_node), SIZE_MAX,
			     get_derp_node);
}

static const struct json_field region_fields[] = {
	JSON_FIELD(struct derp_region, code, "RegionCode", json_get_string),
	JSON_FIELD(struct derp_region, name, "RegionName", json_get_string),
	JSON_FIELD(struct derp_region, avoid, "Avoid", json_get_bool),
	JSON_FIELD(struct derp_region, no_measure_no_home, "NoMeasureNoHome",
		   json_get_bool),
	JSON_LIST(struct derp_region, nodes, "Nodes", get_derp_nodes),
};

static int decode_regions(struct map_update *u, struct json_object *regions,
			  const char **why)
{
	if (!json_object_is_type(regions, json_type_object))
		return -EPROTO;
	u->has_regions = true;
	u->regions = xcalloc((size_t)json_object_object_length(regions),
			     sizeof(*u->regions));
	json_object_object_foreach(regions, key, o)
	{
		struct derp_region *r;
		int64_t id;

		if (!o) /* old headscale */
			continue;
		if (json_key_int64(key, &id) || id <= 0 || id > INT32_MAX)
			return -EPROTO;
		r = xcalloc(1, sizeof(*r));
		u->regions[u->n_regions++] = r;
		r->id = (int)id;
		r->score = 1.0;
		if (json_decode(o, region_fields, ARRAY_SIZE(region_fields), r,
				why))
			return -EPROTO;
		own_string(&r->code);
		own_string(&r->name);
	}
	return 0;
}

static int decode_scores(struct map_update *u, struct json_object *scores)
{
	if (!json_object_is_type(scores, json_type_object))
		return -EPROTO;
	u->has_scores = true;
	u->scores = xcalloc((size_t)json_object_object_length(scores),
			    sizeof(*u->scores));
	json_object_object_foreach(scores, key, v)
	{
		double factor;
		int64_t id;

		if (json_key_int64(key, &id) ||
		    (!json_object_is_type(v, json_type_double) &&
		     !json_object_is_type(v, json_type_int)))
			return -EPROTO;
		factor = json_object_get_double(v);
		if (!(factor > 0) || id <= 0 || id > INT32_MAX)
			continue;
		u->scores[u->n_scores++] = (struct derp_score){
			.region = (int)id, .factor = factor};
	}
	return 0;
}

int derp_decode(struct map_update *u, struct json_object *msg, const char **why)
{
	struct json_object *derp = json_member(msg, "DERPMap");
	struct json_object *regions, *params, *scores = NULL;

	if (!derp)
		return 0;
	*why = "DERPMap";
	if (!json_object_is_type(derp, json_type_object))
		return -EPROTO;
	u->has_derp = true;
	regions = json_member(derp, "Regions");
	params = json_member(derp, "HomeParams");
	if (params)
		scores = json_member(params, "RegionScore");
	if ((regions && decode_regions(u, regions, why)) ||
	    (scores && decode_scores(u, scores)))
		return -EPROTO;
	*why = NULL;
	return 0;
}
