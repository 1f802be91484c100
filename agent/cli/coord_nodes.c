// SPDX-License-Identifier: GPL-2.0
/* `tailrace coord nodes` and `routes`. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/coord.h"
#include "cli/table.h"

/* Flags by which a command finds its node, and takes a list or a user. */
#define NODE_FLAGS(id)                                                    \
	{ "identifier", FLAG_TEXT, id, "the node, instead of <node>", false }, \
	{ "i", FLAG_TEXT, id, "the same", false }

static bool is_users(struct json_object *n, const char *user)
{
	struct json_object *u = json_member(n, "user");

	return !user || !strcmp(user, cli_text(u, "name")) ||
	       !strcmp(user, cli_text(u, "id"));
}

int coord_nodes_list(int argc, char **argv)
{
	static const char *const columns[] = { "ID",	    "NAME",   "USER",
					       "ADDRESSES", "ONLINE", "LAST SEEN",
					       "EXPIRES",   "TAGS",   NULL };
	const char *user = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		{ "user", FLAG_TEXT, &user, "of this user only", false },
		{ "u", FLAG_TEXT, &user, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *list;
	char when[24];
	struct table *t;
	size_t i;

	if (done)
		return done - 1;
	if (coord_call(&o, "nodes", NULL, &list))
		return 1;
	t = o.json ? NULL : table_new(columns);
	for (i = 0; t && i < json_object_array_length(list); i++) {
		struct json_object *n = json_object_array_get_idx(list, i);

		if (!is_users(n, user))
			continue;
		table_add(t, cli_text(n, "id"));
		table_add(t, cli_text(n, "given_name"));
		table_add(t, cli_text(json_member(n, "user"), "name"));
		coord_table_list(t, n, "ip_addresses");
		table_add(t, cli_true(n, "online") ? "yes" : "no");
		table_add(t, coord_time(n, "last_seen", when));
		table_add(t, cli_true(n, "expired") ?
				     "expired" :
				     coord_time(n, "expiry", when));
		coord_table_list(t, n, "tags");
	}
	if (t)
		table_print(t);
	json_object_put(list);
	return 0;
}

int coord_nodes_pending(int argc, char **argv)
{
	static const char *const columns[] = { "ID", "NAME", "MACHINE KEY",
					       "EXPIRES", NULL };
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *list;
	char when[24];
	struct table *t;
	size_t i;

	if (done)
		return done - 1;
	if (coord_call(&o, "nodes/pending", NULL, &list))
		return 1;
	t = o.json ? NULL : table_new(columns);
	for (i = 0; t && i < json_object_array_length(list); i++) {
		struct json_object *p = json_object_array_get_idx(list, i);

		table_add(t, cli_text(p, "id"));
		table_add(t, cli_text(p, "name"));
		table_add(t, cli_text(p, "machine_key"));
		table_add(t, coord_time(p, "expires_at", when));
	}
	if (t)
		table_print(t);
	json_object_put(list);
	return 0;
}

int coord_nodes_approve(int argc, char **argv)
{
	const char *user = NULL, *id = NULL, *slash;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		{ "user", FLAG_TEXT, &user, "whose node it will be", false },
		{ "u", FLAG_TEXT, &user, "the same", false },
		{ "key", FLAG_TEXT, &id, "the id, instead of <id>", false },
		{ "k", FLAG_TEXT, &id, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<id or URL>", 0, 1, argc, argv);
	struct json_object *in, *n;

	if (done)
		return done - 1;
	if (!id)
		id = o.arguments[0];
	if (!id || !user)
		return cli_error("Usage: tailrace coord nodes approve --user=<user> <id>; 'tailrace coord nodes pending' lists who waits") +
		       1;
	/* The URL that the node showed is as good. */
	slash = strrchr(id, '/');
	in = json_object_new_object();
	coord_add_text(in, "id", slash ? slash + 1 : id);
	coord_add_text(in, "user", user);
	if (coord_call(&o, "nodes/approve", in, &n))
		return 1;
	if (!o.json)
		printf("node %s '%s' joined\n", cli_text(n, "id"),
		       cli_text(n, "given_name"));
	json_object_put(n);
	return 0;
}

int coord_nodes_deny(int argc, char **argv)
{
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "<id>", 1, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = json_object_new_object();
	coord_add_text(in, "id", o.arguments[0]);
	return coord_do(&o, "nodes/deny", in, "registration denied");
}

/*
 * A request about the node @id or, if that is NULL, the first argument; what
 * other arguments there are stays for the caller. NULL after an error.
 */
static struct json_object *about(struct coord_cli *o, const char *id)
{
	struct json_object *in;

	if (!id) {
		id = o->arguments[0];
		memmove(o->arguments, o->arguments + 1,
			sizeof(o->arguments) - sizeof(o->arguments[0]));
	}
	if (!id) {
		cli_error("which node? its id, name or address; 'tailrace coord nodes list' shows them");
		return NULL;
	}
	in = json_object_new_object();
	coord_add_text(in, "node", id);
	return in;
}

int coord_nodes_delete(int argc, char **argv)
{
	const char *id = NULL;
	bool force = false;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		NODE_FLAGS(&id),
		{ "force", FLAG_BOOL, &force, "nothing is asked anyway", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<node>", 0, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = about(&o, id);
	return in ? coord_do(&o, "nodes/delete", in, "node deleted") : 2;
}

int coord_nodes_expire(int argc, char **argv)
{
	const char *id = NULL, *expiry = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		NODE_FLAGS(&id),
		{ "expiry", FLAG_TEXT, &expiry,
		  "when (2030-01-02T15:04:05Z; default: now)", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<node>", 0, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = about(&o, id);
	if (!in)
		return 2;
	if (expiry)
		coord_add_text(in, "expiry", expiry);
	return coord_do(&o, "nodes/expire", in,
			expiry ? "expiry set" : "node expired");
}

int coord_nodes_rename(int argc, char **argv)
{
	const char *id = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = { NODE_FLAGS(&id), COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "<node> <name>", 1, 2, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = about(&o, id);
	if (!in)
		return 2;
	if (!o.arguments[0]) {
		json_object_put(in);
		return cli_error("which name?") + 1;
	}
	coord_add_text(in, "name", o.arguments[0]);
	return coord_do(&o, "nodes/rename", in, "node renamed");
}

int coord_nodes_tag(int argc, char **argv)
{
	const char *id = NULL, *tags = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		NODE_FLAGS(&id),
		{ "tags", FLAG_TEXT, &tags,
		  "all it is to have, comma-separated; empty: none", false },
		{ "t", FLAG_TEXT, &tags, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<node>", 0, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	if (!tags)
		return cli_error("which tags? --tags=tag:web,tag:db, --tags= for none") +
		       1;
	in = about(&o, id);
	if (!in)
		return 2;
	coord_add_list(in, "tags", tags);
	return coord_do(&o, "nodes/tag", in, "tags set");
}

int coord_nodes_move(int argc, char **argv)
{
	const char *id = NULL, *user = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		NODE_FLAGS(&id),
		{ "user", FLAG_TEXT, &user, "whose node it will be", false },
		{ "u", FLAG_TEXT, &user, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<node>", 0, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	if (!user)
		return cli_error("to whom? --user=<user>") + 1;
	in = about(&o, id);
	if (!in)
		return 2;
	coord_add_text(in, "user", user);
	return coord_do(&o, "nodes/move", in, "node moved");
}

int coord_nodes_approve_routes(int argc, char **argv)
{
	const char *id = NULL, *routes = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		NODE_FLAGS(&id),
		{ "routes", FLAG_TEXT, &routes,
		  "all it may have, comma-separated; empty: none", false },
		{ "r", FLAG_TEXT, &routes, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<node>", 0, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	if (!routes)
		return cli_error("which routes? --routes=10.1.0.0/16,0.0.0.0/0, --routes= for none") +
		       1;
	in = about(&o, id);
	if (!in)
		return 2;
	coord_add_list(in, "routes", routes);
	return coord_do(&o, "nodes/approve-routes", in, "routes set");
}

/* Advertised and approved by node; who is primary is in the last column. */
int coord_routes_list(int argc, char **argv)
{
	static const char *const columns[] = { "NODE",	   "NAME",
					       "AVAILABLE", "APPROVED",
					       "SERVING",  "PRIMARY FOR",
					       NULL };
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *list;
	struct table *t;
	size_t i;

	if (done)
		return done - 1;
	if (coord_call(&o, o.json ? "routes" : "nodes", NULL, &list))
		return 1;
	t = o.json ? NULL : table_new(columns);
	for (i = 0; t && i < json_object_array_length(list); i++) {
		struct json_object *n = json_object_array_get_idx(list, i);

		if (!json_object_array_length(
			    json_member(n, "available_routes")) &&
		    !json_object_array_length(json_member(n,
							  "approved_routes")))
			continue;
		table_add(t, cli_text(n, "id"));
		table_add(t, cli_text(n, "given_name"));
		coord_table_list(t, n, "available_routes");
		coord_table_list(t, n, "approved_routes");
		coord_table_list(t, n, "subnet_routes");
		coord_table_list(t, n, "primary_routes");
	}
	if (t)
		table_print(t);
	json_object_put(list);
	return 0;
}
