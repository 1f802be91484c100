// SPDX-License-Identifier: GPL-2.0
/* up, login: everything that ends in a running node. */
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/prefs.h"
#include "engine/settings.h"
#include "lib/file.h"
#include "lib/util.h"

#define POLL_MS 200

/* "file:PATH" names a file that holds the key; NULL after an error. */
static char *read_auth_key(const char *arg)
{
	char *text;
	size_t n;
	int err;

	if (strncmp(arg, "file:", 5) != 0)
		return xstrdup(arg);
	err = file_read(arg + 5, 4096, false, &text, &n);
	if (err) {
		cli_error("cannot read the auth key from %s: %s", arg + 5,
			  strerror(-err));
		return NULL;
	}
	text[strcspn(text, " \t\r\n")] = '\0';
	return text;
}

/* The first complaint that isn't about peers; "" if all is well. */
static const char *complaint(struct json_object *status)
{
	struct json_object *health = json_member(status, "Health");

	return health && json_object_array_length(health) ?
		       json_object_get_string(
			       json_object_array_get_idx(health, 0)) :
		       "";
}

/* As scripts read it from the tool they know. */
static void say_json(const char *state, const char *url)
{
	struct json_object *o = json_object_new_object();

	if (*url)
		json_object_object_add(o, "AuthURL",
				       json_object_new_string(url));
	json_object_object_add(o, "BackendState",
			       json_object_new_string(state));
	cli_print_json(o);
	fflush(stdout);
	json_object_put(o);
}

/* Until the node runs; prints an auth URL as soon as there is one. */
static int wait_running(struct cli *c, bool have_key, unsigned long timeout,
			bool json)
{
	char shown[512] = "";
	uint64_t start = now_ns();
	bool said_approval = false;

	for (;;) {
		struct json_object *s = cli_status(c, false);
		const char *state, *url;
		int done = -1;

		if (!s)
			return 1;
		state = cli_text(s, "BackendState");
		url = cli_text(s, "AuthURL");
		if (!strcmp(state, "Running")) {
			done = 0;
			if (json)
				say_json(state, "");
		} else if (*url && strcmp(url, shown) != 0) {
			snprintf(shown, sizeof(shown), "%s", url);
			if (json)
				say_json(state, url);
			else
				fprintf(stderr,
					"\nTo authenticate, visit:\n\n\t%s\n\n",
					url);
		} else if (have_key && !*url && !strcmp(state, "NeedsLogin") &&
			   *complaint(s)) {
			done = cli_error("%s", complaint(s));
		} else if (!strcmp(state, "NeedsMachineAuth") &&
			   !said_approval) {
			said_approval = true;
			fputs("This node waits for an admin's approval.\n",
			      stderr);
		}
		if (done < 0 && timeout &&
		    now_ns() - start >= timeout * MS_NS)
			done = cli_error("not running after %lu s (%s)%s%s",
					 timeout / 1000, state,
					 *complaint(s) ? ": " : "",
					 complaint(s));
		json_object_put(s);
		if (done >= 0)
			return done;
		cli_sleep(POLL_MS);
	}
}

/* Preferences as they are (or the defaults), with the flags over them. */
static struct json_object *new_prefs(struct cli *c, const struct flag *flags,
				     const struct pref_flags *p, bool reset)
{
	struct json_object *prefs;
	size_t i;

	if (cli_request(c, "GET", "prefs", NULL, &prefs))
		return NULL;
	if (reset || !prefs) {
		/* The server isn't a default: another one is another login. */
		const char *url = cli_text(prefs, "ControlURL");
		struct json_object *fresh = json_object_new_object();

		json_object_object_add(fresh, "ControlURL",
				       json_object_new_string(url));
		json_object_object_add(fresh, "Hostname",
				       json_object_new_string(""));
		json_object_object_add(fresh, "AdvertiseRoutes",
				       json_object_new_array());
		json_object_object_add(fresh, "AdvertiseTags",
				       json_object_new_array());
		json_object_object_add(fresh, "RouteAll",
				       json_object_new_boolean(false));
		json_object_object_add(fresh, "ShieldsUp",
				       json_object_new_boolean(false));
		for (i = 0; i < SETTINGS_COUNT; i++)
			json_object_object_add(fresh, setting_infos[i].pref,
					       NULL);
		json_object_put(prefs);
		prefs = fresh;
	}
	pref_flags_apply(flags, p, prefs, false);
	json_object_object_add(prefs, "WantRunning",
			       json_object_new_boolean(true));
	json_object_object_add(prefs, "LoggedOut",
			       json_object_new_boolean(false));
	return prefs;
}

static int start(struct cli *c, struct json_object *prefs, const char *key)
{
	struct json_object *body = json_object_new_object(), *reply;
	int err;

	json_object_object_add(body, "UpdatePrefs", prefs);
	if (key)
		json_object_object_add(body, "AuthKey",
				       json_object_new_string(key));
	err = cli_request(c, "POST", "start", body, &reply);
	json_object_put(body);
	json_object_put(reply);
	return err;
}

static int interactive(struct cli *c, bool force)
{
	struct json_object *s = NULL, *reply;
	int err = 0;

	if (!force) {
		s = cli_status(c, false);
		if (!s)
			return 1;
	}
	if (force || (!strcmp(cli_text(s, "BackendState"), "NeedsLogin") &&
		      !*cli_text(s, "AuthURL"))) {
		err = cli_request(c, "POST",
				  force ? "login-interactive?force=true" :
					  "login-interactive",
				  NULL, &reply);
		json_object_put(reply);
	}
	json_object_put(s);
	return err;
}

int cmd_up(struct cli *c, int argc, char **argv)
{
	const char *auth_key = NULL;
	unsigned long timeout = 0;
	bool reset = false, force = false, json = false, qr = false;
	struct pref_flags p = { 0 };
	struct flag flags[] = {
		PREF_FLAGS(&p),
		{ "authkey", FLAG_TEXT, &auth_key,
		  "auth key, or file:PATH of one", false },
		{ "auth-key", FLAG_TEXT, &auth_key, "the same", false },
		{ "timeout", FLAG_DURATION, &timeout,
		  "how long to wait, 0: for ever", false },
		{ "reset", FLAG_BOOL, &reset,
		  "set what is not given to its default", false },
		{ "force-reauth", FLAG_BOOL, &force,
		  "log in again with a new node key", false },
		{ "json", FLAG_BOOL, &json, "say what happens as JSON", false },
		{ "qr", FLAG_BOOL, &qr, NULL, false },
		{ "qr-format", FLAG_IGNORED, NULL, NULL, false },
		ONLY_FLAGS,
		{ 0 }
	};
	struct json_object *prefs;
	char *key = NULL;
	int n, err;

	n = flags_parse(flags, "", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (n < argc)
		return cli_error("%s takes no argument '%s'", argv[0], argv[n]);
	if (pref_flags_check(flags))
		return 2;
	if (auth_key && *auth_key) {
		key = read_auth_key(auth_key);
		if (!key)
			return 1;
	}
	prefs = new_prefs(c, flags, &p, reset);
	err = prefs ? start(c, prefs, key) : 1;
	if (!err && !key)
		err = interactive(c, force);
	if (!err)
		err = wait_running(c, key != NULL, timeout, json);
	if (key)
		sodium_memzero(key, strlen(key));
	free(key);
	return err;
}

int cmd_login(struct cli *c, int argc, char **argv)
{
	return cmd_up(c, argc, argv);
}
