// SPDX-License-Identifier: GPL-2.0
#include "cli/prefs.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "engine/settings.h"
#include "lib/util.h"

const struct flag_only only_no_dns = {
	"false", "tailrace does not manage the host's DNS"
};
const struct flag_only only_no_ssh = { "false", "there is no SSH server" };
const struct flag_only only_no_exit_node = { "", "there are no exit nodes" };
const struct flag_only only_no_exit = { "false", "there are no exit nodes" };
const struct flag_only only_no_lan = { "false", "there are no exit nodes" };
const struct flag_only only_no_connector = { "false",
					     "there are no app connectors" };
const struct flag_only only_no_snat = {
	"false", "tailrace does not masquerade, your network needs a route back"
};
const struct flag_only only_no_netfilter = {
	"off", "the filter is tailrace.ko, the host's firewall is left alone"
};
const struct flag_only only_no_stateful = {
	"false", "forwarded packets are filtered as the policy says, see --strict"
};
const struct flag_only only_no_operator = { "",
					    "only root changes the agent" };
const struct flag_only only_no_posture = { "false",
					   "there are no posture reports" };
const struct flag_only only_no_update = { "false",
					  "packages update tailrace" };
const struct flag_only only_no_web = { "false", "there is no web client" };

const char *const pref_names[PREF_FLAGS_COUNT] = {
	"ControlURL",	 "Hostname", "AdvertiseRoutes",
	"AdvertiseTags", "RouteAll", "ShieldsUp",
	"Strict",	 "MaxStaleSeconds",
	"FlowTable",	 "FlowRecordsSeconds",
};

/* "a,b" as a JSON list, @prefix put before what lacks it; "" is empty. */
static struct json_object *list(const char *text, const char *prefix)
{
	struct json_object *o = json_object_new_array();
	_cleanup_free_ char *copy = xstrdup(text);
	char *save = NULL, *item;

	for (item = strtok_r(copy, ",", &save); item;
	     item = strtok_r(NULL, ",", &save)) {
		_cleanup_free_ char *whole = NULL;
		bool has = !strncmp(item, prefix, strlen(prefix));

		if (asprintf(&whole, "%s%s", has ? "" : prefix, item) < 0)
			abort();
		json_object_array_add(o, json_object_new_string(whole));
	}
	return o;
}

int pref_flags_check(const struct flag *flags)
{
	struct settings s;
	int i;
	size_t j;

	settings_init(&s);
	for (i = 0; i < PREF_FLAGS_COUNT; i++)
		for (j = 0; j < SETTINGS_COUNT; j++) {
			const struct setting_info *info = &setting_infos[j];

			if (flags[i].set && !info->boolean &&
			    !strcmp(flags[i].name, info->flag) &&
			    setting_set(&s, j, *(const long *)flags[i].value))
				return cli_error("--%s takes %s", info->flag,
						 info->takes);
		}
	return 0;
}

int pref_flags_apply(const struct flag *flags, const struct pref_flags *p,
		     struct json_object *prefs, bool masked)
{
	char mask[32];
	int i, n = 0;

	for (i = 0; i < PREF_FLAGS_COUNT; i++) {
		struct json_object *v;

		if (!flags[i].set)
			continue;
		n++;
		if (flags[i].kind == FLAG_BOOL)
			v = json_object_new_boolean(*(bool *)flags[i].value);
		else if (flags[i].value == &p->routes)
			v = list(p->routes, "");
		else if (flags[i].value == &p->tags)
			v = list(p->tags, "tag:");
		else if (flags[i].kind != FLAG_TEXT)
			v = json_object_new_int64(
				*(const long *)flags[i].value);
		else
			v = json_object_new_string(
				*(const char **)flags[i].value);
		json_object_object_add(prefs, pref_names[i], v);
		snprintf(mask, sizeof(mask), "%sSet", pref_names[i]);
		if (masked)
			json_object_object_add(prefs, mask,
					       json_object_new_boolean(true));
	}
	return n;
}
