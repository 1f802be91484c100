// SPDX-License-Identifier: GPL-2.0
/* Objects and lists of a policy file. */
#include "coord/policy_read.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"

#define FIELDS_MAX 24

void policy_error_at(struct policy_reader *rd, const struct hujson *v,
		     const char *before, const char *text, const char *after)
{
	policy_note(rd->report, false, v->line, v->column, "%s\"%.80s\"%s",
		    before, text, after);
}

bool policy_is_kind(struct policy_reader *rd, const struct hujson *v,
		    enum hujson_kind kind, const char *what)
{
	if (v->kind == kind)
		return true;
	policy_note(rd->report, false, v->line, v->column,
		    "%.80s is %s, %s is expected", what,
		    hujson_kind_name(v->kind), hujson_kind_name(kind));
	return false;
}

static void unknown_field(struct policy_reader *rd, const struct hujson *v,
			  const struct policy_field *fields, size_t n)
{
	char known[200];
	size_t i, len = 0;

	known[0] = '\0';
	for (i = 0; i < n && len < sizeof(known); i++)
		if (fields[i].read)
			len += (size_t)snprintf(known + len,
						sizeof(known) - len, "%s%s",
						len ? ", " : "",
						fields[i].name);
	policy_note(rd->report, false, v->name_line, v->name_column,
		    "\"%.60s\" is not known; there are %s", v->name, known);
}

static void read_field(struct policy_reader *rd, const struct hujson *v,
		       const struct policy_field *f, void *out)
{
	if (f->ignored)
		policy_note(rd->report, true, v->name_line, v->name_column,
			    "%s has no effect: %s", f->name, f->ignored);
	else if (f->refused)
		policy_note(rd->report, false, v->name_line, v->name_column,
			    "%s is not supported: %s", f->name, f->refused);
	else if ((f->number && v->kind == HUJSON_NUMBER) ||
		 policy_is_kind(rd, v, f->kind, f->name))
		f->read(rd, v, out);
}

/*
 * The members of @o to the functions that read them. Names in any case, as old
 * files have them; those with a # are other programs' notes.
 */
void policy_read_object(struct policy_reader *rd, const struct hujson *o,
			const struct policy_field *fields, size_t n, void *out)
{
	const struct hujson *v;
	bool seen[FIELDS_MAX] = { 0 };
	size_t i;

	for (v = o->children; v; v = v->next) {
		if (*v->name == '#')
			continue;
		for (i = 0; i < n; i++)
			if (!strcasecmp(v->name, fields[i].name))
				break;
		if (i == n) {
			unknown_field(rd, v, fields, n);
			continue;
		}
		if (seen[i]) {
			policy_note(rd->report, false, v->name_line,
				    v->name_column, "%s is there twice",
				    fields[i].name);
			continue;
		}
		if (v->kind == HUJSON_NULL)
			continue;
		seen[i] = true;
		read_field(rd, v, &fields[i], out);
	}
	for (i = 0; i < n; i++)
		if (fields[i].needed && !seen[i])
			policy_note(rd->report, false, o->line, o->column,
				    "this has no %s", fields[i].name);
}

/* A list of names. */
void policy_read_selectors(struct policy_reader *rd, const struct hujson *list,
			   enum policy_role role, struct policy_selector **out,
			   size_t *n)
{
	struct policy_selector *s = xcalloc(list->n_children + 1, sizeof(*s));
	const struct hujson *v;
	size_t count = 0;

	for (v = list->children; v; v = v->next)
		if (policy_is_kind(rd, v, HUJSON_STRING, "an entry") &&
		    policy_read_selector(rd->policy, rd->report, v, v->text,
					 role, &s[count]))
			count++;
	*out = s;
	*n = count;
}
