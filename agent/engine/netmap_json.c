// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "engine/map_update.h"
#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

/*
 * MapResponse to struct map_update. A decoder of a list owns what it has made
 * until it hands over the whole list, so that an error leaks nothing.
 */

/* The longest list of routes or endpoints that one node may have. */
#define NODE_LIST_MAX 8192

static int get_ip(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	if (s && !*s)
		return 0;
	return s && !ip_parse(out, s) ? 0 : -EPROTO;
}

static int get_prefix(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	return s && strchr(s, '/') && !prefix_parse(out, s) ? 0 : -EPROTO;
}

static int get_prefixes(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(struct prefix), NODE_LIST_MAX,
			     get_prefix);
}

/* Endpoints are hints: one that we cannot read is no reason to refuse all. */
static int get_endpoint(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);
	struct endpoint *e = out;

	if (!s)
		return -EPROTO;
	return endpoint_parse(e, s) || !e->port ? JSON_SKIP : 0;
}

static int get_endpoints(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(struct endpoint), NODE_LIST_MAX,
			     get_endpoint);
}

static void add_cap(struct cap *c, const char *name, struct json_object *values)
{
	c->name = xstrdup(name);
	c->values = xstrdup(
		values ? json_object_to_json_string_ext(
				 values, JSON_C_TO_STRING_PLAIN |
						 JSON_C_TO_STRING_NOSLASHESCAPE)
		       : "");
}

static int get_caps(struct json_object *v, void *out, size_t *n)
{
	struct cap **caps = out;

	if (!json_object_is_type(v, json_type_object))
		return -EPROTO;
	node_free_caps(*caps, *n);
	*n = 0;
	*caps = xcalloc((size_t)json_object_object_length(v), sizeof(**caps));
	json_object_object_foreach(v, name, values)
	{
		if (values && !json_object_is_type(values, json_type_array))
			return -EPROTO;
		add_cap(*caps + (*n)++, name, values);
	}
	return 0;
}

static const struct json_field hostinfo_fields[] = {
	JSON_FIELD(struct node, os, "OS", json_get_string),
	JSON_FIELD(struct node, host_name, "Hostname", json_get_string),
};

static const struct json_field node_fields[] = {
	JSON_FIELD(struct node, id, "ID", json_get_int64),
	JSON_FIELD(struct node, stable_id, "StableID", json_get_string),
	JSON_FIELD(struct node, name, "Name", json_get_string),
	JSON_FIELD(struct node, user, "User", json_get_int64),
	JSON_FIELD(struct node, key, "Key", json_get_node_key),
	JSON_FIELD(struct node, key_expiry, "KeyExpiry", json_get_time),
	JSON_FIELD(struct node, disco, "DiscoKey", json_get_disco_key),
	JSON_LIST(struct node, addresses, "Addresses", get_prefixes),
	JSON_LIST(struct node, allowed_ips, "AllowedIPs", get_prefixes),
	JSON_LIST(struct node, primary_routes, "PrimaryRoutes", get_prefixes),
	JSON_LIST(struct node, endpoints, "Endpoints", get_endpoints),
	JSON_FIELD(struct node, home_derp, "HomeDERP", json_get_int),
	JSON_FIELD(struct node, created, "Created", json_get_time),
	JSON_FIELD(struct node, cap_version, "Cap", json_get_int),
	JSON_LIST(struct node, tags, "Tags", json_get_strings),
	JSON_FIELD(struct node, last_seen, "LastSeen", json_get_time),
	JSON_FIELD(struct node, online, "Online", json_get_opt_bool),
	JSON_FIELD(struct node, machine_authorized, "MachineAuthorized",
		   json_get_bool),
	JSON_LIST(struct node, caps, "CapMap", get_caps),
	JSON_FIELD(struct node, unsigned_peerapi_only, "UnsignedPeerAPIOnly",
		   json_get_bool),
	JSON_FIELD(struct node, expired, "Expired", json_get_bool),
	JSON_FIELD(struct node, masq4, "SelfNodeV4MasqAddrForThisPeer", get_ip),
	JSON_FIELD(struct node, masq6, "SelfNodeV6MasqAddrForThisPeer", get_ip),
	JSON_FIELD(struct node, wireguard_only, "IsWireGuardOnly",
		   json_get_bool),
	JSON_FIELD(struct node, jailed, "IsJailed", json_get_bool),
};

/* The obsolete list of capabilities without values, merged into caps. */
static int add_capabilities(struct node *n, struct json_object *o)
{
	struct json_object *list = json_member(o, "Capabilities");
	size_t i, len;

	if (!list)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return -EPROTO;
	len = json_object_array_length(list);
	n->caps = xrealloc(n->caps, n->n_caps + len, sizeof(*n->caps));
	for (i = 0; i < len; i++) {
		const char *s = json_text(json_object_array_get_idx(list, i));

		if (!s)
			return -EPROTO;
		if (!node_cap(n, s))
			add_cap(&n->caps[n->n_caps++], s, NULL);
	}
	return 0;
}

/* The clean-up of control.md 5.6, "Normalise each Node on receipt". */
static void node_normalise(struct node *n, struct json_object *o)
{
	struct json_object *derp = json_member(o, "DERP");
	const char *text = derp ? json_text(derp) : NULL;
	size_t i;

	if (!n->home_derp && text)
		sscanf(text, "127.3.3.40:%5d", &n->home_derp);
	if (n->home_derp < 0)
		n->home_derp = 0;
	if (n->unsigned_peerapi_only || !json_member(o, "AllowedIPs")) {
		free(n->allowed_ips);
		n->n_allowed_ips = n->n_addresses;
		n->allowed_ips = xcalloc(n->n_addresses, sizeof(struct prefix));
		if (n->n_addresses)
			memcpy(n->allowed_ips, n->addresses,
			       n->n_addresses * sizeof(struct prefix));
	}
	for (i = 0; i < n->n_allowed_ips; i++)
		n->allowed_ips[i] = prefix_masked(&n->allowed_ips[i]);
	n->masqueraded = n->masq4.family || n->masq6.family;
	own_string(&n->stable_id);
	own_string(&n->name);
	own_string(&n->os);
	own_string(&n->host_name);
}

static struct node *node_decode(struct json_object *o, const char **why)
{
	struct node *n = xcalloc(1, sizeof(*n));
	struct json_object *host = json_member(o, "Hostinfo");

	n->online = -1;
	if (json_decode(o, node_fields, ARRAY_SIZE(node_fields), n, why) ||
	    (host && json_decode(host, hostinfo_fields,
				 ARRAY_SIZE(hostinfo_fields), n, why)) ||
	    add_capabilities(n, o)) {
		if (!*why)
			*why = "Capabilities";
		node_free(n);
		return NULL;
	}
	node_normalise(n, o);
	return n;
}

static int decode_nodes(struct json_object *msg, const char *name,
			struct node ***out, size_t *n_out, const char **why)
{
	struct json_object *list = json_member(msg, name);
	size_t i, len;

	if (!list)
		return 0;
	if (!json_object_is_type(list, json_type_array)) {
		*why = name;
		return -EPROTO;
	}
	len = json_object_array_length(list);
	*out = xcalloc(len, sizeof(**out));
	for (i = 0; i < len; i++) {
		struct node *n =
			node_decode(json_object_array_get_idx(list, i), why);

		if (!n)
			return -EPROTO;
		if (key_is_zero(&n->key))
			node_free(n);
		else
			(*out)[(*n_out)++] = n;
	}
	return 0;
}

static const struct json_field patch_fields[] = {
	JSON_FIELD(struct peer_change, id, "NodeID", json_get_int64),
	JSON_FIELD(struct peer_change, home_derp, "DERPRegion", json_get_int),
	JSON_FIELD(struct peer_change, cap_version, "Cap", json_get_int),
	JSON_LIST(struct peer_change, caps, "CapMap", get_caps),
	JSON_LIST(struct peer_change, endpoints, "Endpoints", get_endpoints),
	JSON_FIELD(struct peer_change, key, "Key", json_get_node_key),
	JSON_FIELD(struct peer_change, disco, "DiscoKey", json_get_disco_key),
	JSON_FIELD(struct peer_change, online, "Online", json_get_opt_bool),
	JSON_FIELD(struct peer_change, last_seen, "LastSeen", json_get_time),
	JSON_FIELD(struct peer_change, key_expiry, "KeyExpiry", json_get_time),
};

static int get_patch(struct json_object *v, void *out, size_t *n)
{
	struct peer_change *c = out;
	const char *why = NULL;

	c->online = -1;
	if (json_decode(v, patch_fields, ARRAY_SIZE(patch_fields), c, &why))
		return -EPROTO;
	c->has_caps = json_member(v, "CapMap");
	c->has_endpoints = json_member(v, "Endpoints");
	c->has_key = !key_is_zero(&c->key);
	c->has_disco = json_member(v, "DiscoKey");
	c->has_last_seen = json_member(v, "LastSeen");
	c->has_expiry = json_member(v, "KeyExpiry");
	return 0;
}

static int get_patches(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(struct peer_change), SIZE_MAX,
			     get_patch);
}

static int get_ids(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(int64_t), SIZE_MAX,
			     json_get_int64);
}

static int get_id_flags(struct json_object *v, void *out, size_t *n)
{
	struct id_flag **list = out;

	if (!json_object_is_type(v, json_type_object))
		return -EPROTO;
	*list = xcalloc((size_t)json_object_object_length(v), sizeof(**list));
	json_object_object_foreach(v, key, on)
	{
		struct id_flag *f = *list + (*n)++;

		if (json_key_int64(key, &f->id) || !on ||
		    json_get_bool(on, &f->on, NULL))
			return -EPROTO;
	}
	return 0;
}

static int decode_filters(struct map_update *u, struct json_object *msg,
			  const char **why)
{
	struct json_object *base = json_member(msg, "PacketFilter");
	struct json_object *map = json_member(msg, "PacketFilters");
	size_t n;

	*why = "PacketFilter";
	if (base) {
		u->base = filter_list_decode("base", base);
		if (!u->base)
			return -EPROTO;
	}
	*why = "PacketFilters";
	if (map) {
		if (!json_object_is_type(map, json_type_object))
			return -EPROTO;
		n = (size_t)json_object_object_length(map);
		u->filters = xcalloc(n, sizeof(*u->filters));
		u->filters_removed = xcalloc(n, sizeof(*u->filters_removed));
		json_object_object_foreach(map, name, rules)
		{
			struct filter_list *list;

			if (!strcmp(name, "*")) {
				u->filters_cleared |= !rules;
				continue;
			}
			if (!rules) {
				u->filters_removed[u->n_filters_removed++] =
					xstrdup(name);
				continue;
			}
			list = filter_list_decode(name, rules);
			if (!list)
				return -EPROTO;
			u->filters[u->n_filters++] = list;
		}
	}
	*why = NULL;
	return 0;
}

/* Resolvers[].Addr. */
static int get_resolver(struct json_object *v, void *out, size_t *n)
{
	struct json_object *addr = json_member(v, "Addr");
	const char *s = addr ? json_text(addr) : NULL;

	*(char **)out = xstrdup(s);
	return s ? 0 : JSON_SKIP;
}

static int get_resolvers(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(char *), SIZE_MAX, get_resolver);
}

static const struct json_field dns_fields[] = {
	JSON_LIST(struct dns_config, nameservers, "Resolvers", get_resolvers),
	JSON_LIST(struct dns_config, domains, "Domains", json_get_strings),
	JSON_FIELD(struct dns_config, proxied, "Proxied", json_get_bool),
};

static const struct json_field user_fields[] = {
	JSON_FIELD(struct user_profile, id, "ID", json_get_int64),
	JSON_FIELD(struct user_profile, login_name, "LoginName",
		   json_get_string),
	JSON_FIELD(struct user_profile, display_name, "DisplayName",
		   json_get_string),
};

static int get_user(struct json_object *v, void *out, size_t *n)
{
	struct user_profile *p = xcalloc(1, sizeof(*p));
	const char *why = NULL;

	*(struct user_profile **)out = p;
	if (json_decode(v, user_fields, ARRAY_SIZE(user_fields), p, &why))
		return -EPROTO;
	own_string(&p->login_name);
	own_string(&p->display_name);
	return 0;
}

static int get_users(struct json_object *v, void *out, size_t *n)
{
	return json_get_list(v, out, n, sizeof(struct user_profile *), SIZE_MAX,
			     get_user);
}

static const struct json_field update_fields[] = {
	JSON_FIELD(struct map_update, keep_alive, "KeepAlive", json_get_bool),
	JSON_FIELD(struct map_update, control_time, "ControlTime",
		   json_get_time),
	JSON_LIST(struct map_update, removed, "PeersRemoved", get_ids),
	JSON_LIST(struct map_update, seen, "PeerSeenChange", get_id_flags),
	JSON_LIST(struct map_update, online, "OnlineChange", get_id_flags),
	JSON_LIST(struct map_update, patches, "PeersChangedPatch", get_patches),
	JSON_FIELD(struct map_update, domain, "Domain", json_get_string),
	JSON_LIST(struct map_update, users, "UserProfiles", get_users),
	JSON_LIST(struct map_update, health, "Health", json_get_strings),
};

int map_update_decode(struct map_update *u, struct json_object *msg,
		      const char **why)
{
	struct json_object *o;

	memset(u, 0, sizeof(*u));
	*why = NULL;
	if (json_decode(msg, update_fields, ARRAY_SIZE(update_fields), u, why))
		return -EPROTO;
	if (u->keep_alive)
		return 0;
	u->has_health = json_member(msg, "Health");
	o = json_member(msg, "Node");
	if (o) {
		u->self = node_decode(o, why);
		if (!u->self)
			return -EPROTO;
		if (key_is_zero(&u->self->key)) {
			*why = "Node.Key";
			return -EPROTO;
		}
	}
	o = json_member(msg, "Peers");
	u->has_peers = json_object_is_type(o, json_type_array) &&
		       json_object_array_length(o);
	if (decode_nodes(msg, "Peers", &u->peers, &u->n_peers, why) ||
	    decode_nodes(msg, "PeersChanged", &u->changed, &u->n_changed,
			 why) ||
	    derp_decode(u, msg, why) || decode_filters(u, msg, why))
		return -EPROTO;
	o = json_member(msg, "DNSConfig");
	if (o) {
		u->dns = xcalloc(1, sizeof(*u->dns));
		if (json_decode(o, dns_fields, ARRAY_SIZE(dns_fields), u->dns,
				why))
			return -EPROTO;
	}
	return 0;
}

void map_update_clear(struct map_update *u)
{
	size_t i;

	node_free(u->self);
	for (i = 0; i < u->n_peers; i++)
		node_free(u->peers[i]);
	for (i = 0; i < u->n_changed; i++)
		node_free(u->changed[i]);
	for (i = 0; i < u->n_patches; i++) {
		node_free_caps(u->patches[i].caps, u->patches[i].n_caps);
		free(u->patches[i].endpoints);
	}
	for (i = 0; i < u->n_regions; i++)
		derp_region_free(u->regions[i]);
	filter_list_free(u->base);
	for (i = 0; i < u->n_filters; i++)
		filter_list_free(u->filters[i]);
	for (i = 0; i < u->n_users; i++)
		user_profile_free(u->users[i]);
	if (u->dns)
		dns_config_clear(u->dns);
	free(u->peers);
	free(u->changed);
	free(u->removed);
	free(u->seen);
	free(u->online);
	free(u->patches);
	free(u->regions);
	free(u->scores);
	free(u->filters);
	free_strings(u->filters_removed, u->n_filters_removed);
	free(u->dns);
	free(u->domain);
	free(u->users);
	free_strings(u->health, u->n_health);
}
