// SPDX-License-Identifier: GPL-2.0
#include "engine/prefs.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

/* Bounds on what a user can ask for. */
#define MAX_ROUTES 4096
#define MAX_TAGS 64

void prefs_init(struct prefs *p)
{
	memset(p, 0, sizeof(*p));
	p->control_url = xstrdup(PREFS_DEFAULT_CONTROL);
	p->hostname = xstrdup("");
	settings_init(&p->settings);
}

static void tags_free(char **tags, size_t n)
{
	while (n)
		free(tags[--n]);
	free(tags);
}

void prefs_uninit(struct prefs *p)
{
	free(p->control_url);
	free(p->hostname);
	free(p->routes);
	tags_free(p->tags, p->n_tags);
}

/* Whether the field is to be applied; *@v is its value, null as NULL. */
static bool named(struct json_object *o, const char *name, bool masked,
		  struct json_object **v)
{
	struct json_object *set;
	char mask[64];

	if (masked) {
		snprintf(mask, sizeof(mask), "%sSet", name);
		if (!json_object_object_get_ex(o, mask, &set) ||
		    !json_object_get_boolean(set))
			return false;
	}
	return json_object_object_get_ex(o, name, v);
}

/* The field, if it is to be applied; *@bad when it has the wrong type. */
static struct json_object *field(struct json_object *o, const char *name,
				 bool masked, enum json_type type,
				 const char **bad)
{
	struct json_object *v;

	if (!named(o, name, masked, &v))
		return NULL;
	/* null is the empty list. */
	if (!v && type == json_type_array)
		return json_object_new_array();
	if (!json_object_is_type(v, type)) {
		*bad = name;
		return NULL;
	}
	return json_object_get(v);
}

static void get_bool(bool *out, struct json_object *o, const char *name,
		     bool masked, const char **bad)
{
	struct json_object *v = field(o, name, masked, json_type_boolean, bad);

	if (v)
		*out = json_object_get_boolean(v);
	json_object_put(v);
}

static void get_string(char **out, struct json_object *o, const char *name,
		       bool masked, const char **bad)
{
	struct json_object *v = field(o, name, masked, json_type_string, bad);

	if (v) {
		free(*out);
		*out = xstrdup(json_object_get_string(v));
	}
	json_object_put(v);
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void get_routes(struct prefs *p, struct json_object *o, bool masked,
		       const char **bad)
{
	static const char name[] = "AdvertiseRoutes";
	struct json_object *v = field(o, name, masked, json_type_array, bad);
	size_t i, n, kept = 0;
	struct prefix *routes, masked_prefix;

	if (!v)
		return;
	n = json_object_array_length(v);
	routes = xcalloc(n, sizeof(*routes));
	for (i = 0; i < n; i++) {
		const char *text = json_object_get_string(
			json_object_array_get_idx(v, i));

		if (n > MAX_ROUTES || !text ||
		    prefix_parse(&routes[i], text)) {
			*bad = name;
			break;
		}
		masked_prefix = prefix_masked(&routes[i]);
		if (!prefix_equal(&masked_prefix, &routes[i]))
			*bad = name;
	}
	json_object_put(v);
	if (*bad) {
		free(routes);
		return;
	}
	qsort(routes, n, sizeof(*routes), by_prefix);
	for (i = 0; i < n; i++)
		if (!i || !prefix_equal(&routes[i], &routes[i - 1]))
			routes[kept++] = routes[i];
	free(p->routes);
	p->routes = routes;
	p->n_routes = kept;
}

static bool tag_valid(const char *tag)
{
	const char *c;

	if (strncmp(tag, "tag:", 4) != 0 || !isalpha((unsigned char)tag[4]))
		return false;
	for (c = tag + 4; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-')
			return false;
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void get_tags(struct prefs *p, struct json_object *o, bool masked,
		     const char **bad)
{
	static const char name[] = "AdvertiseTags";
	struct json_object *v = field(o, name, masked, json_type_array, bad);
	size_t i, n, kept = 0;
	char **tags;

	if (!v)
		return;
	n = json_object_array_length(v);
	tags = xcalloc(n, sizeof(*tags));
	for (i = 0; i < n; i++) {
		const char *text = json_object_get_string(
			json_object_array_get_idx(v, i));

		if (n > MAX_TAGS || !text || !tag_valid(text)) {
			*bad = name;
			break;
		}
		tags[i] = xstrdup(text);
	}
	json_object_put(v);
	if (*bad) {
		tags_free(tags, i);
		return;
	}
	qsort(tags, n, sizeof(*tags), by_text);
	for (i = 0; i < n; i++) {
		if (kept && !strcmp(tags[i], tags[kept - 1]))
			free(tags[i]);
		else
			tags[kept++] = tags[i];
	}
	tags_free(p->tags, p->n_tags);
	p->tags = tags;
	p->n_tags = kept;
}

/* null takes a setting back. */
static void get_settings(struct settings *s, struct json_object *o,
			 bool masked, const char **bad)
{
	struct json_object *v;
	size_t i;

	for (i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting_info *info = &setting_infos[i];

		if (!named(o, info->pref, masked, &v))
			continue;
		if (!v)
			s->v[i] = SETTING_UNSET;
		else if (!json_object_is_type(v, info->boolean ?
						 json_type_boolean :
						 json_type_int) ||
			 setting_set(s, i, json_object_get_int64(v)))
			*bad = info->pref;
	}
}

static bool url_valid(const char *url)
{
	return strncmp(url, "https://", 8) == 0 ||
	       strncmp(url, "http://", 7) == 0;
}

int prefs_apply(struct prefs *p, struct json_object *o, bool masked,
		const char **why)
{
	struct json_object *now = prefs_to_json(p);
	const char *bad = NULL, *ignore = NULL;
	struct prefs next;

	/* Work on a copy: a bad field leaves everything as it was. */
	prefs_init(&next);
	get_string(&next.control_url, now, "ControlURL", false, &ignore);
	get_string(&next.hostname, now, "Hostname", false, &ignore);
	get_routes(&next, now, false, &ignore);
	get_tags(&next, now, false, &ignore);
	json_object_put(now);
	next.want_running = p->want_running;
	next.logged_out = p->logged_out;
	next.accept_routes = p->accept_routes;
	next.shields_up = p->shields_up;
	next.settings = p->settings;

	if (!json_object_is_type(o, json_type_object))
		bad = "the whole";
	if (!bad) {
		get_string(&next.control_url, o, "ControlURL", masked, &bad);
		get_string(&next.hostname, o, "Hostname", masked, &bad);
		get_bool(&next.want_running, o, "WantRunning", masked, &bad);
		get_bool(&next.logged_out, o, "LoggedOut", masked, &bad);
		get_bool(&next.accept_routes, o, "RouteAll", masked, &bad);
		get_bool(&next.shields_up, o, "ShieldsUp", masked, &bad);
		get_routes(&next, o, masked, &bad);
		get_tags(&next, o, masked, &bad);
		get_settings(&next.settings, o, masked, &bad);
		if (!*next.control_url) {
			free(next.control_url);
			next.control_url = xstrdup(PREFS_DEFAULT_CONTROL);
		}
		if (!url_valid(next.control_url))
			bad = "ControlURL";
	}
	if (bad) {
		*why = bad;
		prefs_uninit(&next);
		return -EINVAL;
	}
	prefs_uninit(p);
	*p = next;
	return 0;
}

struct json_object *prefs_to_json(const struct prefs *p)
{
	struct json_object *o = json_object_new_object();
	size_t i;

	json_object_object_add(o, "ControlURL",
			       json_object_new_string(p->control_url));
	json_object_object_add(o, "RouteAll",
			       json_object_new_boolean(p->accept_routes));
	json_object_object_add(o, "WantRunning",
			       json_object_new_boolean(p->want_running));
	json_object_object_add(o, "LoggedOut",
			       json_object_new_boolean(p->logged_out));
	json_object_object_add(o, "ShieldsUp",
			       json_object_new_boolean(p->shields_up));
	json_object_object_add(o, "AdvertiseTags",
			       json_from_strings(p->tags, p->n_tags));
	json_object_object_add(o, "Hostname",
			       json_object_new_string(p->hostname));
	json_object_object_add(o, "AdvertiseRoutes",
			       json_from_prefixes(p->routes, p->n_routes));
	for (i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting_info *info = &setting_infos[i];
		int64_t v = p->settings.v[i];

		json_object_object_add(o, info->pref,
				       v == SETTING_UNSET ? NULL :
				       info->boolean ?
				       json_object_new_boolean(v != 0) :
				       json_object_new_int64(v));
	}
	return o;
}
