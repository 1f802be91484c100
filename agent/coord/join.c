// SPDX-License-Identifier: GPL-2.0
/* Nodes that join, come back, or change their key. */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "coord/model.h"
#include "coord/model_internal.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

/* What somebody with the right to do so made of a registration. */
struct grant {
	struct coord_user *user;
	struct authkey *authkey; /* NULL: interactively */
	bool ephemeral;
	char **tags; /* moved to the node */
	size_t n_tags;
};

/* Without a new Hostinfo, a node keeps what it has. */
static int read_hostinfo(struct model *m, const struct registration *r,
			 const struct coord_node *n, struct hostinfo *h)
{
	return hostinfo_read(m, r->hostinfo || !n ? r->hostinfo : n->hostinfo,
			     n, h);
}

/* The node key may not be another node's. */
static int check_key(struct model *m, const struct registration *r,
		     const struct coord_node *self)
{
	struct coord_node *other = model_node_by_key(m, &r->key);

	if (key_is_zero(&r->key) || key_is_zero(&r->machine))
		return model_fail(m, -EINVAL, "the node key is missing");
	if (!other || other == self)
		return 0;
	if (key_equal(&other->machine, &r->machine))
		return model_fail(
			m, -EPERM,
			"this node belongs to user '%s'; log it out first",
			other->user->name);
	return model_fail(m, -EPERM, "this node key is another machine's");
}

static void make_stable_id(struct coord_node *n)
{
	uint8_t random[8];

	randombytes_buf(random, sizeof(random));
	n->stable_id[0] = 'n';
	sodium_bin2hex(n->stable_id + 1, sizeof(n->stable_id) - 1, random,
		       sizeof(random));
}

/* The node and the use of the key, or neither. */
static int save(struct model *m, struct coord_node *draft,
		const struct authkey *k)
{
	int err;

	if (!k || k->used)
		return node_save(m, draft);
	if (db_begin(m->db))
		return model_fail_db(m);
	err = node_save(m, draft);
	if (!err)
		err = authkey_save_used(m, k);
	if (err) {
		db_rollback(m->db);
		return err;
	}
	return db_commit(m->db) ? model_fail_db(m) : 0;
}

static int add(struct model *m, const struct registration *r, struct grant *g,
	       struct hostinfo *h, int64_t now, struct coord_node **out)
{
	struct coord_node *n;
	int err;

	if (model_n_nodes(m) >= MODEL_NODES_MAX)
		return model_fail(m, -ENOSPC, "there are %d nodes, no more go in",
				  MODEL_NODES_MAX);
	n = xcalloc(1, sizeof(*n));
	make_stable_id(n);
	n->machine = r->machine;
	n->key = r->key;
	n->user = g->user;
	n->tags = g->tags;
	n->n_tags = g->n_tags;
	n->cap = r->cap;
	n->ephemeral = g->ephemeral;
	n->authkey = g->authkey ? g->authkey->id : 0;
	n->created = n->last_seen = now;
	n->expiry = n->n_tags ? 0 : r->expiry;
	n->healthy = true;
	n->offline_since = now;
	hostinfo_apply(n, h);
	node_pick_name(m, n->hostname, NULL, n->name);
	err = ipam_assign(m, n);
	if (!err)
		err = save(m, n, g->authkey);
	if (err) {
		n->tags = NULL;
		n->n_tags = 0;
		coord_node_free(n);
		return err;
	}
	if (g->authkey)
		g->authkey->used = true;
	node_link(m, n);
	routes_refresh(m, n);
	log_info("coord: node %" PRId64 " '%s' of '%s' joined", n->id, n->name,
		 n->user->name);
	model_emit(m, MODEL_NODE_ADDED, n, 0, NULL);
	*out = n;
	return 0;
}

/* Gives @n what @draft has, which was saved, and @h; announces it. */
static void adopt(struct model *m, struct coord_node *n,
		  const struct coord_node *draft, struct hostinfo *h)
{
	unsigned int aspects = hostinfo_diff(n, h);

	if (key_compare(&n->key, &draft->key) != 0) {
		HASH_DELETE(hh_key, m->by_key, n);
		n->key = draft->key;
		n->old_key = draft->old_key;
		HASH_ADD(hh_key, m->by_key, key, sizeof(n->key), n);
		aspects |= NODE_KEY;
	}
	if (strcmp(n->name, draft->name) != 0) {
		HASH_DELETE(hh_name, m->by_name, n);
		strcpy(n->name, draft->name);
		HASH_ADD_KEYPTR(hh_name, m->by_name, n->name, strlen(n->name),
				n);
		aspects |= NODE_NAME;
	}
	if (n->tags != draft->tags) {
		free_strings(n->tags, n->n_tags);
		n->tags = draft->tags;
		n->n_tags = draft->n_tags;
		aspects |= NODE_TAGS;
	}
	if (n->expiry != draft->expiry || n->expired != draft->expired) {
		n->expiry = draft->expiry;
		n->expired = draft->expired;
		aspects |= NODE_EXPIRY;
	}
	if (n->cap != draft->cap) {
		n->cap = draft->cap;
		aspects |= NODE_CAP;
	}
	n->ephemeral = draft->ephemeral;
	n->authkey = draft->authkey;
	node_set_dirty(m, n, false);
	hostinfo_apply(n, h);
	aspects |= routes_refresh(m, n);
	if (aspects)
		model_emit(m, MODEL_NODE_CHANGED, n, aspects, NULL);
}

/* A copy of @n as @r and @h have it. */
static void draft_of(struct model *m, const struct coord_node *n,
		     const struct registration *r, const struct hostinfo *h,
		     struct coord_node *draft)
{
	*draft = *n;
	if (key_compare(&n->key, &r->key) != 0) {
		draft->old_key = n->key;
		draft->key = r->key;
	}
	draft->cap = r->cap ? r->cap : n->cap;
	draft->hostinfo = h->object;
	draft->hostname = h->hostname;
	if (!n->renamed && strcmp(n->hostname, h->hostname) != 0)
		node_pick_name(m, h->hostname, n, draft->name);
}

static int renew(struct model *m, struct coord_node *n,
		 const struct registration *r, struct grant *g,
		 struct hostinfo *h, int64_t now)
{
	struct coord_node draft;
	int err;

	draft_of(m, n, r, h, &draft);
	draft.ephemeral = g->ephemeral;
	draft.authkey = g->authkey ? g->authkey->id : 0;
	draft.tags = g->tags;
	draft.n_tags = g->n_tags;
	draft.expiry = draft.n_tags ? 0 : r->expiry;
	draft.expired = draft.expiry && draft.expiry <= now;
	err = save(m, &draft, g->authkey);
	if (err)
		return err;
	if (g->authkey)
		g->authkey->used = true;
	log_info("coord: node %" PRId64 " '%s' of '%s' logged in again", n->id,
		 n->name, n->user->name);
	adopt(m, n, &draft, h);
	return 0;
}

static int join(struct model *m, const struct registration *r, struct grant *g,
		int64_t now, struct coord_node **out)
{
	struct coord_node *n = model_node_by_machine(m, &r->machine, g->user);
	struct hostinfo h;
	int err;

	err = check_key(m, r, n);
	if (!err)
		err = read_hostinfo(m, r, n, &h);
	if (err) {
		free_strings(g->tags, g->n_tags);
		return err;
	}
	if (n)
		err = renew(m, n, r, g, &h, now);
	else
		err = add(m, r, g, &h, now, &n);
	hostinfo_clear(&h);
	if (err)
		free_strings(g->tags, g->n_tags);
	else
		*out = n;
	return err;
}

/* The tags of a key and those the policy allows at once. */
static int all_tags(struct model *m, const struct registration *r,
		    const struct authkey *k, struct grant *g)
{
	const char *list[2 * MODEL_TAGS_MAX];
	size_t i, n = 0;

	if (r->n_tags > MODEL_TAGS_MAX)
		return model_fail(m, -ENOSPC, "%zu tags, %d are allowed",
				  r->n_tags, MODEL_TAGS_MAX);
	for (i = 0; k && i < k->n_tags; i++)
		list[n++] = k->tags[i];
	for (i = 0; i < r->n_tags; i++)
		list[n++] = r->tags[i];
	return tags_copy(m, list, n, &g->tags, &g->n_tags);
}

int model_register(struct model *m, const struct registration *r,
		   struct authkey *k, int64_t now, struct coord_node **out)
{
	struct coord_node *n = model_node_by_machine(m, &r->machine, k->user);
	bool spent = k->used && !k->reusable;
	bool late = k->expiry && k->expiry <= now;
	struct grant g = {
		.user = k->user,
		.authkey = k,
		.ephemeral = k->ephemeral || r->ephemeral,
	};
	int err;

	/* A program that starts with its old state and its old arguments. */
	if (n && n->authkey == k->id && !n->expired &&
	    !(n->expiry && n->expiry <= now) && key_equal(&n->key, &r->key)) {
		*out = n;
		return model_node_refresh(m, n, r);
	}
	if (late)
		return model_fail(m, -EPERM, "the pre-auth key has expired");
	if (spent)
		return model_fail(m, -EPERM,
				  "the pre-auth key was already used");
	err = all_tags(m, r, k, &g);
	return err ? err : join(m, r, &g, now, out);
}

int model_register_user(struct model *m, const struct registration *r,
			struct coord_user *u, int64_t now,
			struct coord_node **out)
{
	struct grant g = { .user = u, .ephemeral = r->ephemeral };
	int err = all_tags(m, r, NULL, &g);

	return err ? err : join(m, r, &g, now, out);
}

int model_node_refresh(struct model *m, struct coord_node *n,
		       const struct registration *r)
{
	struct coord_node draft;
	struct hostinfo h;
	int err;

	err = check_key(m, r, n);
	if (!err)
		err = read_hostinfo(m, r, n, &h);
	if (err)
		return err;
	draft_of(m, n, r, &h, &draft);
	/* A restart that brings nothing new costs no write. */
	if (key_compare(&draft.key, &n->key) != 0 || draft.cap != n->cap ||
	    hostinfo_diff(n, &h))
		err = node_save(m, &draft);
	if (!err)
		adopt(m, n, &draft, &h);
	hostinfo_clear(&h);
	return err;
}
