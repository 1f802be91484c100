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

/* A command that gives a node one thing, named by a flag and its short form. */
struct change {
	const char *flag, *alias, *help, *missing;
	const char *path; /* of the administration; the flag is the member */
	const char *done;
	bool is_list;
};

static int change(const struct change *c, int argc, char **argv)
{
	const char *id = NULL, *value = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		NODE_FLAGS(&id),
		{ c->flag, FLAG_TEXT, &value, c->help, false },
		{ c->alias, FLAG_TEXT, &value, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<node>", 0, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	if (!value)
		return cli_error("%s", c->missing) + 1;
	in = about(&o, id);
	if (!in)
		return 2;
	if (c->is_list)
		coord_add_list(in, c->flag, value);
	else
		coord_add_text(in, c->flag, value);
	return coord_do(&o, c->path, in, c->done);
}

int coord_nodes_tag(int argc, char **argv)
{
	static const struct change c = {
		"tags", "t", "all it is to have, comma-separated; empty: none",
		"which tags? --tags=tag:web,tag:db, --tags= for none",
		"nodes/tag", "tags set", true
	};

	return change(&c, argc, argv);
}

int coord_nodes_move(int argc, char **argv)
{
	static const struct change c = {
		"user", "u", "whose node it will be",
		"to whom? --user=<user>",
		"nodes/move", "node moved", false
	};

	return change(&c, argc, argv);
}

int coord_nodes_approve_routes(int argc, char **argv)
{
	static const struct change c = {
		"routes", "r", "all it may have, comma-separated; empty: none",
		"which routes? --routes=10.1.0.0/16,0.0.0.0/0, --routes= for none",
		"nodes/approve-routes", "routes set", true
	};

	return change(&c, argc, argv);
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
