// SPDX-License-Identifier: GPL-2.0
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "engine/map_update.h"
#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

/* The netmap as one MapResponse: what the disk cache holds. */

static void put(struct json_object *o, const char *name, const char *value)
{
	json_object_object_add(o, name, json_object_new_string(value));
}

static void put_text(struct json_object *o, const char *name, const char *value)
{
	if (value && *value)
		put(o, name, value);
}

static void put_bool(struct json_object *o, const char *name, bool value)
{
	if (value)
		json_object_object_add(o, name, json_object_new_boolean(1));
}

static void put_int(struct json_object *o, const char *name, int64_t value)
{
	if (value)
		json_object_object_add(o, name, json_object_new_int64(value));
}

static void put_time(struct json_object *o, const char *name, int64_t t)
{
	char text[TIME_TEXT_MAX];

	if (t)
		put(o, name, time_format_rfc3339(t, text));
}

static void put_ip(struct json_object *o, const char *name,
		   const struct ip_addr *ip)
{
	char text[IP_TEXT_MAX];

	if (ip->family)
		put(o, name, ip_format(ip, text));
}

/* Always there: an empty list is not the same as none. */
static void put_prefixes(struct json_object *o, const char *name,
			 const struct prefix *p, size_t n)
{
	json_object_object_add(o, name, json_from_prefixes(p, n));
}

static struct json_object *caps(const struct cap *c, size_t n)
{
	struct json_object *map = json_object_new_object();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_object_add(
			map, c[i].name,
			json_parse(c[i].values, strlen(c[i].values)));
	return map;
}

static struct json_object *node(const struct node *n)
{
	struct json_object *o = json_object_new_object();
	struct json_object *host = json_object_new_object();
	char text[KEY_TEXT_MAX];

	json_object_object_add(o, "ID", json_object_new_int64(n->id));
	put(o, "StableID", n->stable_id);
	put(o, "Name", n->name);
	put_int(o, "User", n->user);
	put(o, "Key", key_format(text, KEY_NODE, &n->key));
	put_time(o, "KeyExpiry", n->key_expiry);
	if (!key_is_zero(&n->disco))
		put(o, "DiscoKey", key_format(text, KEY_DISCO, &n->disco));
	put_prefixes(o, "Addresses", n->addresses, n->n_addresses);
	put_prefixes(o, "AllowedIPs", n->allowed_ips, n->n_allowed_ips);
	put_prefixes(o, "PrimaryRoutes", n->primary_routes,
		     n->n_primary_routes);
	json_object_object_add(o, "Endpoints",
			       json_from_endpoints(n->endpoints,
						   n->n_endpoints));
	put_int(o, "HomeDERP", n->home_derp);
	put_int(o, "Cap", n->cap_version);
	if (n->online >= 0)
		json_object_object_add(o, "Online",
				       json_object_new_boolean(n->online));
	put_time(o, "LastSeen", n->last_seen);
	put_time(o, "Created", n->created);
	put_text(host, "OS", n->os);
	put_text(host, "Hostname", n->host_name);
	json_object_object_add(o, "Hostinfo", host);
	if (n->n_tags)
		json_object_object_add(o, "Tags",
				       json_from_strings(n->tags, n->n_tags));
	if (n->n_caps)
		json_object_object_add(o, "CapMap", caps(n->caps, n->n_caps));
	put_bool(o, "MachineAuthorized", n->machine_authorized);
	put_bool(o, "Expired", n->expired);
	put_bool(o, "UnsignedPeerAPIOnly", n->unsigned_peerapi_only);
	put_bool(o, "IsWireGuardOnly", n->wireguard_only);
	put_bool(o, "IsJailed", n->jailed);
	put_ip(o, "SelfNodeV4MasqAddrForThisPeer", &n->masq4);
	put_ip(o, "SelfNodeV6MasqAddrForThisPeer", &n->masq6);
	return o;
}

static struct json_object *derp_node(const struct derp_node *d)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "Name", d->name);
	put_text(o, "HostName", d->host_name);
	put_text(o, "CertName", d->cert_name);
	put_text(o, "IPv4", d->ipv4);
	put_text(o, "IPv6", d->ipv6);
	put_int(o, "STUNPort", d->stun_port);
	put_int(o, "DERPPort", d->derp_port);
	put_text(o, "STUNTestIP", d->stun_test_ip);
	put_bool(o, "STUNOnly", d->stun_only);
	put_bool(o, "InsecureForTests", d->insecure_for_tests);
	put_bool(o, "CanPort80", d->can_port80);
	return o;
}

static struct json_object *derp_map(const struct netmap *nm)
{
	struct json_object *map = json_object_new_object();
	struct json_object *regions = json_object_new_object();
	struct json_object *scores = json_object_new_object();
	struct json_object *params = json_object_new_object();
	struct derp_region *r, *tmp;
	char id[16];
	size_t i;

	HASH_ITER(hh, nm->derp_regions, r, tmp)
	{
		struct json_object *o = json_object_new_object();
		struct json_object *nodes = json_object_new_array();

		put_int(o, "RegionID", r->id);
		put_text(o, "RegionCode", r->code);
		put_text(o, "RegionName", r->name);
		put_bool(o, "Avoid", r->avoid);
		put_bool(o, "NoMeasureNoHome", r->no_measure_no_home);
		for (i = 0; i < r->n_nodes; i++)
			json_object_array_add(nodes, derp_node(&r->nodes[i]));
		json_object_object_add(o, "Nodes", nodes);
		snprintf(id, sizeof(id), "%d", r->id);
		json_object_object_add(regions, id, o);
	}
	for (i = 0; i < nm->n_derp_scores; i++) {
		snprintf(id, sizeof(id), "%d", nm->derp_scores[i].region);
		json_object_object_add(
			scores, id,
			json_object_new_double(nm->derp_scores[i].factor));
	}
	json_object_object_add(params, "RegionScore", scores);
	json_object_object_add(map, "Regions", regions);
	json_object_object_add(map, "HomeParams", params);
	return map;
}

static struct json_object *dns_config(const struct dns_config *dns)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < dns->n_nameservers; i++) {
		struct json_object *r = json_object_new_object();

		put(r, "Addr", dns->nameservers[i]);
		json_object_array_add(list, r);
	}
	json_object_object_add(o, "Resolvers", list);
	json_object_object_add(o, "Domains",
			       json_from_strings(dns->domains,
						 dns->n_domains));
	put_bool(o, "Proxied", dns->proxied);
	return o;
}

struct json_object *netmap_to_json(const struct netmap *nm)
{
	struct json_object *o = json_object_new_object();
	struct json_object *peers = json_object_new_array();
	struct json_object *filters = json_object_new_object();
	struct json_object *users = json_object_new_array();
	struct user_profile *u, *tmp_u;
	struct filter_list *list, *tmp_f;
	struct node *n, *tmp_n;

	if (nm->self)
		json_object_object_add(o, "Node", node(nm->self));
	HASH_ITER(hh, nm->peers, n, tmp_n)
	json_object_array_add(peers, node(n));
	HASH_ITER(hh, nm->filters, list, tmp_f)
	json_object_object_add(filters, list->name, filter_list_encode(list));
	HASH_ITER(hh, nm->users, u, tmp_u)
	{
		struct json_object *user = json_object_new_object();

		json_object_object_add(user, "ID",
				       json_object_new_int64(u->id));
		put_text(user, "LoginName", u->login_name);
		put_text(user, "DisplayName", u->display_name);
		json_object_array_add(users, user);
	}
	json_object_object_add(o, "Peers", peers);
	json_object_object_add(o, "DERPMap", derp_map(nm));
	json_object_object_add(o, "PacketFilters", filters);
	json_object_object_add(o, "UserProfiles", users);
	json_object_object_add(o, "DNSConfig", dns_config(&nm->dns));
	put_text(o, "Domain", nm->domain);
	json_object_object_add(o, "Health",
			       json_from_strings(nm->health, nm->n_health));
	return o;
}
