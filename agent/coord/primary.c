// SPDX-License-Identifier: GPL-2.0
/*
 * Who is primary survives a restart: it is written with the batch, and a router
 * that has not come back yet keeps its routes for MODEL_RETURN_S.
 */
#include <json.h>
#include <sqlite3.h>
#include <string.h>

#include "coord/db.h"
#include "coord/model_internal.h"
#include "lib/json.h"

int primaries_save(struct model *m)
{
	struct json_object *o = json_object_new_object();
	char text[PREFIX_TEXT_MAX];
	struct sqlite3_stmt *s;
	struct coord_route *r;
	int err;

	for (r = m->routes; r; r = r->hh.next)
		if (r->n_nodes > 1)
			json_object_object_add(
				o, prefix_format(&r->prefix, text),
				json_object_new_int64(r->primary->id));
	s = db_prepare(m->db, "INSERT OR REPLACE INTO settings (name, value)"
			      " VALUES ('primaries', ?)");
	if (s)
		db_bind_text(s, 1,
			     json_object_to_json_string_ext(
				     o, JSON_C_TO_STRING_PLAIN |
						JSON_C_TO_STRING_NOSLASHESCAPE));
	err = model_run(m, s);
	json_object_put(o);
	if (!err)
		m->primaries_dirty = false;
	return err;
}

/* The text that was saved; what in it is no longer so is passed over. */
static void restore(struct model *m, const char *text)
{
	struct json_object *o = json_parse(text, strlen(text));
	struct coord_route *r;
	struct coord_node *n;
	struct prefix p;

	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, v)
		{
			if (prefix_parse(&p, key))
				continue;
			r = model_route(m, &p);
			n = model_node(m, json_object_get_int64(v));
			if (r && n)
				route_restore(m, r, n);
		}
	}
	json_object_put(o);
}

int primaries_load(struct model *m)
{
	struct sqlite3_stmt *s = db_prepare(
		m->db, "SELECT value FROM settings WHERE name = 'primaries'");
	const char *text;
	struct coord_node *n;
	int got;

	if (!s)
		return model_fail_db(m);
	got = db_step(m->db, s);
	if (got < 0)
		return model_fail_db(m);
	text = got ? db_column_text(s, 0) : NULL;
	if (text)
		restore(m, text);
	if (got)
		db_reset(s);
	for (n = m->nodes; n; n = n->hh_id.next)
		n->awaited = n->n_effective > 0;
	m->primaries_dirty = false;
	return 0;
}

void primaries_tick(struct model *m, int64_t now)
{
	struct coord_node *n;

	if (!m->return_until)
		m->return_until = now + MODEL_RETURN_S;
	if (now < m->return_until || m->returned)
		return;
	m->returned = true;
	for (n = m->nodes; n; n = n->hh_id.next)
		if (n->awaited)
			routes_give_up(m, n);
}
