// SPDX-License-Identifier: GPL-2.0
/* Nodes: the tables, and what an administrator does to them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "coord/model.h"
#include "coord/model_internal.h"
#include "lib/json.h"
#include "lib/util.h"

static void set_owner(struct coord_node *n)
{
	memset(&n->owner, 0, sizeof(n->owner));
	n->owner.machine = n->machine;
	n->owner.user = n->user->id;
}

void node_link(struct model *m, struct coord_node *n)
{
	size_t i;

	set_owner(n);
	HASH_ADD(hh_id, m->nodes, id, sizeof(n->id), n);
	HASH_ADD(hh_key, m->by_key, key, sizeof(n->key), n);
	HASH_ADD(hh_owner, m->by_owner, owner, sizeof(n->owner), n);
	HASH_ADD_KEYPTR(hh_name, m->by_name, n->name, strlen(n->name), n);
	for (i = 0; i < n->n_addresses; i++) {
		struct ip_addr *a = &n->addresses[i];

		if (a->family == 4)
			HASH_ADD_KEYPTR(hh_ip[0], m->by_ip[0], a, sizeof(*a),
					n);
		else
			HASH_ADD_KEYPTR(hh_ip[1], m->by_ip[1], a, sizeof(*a),
					n);
		m->last[a->family == 6] = *a;
	}
	n->user->n_nodes++;
}

void node_unlink(struct model *m, struct coord_node *n)
{
	size_t i;

	node_set_dirty(m, n, false);
	HASH_DELETE(hh_id, m->nodes, n);
	HASH_DELETE(hh_key, m->by_key, n);
	HASH_DELETE(hh_owner, m->by_owner, n);
	HASH_DELETE(hh_name, m->by_name, n);
	for (i = 0; i < n->n_addresses; i++) {
		if (n->addresses[i].family == 4)
			HASH_DELETE(hh_ip[0], m->by_ip[0], n);
		else
			HASH_DELETE(hh_ip[1], m->by_ip[1], n);
	}
	n->user->n_nodes--;
}

void coord_node_free(struct coord_node *n)
{
	free(n->hostname);
	free(n->endpoints);
	free(n->endpoint_types);
	json_object_put(n->hostinfo);
	free_strings(n->tags, n->n_tags);
	free(n->advertised);
	free(n->approved);
	free(n->effective);
	free(n->primary);
	free(n);
}

void node_set_dirty(struct model *m, struct coord_node *n, bool dirty)
{
	if (n->dirty == dirty)
		return;
	n->dirty = dirty;
	if (dirty)
		m->n_dirty++;
	else
		m->n_dirty--;
}

/* What the tables demand of a node from the database. */
static bool is_unique(struct model *m, const struct coord_node *n)
{
	size_t i;

	for (i = 0; i < n->n_addresses; i++)
		if (model_node_by_ip(m, &n->addresses[i]))
			return false;
	return !key_is_zero(&n->key) && !key_is_zero(&n->machine) &&
	       !model_node_by_key(m, &n->key) &&
	       !model_node_by_machine(m, &n->machine, n->user) &&
	       !model_node_by_name(m, n->name);
}

int nodes_load(struct model *m)
{
	int64_t now = time(NULL);
	struct coord_node *n;
	int got;

	while ((got = node_load(m, &n)) > 0) {
		if (!is_unique(m, n)) {
			got = model_fail(m, -EIO, "node %" PRId64 " is double",
					 n->id);
			coord_node_free(n);
			return got;
		}
		n->expired = n->expiry && n->expiry <= now;
		node_link(m, n);
		routes_refresh(m, n);
	}
	return got;
}

struct coord_node *model_nodes(struct model *m)
{
	return m->nodes;
}

size_t model_n_nodes(struct model *m)
{
	return HASH_CNT(hh_id, m->nodes);
}

struct coord_node *model_node(struct model *m, int64_t id)
{
	struct coord_node *n;

	HASH_FIND(hh_id, m->nodes, &id, sizeof(id), n);
	return n;
}

struct coord_node *model_node_by_key(struct model *m, const struct key *key)
{
	struct coord_node *n;

	HASH_FIND(hh_key, m->by_key, key, sizeof(*key), n);
	return n;
}

struct coord_node *model_node_by_name(struct model *m, const char *name)
{
	struct coord_node *n;

	HASH_FIND(hh_name, m->by_name, name, strlen(name), n);
	return n;
}

struct coord_node *model_node_by_ip(struct model *m, const struct ip_addr *ip)
{
	struct coord_node *n;

	if (ip->family == 4)
		HASH_FIND(hh_ip[0], m->by_ip[0], ip, sizeof(*ip), n);
	else
		HASH_FIND(hh_ip[1], m->by_ip[1], ip, sizeof(*ip), n);
	return n;
}

struct coord_node *model_node_by_machine(struct model *m,
					 const struct key *machine,
					 const struct coord_user *user)
{
	struct coord_node *n, want;

	memset(&want.owner, 0, sizeof(want.owner));
	want.owner.machine = *machine;
	want.owner.user = user->id;
	HASH_FIND(hh_owner, m->by_owner, &want.owner, sizeof(want.owner), n);
	return n;
}

struct coord_node *model_node_named(struct model *m, const char *text)
{
	struct coord_node *n = NULL;
	struct ip_addr ip;
	int64_t id;

	if (!json_key_int64(text, &id))
		n = model_node(m, id);
	if (!n)
		n = model_node_by_name(m, text);
	if (!n && !ip_parse(&ip, text))
		n = model_node_by_ip(m, &ip);
	return n;
}

/*
 * Changes are made to a shallow copy first, which is saved; what it shares with
 * the node stays the node's.
 */
int model_node_set_expiry(struct model *m, struct coord_node *n, int64_t expiry,
			  int64_t now)
{
	struct coord_node draft = *n;
	int err;

	draft.expiry = expiry;
	err = node_save(m, &draft);
	if (err)
		return err;
	n->expiry = expiry;
	n->expired = expiry && expiry <= now;
	model_emit(m, MODEL_NODE_CHANGED, n, NODE_EXPIRY, NULL);
	return 0;
}

int model_node_rename(struct model *m, struct coord_node *n, const char *name)
{
	struct coord_node draft = *n, *other;
	int err;

	if (!*name)
		return model_fail(m, -EINVAL, "a name is a DNS label");
	model_sanitize_name(draft.name, name);
	other = model_node_by_name(m, draft.name);
	if (other && other != n)
		return model_fail(m, -EEXIST, "node %" PRId64 " is named '%s'",
				  other->id, draft.name);
	draft.renamed = true;
	err = node_save(m, &draft);
	if (err)
		return err;
	HASH_DELETE(hh_name, m->by_name, n);
	strcpy(n->name, draft.name);
	n->renamed = true;
	HASH_ADD_KEYPTR(hh_name, m->by_name, n->name, strlen(n->name), n);
	model_emit(m, MODEL_NODE_CHANGED, n, NODE_NAME, NULL);
	return 0;
}

int model_node_set_tags(struct model *m, struct coord_node *n,
			const char *const *tags, size_t n_tags)
{
	unsigned int aspects = NODE_TAGS;
	struct coord_node draft = *n;
	int err;

	err = tags_copy(m, tags, n_tags, &draft.tags, &draft.n_tags);
	if (err)
		return err;
	if (draft.n_tags)
		draft.expiry = 0;
	err = node_save(m, &draft);
	if (err) {
		free_strings(draft.tags, draft.n_tags);
		return err;
	}
	free_strings(n->tags, n->n_tags);
	n->tags = draft.tags;
	n->n_tags = draft.n_tags;
	if (n->expiry != draft.expiry) {
		n->expiry = draft.expiry;
		n->expired = false;
		aspects |= NODE_EXPIRY;
	}
	model_emit(m, MODEL_NODE_CHANGED, n, aspects, NULL);
	return 0;
}

int model_node_move(struct model *m, struct coord_node *n, struct coord_user *u)
{
	struct coord_node draft = *n;
	int err;

	if (n->user == u)
		return 0;
	if (model_node_by_machine(m, &n->machine, u))
		return model_fail(m, -EEXIST,
				  "user '%s' has a node on that machine already",
				  u->name);
	draft.user = u;
	err = node_save(m, &draft);
	if (err)
		return err;
	HASH_DELETE(hh_owner, m->by_owner, n);
	n->user->n_nodes--;
	n->user = u;
	n->user->n_nodes++;
	set_owner(n);
	HASH_ADD(hh_owner, m->by_owner, owner, sizeof(n->owner), n);
	model_emit(m, MODEL_NODE_CHANGED, n, NODE_USER, NULL);
	return 0;
}

int model_node_delete(struct model *m, struct coord_node *n)
{
	struct sqlite3_stmt *s;
	int err;

	s = db_prepare(m->db, "DELETE FROM nodes WHERE id = ?");
	if (s)
		db_bind_int(s, 1, n->id);
	err = model_run(m, s);
	if (err)
		return err;
	node_unlink(m, n);
	routes_remove(m, n);
	model_emit(m, MODEL_NODE_REMOVED, n, 0, NULL);
	coord_node_free(n);
	return 0;
}

int model_node_approve_routes(struct model *m, struct coord_node *n,
			      const struct prefix *routes, size_t n_routes)
{
	struct coord_node draft = *n;
	int err;

	if (n_routes > MODEL_ROUTES_MAX)
		return model_fail(m, -ENOSPC, "%zu routes, %d are allowed",
				  n_routes, MODEL_ROUTES_MAX);
	draft.approved = xmalloc(n_routes * sizeof(*routes));
	if (n_routes)
		memcpy(draft.approved, routes, n_routes * sizeof(*routes));
	draft.n_approved = prefixes_normalize(draft.approved, n_routes);
	err = node_save(m, &draft);
	if (err) {
		free(draft.approved);
		return err;
	}
	free(n->approved);
	n->approved = draft.approved;
	n->n_approved = draft.n_approved;
	model_emit(m, MODEL_NODE_CHANGED, n, NODE_APPROVED | routes_refresh(m, n),
		   NULL);
	return 0;
}
