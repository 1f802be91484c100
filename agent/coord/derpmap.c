// SPDX-License-Identifier: GPL-2.0
#include "coord/derpmap.h"

#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/hostinfo.h"
#include "control/url.h"
#include "engine/map_update.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/util.h"

#define OWN_REGION 999

/* As a client will read it. */
static int check_regions(const struct map_update *u, char why[WHY_LEN])
{
	size_t i, j;

	for (i = 0; i < u->n_regions; i++) {
		const struct derp_region *r = u->regions[i];

		if (!r->n_nodes) {
			snprintf(why, WHY_LEN, "region %d has no nodes", r->id);
			return -EINVAL;
		}
		for (j = 0; j < r->n_nodes; j++) {
			if (*r->nodes[j].host_name)
				continue;
			snprintf(why, WHY_LEN,
				 "node %zu of region %d has no HostName", j + 1,
				 r->id);
			return -EINVAL;
		}
	}
	return 0;
}

/* RegionID and Name may be left out of a file, but not of what we say. */
static int complete(struct json_object *regions, char why[WHY_LEN])
{
	json_object_object_foreach(regions, key, region)
	{
		struct json_object *id = json_member(region, "RegionID");
		struct json_object *nodes = json_member(region, "Nodes"), *node;
		char name[32];
		size_t i;

		if (id && json_object_get_int64(id) != atoll(key)) {
			snprintf(why, WHY_LEN, "region %s has RegionID %lld",
				 key, (long long)json_object_get_int64(id));
			return -EINVAL;
		}
		json_object_object_add(region, "RegionID",
				       json_object_new_int64(atoll(key)));
		for (i = 0; i < json_object_array_length(nodes); i++) {
			node = json_object_array_get_idx(nodes, i);
			if (!node) {
				snprintf(why, WHY_LEN,
					 "region %s has a node that is null",
					 key);
				return -EINVAL;
			}
			json_object_object_add(node, "RegionID",
					       json_object_new_int64(
						       atoll(key)));
			snprintf(name, sizeof(name), "%s-%zu", key, i + 1);
			if (!json_member(node, "Name"))
				json_put_text(node, "Name", name);
		}
	}
	return 0;
}

static int check_map(struct json_object *map, char why[WHY_LEN])
{
	struct json_object *msg = json_object_new_object();
	struct json_object *regions = json_member(map, "Regions");
	const char *field = NULL;
	struct map_update u = {0};
	int err;

	json_object_object_add(msg, "DERPMap", json_object_get(map));
	err = derp_decode(&u, msg, &field) ? -EINVAL : 0;
	if (err)
		snprintf(why, WHY_LEN, "%s does not decode",
			 field ? field : "it");
	else if (!u.has_regions ||
		 (size_t)json_object_object_length(regions) != u.n_regions) {
		snprintf(why, WHY_LEN, "no Regions, or one that is null");
		err = -EINVAL;
	} else {
		err = check_regions(&u, why);
	}
	if (!err)
		err = complete(regions, why);
	map_update_clear(&u);
	json_object_put(msg);
	return err;
}

int derpmap_check(const char *text, size_t len, char **out, char why[WHY_LEN])
{
	struct json_object *o = json_parse(text, len), *map;
	int err;

	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		snprintf(why, WHY_LEN, "not a JSON object");
		return -EINVAL;
	}
	map = json_member(o, "DERPMap");
	map = map ? map : o;
	err = check_map(map, why);
	if (!err)
		*out = xstrdup(json_object_to_json_string_ext(
			map, JSON_C_TO_STRING_PLAIN |
				     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return err;
}

int derpmap_load(const char *path, char **out, char why[WHY_LEN])
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int err;

	err = file_read(path, COORD_DERPMAP_MAX, 0, &text, &len);
	if (err) {
		snprintf(why, WHY_LEN, "%s", strerror(-err));
		return err;
	}
	return derpmap_check(text, len, out, why);
}

char *derpmap_single(const char *relay, const char *cert_name)
{
	struct json_object *map, *regions, *region, *nodes, *node;
	_cleanup_free_ char *url = NULL;
	struct url u;
	char *text;

	if (strchr(relay, '/') || asprintf(&url, "https://%s", relay) < 0 ||
	    url_parse(&u, url))
		return NULL;
	map = json_object_new_object();
	regions = json_object_new_object();
	region = json_object_new_object();
	nodes = json_object_new_array();
	node = json_object_new_object();
	json_put_text(node, "Name", "999a");
	json_object_object_add(node, "RegionID",
			       json_object_new_int(OWN_REGION));
	json_put_text(node, "HostName", u.host);
	json_put_text(node, "CertName", cert_name);
	if (u.port)
		json_object_object_add(node, "DERPPort",
				       json_object_new_int(u.port));
	json_object_array_add(nodes, node);
	json_object_object_add(region, "RegionID",
			       json_object_new_int(OWN_REGION));
	json_put_text(region, "RegionCode", "tailrace");
	json_put_text(region, "RegionName", "tailrace relay");
	json_object_object_add(region, "Nodes", nodes);
	json_object_object_add(regions, "999", region);
	json_object_object_add(map, "Regions", regions);
	json_put_bool(map, "omitDefaultRegions", true);
	text = xstrdup(json_object_to_json_string_ext(
		map, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(map);
	return text;
}
