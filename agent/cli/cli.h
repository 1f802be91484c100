/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/json.h"

/*
 * The command line: a table of commands, each with a table of flags, talking
 * to tailraced over its LocalAPI.
 */

struct json_object;

struct cli {
	const char *socket;
	long patience; /* seconds to wait for an answer, 0: for ever */
	bool quiet; /* requests that fail are not explained */
	bool unreachable; /* the last request found no daemon */
};

/* A command's function: arguments after the flags; returns the exit status. */
struct cli_command {
	const char *name, *arguments, *help;
	int (*run)(struct cli *c, int argc, char **argv);
};

extern const struct cli_command cli_commands[]; /* ends with a NULL name */

int cmd_up(struct cli *c, int argc, char **argv);
int cmd_down(struct cli *c, int argc, char **argv);
int cmd_login(struct cli *c, int argc, char **argv);
int cmd_logout(struct cli *c, int argc, char **argv);
int cmd_status(struct cli *c, int argc, char **argv);
int cmd_ping(struct cli *c, int argc, char **argv);
int cmd_ip(struct cli *c, int argc, char **argv);
int cmd_netcheck(struct cli *c, int argc, char **argv);
int cmd_version(struct cli *c, int argc, char **argv);
int cmd_metrics(struct cli *c, int argc, char **argv);
int cmd_get(struct cli *c, int argc, char **argv);
int cmd_wait(struct cli *c, int argc, char **argv);
int cmd_doctor(struct cli *c, int argc, char **argv);
int cmd_relay(struct cli *c, int argc, char **argv);
int cmd_set(struct cli *c, int argc, char **argv);
int cmd_coord(struct cli *c, int argc, char **argv);
int cmd_trace(struct cli *c, int argc, char **argv);
int cmd_policy(struct cli *c, int argc, char **argv);
int cmd_flows(struct cli *c, int argc, char **argv);

/* "tailrace: " and the text to standard error; returns 1. */
int cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * GET of something that is not JSON; *@text is the caller's. As cli_request().
 */
int cli_get_text(struct cli *c, const char *path, char **text);

/*
 * One request. @body may be NULL; *@reply is the JSON of the answer, NULL if it
 * had none, and is the caller's. 0; or 1 after having said what is wrong and
 * what to do about it.
 */
int cli_request(struct cli *c, const char *method, const char *path,
		struct json_object *body, struct json_object **reply);

/* The API of a daemon on this host: HTTP on a unix socket. */
struct cli_api {
	const char *socket;
	const char *base; /* of URLs, with a '/' at its end */
	const char *daemon, *start; /* its name; what starts it */
	long patience; /* seconds, 0: for ever */
	bool *unreachable; /* set when there was no answer; NULL is fine */
	bool quiet; /* nothing is said about what fails */
};

/*
 * As cli_request(), of any daemon. A refusal that came as JSON is in *@reply,
 * too; its "error" has been said.
 */
int cli_call(const struct cli_api *api, const char *method, const char *path,
	     struct json_object *body, struct json_object **reply);

/* cli_request() of the status, with peers or without; NULL after an error. */
struct json_object *cli_status(struct cli *c, bool peers);

/* Members of JSON objects; "" or 0 when absent. */
const char *cli_text(struct json_object *o, const char *name);
int64_t cli_number(struct json_object *o, const char *name);
bool cli_true(struct json_object *o, const char *name);
void cli_sleep(unsigned long ms);
/* To standard output, for people and programs. */
void cli_print_json(struct json_object *o);

/*
 * The peer that @name means: an address, a host name, a MagicDNS name with or
 * without its suffix. Its first address of @family (0: any) to @ip; NULL, having
 * said so, when there is no such peer.
 */
struct json_object *cli_find_peer(struct json_object *status, const char *name,
				  int family, const char **ip);

#endif
