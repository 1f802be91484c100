// SPDX-License-Identifier: GPL-2.0
/* `tailrace coord policy check`: what is wrong with a policy file, without a server. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/coord.h"
#include "coord/policy_test.h"
#include "lib/file.h"
#include "lib/util.h"

static struct json_object *message_json(const struct policy_message *m)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "line", json_object_new_int64(m->line));
	json_object_object_add(o, "column", json_object_new_int64(m->column));
	json_object_object_add(o, "warning",
			       json_object_new_boolean(m->warning));
	json_object_object_add(o, "text", json_object_new_string(m->text));
	return o;
}

static void print_json(const struct policy_report *r, bool valid)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < r->n_messages; i++)
		json_object_array_add(list, message_json(&r->messages[i]));
	json_object_object_add(o, "valid", json_object_new_boolean(valid));
	json_object_object_add(o, "messages", list);
	json_object_object_add(o, "more", json_object_new_boolean(r->more));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static void print_text(const struct policy_report *r, const char *path)
{
	size_t i;

	for (i = 0; i < r->n_messages; i++) {
		_cleanup_free_ char *line =
			policy_message_format(&r->messages[i], path);

		fprintf(stderr, "%s\n", line);
	}
	if (r->more)
		fprintf(stderr, "%s: there are more errors\n", path);
}

int coord_policy_check(int argc, char **argv)
{
	const char *path = NULL;
	bool json = false, valid;
	struct flag flags[] = {
		{ "file", FLAG_TEXT, &path, "instead of <file>", false },
		{ "f", FLAG_TEXT, &path, "the same", false },
		{ "json", FLAG_BOOL, &json, "findings as JSON", false },
		{ 0 }
	};
	int n = flags_parse(flags, "<file>", argc, argv), err;
	struct policy_report report = { 0 };
	_cleanup_free_ char *text = NULL;
	struct policy *policy;
	size_t len;

	if (n < 0)
		return n == -2 ? 0 : 2;
	if (!path && n < argc)
		path = argv[n++];
	if (!path || n < argc) {
		cli_error("one file is expected: tailrace coord policy check FILE");
		return 2;
	}
	err = file_read(path, POLICY_MAX_BYTES, false, &text, &len);
	if (err == -EFBIG)
		return cli_error("%s has more than %u bytes", path,
				 POLICY_MAX_BYTES);
	if (err)
		return cli_error("%s: %s", path, strerror(-err));
	policy = policy_load(text, len, NULL, 0, &report);
	valid = policy;
	policy_free(policy);
	if (json)
		print_json(&report, valid);
	else
		print_text(&report, path);
	if (!json && valid)
		printf("%s is a valid policy\n", path);
	policy_report_clear(&report);
	return !valid;
}
