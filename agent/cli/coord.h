/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_COORD_H
#define CLI_COORD_H

#include "cli/cli.h"
#include "cli/flags.h"

/*
 * `tailrace coord`: the coordination server and its administration, in the
 * words of headscale's command line.
 */

/* A command after its flags and arguments were read. */
struct coord_cli {
	const char *socket;
	bool json;
	const char *arguments[4]; /* NULL behind the last */
	int n_arguments;
};

/* What every command takes; to stand in its table of flags. */
#define COORD_FLAGS(o)                                                       \
	{ "json", FLAG_BOOL, &(o)->json, "as JSON", false },                 \
	{ "socket", FLAG_TEXT, &(o)->socket, "the server's admin socket",    \
	  false }

/*
 * Reads flags and arguments in any order, at least @min and at most @max of the
 * latter. 0; or the exit status plus one.
 */
int coord_parse(struct coord_cli *o, struct flag *flags, const char *arguments,
		int min, int max, int argc, char **argv);
/*
 * One request; @in is put; NULL: GET. The answer to *@reply, the caller's; with
 * --json it has been printed. 0, or 1 after having said what is wrong.
 */
int coord_call(const struct coord_cli *o, const char *path,
	       struct json_object *in, struct json_object **reply);
/* coord_call() of which nothing but success matters: @done is printed. */
int coord_do(const struct coord_cli *o, const char *path,
	     struct json_object *in, const char *done);

/* Adds a comma-separated list as a JSON list; NULL or "": an empty one. */
void coord_add_list(struct json_object *o, const char *name, const char *text);
void coord_add_text(struct json_object *o, const char *name, const char *text);
/* A time of an answer without its seconds, "-" for none; to @out. */
const char *coord_time(struct json_object *o, const char *name, char out[24]);

struct table;
/* A member that is a list of texts, as one cell. */
void coord_table_list(struct table *t, struct json_object *o,
		      const char *name);

/* coord_users.c */
int coord_users_list(int argc, char **argv);
int coord_users_create(int argc, char **argv);
int coord_users_rename(int argc, char **argv);
int coord_users_destroy(int argc, char **argv);
int coord_keys_list(int argc, char **argv);
int coord_keys_create(int argc, char **argv);
int coord_keys_expire(int argc, char **argv);
int coord_keys_delete(int argc, char **argv);

/* coord_nodes.c */
int coord_nodes_list(int argc, char **argv);
int coord_nodes_pending(int argc, char **argv);
int coord_nodes_approve(int argc, char **argv);
int coord_nodes_deny(int argc, char **argv);
int coord_nodes_delete(int argc, char **argv);
int coord_nodes_expire(int argc, char **argv);
int coord_nodes_rename(int argc, char **argv);
int coord_nodes_tag(int argc, char **argv);
int coord_nodes_move(int argc, char **argv);
int coord_nodes_approve_routes(int argc, char **argv);
int coord_routes_list(int argc, char **argv);

/* policy.c: needs no server. */
int coord_policy_check(int argc, char **argv);
/* coord_policy.c */
int coord_policy_get(int argc, char **argv);
int coord_policy_set(int argc, char **argv);
int coord_derp(int argc, char **argv);

#endif
