/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MODEL_INTERNAL_H
#define COORD_MODEL_INTERNAL_H

#include <json.h>
#include <utlist.h>

#include "coord/db.h"
#include "coord/model.h"

/* Shared among the model's files only. */

struct model {
	struct db *db;
	struct model_config config;
	model_listener listener;
	void *ctx;
	struct coord_user *users, *users_by_name;
	struct authkey *authkeys, *authkeys_by_prefix;
	struct coord_node *nodes, *by_key, *by_owner, *by_name, *by_ip[2];
	struct coord_route *routes;
	struct pending_node *pending, *pending_list; /* list: oldest first */
	char *policy; /* NULL: none */
	size_t policy_len;
	struct ip_addr last[2]; /* given out last, of each kind */
	size_t n_dirty;
	int64_t flushed; /* when the batch was written last */
	bool primaries_dirty; /* who is primary is to be written */
	bool closing;
	/* Awaited nodes are waited for until then; 0: not begun. */
	int64_t return_until;
	bool returned;
	char error[256];
};

/* Keeps the sentence for model_error(); returns @err. */
int model_fail(struct model *m, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for what the database said; -EIO. */
int model_fail_db(struct model *m);
void model_emit(struct model *m, enum model_event_kind kind,
		struct coord_node *n, unsigned int aspects,
		struct pending_node *p);
/* Begins no transaction if @statement alone is to be run: it is one. */
int model_run(struct model *m, struct sqlite3_stmt *statement);

/* Bytes of UTF-8 (or whatever) that may go into the log and onto terminals. */
bool text_is_clean(const char *s, size_t max);

/* ── loading: 0 or a negative errno with model_fail() ── */
int users_load(struct model *m);
int authkeys_load(struct model *m);
int nodes_load(struct model *m);
void user_free(struct model *m, struct coord_user *u);
void authkey_free(struct model *m, struct authkey *k);
void pending_free(struct model *m, struct pending_node *p);
void pending_expire(struct model *m, int64_t now);

/* Of @k, in the caller's transaction. */
int authkey_save_used(struct model *m, const struct authkey *k);

/* ── node rows (noderow.c) ── */

/*
 * Writes all of @n, as a new row (n->id 0; set then) or over its own. Durable
 * when it returns, unless in a transaction.
 */
int node_save(struct model *m, struct coord_node *n);
/* Only what goes in batches. */
int node_save_batched(struct model *m, const struct coord_node *n);
/* The next row of all nodes, by id: 1 and *@out, 0 at the end, an error. */
int node_load(struct model *m, struct coord_node **out);

/* ── nodes in memory (node.c) ── */
void node_link(struct model *m, struct coord_node *n);
void node_unlink(struct model *m, struct coord_node *n);
void coord_node_free(struct coord_node *n);
void node_set_dirty(struct model *m, struct coord_node *n, bool dirty);
/* A free name like @hostname; @self may keep its own. */
void node_pick_name(struct model *m, const char *hostname,
		    const struct coord_node *self, char out[MODEL_NAME_MAX]);
bool tag_is_valid(const char *tag);
/* A sorted copy without repeats to *@out; -EINVAL, -ENOSPC. */
int tags_copy(struct model *m, const char *const *tags, size_t n, char ***out,
	      size_t *n_out);

/* ── Hostinfo (hostinfo.c) ── */

/*
 * What of a Hostinfo the model uses, and the object itself with what it lacks
 * from the old one. The object is referenced, routes are malloced.
 */
struct hostinfo {
	struct json_object *object;
	char *hostname;
	struct prefix *routes;
	size_t n_routes;
	int home_derp;
};
int hostinfo_read(struct model *m, struct json_object *o,
		  const struct coord_node *old, struct hostinfo *out);
void hostinfo_clear(struct hostinfo *h);
/* NODE_HOSTINFO, NODE_NETINFO, NODE_DERP, NODE_ADVERTISED, as they differ. */
unsigned int hostinfo_diff(const struct coord_node *n,
			   const struct hostinfo *h);
/* Moves @h into @n. */
void hostinfo_apply(struct coord_node *n, struct hostinfo *h);

/* ── routes (route.c) ── */

/* Sorts, masks, drops repeats; returns how many are left. */
size_t prefixes_normalize(struct prefix *p, size_t n);
bool prefixes_equal(const struct prefix *a, size_t n_a, const struct prefix *b,
		    size_t n_b);
/*
 * After a change of n's advertised or approved routes: its effective ones, the
 * table, and who is primary. Nodes other than @n whose part changed are
 * announced; what changed of @n is returned (NODE_APPROVED, NODE_PRIMARY).
 */
unsigned int routes_refresh(struct model *m, struct coord_node *n);
/* After online or healthy changed. */
unsigned int routes_elect(struct model *m, struct coord_node *n);
/* @n goes: others take over. */
void routes_remove(struct model *m, struct coord_node *n);
void routes_free(struct model *m);
/* Makes @n primary if it is one of the nodes, without announcing it. */
void route_restore(struct model *m, struct coord_route *r,
		   struct coord_node *n);
/* @n is not awaited any more: others take over. */
void routes_give_up(struct model *m, struct coord_node *n);

/* ── primaries across restarts (primary.c) ── */

int primaries_load(struct model *m); /* after the nodes */
int primaries_save(struct model *m);
void primaries_tick(struct model *m, int64_t now);

/* ── addresses (ipam.c) ── */

/* Free ones to n->addresses. -ENOSPC when a pool is used up. */
int ipam_assign(struct model *m, struct coord_node *n);
/* -EINVAL for a pool that cannot hold nodes. */
int ipam_check(struct model *m);

#endif
