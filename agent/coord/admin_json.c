// SPDX-License-Identifier: GPL-2.0
/* The model's objects as the command line gets them. */
#include "coord/admin_internal.h"
#include "lib/json.h"
#include "lib/json_net.h"

static void add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static void add_number(struct json_object *o, const char *name, int64_t v)
{
	json_object_object_add(o, name, json_object_new_int64(v));
}

static void add_flag(struct json_object *o, const char *name, bool v)
{
	json_object_object_add(o, name, json_object_new_boolean(v));
}

/* null for none. */
static void add_time(struct json_object *o, const char *name, int64_t t)
{
	char text[TIME_TEXT_MAX];

	json_object_object_add(
		o, name,
		t ? json_object_new_string(time_format_rfc3339(t, text)) :
		    NULL);
}

static void add_key(struct json_object *o, const char *name, const char *kind,
		    const struct key *k)
{
	char text[KEY_TEXT_MAX];

	add_text(o, name, key_is_zero(k) ? "" : key_format(text, kind, k));
}

static void add_strings(struct json_object *o, const char *name,
			char *const *list, size_t n)
{
	struct json_object *a = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(a, json_object_new_string(list[i]));
	json_object_object_add(o, name, a);
}

static void add_prefixes(struct json_object *o, const char *name,
			 const struct prefix *list, size_t n)
{
	json_object_object_add(o, name, json_from_prefixes(list, n));
}

struct json_object *admin_user_json(const struct coord_user *u)
{
	struct json_object *o = json_object_new_object();

	add_number(o, "id", u->id);
	add_text(o, "name", u->name);
	add_text(o, "display_name", u->display);
	add_text(o, "provider", u->provider);
	add_text(o, "provider_id", u->subject);
	add_number(o, "nodes", (int64_t)u->n_nodes);
	add_time(o, "created_at", u->created);
	return o;
}

struct json_object *admin_key_json(const struct authkey *k)
{
	struct json_object *o = json_object_new_object();

	add_number(o, "id", k->id);
	add_text(o, "prefix", k->prefix);
	json_object_object_add(o, "user", admin_user_json(k->user));
	add_flag(o, "reusable", k->reusable);
	add_flag(o, "ephemeral", k->ephemeral);
	add_flag(o, "used", k->used);
	add_strings(o, "tags", k->tags, k->n_tags);
	add_time(o, "expiration", k->expiry);
	add_time(o, "created_at", k->created);
	return o;
}

struct json_object *admin_node_json(const struct coord_node *n)
{
	struct json_object *o = json_object_new_object(), *a;
	char text[ENDPOINT_TEXT_MAX];
	size_t i;

	add_number(o, "id", n->id);
	add_text(o, "stable_id", n->stable_id);
	add_key(o, "machine_key", KEY_MACHINE, &n->machine);
	add_key(o, "node_key", KEY_NODE, &n->key);
	add_key(o, "disco_key", KEY_DISCO, &n->disco);
	a = json_object_new_array();
	for (i = 0; i < n->n_addresses; i++)
		json_object_array_add(a, json_object_new_string(ip_format(
						 &n->addresses[i], text)));
	json_object_object_add(o, "ip_addresses", a);
	add_text(o, "name", n->hostname);
	add_text(o, "given_name", n->name);
	json_object_object_add(o, "user", admin_user_json(n->user));
	add_flag(o, "online", n->online);
	add_flag(o, "ephemeral", n->ephemeral);
	add_flag(o, "expired", n->expired);
	add_time(o, "last_seen", n->last_seen);
	add_time(o, "expiry", n->expiry);
	add_time(o, "created_at", n->created);
	add_text(o, "register_method", n->authkey ? "authkey" : "cli");
	add_number(o, "pre_auth_key", n->authkey);
	add_number(o, "capability_version", n->cap);
	add_number(o, "home_derp", n->home_derp);
	json_object_object_add(o, "endpoints",
			       json_from_endpoints(n->endpoints,
						   n->n_endpoints));
	add_strings(o, "tags", n->tags, n->n_tags);
	add_prefixes(o, "available_routes", n->advertised, n->n_advertised);
	add_prefixes(o, "approved_routes", n->approved, n->n_approved);
	add_prefixes(o, "subnet_routes", n->effective, n->n_effective);
	add_prefixes(o, "primary_routes", n->primary, n->n_primary);
	json_object_object_add(o, "hostinfo", json_object_get(n->hostinfo));
	return o;
}

struct json_object *admin_pending_json(const struct pending_node *p)
{
	struct json_object *o = json_object_new_object();
	const char *hostname = json_text(json_member(p->hostinfo, "Hostname"));

	add_text(o, "id", p->id);
	add_key(o, "machine_key", KEY_MACHINE, &p->machine);
	add_key(o, "node_key", KEY_NODE, &p->key);
	add_text(o, "name", hostname ? hostname : "");
	add_flag(o, "ephemeral", p->ephemeral);
	add_number(o, "node", p->node);
	add_time(o, "created_at", p->created);
	add_time(o, "expires_at", p->expires);
	return o;
}

struct json_object *admin_route_json(const struct coord_route *r,
				     const struct coord_node *n)
{
	struct json_object *o = json_object_new_object();
	char text[PREFIX_TEXT_MAX];

	add_text(o, "prefix", prefix_format(&r->prefix, text));
	add_number(o, "node", n->id);
	add_text(o, "given_name", n->name);
	add_flag(o, "online", n->online);
	add_flag(o, "healthy", n->healthy);
	add_flag(o, "primary", r->primary == n);
	return o;
}
