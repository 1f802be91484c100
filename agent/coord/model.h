/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MODEL_H
#define COORD_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "lib/addr.h"
#include "lib/key.h"

/*
 * What the coordination server knows: users, nodes, pre-auth keys, pending
 * registrations, routes, the policy's text. Reads come from memory; a change is
 * committed to SQLite first, then made in memory, then announced to the
 * listener. A function that returned 0 has made it for good:
 *
 *   at once, synced: users, pre-auth keys, the policy; of a node: its existence,
 *     keys (machine, node, previous), user, names, addresses, tags, expiry,
 *     approved routes, and Hostinfo but for NetInfo (so advertised routes too)
 *   batched, within MODEL_FLUSH_S seconds: disco key, endpoints, NetInfo (so
 *     home DERP), capability version, last seen. A client repeats them when it
 *     comes back. And who is primary for a route.
 *   in memory only: online, health, pending registrations. A stranger cannot make the server write to its disk.
 *
 * Times are Unix seconds, 0 for none. Functions that can fail return 0 or a
 * negative errno and leave everything as it was; model_error() has a sentence
 * for people:
 *   -EINVAL what was asked for is no such thing, -ENOENT it does not exist,
 *   -EEXIST it exists already, -EPERM not with these credentials, -ENOSPC a
 *   bound is reached, -EIO the database did not take it.
 * Pointers to objects stay good until the object's removal is announced.
 */

/* Bounds. */
#define MODEL_NODES_MAX 50000
#define MODEL_USERS_MAX 10000
#define MODEL_AUTHKEYS_MAX 10000
#define MODEL_PENDING_MAX 1000 /* the oldest makes room */
#define MODEL_HOSTINFO_MAX 32768 /* bytes of JSON */
#define MODEL_ENDPOINTS_MAX 64 /* per node; more are left out */
#define MODEL_ROUTES_MAX 512 /* per node, of either kind */
#define MODEL_TAGS_MAX 32
#define MODEL_POLICY_MAX (1u << 20)
#define MODEL_USER_NAME_MAX 64 /* with the NUL; so below */
#define MODEL_NAME_MAX 64 /* a DNS label */
#define MODEL_TAG_MAX 64
#define MODEL_FLUSH_S 5
#define MODEL_RETURN_S 30 /* after a start, a router keeps its routes so long */
#define MODEL_PENDING_S 900

struct json_object;
struct db;
struct model;

struct coord_user {
	int64_t id;
	/* "alice" or "alice@example.com"; what the policy calls a login name. */
	char name[MODEL_USER_NAME_MAX];
	char *display; /* "" if none was given */
	/* Who vouches for it: "" for a local user, else the OIDC issuer and sub. */
	char *provider, *subject;
	int64_t created;
	size_t n_nodes;
	UT_hash_handle hh_id, hh_name;
};

struct coord_node {
	int64_t id;
	char stable_id[24]; /* never used again, for another node neither */
	struct key machine;
	struct key key; /* node key: WireGuard's */
	struct key old_key; /* the one before it; zero: none */
	struct key disco; /* zero: not known yet */
	struct coord_user *user; /* never NULL; who a tagged node was made by */
	char *hostname; /* as the node calls itself */
	char name[MODEL_NAME_MAX]; /* unique, a lower-case DNS label */
	bool renamed; /* by an administrator: no longer follows hostname */
	/* In the tailnet: IPv4, IPv6 or both, in this order. */
	struct ip_addr addresses[2];
	size_t n_addresses;
	struct endpoint *endpoints;
	uint8_t *endpoint_types; /* control.md 5.1; as many */
	size_t n_endpoints;
	struct json_object *hostinfo; /* an object, NetInfo included */
	int home_derp; /* NetInfo.PreferredDERP, 0: none */
	int cap; /* capability version of its last request */
	char **tags; /* "tag:web", sorted */
	size_t n_tags;
	/* Sorted, masked, no repeats. Effective is what is in both. */
	struct prefix *advertised, *approved; /* Hostinfo.RoutableIPs; consent */
	size_t n_advertised, n_approved;
	struct prefix *effective; /* exit routes (/0) too */
	size_t n_effective;
	/* Of effective: those this node is primary for. Never exit routes. */
	struct prefix *primary;
	size_t n_primary;
	bool ephemeral;
	int64_t authkey; /* id of the key it joined by; 0: interactively */
	int64_t created;
	int64_t last_seen; /* when it was last online */
	int64_t offline_since; /* since the server started; 0: not known */
	int64_t expiry; /* of the node key; 0: never */
	bool online;
	bool healthy; /* for routes: see model_node_set_healthy() */
	/* A router that was not heard of since the server started. */
	bool awaited;
	bool expired; /* expiry has passed and was announced */
	void *session; /* the map streams' own; NULL at first */
	bool dirty; /* in the batch; the model's own */
	UT_hash_handle hh_id, hh_key, hh_owner, hh_name, hh_ip[2];
	struct {
		struct key machine;
		int64_t user;
	} owner; /* key of hh_owner */
};

struct authkey {
	int64_t id;
	char prefix[13]; /* what a list shows of the secret; unique */
	uint8_t hash[32]; /* of the whole secret, which nobody keeps */
	struct coord_user *user;
	bool reusable, ephemeral;
	bool used; /* by a node at least */
	char **tags;
	size_t n_tags;
	int64_t created;
	int64_t expiry; /* 0: never */
	UT_hash_handle hh_id, hh_prefix;
};

/* What a node asks to join with. All borrowed. */
struct registration {
	struct key machine, key, old_key;
	struct json_object *hostinfo; /* object; NULL: as it was, or {} */
	int cap;
	int64_t expiry; /* of the node key as the server grants it; 0: never */
	bool ephemeral;
	const char *const *tags; /* that the policy lets it have at once */
	size_t n_tags;
};

/* A registration that waits for `nodes approve` or a login in a browser. */
struct pending_node {
	char id[25]; /* 24 hex digits, the end of the AuthURL */
	struct key machine, key, old_key;
	struct json_object *hostinfo;
	int cap;
	bool ephemeral;
	int64_t created, expires;
	/* Set when approved; it is kept until it expires, for the follow-up. */
	int64_t node;
	struct pending_node *prev, *next;
	UT_hash_handle hh;
};

/* What of a node has changed. */
enum node_aspect {
	NODE_KEY = 1 << 0, /* node key, machine key */
	NODE_DISCO = 1 << 1,
	NODE_ENDPOINTS = 1 << 2,
	NODE_DERP = 1 << 3,
	NODE_HOSTINFO = 1 << 4, /* but for NetInfo */
	NODE_NETINFO = 1 << 5,
	NODE_NAME = 1 << 6,
	NODE_USER = 1 << 7,
	NODE_TAGS = 1 << 8,
	NODE_ADVERTISED = 1 << 9,
	NODE_APPROVED = 1 << 10, /* the effective routes or the consent */
	NODE_PRIMARY = 1 << 11,
	NODE_EXPIRY = 1 << 12, /* the date, or it has passed */
	NODE_ONLINE = 1 << 13, /* and last seen */
	NODE_CAP = 1 << 14,
	NODE_ADDRESSES = 1 << 15,
	NODE_FITNESS = 1 << 16, /* to route: see model_route_fitness() */
};

enum model_event_kind {
	MODEL_NODE_ADDED,
	MODEL_NODE_CHANGED, /* aspects */
	MODEL_NODE_REMOVED, /* out of all tables, freed after the call */
	MODEL_USERS, /* one came, left or got another name */
	MODEL_POLICY, /* the text was replaced */
	MODEL_PENDING_APPROVED, /* pending->node says which; after ADDED/CHANGED */
	MODEL_PENDING_GONE, /* expired, pushed out or denied; freed after the call */
};

struct model_event {
	enum model_event_kind kind;
	struct coord_node *node;
	unsigned int aspects;
	struct pending_node *pending;
};

/* Called after the change is committed. May read, must not change the model. */
typedef void (*model_listener)(void *ctx, const struct model_event *e);

struct model_config {
	const char *path; /* of the database; beside it: -wal, -shm, .lock */
	/* Pools of node addresses; family 0: none of that kind. */
	struct prefix v4, v6;
	bool random; /* addresses at random, else the next free one */
	unsigned int ephemeral_s; /* offline for so long: removed; 0: 120 */
};

/* Fills in the pools that everyone uses: 100.64.0.0/10, fd7a:115c:a1e0::/48. */
void model_config_default(struct model_config *c);

/*
 * Opens or creates the database and loads it. NULL after writing a sentence to
 * @error: it is in use by another server, newer than this program, of another
 * program, or damaged; it was not touched then.
 */
struct model *model_open(const struct model_config *c, char *error,
			 size_t error_size);
/* Writes the batch, closes. NULL is fine. */
void model_close(struct model *m);
/* The one listener; NULL for none. */
void model_listen(struct model *m, model_listener fn, void *ctx);
/* Why the last call failed. */
const char *model_error(const struct model *m);

/*
 * To be called about once a second with the wall clock: writes the batch when
 * it is due, removes ephemeral nodes that stayed away, lets pending
 * registrations and node keys expire.
 */
void model_tick(struct model *m, int64_t now);
/* Writes the batch now. */
int model_flush(struct model *m);

/* ── users (user.c) ── */

/* NULL: none. Iterate: for (u = model_users(m); u; u = u->hh_id.next), by id. */
struct coord_user *model_users(struct model *m);
struct coord_user *model_user(struct model *m, int64_t id);
struct coord_user *model_user_by_name(struct model *m, const char *name);
/*
 * A name is printable ASCII without blanks, quotes, commas, colons, slashes or
 * brackets, may have one @ inside, and is not digits alone. The others may be
 * NULL for "".
 */
int model_user_create(struct model *m, const char *name, const char *display,
		      const char *provider, const char *subject,
		      struct coord_user **out);
/* The user that @provider knows as @subject; NULL: none. */
struct coord_user *model_user_by_subject(struct model *m, const char *provider,
					 const char *subject);
int model_user_rename(struct model *m, struct coord_user *u, const char *name);
/* With its pre-auth keys; -EBUSY while it has nodes. */
int model_user_destroy(struct model *m, struct coord_user *u);

/* ── pre-auth keys (authkey.c) ── */

#define AUTHKEY_SECRET_MAX 96

struct authkey *model_authkeys(struct model *m); /* hh_id, by id */
struct authkey *model_authkey(struct model *m, int64_t id);
struct authkey *model_authkey_by_prefix(struct model *m, const char *prefix);
/* The secret goes to @secret, once. The caller wipes it. */
int model_authkey_create(struct model *m, struct coord_user *u, bool reusable,
			 bool ephemeral, int64_t expiry,
			 const char *const *tags, size_t n_tags,
			 char secret[AUTHKEY_SECRET_MAX],
			 struct authkey **out);
int model_authkey_expire(struct model *m, struct authkey *k, int64_t now);
int model_authkey_delete(struct model *m, struct authkey *k);
/*
 * The key that @secret is, in time that does not depend on how wrong it is;
 * NULL: none. Whether it is still good is for model_register() to say.
 */
struct authkey *model_authkey_find(struct model *m, const char *secret);

/* ── nodes (node.c, register.c) ── */

struct coord_node *model_nodes(struct model *m); /* hh_id, by id */
size_t model_n_nodes(struct model *m);
struct coord_node *model_node(struct model *m, int64_t id);
struct coord_node *model_node_by_key(struct model *m, const struct key *key);
struct coord_node *model_node_by_name(struct model *m, const char *name);
struct coord_node *model_node_by_ip(struct model *m, const struct ip_addr *ip);
/* A machine has at most one node per user. */
struct coord_node *model_node_by_machine(struct model *m,
					 const struct key *machine,
					 const struct coord_user *user);
/*
 * What an administrator may call a node: its id, name, or address. A name of
 * digits only is looked up as an id first.
 */
struct coord_node *model_node_named(struct model *m, const char *text);

/*
 * Joins a node by pre-auth key @k (of model_authkey_find()): the user's node on
 * that machine gets the new node key and the key's tags, or a node is made.
 * -EPERM: the key has expired or was used; but a node that has not expired and
 * comes with its own node key may use the key it once joined by again.
 */
int model_register(struct model *m, const struct registration *r,
		   struct authkey *k, int64_t now, struct coord_node **out);
/* The same for @u, without a key: an administrator or a login said so. */
int model_register_user(struct model *m, const struct registration *r,
			struct coord_user *u, int64_t now,
			struct coord_node **out);
/*
 * A known node with the same node key comes back (Hostinfo, cap), or rotates it
 * (r->key is new, r->old_key or n->key its present one) without logging in.
 * The expiry stays.
 */
int model_node_refresh(struct model *m, struct coord_node *n,
		       const struct registration *r);

/*
 * A machine has one at a time: the same one if it asks again with the same node
 * key, else the new one replaces the old.
 */
int model_pending_add(struct model *m, const struct registration *r,
		      int64_t now, struct pending_node **out);
struct pending_node *model_pending(struct model *m, const char *id);
struct pending_node *model_pendings(struct model *m); /* next */
/* @tags: that it bears at once; @expiry: of the node key, 0: never. */
int model_pending_approve(struct model *m, struct pending_node *p,
			  struct coord_user *u, const char *const *tags,
			  size_t n_tags, int64_t expiry, int64_t now,
			  struct coord_node **out);
void model_pending_deny(struct model *m, struct pending_node *p);

/*
 * What a map request says. Fields that are the same as before cost nothing. A
 * NetInfo missing from a new Hostinfo keeps the old one.
 */
struct node_update {
	const struct key *disco; /* NULL or zero: keep */
	struct json_object *hostinfo; /* borrowed; NULL: keep */
	bool has_endpoints; /* else keep */
	const struct endpoint *endpoints;
	const uint8_t *endpoint_types; /* NULL: all unknown */
	size_t n_endpoints;
	int cap; /* 0: keep */
};
int model_node_update(struct model *m, struct coord_node *n,
		      const struct node_update *u);
/* Memory only; going offline sets last seen to @now. */
void model_node_set_online(struct model *m, struct coord_node *n, bool online,
			   int64_t now);
/* An unhealthy node is primary only where no healthy one is online. */
void model_node_set_healthy(struct model *m, struct coord_node *n,
			    bool healthy);
/* 0: never. A date that has passed expires the node at once (logout). */
int model_node_set_expiry(struct model *m, struct coord_node *n,
			  int64_t expiry, int64_t now);
/* @name is made a DNS label; -EEXIST if another node has it. */
int model_node_rename(struct model *m, struct coord_node *n, const char *name);
/* Replaces all. A node with tags has no key expiry. */
int model_node_set_tags(struct model *m, struct coord_node *n,
			const char *const *tags, size_t n_tags);
int model_node_move(struct model *m, struct coord_node *n,
		    struct coord_user *u);
int model_node_delete(struct model *m, struct coord_node *n);
/* Replaces all. */
int model_node_approve_routes(struct model *m, struct coord_node *n,
			      const struct prefix *routes, size_t n_routes);

/*
 * The DNS label that is nearest to @hostname, not longer than 63 characters;
 * "node" if nothing is left of it.
 */
void model_sanitize_name(char out[MODEL_NAME_MAX], const char *hostname);

/* ── routes (route.c) ── */

/*
 * A subnet some node effectively routes. The primary is the one that peers are
 * told of: it stays while it is online and healthy, else the first (by id) that
 * is takes over; with none it stays. After a start it is taken for online until
 * it is heard of, for MODEL_RETURN_S at most.
 */
struct coord_route {
	struct prefix prefix;
	struct coord_node **nodes; /* effective ones, by id */
	size_t n_nodes;
	struct coord_node *primary;
	UT_hash_handle hh;
};
/* 2: online and healthy, 1: online at least, 0: neither. */
int model_route_fitness(const struct coord_node *n);
struct coord_route *model_routes(struct model *m); /* hh.next */
struct coord_route *model_route(struct model *m, const struct prefix *p);

/* ── the policy ── */

/* The text in force, NULL if there never was one. */
const char *model_policy(struct model *m, size_t *len);
/* Not parsed here: whoever calls has compiled it. -EINVAL past the bound. */
int model_set_policy(struct model *m, const char *text, size_t len);

#endif
