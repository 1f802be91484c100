// SPDX-License-Identifier: GPL-2.0
/* Nodes as rows. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "coord/columns.h"
#include "coord/model_internal.h"
#include "lib/json.h"
#include "lib/util.h"

/* The columns that are text made for the purpose. */
struct texts {
	char machine[KEY_TEXT_MAX], key[KEY_TEXT_MAX], old_key[KEY_TEXT_MAX];
	char disco[KEY_TEXT_MAX];
	char ip[2][IP_TEXT_MAX];
	const char *ip_column[2]; /* NULL: has none of that kind */
	char *endpoints, *tags, *approved;
};

static void texts_init(struct texts *t, const struct coord_node *n)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	key_format(t->machine, KEY_MACHINE, &n->machine);
	key_format(t->key, KEY_NODE, &n->key);
	key_format(t->old_key, KEY_NODE, &n->old_key);
	key_format(t->disco, KEY_DISCO, &n->disco);
	for (i = 0; i < n->n_addresses; i++) {
		int kind = n->addresses[i].family == 6;

		t->ip_column[kind] = ip_format(&n->addresses[i], t->ip[kind]);
	}
	t->endpoints = endpoints_to_text(n->endpoints, n->endpoint_types,
					 n->n_endpoints);
	t->tags = strings_to_text(n->tags, n->n_tags);
	t->approved = prefixes_to_text(n->approved, n->n_approved);
}

static void texts_free(struct texts *t)
{
	free(t->endpoints);
	free(t->tags);
	free(t->approved);
}

static const char *hostinfo_text(const struct coord_node *n)
{
	return json_object_to_json_string_ext(
		n->hostinfo,
		JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

int node_save(struct model *m, struct coord_node *n)
{
	struct sqlite3_stmt *s;
	struct texts t;
	int err, i = 1;

	s = db_prepare(
		m->db,
		"INSERT INTO nodes (id, stable_id, machine, key, old_key, disco,"
		" user, hostname, name, renamed, ip4, ip6, endpoints, hostinfo,"
		" cap, tags, approved, ephemeral, authkey, created, last_seen,"
		" expiry)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
		" ?, ?, ?, ?)"
		" ON CONFLICT (id) DO UPDATE SET machine = excluded.machine,"
		" key = excluded.key, old_key = excluded.old_key,"
		" disco = excluded.disco, user = excluded.user,"
		" hostname = excluded.hostname, name = excluded.name,"
		" renamed = excluded.renamed, endpoints = excluded.endpoints,"
		" hostinfo = excluded.hostinfo, cap = excluded.cap,"
		" tags = excluded.tags, approved = excluded.approved,"
		" ephemeral = excluded.ephemeral, authkey = excluded.authkey,"
		" last_seen = excluded.last_seen, expiry = excluded.expiry");
	if (!s)
		return model_fail_db(m);
	texts_init(&t, n);
	if (n->id)
		db_bind_int(s, i, n->id);
	i++;
	db_bind_text(s, i++, n->stable_id);
	db_bind_text(s, i++, t.machine);
	db_bind_text(s, i++, t.key);
	db_bind_text(s, i++, t.old_key);
	db_bind_text(s, i++, t.disco);
	db_bind_int(s, i++, n->user->id);
	db_bind_text(s, i++, n->hostname);
	db_bind_text(s, i++, n->name);
	db_bind_int(s, i++, n->renamed);
	db_bind_text(s, i++, t.ip_column[0]);
	db_bind_text(s, i++, t.ip_column[1]);
	db_bind_text(s, i++, t.endpoints);
	db_bind_text(s, i++, hostinfo_text(n));
	db_bind_int(s, i++, n->cap);
	db_bind_text(s, i++, t.tags);
	db_bind_text(s, i++, t.approved);
	db_bind_int(s, i++, n->ephemeral);
	db_bind_int(s, i++, n->authkey);
	db_bind_int(s, i++, n->created);
	db_bind_int(s, i++, n->last_seen);
	db_bind_int(s, i++, n->expiry);
	err = model_run(m, s);
	texts_free(&t);
	if (!err && !n->id)
		n->id = db_inserted(m->db);
	return err;
}

int node_save_batched(struct model *m, const struct coord_node *n)
{
	char disco[KEY_TEXT_MAX];
	struct sqlite3_stmt *s;
	char *endpoints;
	int err;

	s = db_prepare(m->db,
		       "UPDATE nodes SET disco = ?, endpoints = ?, hostinfo = ?,"
		       " cap = ?, last_seen = ? WHERE id = ?");
	if (!s)
		return model_fail_db(m);
	endpoints = endpoints_to_text(n->endpoints, n->endpoint_types,
				      n->n_endpoints);
	db_bind_text(s, 1, key_format(disco, KEY_DISCO, &n->disco));
	db_bind_text(s, 2, endpoints);
	db_bind_text(s, 3, hostinfo_text(n));
	db_bind_int(s, 4, n->cap);
	db_bind_int(s, 5, n->last_seen);
	db_bind_int(s, 6, n->id);
	err = model_run(m, s);
	free(endpoints);
	return err;
}

static bool get_key(struct sqlite3_stmt *s, int i, const char *prefix,
		    struct key *k)
{
	const char *text = db_column_text(s, i);

	return text && !key_parse(k, prefix, text);
}

static bool get_address(struct sqlite3_stmt *s, int i, int family,
			struct coord_node *n)
{
	const char *text = db_column_text(s, i);
	struct ip_addr *a = &n->addresses[n->n_addresses];

	if (!text)
		return true;
	if (ip_parse(a, text) || a->family != family)
		return false;
	n->n_addresses++;
	return true;
}

static bool get_hostinfo(struct model *m, const char *text,
			 struct coord_node *n)
{
	struct json_object *o = text ? json_parse(text, strlen(text)) : NULL;
	struct hostinfo h = { 0 };

	if (!o || hostinfo_read(m, o, NULL, &h)) {
		json_object_put(o);
		return false;
	}
	json_object_put(o);
	hostinfo_apply(n, &h);
	return true;
}

/* What a row says, in the columns' order; false if it makes no node. */
static bool read_row(struct model *m, struct sqlite3_stmt *s,
		     struct coord_node *n)
{
	const char *stable_id = db_column_text(s, 1);
	const char *hostname = db_column_text(s, 7);
	const char *name = db_column_text(s, 8);
	int64_t cap = db_column_int(s, 14);
	char label[MODEL_NAME_MAX];

	n->id = db_column_int(s, 0);
	n->user = model_user(m, db_column_int(s, 6));
	if (n->id <= 0 || !n->user || !stable_id || !*stable_id ||
	    strlen(stable_id) >= sizeof(n->stable_id) || !hostname || !name ||
	    strlen(name) >= sizeof(n->name) || cap < 0 || cap > INT_MAX)
		return false;
	model_sanitize_name(label, name);
	if (strcmp(label, name) != 0 ||
	    !get_key(s, 2, KEY_MACHINE, &n->machine) ||
	    !get_key(s, 3, KEY_NODE, &n->key) ||
	    !get_key(s, 4, KEY_NODE, &n->old_key) ||
	    !get_key(s, 5, KEY_DISCO, &n->disco) ||
	    !get_address(s, 10, 4, n) || !get_address(s, 11, 6, n) ||
	    endpoints_from_text(db_column_text(s, 12), MODEL_ENDPOINTS_MAX,
				&n->endpoints, &n->endpoint_types,
				&n->n_endpoints) ||
	    !get_hostinfo(m, db_column_text(s, 13), n) ||
	    strings_from_text(db_column_text(s, 15), MODEL_TAGS_MAX,
			      tag_is_valid, &n->tags, &n->n_tags) ||
	    prefixes_from_text(db_column_text(s, 16), MODEL_ROUTES_MAX,
			       &n->approved, &n->n_approved))
		return false;
	n->n_approved = prefixes_normalize(n->approved, n->n_approved);
	strcpy(n->stable_id, stable_id);
	strcpy(n->name, name);
	/* Over what the Hostinfo says: an administrator's view counts. */
	free(n->hostname);
	n->hostname = xstrdup(hostname);
	n->renamed = db_column_int(s, 9);
	n->cap = (int)cap;
	n->ephemeral = db_column_int(s, 17);
	n->authkey = db_column_int(s, 18);
	n->created = db_column_int(s, 19);
	n->last_seen = db_column_int(s, 20);
	n->expiry = db_column_int(s, 21);
	n->healthy = true;
	return true;
}

int node_load(struct model *m, struct coord_node **out)
{
	struct sqlite3_stmt *s = db_prepare(
		m->db,
		"SELECT id, stable_id, machine, key, old_key, disco, user,"
		" hostname, name, renamed, ip4, ip6, endpoints, hostinfo, cap,"
		" tags, approved, ephemeral, authkey, created, last_seen, expiry"
		" FROM nodes ORDER BY id");
	struct coord_node *n;
	int64_t id;
	int got;

	if (!s)
		return model_fail_db(m);
	got = db_step(m->db, s);
	if (got < 0)
		return model_fail_db(m);
	if (!got)
		return 0;
	n = xcalloc(1, sizeof(*n));
	if (!read_row(m, s, n)) {
		id = db_column_int(s, 0);
		db_reset(s);
		coord_node_free(n);
		return model_fail(m, -EIO, "node %" PRId64, id);
	}
	*out = n;
	return 1;
}
