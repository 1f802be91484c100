// SPDX-License-Identifier: GPL-2.0
#include "coord/map_node.h"

#include <json.h>
#include <stdio.h>
#include <string.h>

#include "control/hostinfo.h"
#include "coord/text.h"
#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

/* The part of a Hostinfo that is the business of peers. */
static const char *const public_hostinfo[] = {
	"OS", "Hostname", "Services", "ShieldsUp", "sshHostKeys", "App",
	"AppConnector", "Location", "PeerRelay",
};

/* Every node may have these. */
static const char *const self_caps[] = {
	"https://tailscale.com/cap/file-sharing",
	"https://tailscale.com/cap/ssh",
};

int64_t map_node_user(const struct coord_node *n)
{
	return n->n_tags ? TAGGED_USER_ID : n->user->id;
}

static void put_key(struct json_object *o, const char *name,
		    const char *prefix, const struct key *k)
{
	char text[KEY_TEXT_MAX];

	json_put_text(o, name, key_format(text, prefix, k));
}

static void put_time(struct json_object *o, const char *name, int64_t t)
{
	char text[TIME_TEXT_MAX];

	json_put_text(o, name, time_format_rfc3339(t, text));
}

static void put_int(struct json_object *o, const char *name, int64_t v)
{
	if (v)
		json_object_object_add(o, name, json_object_new_int64(v));
}

static struct prefix address(const struct coord_node *n, size_t i)
{
	return (struct prefix){n->addresses[i],
			       (uint8_t)ip_bits(&n->addresses[i])};
}

static void add_prefix(struct json_object *list, const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];

	json_object_array_add(list,
			      json_object_new_string(prefix_format(p, text)));
}

static struct json_object *hostinfo_public(const struct coord_node *n)
{
	struct json_object *o = json_object_new_object(), *v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(public_hostinfo); i++) {
		v = json_member(n->hostinfo, public_hostinfo[i]);
		if (v)
			json_object_object_add(o, public_hostinfo[i],
					       json_object_get(v));
	}
	return o;
}

static struct json_object *node_common(const struct coord_node *n,
				       const char *domain)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list;
	struct prefix p[2];
	char name[2 * MODEL_NAME_MAX + 256];
	size_t i;

	snprintf(name, sizeof(name), *domain ? "%s.%s." : "%s", n->name,
		 domain);
	json_object_object_add(o, "ID", json_object_new_int64(n->id));
	json_put_text(o, "StableID", n->stable_id);
	json_put_text(o, "Name", name);
	put_int(o, "User", map_node_user(n));
	put_key(o, "Key", KEY_NODE, &n->key);
	if (n->expiry)
		put_time(o, "KeyExpiry", n->expiry);
	if (!key_is_zero(&n->disco))
		put_key(o, "DiscoKey", KEY_DISCO, &n->disco);
	for (i = 0; i < n->n_addresses; i++)
		p[i] = address(n, i);
	json_object_object_add(o, "Addresses", json_from_prefixes(p, n->n_addresses));
	if (n->n_endpoints)
		json_object_object_add(o, "Endpoints", json_from_endpoints(n->endpoints,
						   n->n_endpoints));
	put_int(o, "HomeDERP", n->home_derp);
	put_time(o, "Created", n->created);
	put_int(o, "Cap", n->cap);
	if (n->n_tags) {
		list = json_object_new_array();
		for (i = 0; i < n->n_tags; i++)
			json_object_array_add(
				list, json_object_new_string(n->tags[i]));
		json_object_object_add(o, "Tags", list);
	}
	json_put_bool(o, "MachineAuthorized", !n->expired);
	json_put_bool(o, "Expired", n->expired);
	return o;
}

struct json_object *map_node_peer(const struct coord_node *n,
				  const char *domain)
{
	struct json_object *o = node_common(n, domain);

	json_object_object_add(o, "Online", json_object_new_boolean(n->online));
	if (n->last_seen)
		put_time(o, "LastSeen", n->last_seen);
	json_object_object_add(o, "Hostinfo", hostinfo_public(n));
	return o;
}

struct json_object *map_node_self(const struct coord_node *n,
				  const char *domain, const char *const *attrs,
				  size_t n_attrs)
{
	struct json_object *o = node_common(n, domain);
	struct json_object *caps = json_object_new_object();
	struct json_object *allowed = json_object_new_array();
	struct prefix p;
	size_t i;

	put_key(o, "Machine", KEY_MACHINE, &n->machine);
	json_object_object_add(o, "Hostinfo", json_object_get(n->hostinfo));
	for (i = 0; i < n->n_addresses; i++) {
		p = address(n, i);
		add_prefix(allowed, &p);
	}
	for (i = 0; i < n->n_primary; i++)
		add_prefix(allowed, &n->primary[i]);
	for (i = 0; i < n->n_effective; i++)
		if (prefix_is_default(&n->effective[i]))
			add_prefix(allowed, &n->effective[i]);
	json_object_object_add(o, "AllowedIPs", allowed);
	if (n->n_primary)
		json_object_object_add(o, "PrimaryRoutes",
				       json_from_prefixes(n->primary, n->n_primary));
	for (i = 0; i < ARRAY_SIZE(self_caps); i++)
		json_object_object_add(caps, self_caps[i],
				       json_object_new_array());
	for (i = 0; i < n_attrs; i++)
		json_object_object_add(caps, attrs[i], json_object_new_array());
	json_object_object_add(o, "CapMap", caps);
	return o;
}

struct json_object *map_node_patch(const struct coord_node *n,
				   unsigned int aspects)
{
	struct json_object *o;

	aspects &= ~(unsigned int)NODE_PRIVATE;
	/* Neither no endpoints nor no relay nor no disco key can be said. */
	if ((aspects & ~(unsigned int)NODE_PATCHABLE) ||
	    ((aspects & NODE_ENDPOINTS) && !n->n_endpoints) ||
	    ((aspects & NODE_DERP) && n->home_derp <= 0) ||
	    ((aspects & NODE_DISCO) && key_is_zero(&n->disco)) ||
	    ((aspects & NODE_CAP) && n->cap <= 0))
		return NULL;
	o = json_object_new_object();
	json_object_object_add(o, "NodeID", json_object_new_int64(n->id));
	if (aspects & NODE_DERP)
		put_int(o, "DERPRegion", n->home_derp);
	if (aspects & NODE_CAP)
		put_int(o, "Cap", n->cap);
	if (aspects & NODE_ENDPOINTS)
		json_object_object_add(o, "Endpoints", json_from_endpoints(n->endpoints,
						   n->n_endpoints));
	if (aspects & NODE_KEY)
		put_key(o, "Key", KEY_NODE, &n->key);
	if (aspects & NODE_DISCO)
		put_key(o, "DiscoKey", KEY_DISCO, &n->disco);
	if (aspects & NODE_ONLINE) {
		json_object_object_add(o, "Online",
				       json_object_new_boolean(n->online));
		if (n->last_seen)
			put_time(o, "LastSeen", n->last_seen);
	}
	return o;
}
