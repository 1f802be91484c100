// SPDX-License-Identifier: GPL-2.0
/* The commands that are one request, or less. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/prefs.h"
#include "version.h"

/* Flags, and no arguments after them. 0, or the exit status plus one. */
static int only_flags(struct flag *flags, int argc, char **argv)
{
	int n = flags_parse(flags, "", argc, argv);

	if (n < 0)
		return n == -2 ? 1 : 3;
	if (n < argc)
		return cli_error("%s takes no argument '%s'", argv[0],
				 argv[n]) + 1;
	return 0;
}

static int request(struct cli *c, const char *method, const char *path,
		   struct json_object *body)
{
	struct json_object *reply;
	int err = cli_request(c, method, path, body, &reply);

	json_object_put(body);
	json_object_put(reply);
	return err;
}

int cmd_down(struct cli *c, int argc, char **argv)
{
	struct flag none[] = { { 0 } };
	struct json_object *o;
	int done = only_flags(none, argc, argv);

	if (done)
		return done - 1;
	o = json_object_new_object();
	json_object_object_add(o, "WantRunning", json_object_new_boolean(false));
	json_object_object_add(o, "WantRunningSet",
			       json_object_new_boolean(true));
	return request(c, "PATCH", "prefs", o);
}

/* Logging out takes a word with control, 10 s at most. */
static int wait_logged_out(struct cli *c)
{
	struct timespec tick = { 0, 100000000 };
	struct json_object *prefs;
	bool done = false;
	int i;

	for (i = 0; !done && i < 150; i++) {
		if (cli_request(c, "GET", "prefs", NULL, &prefs))
			return 1;
		done = cli_true(prefs, "LoggedOut");
		json_object_put(prefs);
		if (!done)
			nanosleep(&tick, NULL);
	}
	return done ? 0 : cli_error("control has not answered; still logged in");
}

int cmd_logout(struct cli *c, int argc, char **argv)
{
	struct flag none[] = { { 0 } };
	int done = only_flags(none, argc, argv);

	if (done)
		return done - 1;
	return request(c, "POST", "logout", NULL) || wait_logged_out(c);
}

int cmd_set(struct cli *c, int argc, char **argv)
{
	struct pref_flags p = { 0 };
	struct flag flags[] = { PREF_FLAGS(&p), { 0 } };
	int done = only_flags(flags, argc, argv);
	struct json_object *o;

	if (done)
		return done - 1;
	if (pref_flags_check(flags))
		return 2;
	o = json_object_new_object();
	if (!pref_flags_apply(flags, &p, o, true)) {
		json_object_put(o);
		return cli_error("nothing to set; see 'tailrace set --help'") +
		       1;
	}
	return request(c, "PATCH", "prefs", o);
}

int cmd_version(struct cli *c, int argc, char **argv)
{
	bool json = false;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ 0 }
	};
	int done = only_flags(flags, argc, argv);

	if (done)
		return done - 1;
	if (json)
		puts("{\"short\":\"" TAILRACE_VERSION "\"}");
	else
		puts(TAILRACE_VERSION);
	return 0;
}

int cmd_ip(struct cli *c, int argc, char **argv)
{
	bool want4 = false, want6 = false, one = false;
	struct flag flags[] = {
		{ "4", FLAG_BOOL, &want4, "IPv4 only", false },
		{ "6", FLAG_BOOL, &want6, "IPv6 only", false },
		{ "1", FLAG_BOOL, &one, "the first only", false },
		{ 0 }
	};
	struct json_object *s, *ips;
	const char *first;
	int n, printed = 0;
	size_t i;

	n = flags_parse(flags, "[peer]", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (want4 && want6)
		return cli_error("-4 and -6 exclude each other") + 1;
	s = cli_status(c, n < argc);
	if (!s)
		return 1;
	ips = json_member(n < argc ? cli_find_peer(s, argv[n], 0, &first) :
				     json_member(s, "Self"),
			  "TailscaleIPs");
	for (i = 0; ips && i < json_object_array_length(ips); i++) {
		const char *ip = json_object_get_string(
			json_object_array_get_idx(ips, i));
		bool v6 = strchr(ip, ':') != NULL;

		if ((want4 && v6) || (want6 && !v6) || (one && printed))
			continue;
		puts(ip);
		printed++;
	}
	json_object_put(s);
	if (!printed && n >= argc)
		return cli_error("no address: run 'tailrace up'");
	return !printed;
}
