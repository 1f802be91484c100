// SPDX-License-Identifier: GPL-2.0
#include "cli/coord.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/table.h"
#include "coord/admin.h"
#include "coord/serve.h"
#include "lib/util.h"

#define DEFAULT_SOCKET COORD_STATE_DIR "/" ADMIN_SOCKET

/* An alias has no help and is not listed. */
static const struct {
	const char *group, *name, *arguments, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "users", "list", "", "the users", coord_users_list },
	{ "users", "create", "<name>", "a user", coord_users_create },
	{ "users", "rename", "<user> <name>", "gives a user another name",
	  coord_users_rename },
	{ "users", "destroy", "<user>", "removes a user without nodes",
	  coord_users_destroy },
	{ "users", "delete", NULL, NULL, coord_users_destroy },
	{ "keys", "list", "", "the pre-auth keys", coord_keys_list },
	{ "keys", "create", "--user=<user>", "a pre-auth key, shown once",
	  coord_keys_create },
	{ "keys", "expire", "<key>", "ends a key's life", coord_keys_expire },
	{ "keys", "delete", "<key>", "removes a key", coord_keys_delete },
	{ "nodes", "list", "", "the nodes", coord_nodes_list },
	{ "nodes", "pending", "", "nodes that wait to be approved",
	  coord_nodes_pending },
	{ "nodes", "approve", "--user=<user> <id>",
	  "lets a waiting node join", coord_nodes_approve },
	{ "nodes", "register", NULL, NULL, coord_nodes_approve },
	{ "nodes", "deny", "<id>", "forgets a waiting node", coord_nodes_deny },
	{ "nodes", "delete", "<node>", "removes a node", coord_nodes_delete },
	{ "nodes", "expire", "<node>", "makes a node log in again",
	  coord_nodes_expire },
	{ "nodes", "rename", "<node> <name>", "gives a node another name",
	  coord_nodes_rename },
	{ "nodes", "tag", "--tags=<tags> <node>", "replaces a node's tags",
	  coord_nodes_tag },
	{ "nodes", "move", "--user=<user> <node>",
	  "gives a node to another user", coord_nodes_move },
	{ "nodes", "approve-routes", "--routes=<prefixes> <node>",
	  "replaces the routes a node may have", coord_nodes_approve_routes },
	{ "nodes", "list-routes", NULL, NULL, coord_routes_list },
	{ "routes", "list", "", "who routes what", coord_routes_list },
	{ "policy", "check", "<file>", "what is wrong with a policy file",
	  coord_policy_check },
	{ "policy", "get", "", "the policy in force", coord_policy_get },
	{ "policy", "set", "<file>", "puts a policy into force",
	  coord_policy_set },
	{ "derp", "list", "", "the DERP map in force", coord_derp },
};

/* As headscale knows them, too. */
static const char *group_of(const char *name)
{
	static const char *const aliases[][2] = {
		{ "user", "users" },	   { "preauthkeys", "keys" },
		{ "preauthkey", "keys" },  { "authkeys", "keys" },
		{ "node", "nodes" },	   { "machines", "nodes" },
		{ "route", "routes" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(name, aliases[i][0]))
			return aliases[i][1];
	return name;
}

static void usage(FILE *f, const char *group)
{
	size_t i;

	fputs("Usage: tailrace coord <command> [flags] [arguments]\n\n", f);
	if (!group)
		fprintf(f, "  %-50s %s\n", "serve [flags]", "runs the server");
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		char line[96];

		if (!commands[i].help ||
		    (group && strcmp(group, commands[i].group) != 0))
			continue;
		snprintf(line, sizeof(line), "%s %s %s", commands[i].group,
			 commands[i].name, commands[i].arguments);
		fprintf(f, "  %-50s %s\n", line, commands[i].help);
	}
	fputs("\n'tailrace coord <command> --help' shows its flags.\n", f);
}

static bool wants_help(const char *text)
{
	return !strcmp(text, "--help") || !strcmp(text, "-h") ||
	       !strcmp(text, "help");
}

int cmd_coord(struct cli *c, int argc, char **argv)
{
	const char *group, *name;
	bool known = false;
	char title[64];
	size_t i;

	if (argc < 2 || wants_help(argv[1])) {
		usage(argc < 2 ? stderr : stdout, NULL);
		return argc < 2 ? 2 : 0;
	}
	if (!strcmp(argv[1], "serve")) {
		argv[1] = strcpy(title, "coord serve");
		return cmd_coord_serve(c, argc - 1, argv + 1);
	}
	group = group_of(argv[1]);
	/* Without more, and before a flag, a group lists what it has. */
	name = argc < 3 || (argv[2][0] == '-' && !wants_help(argv[2])) ? "list" :
									 argv[2];
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		int skip = argc > 2 && name == argv[2] ? 2 : 1;

		if (strcmp(commands[i].group, group) != 0)
			continue;
		known = true;
		if (strcmp(commands[i].name, name) != 0)
			continue;
		snprintf(title, sizeof(title), "coord %s %s", group,
			 commands[i].name);
		argv[skip] = title;
		return commands[i].run(argc - skip, argv + skip);
	}
	if (known && wants_help(name)) {
		usage(stdout, group);
		return 0;
	}
	cli_error("no command 'coord %s%s%s'", argv[1], known ? " " : "",
		  known ? name : "");
	usage(stderr, known ? group : NULL);
	return 2;
}

int coord_parse(struct coord_cli *o, struct flag *flags, const char *arguments,
		int min, int max, int argc, char **argv)
{
	char *command = argv[0];
	int n;

	o->socket = DEFAULT_SOCKET;
	for (;;) {
		argv[0] = command;
		n = flags_parse(flags, arguments, argc, argv);
		if (n < 0)
			return n == -2 ? 1 : 3;
		if (n == argc)
			break;
		if (o->n_arguments == max)
			return cli_error("%s takes no argument '%s'", command,
					 argv[n]) + 2;
		o->arguments[o->n_arguments++] = argv[n];
		argc -= n;
		argv += n;
	}
	if (o->n_arguments < min)
		return cli_error("Usage: tailrace %s [flags] %s", command,
				 arguments) + 2;
	return 0;
}

int coord_call(const struct coord_cli *o, const char *path,
	       struct json_object *in, struct json_object **reply)
{
	struct cli_api api = {
		.socket = o->socket,
		.base = "http://coord/v1/",
		.daemon = "the coordination server",
		.start = "tailrace coord serve",
	};
	int err = cli_call(&api, in ? "POST" : "GET", path, in, reply);

	json_object_put(in);
	if (!err && o->json)
		puts(json_object_to_json_string_ext(
			*reply, JSON_C_TO_STRING_PRETTY |
					JSON_C_TO_STRING_NOSLASHESCAPE));
	return err;
}

int coord_do(const struct coord_cli *o, const char *path,
	     struct json_object *in, const char *done)
{
	struct json_object *reply;
	int err = coord_call(o, path, in, &reply);

	json_object_put(reply);
	if (!err && !o->json)
		puts(done);
	return err;
}

void coord_add_list(struct json_object *o, const char *name, const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text ? text : "");
	struct json_object *list = json_object_new_array();
	char *save, *item;

	for (item = strtok_r(copy, ", ", &save); item;
	     item = strtok_r(NULL, ", ", &save))
		json_object_array_add(list, json_object_new_string(item));
	json_object_object_add(o, name, list);
}

void coord_add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

const char *coord_time(struct json_object *o, const char *name, char out[24])
{
	const char *text = cli_text(o, name);
	const char *t = strchr(text, 'T');

	if (t && strlen(text) >= 16)
		snprintf(out, 24, "%.10s %.5s", text, t + 1);
	else
		strcpy(out, "-");
	return out;
}

void coord_table_list(struct table *t, struct json_object *o, const char *name)
{
	struct json_object *list = json_member(o, name);
	size_t i, n = list ? json_object_array_length(list) : 0, room = 1;
	_cleanup_free_ char *text = NULL;

	for (i = 0; i < n; i++)
		room += 2 + strlen(json_object_get_string(
				    json_object_array_get_idx(list, i)));
	text = xcalloc(room, 1);
	for (i = 0; i < n; i++) {
		if (i)
			strcat(text, ", ");
		strcat(text, json_object_get_string(
				     json_object_array_get_idx(list, i)));
	}
	table_add(t, text);
}
