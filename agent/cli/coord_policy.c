// SPDX-License-Identifier: GPL-2.0
/* `tailrace coord policy` and `derp`, as far as they ask the server. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/coord.h"
#include "cli/table.h"
#include "coord/policy.h"
#include "lib/file.h"
#include "lib/util.h"

int coord_policy_get(int argc, char **argv)
{
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *reply;

	if (done)
		return done - 1;
	if (coord_call(&o, "policy", NULL, &reply))
		return 1;
	if (!o.json && json_member(reply, "policy"))
		fputs(cli_text(reply, "policy"), stdout);
	else if (!o.json)
		cli_error("there is no policy: everything is allowed");
	json_object_put(reply);
	return 0;
}

static void print_messages(struct json_object *reply, const char *path)
{
	struct json_object *list = json_member(reply, "messages");
	size_t i;

	for (i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *m = json_object_array_get_idx(list, i);

		fprintf(stderr, "%s:%s:%s: %s%s\n", path, cli_text(m, "line"),
			cli_text(m, "column"),
			cli_true(m, "warning") ? "warning: " : "",
			cli_text(m, "text"));
	}
}

int coord_policy_set(int argc, char **argv)
{
	struct coord_cli o = { 0 };
	const char *file = NULL;
	struct flag flags[] = {
		{ "file", FLAG_TEXT, &file, "instead of <file>", false },
		{ "f", FLAG_TEXT, &file, "the same", false },
		COORD_FLAGS(&o),
		{ 0 }
	};
	int done = coord_parse(&o, flags, "<file>", 0, 1, argc, argv);
	struct json_object *in, *reply;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int err;

	if (done)
		return done - 1;
	if (!file)
		file = o.arguments[0];
	if (!file)
		return cli_error("which file?") + 1;
	err = file_read(file, POLICY_MAX_BYTES, 0, &text, &len);
	if (err)
		return cli_error("%s: %s", file, strerror(-err));
	if (strlen(text) != len)
		return cli_error("%s is no text", file);
	in = json_object_new_object();
	coord_add_text(in, "policy", text);
	err = coord_call(&o, "policy", in, &reply);
	if (!o.json)
		print_messages(reply, file);
	json_object_put(reply);
	return err;
}

int coord_derp(int argc, char **argv)
{
	static const char *const columns[] = { "REGION", "CODE", "HOST", "PORT",
					       "STUN", NULL };
	struct coord_cli o = { 0 };
	struct flag flags[] = { COORD_FLAGS(&o), { 0 } };
	int done = coord_parse(&o, flags, "", 0, 0, argc, argv);
	struct json_object *map, *regions;
	struct table *t;
	size_t i;

	if (done)
		return done - 1;
	if (coord_call(&o, "derp", NULL, &map))
		return 1;
	regions = json_member(map, "Regions");
	t = o.json || !regions ? NULL : table_new(columns);
	if (t) {
		json_object_object_foreach(regions, id, region) {
			struct json_object *nodes = json_member(region, "Nodes");

			for (i = 0; nodes && i < json_object_array_length(nodes);
			     i++) {
				struct json_object *n =
					json_object_array_get_idx(nodes, i);

				table_add(t, id);
				table_add(t, cli_text(region, "RegionCode"));
				table_add(t, cli_text(n, "HostName"));
				table_add(t, cli_text(n, "DERPPort"));
				table_add(t, cli_text(n, "STUNPort"));
			}
		}
		table_print(t);
	}
	json_object_put(map);
	return 0;
}
