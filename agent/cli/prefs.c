// SPDX-License-Identifier: GPL-2.0
#include "cli/prefs.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "engine/settings.h"
#include "lib/util.h"

/* "a,b" as a JSON list; "" is the empty one. */
static struct json_object *list(const char *text)
{
	struct json_object *o = json_object_new_array();
	_cleanup_free_ char *copy = xstrdup(text);
	char *save = NULL, *item;

	for (item = strtok_r(copy, ",", &save); item;
	     item = strtok_r(NULL, ",", &save))
		json_object_array_add(o, json_object_new_string(item));
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
	static const char *const names[PREF_FLAGS_COUNT] = {
		"ControlURL",	 "Hostname", "AdvertiseRoutes",
		"AdvertiseTags", "RouteAll", "ShieldsUp",
		"Strict",	 "MaxStaleSeconds",
		"FlowTable",	 "FlowRecordsSeconds",
	};
	char mask[32];
	int i, n = 0;

	for (i = 0; i < PREF_FLAGS_COUNT; i++) {
		struct json_object *v;

		if (!flags[i].set)
			continue;
		n++;
		if (flags[i].kind == FLAG_BOOL)
			v = json_object_new_boolean(*(bool *)flags[i].value);
		else if (flags[i].value == &p->routes ||
			 flags[i].value == &p->tags)
			v = list(*(const char **)flags[i].value);
		else if (flags[i].kind != FLAG_TEXT)
			v = json_object_new_int64(
				*(const long *)flags[i].value);
		else
			v = json_object_new_string(
				*(const char **)flags[i].value);
		json_object_object_add(prefs, names[i], v);
		snprintf(mask, sizeof(mask), "%sSet", names[i]);
		if (masked)
			json_object_object_add(prefs, mask,
					       json_object_new_boolean(true));
	}
	return n;
}
