// SPDX-License-Identifier: GPL-2.0
/* `tailrace coord users` and `keys`. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/coord.h"
#include "cli/table.h"

int coord_users_list(int argc, char **argv)
{
	static const char *const columns[] = { "ID", "NAME", "DISPLAY NAME",
					       "NODES", "CREATED", NULL };
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *list;
	char text[24];
	struct table *t;
	size_t i;

	if (done)
		return done - 1;
	if (coord_call(&o, "users", NULL, &list))
		return 1;
	t = o.json ? NULL : table_new(columns);
	for (i = 0; t && i < json_object_array_length(list); i++) {
		struct json_object *u = json_object_array_get_idx(list, i);

		table_add(t, cli_text(u, "id"));
		table_add(t, cli_text(u, "name"));
		table_add(t, cli_text(u, "display_name"));
		table_add(t, cli_text(u, "nodes"));
		table_add(t, coord_time(u, "created_at", text));
	}
	if (t)
		table_print(t);
	json_object_put(list);
	return 0;
}

int coord_users_create(int argc, char **argv)
{
	const char *display = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		{ "display-name", FLAG_TEXT, &display, "for people", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<name>", 1, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = json_object_new_object();
	coord_add_text(in, "name", o.arguments[0]);
	if (display)
		coord_add_text(in, "display_name", display);
	return coord_do(&o, "users/create", in, "user created");
}

int coord_users_rename(int argc, char **argv)
{
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "<user> <name>", 2, 2, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = json_object_new_object();
	coord_add_text(in, "user", o.arguments[0]);
	coord_add_text(in, "name", o.arguments[1]);
	return coord_do(&o, "users/rename", in, "user renamed");
}

int coord_users_destroy(int argc, char **argv)
{
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "<user>", 1, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = json_object_new_object();
	coord_add_text(in, "user", o.arguments[0]);
	return coord_do(&o, "users/destroy", in, "user destroyed");
}

static const char *yes(struct json_object *o, const char *name)
{
	return cli_true(o, name) ? "yes" : "no";
}

int coord_keys_list(int argc, char **argv)
{
	static const char *const columns[] = { "ID",	    "KEY",
					       "USER",	    "REUSABLE",
					       "EPHEMERAL", "USED",
					       "EXPIRES",   "TAGS",
					       NULL };
	const char *user = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		{ "user", FLAG_TEXT, &user, "of this user only", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *list;
	char text[64], when[24];
	struct table *t;
	size_t i;

	if (done)
		return done - 1;
	if (coord_call(&o, "keys", NULL, &list))
		return 1;
	t = o.json ? NULL : table_new(columns);
	for (i = 0; t && i < json_object_array_length(list); i++) {
		struct json_object *k = json_object_array_get_idx(list, i);
		struct json_object *u = json_member(k, "user");

		if (user && strcmp(user, cli_text(u, "name")) != 0 &&
		    strcmp(user, cli_text(u, "id")) != 0)
			continue;
		table_add(t, cli_text(k, "id"));
		snprintf(text, sizeof(text), "trkey-auth-%s-...",
			 cli_text(k, "prefix"));
		table_add(t, text);
		table_add(t, cli_text(u, "name"));
		table_add(t, yes(k, "reusable"));
		table_add(t, yes(k, "ephemeral"));
		table_add(t, yes(k, "used"));
		table_add(t, coord_time(k, "expiration", when));
		coord_table_list(t, k, "tags");
	}
	if (t)
		table_print(t);
	json_object_put(list);
	return 0;
}

int coord_keys_create(int argc, char **argv)
{
	unsigned long expiration = 3600;
	bool reusable = false, ephemeral = false;
	const char *user = NULL, *tags = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		{ "user", FLAG_TEXT, &user, "whose nodes they will be", false },
		{ "u", FLAG_TEXT, &user, "the same", false },
		{ "reusable", FLAG_BOOL, &reusable, "for more than one node",
		  false },
		{ "ephemeral", FLAG_BOOL, &ephemeral,
		  "nodes are removed when they stay away", false },
		{ "tags", FLAG_TEXT, &tags,
		  "nodes get these, comma-separated (tag:web,tag:db)", false },
		{ "expiration", FLAG_LIFETIME, &expiration,
		  "lifetime of the key (1h; 90d; 0: for ever)", false },
		{ "e", FLAG_LIFETIME, &expiration, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *in, *key;

	if (done)
		return done - 1;
	if (!user)
		return cli_error("whose key? --user=<user>") + 1;
	in = json_object_new_object();
	coord_add_text(in, "user", user);
	json_object_object_add(in, "reusable",
			       json_object_new_boolean(reusable));
	json_object_object_add(in, "ephemeral",
			       json_object_new_boolean(ephemeral));
	json_object_object_add(in, "expiration",
			       json_object_new_int64((int64_t)expiration));
	coord_add_list(in, "tags", tags);
	if (coord_call(&o, "keys/create", in, &key))
		return 1;
	/* Nothing else: scripts take it as it is. */
	if (!o.json)
		puts(cli_text(key, "key"));
	json_object_put(key);
	return 0;
}

static int on_key(const char *path, const char *what, int argc, char **argv)
{
	const char *user = NULL;
	struct coord_cli o = { 0 };
	struct flag flags[] = {
		{ "user", FLAG_TEXT, &user, "not needed", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<id or key>", 1, 1, argc, argv);
	struct json_object *in;

	if (done)
		return done - 1;
	in = json_object_new_object();
	coord_add_text(in, "key", o.arguments[0]);
	return coord_do(&o, path, in, what);
}

int coord_keys_expire(int argc, char **argv)
{
	return on_key("keys/expire", "key expired", argc, argv);
}

int coord_keys_delete(int argc, char **argv)
{
	return on_key("keys/delete", "key deleted", argc, argv);
}
