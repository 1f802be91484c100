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
	struct flag flags[] = {
		{ "accept-risk", FLAG_IGNORED, NULL, NULL, false },
		{ "reason", FLAG_IGNORED, NULL, NULL, false },
		{ 0 }
	};
	struct json_object *o;
	int done = only_flags(flags, argc, argv);

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
	struct flag flags[] = {
		{ "reason", FLAG_IGNORED, NULL, NULL, false },
		{ 0 }
	};
	int done = only_flags(flags, argc, argv);

	if (done)
		return done - 1;
	return request(c, "POST", "logout", NULL) || wait_logged_out(c);
}

int cmd_set(struct cli *c, int argc, char **argv)
{
	struct pref_flags p = { 0 };
	struct flag flags[] = {
		PREF_FLAGS(&p),
		ONLY_FLAGS,
		ONLY("auto-update", no_update),
		ONLY("update-check", no_update),
		ONLY("webclient", no_web),
		{ 0 }
	};
	int done = only_flags(flags, argc, argv);
	struct json_object *o;

	if (done)
		return done - 1;
	if (pref_flags_check(flags))
		return 2;
	o = json_object_new_object();
	if (!pref_flags_apply(flags, &p, o, true)) {
		json_object_put(o);
		/* what is so anyway needs no setting */
		return argc > 1 ? 0 :
				  cli_error("nothing to set; see 'tailrace set --help'") +
					  1;
	}
	return request(c, "PATCH", "prefs", o);
}

/* The daemon's version, "" after having said that it does not answer. */
static struct json_object *daemon_version(struct cli *c)
{
	struct json_object *s = cli_status(c, false), *v;

	v = json_object_get(json_member(s, "Version"));
	json_object_put(s);
	return v;
}

int cmd_version(struct cli *c, int argc, char **argv)
{
	static const struct flag_only no_look = {
		"false", "packages update tailrace"
	};
	bool json = false, daemon = false;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ "daemon", FLAG_BOOL, &daemon, "the daemon's, too", false },
		{ "upstream", FLAG_ONLY, (void *)(uintptr_t)&no_look, NULL,
		  false },
		{ 0 }
	};
	int done = only_flags(flags, argc, argv);
	struct json_object *o, *theirs = NULL;

	if (done)
		return done - 1;
	if (daemon) {
		theirs = daemon_version(c);
		if (!theirs)
			return 1;
	}
	if (json) {
		o = json_object_new_object();
		json_object_object_add(o, "majorMinorPatch",
				       json_object_new_string(TAILRACE_VERSION));
		json_object_object_add(o, "short",
				       json_object_new_string(TAILRACE_VERSION));
		json_object_object_add(o, "long",
				       json_object_new_string(TAILRACE_VERSION));
		if (theirs)
			json_object_object_add(o, "daemonLong",
					       json_object_get(theirs));
		cli_print_json(o);
		json_object_put(o);
	} else if (theirs) {
		printf("Client: %s\nDaemon: %s\n", TAILRACE_VERSION,
		       json_object_get_string(theirs));
	} else {
		puts(TAILRACE_VERSION);
	}
	json_object_put(theirs);
	return 0;
}

int cmd_ip(struct cli *c, int argc, char **argv)
{
	bool want4 = false, want6 = false, one = false;
	const char *assert_ip = NULL;
	struct flag flags[] = {
		{ "assert", FLAG_TEXT, &assert_ip,
		  "only check that the node has this address", false },
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
	if (argc - n > 1)
		return cli_error("usage: tailrace ip [flags] [peer]") + 1;
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

		if (assert_ip ? strcmp(ip, assert_ip) != 0 :
				(want4 && v6) || (want6 && !v6) ||
					(one && printed))
			continue;
		if (!assert_ip)
			puts(ip);
		printed++;
	}
	json_object_put(s);
	if (!printed && assert_ip)
		return cli_error("the node does not have address %s",
				 assert_ip);
	if (!printed && n >= argc)
		return cli_error("no address: run 'tailrace up'");
	return !printed;
}
