// SPDX-License-Identifier: GPL-2.0
/* get: preferences by the names of their flags; wait: until the node runs. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/prefs.h"
#include "engine/settings.h"
#include "lib/duration.h"
#include "lib/util.h"

#define POLL_MS 200

/* A list as its flag takes it. */
static char *joined(struct json_object *list)
{
	size_t i, n = json_object_array_length(list), len = 0;
	char *text = xstrdup("");

	for (i = 0; i < n; i++) {
		const char *one = json_object_get_string(
			json_object_array_get_idx(list, i));

		text = xrealloc(text, len + strlen(one) + 2, 1);
		len += (size_t)sprintf(text + len, "%s%s", i ? "," : "", one);
	}
	return text;
}

static bool is_duration(const char *flag)
{
	size_t i;

	for (i = 0; i < SETTINGS_COUNT; i++)
		if (!strcmp(setting_infos[i].flag, flag))
			return setting_infos[i].duration;
	return false;
}

/* What the flag would be given; "default" for what tailraced's flags say. */
static char *value_text(const char *flag, struct json_object *v)
{
	char text[DURATION_TEXT_MAX];

	if (!v)
		return xstrdup("default");
	if (json_object_is_type(v, json_type_array))
		return joined(v);
	if (is_duration(flag))
		return xstrdup(duration_format(
			(uint64_t)json_object_get_int64(v), text));
	return xstrdup(json_object_get_string(v));
}

static void print_all(struct json_object *prefs, const struct flag *flags)
{
	int i;

	for (i = 0; i < PREF_FLAGS_COUNT; i++) {
		_cleanup_free_ char *text = value_text(
			flags[i].name, json_member(prefs, pref_names[i]));

		printf("%-18s %s\n", flags[i].name, text);
	}
}

static int print_one(struct json_object *prefs, const struct flag *flags,
		     const char *name, bool json)
{
	int i;

	for (i = 0; i < PREF_FLAGS_COUNT; i++) {
		struct json_object *v = json_member(prefs, pref_names[i]);
		_cleanup_free_ char *text = NULL;

		if (strcmp(flags[i].name, name) != 0)
			continue;
		if (json) {
			cli_print_json(v);
			return 0;
		}
		text = value_text(name, v);
		puts(text);
		return 0;
	}
	return cli_error("no preference '%s'; 'tailrace get' lists them", name);
}

int cmd_get(struct cli *c, int argc, char **argv)
{
	struct pref_flags p = { 0 };
	const struct flag names[] = { PREF_FLAGS(&p), { 0 } };
	bool json = false;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ 0 }
	};
	struct json_object *prefs;
	int n, err = 0;

	n = flags_parse(flags, "[name | all]", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (argc - n > 1)
		return cli_error("usage: tailrace get [flags] [name | all]") +
		       1;
	if (cli_request(c, "GET", "prefs", NULL, &prefs))
		return 1;
	if (n < argc && strcmp(argv[n], "all") != 0)
		err = print_one(prefs, names, argv[n], json);
	else if (json)
		cli_print_json(prefs);
	else
		print_all(prefs, names);
	json_object_put(prefs);
	return err;
}

/* A daemon that is not there yet is waited for, too. */
static bool is_running(struct cli *c)
{
	struct json_object *s, *ips;
	bool running;

	c->quiet = true;
	s = cli_status(c, false);
	ips = json_member(s, "TailscaleIPs");
	running = !strcmp(cli_text(s, "BackendState"), "Running") && ips &&
		  json_object_array_length(ips) &&
		  *cli_text(json_member(s, "Kernel"), "state");
	json_object_put(s);
	return running;
}

int cmd_wait(struct cli *c, int argc, char **argv)
{
	unsigned long timeout = 0;
	struct flag flags[] = {
		{ "timeout", FLAG_DURATION, &timeout,
		  "how long at most, 0: for ever", false },
		{ 0 }
	};
	uint64_t start = now_ns();
	int n;

	n = flags_parse(flags, "", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (n < argc)
		return cli_error("wait takes no argument '%s'", argv[n]) + 1;
	while (!is_running(c)) {
		if (timeout && now_ns() - start >= timeout * MS_NS)
			return cli_error("not running after %lu s; see 'tailrace status'",
					 timeout / 1000);
		cli_sleep(POLL_MS);
	}
	return 0;
}
