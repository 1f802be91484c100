// SPDX-License-Identifier: GPL-2.0
#include "engine/store.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define STATE_MAX (1u << 20)
#define NETMAP_MAX (64u << 20)

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ?
		       0 :
		       -ENAMETOOLONG;
}

static int make_directory(const char *dir)
{
	if (mkdir(dir, 0700) && errno != EEXIST) {
		log_error("cannot make %s: %s", dir, strerror(errno));
		return -errno;
	}
	return 0;
}

/* Moves a damaged file out of the way, so that nothing overwrites it. */
static void keep_aside(struct store *s, const char *path, const char *what)
{
	char aside[PATH_MAX + 32];

	snprintf(aside, sizeof(aside), "%s.damaged-%lld", path,
		 (long long)time(NULL));
	if (rename(path, aside)) {
		log_error("%s is damaged (%s) and cannot be renamed: %s", path,
			  what, strerror(errno));
		return;
	}
	log_error("%s is damaged (%s): kept as %s", path, what, aside);
	free(s->damaged);
	s->damaged = xstrdup(aside);
}

/* The whole file as one JSON object; NULL and *@what when it is not. */
static struct json_object *parse(const char *text, size_t n, const char **what)
{
	struct json_object *o = json_parse(text, n);

	if (json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	*what = "not a JSON object";
	return NULL;
}

static int get_key(struct key *k, struct json_object *o, const char *name)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, name, &v))
		return 0;
	return json_object_is_type(v, json_type_string) ?
		       key_parse(k, KEY_PRIVATE, json_object_get_string(v)) :
		       -EINVAL;
}

static const char *decode(struct store *s, struct json_object *o)
{
	struct json_object *prefs;
	const char *why;

	if (get_key(&s->machine_private, o, "machineKey") ||
	    key_is_zero(&s->machine_private))
		return "machineKey";
	if (get_key(&s->node_private, o, "nodeKey"))
		return "nodeKey";
	if (get_key(&s->old_node_private, o, "oldNodeKey"))
		return "oldNodeKey";
	if (!json_object_object_get_ex(o, "prefs", &prefs))
		return "prefs";
	if (prefs_apply(&s->prefs, prefs, false, &why))
		return why;
	return NULL;
}

static void forget_keys(struct store *s)
{
	key_wipe(&s->machine_private);
	key_wipe(&s->node_private);
	key_wipe(&s->old_node_private);
}

/* -ENOENT: there is none (any more). */
static int load(struct store *s)
{
	const char *what = "";
	struct json_object *o;
	char path[PATH_MAX];
	char *text;
	size_t n;
	int err;

	err = join(path, s->state_dir, "tailrace.state");
	if (!err)
		err = file_read(path, STATE_MAX, true, &text, &n);
	if (err == -ENOENT)
		return err;
	if (err == -EPERM) {
		log_error("%s may be read by others: chmod 600 it, or replace the keys",
			  path);
		return err;
	}
	if (err == -EFBIG || err == -EINVAL) {
		keep_aside(s, path, "not a small regular file");
		return -ENOENT;
	}
	if (err) {
		log_error("cannot read %s: %s", path, strerror(-err));
		return err;
	}
	o = parse(text, n, &what);
	if (o) {
		what = decode(s, o);
		json_object_put(o);
	}
	sodium_memzero(text, n);
	free(text);
	if (!what)
		return 0;
	forget_keys(s);
	keep_aside(s, path, what);
	prefs_uninit(&s->prefs);
	prefs_init(&s->prefs);
	return -ENOENT;
}

/* One per boot: peers keep what they proved when the agent restarts. */
static int load_disco(struct store *s)
{
	char path[PATH_MAX];
	char *text;
	size_t n;
	int err;

	err = join(path, s->run_dir, "disco.key");
	if (err)
		return err;
	if (!file_read(path, KEY_LEN, true, &text, &n)) {
		if (n == KEY_LEN)
			memcpy(s->disco_private.b, text, KEY_LEN);
		sodium_memzero(text, n);
		free(text);
		if (!key_is_zero(&s->disco_private))
			return 0;
	}
	key_generate(&s->disco_private);
	err = file_write(path, s->disco_private.b, KEY_LEN);
	if (err)
		log_error("cannot write %s: %s", path, strerror(-err));
	return err;
}

int store_open(struct store *s, const char *state_dir, const char *run_dir)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->state_dir = xstrdup(state_dir);
	s->run_dir = xstrdup(run_dir);
	prefs_init(&s->prefs);
	err = make_directory(state_dir);
	if (!err)
		err = make_directory(run_dir);
	if (!err)
		err = load_disco(s);
	if (!err)
		err = load(s);
	if (err == -ENOENT) {
		key_generate(&s->machine_private);
		err = store_save(s);
	}
	if (err)
		store_close(s);
	return err;
}

void store_close(struct store *s)
{
	forget_keys(s);
	key_wipe(&s->disco_private);
	prefs_uninit(&s->prefs);
	free(s->damaged);
	free(s->state_dir);
	free(s->run_dir);
}

static void put_key(struct json_object *o, const char *name,
		    const struct key *k)
{
	char text[KEY_TEXT_MAX];

	if (key_is_zero(k))
		return;
	json_object_object_add(o, name,
			       json_object_new_string(
				       key_format(text, KEY_PRIVATE, k)));
	sodium_memzero(text, sizeof(text));
}

int store_save(const struct store *s)
{
	struct json_object *o = json_object_new_object();
	char path[PATH_MAX];
	const char *text;
	int err;

	put_key(o, "machineKey", &s->machine_private);
	put_key(o, "nodeKey", &s->node_private);
	put_key(o, "oldNodeKey", &s->old_node_private);
	json_object_object_add(o, "prefs", prefs_to_json(&s->prefs));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY);
	err = join(path, s->state_dir, "tailrace.state");
	if (!err)
		err = file_write(path, text, strlen(text));
	if (err)
		log_error("cannot write the state in %s: %s", s->state_dir,
			  strerror(-err));
	/* json-c owns the text: it is wiped before it goes back to malloc. */
	sodium_memzero((void *)(uintptr_t)text, strlen(text));
	json_object_put(o);
	return err;
}

int store_forget_node(struct store *s)
{
	key_wipe(&s->node_private);
	key_wipe(&s->old_node_private);
	store_forget_netmap(s);
	return store_save(s);
}

int store_save_netmap(const struct store *s, struct json_object *netmap)
{
	const char *text = json_object_to_json_string_ext(
		netmap, JSON_C_TO_STRING_PLAIN);
	char path[PATH_MAX];
	int err = join(path, s->state_dir, "netmap.json");

	if (!err)
		err = file_write(path, text, strlen(text));
	if (err)
		log_warn("cannot write the netmap in %s: %s", s->state_dir,
			 strerror(-err));
	return err;
}

struct json_object *store_load_netmap(struct store *s)
{
	struct json_object *o = NULL;
	const char *what = "";
	char path[PATH_MAX];
	char *text;
	size_t n;

	if (join(path, s->state_dir, "netmap.json") ||
	    file_read(path, NETMAP_MAX, true, &text, &n))
		return NULL;
	o = parse(text, n, &what);
	free(text);
	if (!o)
		keep_aside(s, path, what);
	return o;
}

void store_forget_netmap(const struct store *s)
{
	char path[PATH_MAX];

	if (!join(path, s->state_dir, "netmap.json"))
		unlink(path);
}
