// SPDX-License-Identifier: GPL-2.0
#include "localapi/status.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"
#include "version.h"

static void put(struct json_object *o, const char *name, struct json_object *v)
{
	json_object_object_add(o, name, v);
}

static void put_string(struct json_object *o, const char *name, const char *v)
{
	put(o, name, json_object_new_string(v));
}

static void put_bool(struct json_object *o, const char *name, bool v)
{
	put(o, name, json_object_new_boolean(v));
}

static void put_time(struct json_object *o, const char *name, int64_t t)
{
	char text[32] = "0001-01-01T00:00:00Z";
	time_t tt = (time_t)t;
	struct tm tm;

	if (t && gmtime_r(&tt, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	put_string(o, name, text);
}

static struct json_object *ips(const struct node *n)
{
	struct json_object *o = json_object_new_array();
	char text[IP_TEXT_MAX];
	size_t i;

	for (i = 0; i < n->n_addresses; i++)
		json_object_array_add(o,
				      json_object_new_string(ip_format(
					      &n->addresses[i].ip, text)));
	return o;
}

/* "" for a region that the map doesn't have. */
static const char *region_code(const struct netmap *nm, int region)
{
	struct derp_region *r;

	HASH_FIND_INT(nm->derp_regions, &region, r);
	return r ? r->code : "";
}

/* What a node and a peer have in common. */
static struct json_object *node_json(const struct netmap *nm,
				     const struct node *n)
{
	struct json_object *o = json_object_new_object();
	char text[KEY_TEXT_MAX];

	put_string(o, "ID", n->stable_id);
	put_string(o, "PublicKey", key_format(text, KEY_NODE, &n->key));
	put_string(o, "HostName", n->host_name);
	put_string(o, "DNSName", n->name);
	put_string(o, "OS", n->os);
	put(o, "UserID", json_object_new_int64(n->user));
	put(o, "TailscaleIPs", ips(n));
	put(o, "AllowedIPs", json_from_prefixes(n->allowed_ips, n->n_allowed_ips));
	if (n->n_primary_routes)
		put(o, "PrimaryRoutes",
		    json_from_prefixes(n->primary_routes, n->n_primary_routes));
	if (n->n_tags)
		put(o, "Tags", json_from_strings(n->tags, n->n_tags));
	put(o, "Addrs", NULL);
	put_string(o, "CurAddr", "");
	put_string(o, "Relay", region_code(nm, n->home_derp));
	put_string(o, "PeerRelay", "");
	put_time(o, "LastWrite", 0);
	put_time(o, "LastHandshake", 0);
	put(o, "PeerAPIURL", json_object_new_array());
	put(o, "TaildropTarget", json_object_new_int(0));
	put_string(o, "NoFileSharingReason", "tailrace has no Taildrop");
	put_time(o, "Created", n->created);
	put_time(o, "LastSeen", n->online > 0 ? 0 : n->last_seen);
	put_bool(o, "Online", n->online > 0);
	put_bool(o, "ExitNode", false);
	put_bool(o, "ExitNodeOption", false);
	put_bool(o, "InNetworkMap", true);
	if (n->expired)
		put_bool(o, "Expired", true);
	if (n->key_expiry)
		put_time(o, "KeyExpiry", n->key_expiry);
	return o;
}

static struct json_object *peer_json(const struct agent *a,
				     const struct netmap *nm,
				     const struct node *n,
				     const struct kernel_peer_stats *stats,
				     size_t n_stats)
{
	struct json_object *o = node_json(nm, n);
	uint32_t id = paths_peer_id(a->paths, &n->key);
	struct paths_peer_status path;
	char text[ENDPOINT_TEXT_MAX];
	int64_t rx = 0, tx = 0, handshake = 0;
	size_t i;

	for (i = 0; i < n_stats; i++) {
		if (stats[i].peer != id)
			continue;
		rx = (int64_t)stats[i].rx_bytes;
		tx = (int64_t)stats[i].tx_bytes;
		handshake = stats[i].last_handshake;
	}
	paths_peer_status(a->paths, &n->key, &path);
	put_string(o, "CurAddr",
		   path.direct.ip.family ? endpoint_format(&path.direct, text) :
					   "");
	put(o, "RxBytes", json_object_new_int64(rx));
	put(o, "TxBytes", json_object_new_int64(tx));
	put_time(o, "LastHandshake", handshake);
	put_bool(o, "Active", path.active);
	put_bool(o, "InMagicSock", id != 0);
	put_bool(o, "InEngine", handshake != 0);
	return o;
}

static void self_fields(const struct agent *a, struct json_object *o)
{
	struct json_object *addrs = json_object_new_array();
	char text[ENDPOINT_TEXT_MAX];
	size_t i;

	for (i = 0; i < a->n_own; i++)
		json_object_array_add(addrs,
				      json_object_new_string(endpoint_format(
					      &a->own[i].ep, text)));
	put(o, "Addrs", addrs);
	put_string(o, "CurAddr", "");
	put(o, "RxBytes", json_object_new_int64(0));
	put(o, "TxBytes", json_object_new_int64(0));
	put_bool(o, "Active", false);
	put_bool(o, "InMagicSock", false);
	put_bool(o, "InEngine", false);
}

struct json_object *health_json(const struct agent *a,
				const struct netmap *nm)
{
	struct json_object *o = json_object_new_array();
	const char *const own[] = { a->kernel_error, a->control_error,
				    a->filter_problem };
	char text[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(own); i++)
		if (*own[i])
			json_object_array_add(o,
					      json_object_new_string(own[i]));
	if (a->store.damaged) {
		snprintf(text, sizeof(text),
			 "a damaged state file was set aside as %s",
			 a->store.damaged);
		json_object_array_add(o, json_object_new_string(text));
	}
	for (i = 0; nm && i < nm->n_health; i++)
		json_object_array_add(o, json_object_new_string(nm->health[i]));
	return o;
}

static struct json_object *users_json(const struct netmap *nm)
{
	struct json_object *o = json_object_new_object(), *u;
	const struct user_profile *p;
	char id[24];

	for (p = nm->users; p; p = p->hh.next) {
		u = json_object_new_object();
		put(u, "ID", json_object_new_int64(p->id));
		put_string(u, "LoginName", p->login_name);
		put_string(u, "DisplayName", p->display_name);
		put_string(u, "ProfilePicURL", "");
		snprintf(id, sizeof(id), "%lld", (long long)p->id);
		put(o, id, u);
	}
	return o;
}

/* Everything after the first label of our name. */
static const char *magicdns_suffix(const struct node *self)
{
	const char *dot = strchr(self->name, '.');

	return dot ? dot + 1 : "";
}

static struct json_object *tailnet_json(const struct netmap *nm)
{
	struct json_object *o = json_object_new_object();

	put_string(o, "Name", nm->domain);
	put_string(o, "MagicDNSSuffix", magicdns_suffix(nm->self));
	put_bool(o, "MagicDNSEnabled", nm->dns.proxied);
	return o;
}

struct json_object *status_json(const struct agent *a,
				const struct kernel_peer_stats *stats, size_t n,
				const char *device_json, bool peers)
{
	struct json_object *o = json_object_new_object(), *list;
	const struct netmap *nm = agent_netmap(a);
	char text[KEY_TEXT_MAX];
	const struct node *node;

	put_string(o, "Version", TAILRACE_VERSION);
	put_bool(o, "TUN", true);
	put_string(o, "BackendState", agent_state_name(agent_state(a)));
	put_bool(o, "HaveNodeKey", !key_is_zero(&a->store.node_private));
	put_string(o, "AuthURL", a->auth_url);
	put(o, "Health", health_json(a, nm));
	put(o, "Kernel", json_tokener_parse(device_json));
	if (!nm) {
		put(o, "TailscaleIPs", NULL);
		put(o, "Self", NULL);
		put(o, "Peer", NULL);
		put(o, "User", NULL);
		put_string(o, "MagicDNSSuffix", "");
		return o;
	}
	put(o, "TailscaleIPs", ips(nm->self));
	list = node_json(nm, nm->self);
	self_fields(a, list);
	put_string(list, "Relay", region_code(nm, derps_home(a->derps)));
	put_bool(list, "Online", a->control_state == CONTROL_STREAMING);
	put(o, "Self", list);
	put_string(o, "MagicDNSSuffix", magicdns_suffix(nm->self));
	put(o, "CurrentTailnet", tailnet_json(nm));
	put(o, "CertDomains", NULL);
	put(o, "ClientVersion", NULL);
	put(o, "User", users_json(nm));
	list = NULL;
	if (peers && nm->peers) {
		list = json_object_new_object();
		for (node = nm->peers; node; node = node->hh.next)
			put(list, key_format(text, KEY_NODE, &node->key),
			    peer_json(a, nm, node, stats, n));
	}
	put(o, "Peer", list);
	return o;
}

static void put_maybe(struct json_object *o, const char *name, int v)
{
	put(o, name, v < 0 ? NULL : json_object_new_boolean(v));
}

struct json_object *netcheck_json(const struct agent *a,
				  const struct net_report *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *latency = json_object_new_object();
	struct json_object *codes = json_object_new_object();
	const struct netmap *nm = agent_netmap(a);
	char text[ENDPOINT_TEXT_MAX], id[16];
	size_t i;

	if (!r) {
		json_object_put(latency);
		json_object_put(codes);
		return o;
	}
	put_bool(o, "UDP", r->udp);
	put_bool(o, "IPv4", r->ipv4);
	put_bool(o, "IPv6", r->ipv6);
	put_bool(o, "IPv4CanSend", r->ipv4_can_send);
	put_bool(o, "IPv6CanSend", r->ipv6_can_send);
	put_bool(o, "OSHasIPv6", r->os_has_ipv6);
	put_maybe(o, "MappingVariesByDestIP", r->mapping_varies);
	put_maybe(o, "UPnP", r->upnp);
	put_maybe(o, "PMP", r->pmp);
	put_maybe(o, "PCP", r->pcp);
	put(o, "PreferredDERP", json_object_new_int(derps_home(a->derps)));
	for (i = 0; i < r->n_regions; i++) {
		snprintf(id, sizeof(id), "%d", r->regions[i].region);
		/* Nanoseconds, as a Go duration is written. */
		put(latency, id,
		    json_object_new_int64((int64_t)r->regions[i].ns));
		put_string(codes, id,
			   nm ? region_code(nm, r->regions[i].region) : "");
	}
	put(o, "RegionLatency", latency);
	put(o, "RegionCode", codes);
	put_string(o, "GlobalV4",
		   r->global_v4.ip.family ? endpoint_format(&r->global_v4, text) :
					    "");
	put_string(o, "GlobalV6",
		   r->global_v6.ip.family ? endpoint_format(&r->global_v6, text) :
					    "");
	return o;
}
