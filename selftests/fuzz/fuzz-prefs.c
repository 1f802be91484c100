// SPDX-License-Identifier: GPL-2.0
/*
 * Preferences as the LocalAPI and the state file have them: all of it or nothing
 * is taken, and what is taken comes out and in again as it is. The first byte
 * chooses between a PATCH and a whole.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "engine/prefs.h"
#include "lib/json.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const struct prefs *p)
{
	struct json_object *o = prefs_to_json(p);
	char *text = xstrdup(json_object_to_json_string(o));

	json_object_put(o);
	return text;
}

static void check_again(const struct prefs *p, const char *text)
{
	struct json_object *o = prefs_to_json(p);
	_cleanup_free_ char *again = NULL;
	struct prefs copy;
	const char *why;

	prefs_init(&copy);
	if (prefs_apply(&copy, o, false, &why))
		abort();
	again = text_of(&copy);
	if (strcmp(again, text))
		abort();
	json_object_put(o);
	prefs_uninit(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct json_object *o;
	const char *why = NULL;
	struct prefs p;

	if (!size)
		return 0;
	o = json_parse((const char *)data + 1, size - 1);
	if (!o)
		return 0;
	prefs_init(&p);
	before = text_of(&p);
	if (prefs_apply(&p, o, data[0] & 1, &why)) {
		after = text_of(&p);
		if (!why || strcmp(before, after))
			abort();
	} else {
		after = text_of(&p);
		check_again(&p, after);
	}
	prefs_uninit(&p);
	json_object_put(o);
	return 0;
}
