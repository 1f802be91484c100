// SPDX-License-Identifier: GPL-2.0
#include "coord/hujson.h"

#include <string.h>

#include "coord/hujson_token.h"
#include "lib/util.h"

const char *hujson_kind_name(enum hujson_kind kind)
{
	switch (kind) {
	case HUJSON_NULL:
		return "null";
	case HUJSON_BOOL:
		return "true or false";
	case HUJSON_NUMBER:
		return "a number";
	case HUJSON_STRING:
		return "a string";
	case HUJSON_ARRAY:
		return "a list";
	case HUJSON_OBJECT:
		return "an object";
	}
	return "";
}

static int by_name(const void *a, const void *b)
{
	const struct hujson *const *x = a, *const *y = b;
	int c = strcmp((*x)->name, (*y)->name);

	if (c)
		return c;
	if ((*x)->name_line != (*y)->name_line)
		return (*x)->name_line < (*y)->name_line ? -1 : 1;
	return (*x)->name_column < (*y)->name_column ? -1 : 1;
}

static bool names_differ(struct hujson_cursor *ps, const struct hujson *object)
{
	const struct hujson **list, *child, *worst = NULL;
	size_t i, n = object->n_children;

	if (n < 2)
		return true;
	list = xcalloc(n, sizeof(*list));
	for (i = 0, child = object->children; child; child = child->next)
		list[i++] = child;
	qsort(list, n, sizeof(*list), by_name);
	/* of several, the one that stands first in the file */
	for (i = 1; i < n; i++)
		if (!strcmp(list[i - 1]->name, list[i]->name) &&
		    (!worst || list[i]->name_line < worst->name_line ||
		     (list[i]->name_line == worst->name_line &&
		      list[i]->name_column < worst->name_column)))
			worst = list[i];
	free(list);
	if (!worst)
		return true;
	hujson_fail(ps, ps->p, "\"%.60s\" is there twice", worst->name);
	ps->err->line = worst->name_line;
	ps->err->column = worst->name_column;
	return false;
}

static struct hujson *parse_value(struct hujson_cursor *ps, unsigned int depth);

/* The name and the colon of a member. */
static char *parse_name(struct hujson_cursor *ps)
{
	char *name;

	if (ps->p >= ps->end || *ps->p != '"') {
		hujson_expected(ps, "a name in quotes or '}'");
		return NULL;
	}
	name = hujson_take_string(ps);
	if (!name)
		return NULL;
	if (!hujson_skip_space(ps))
		goto bad;
	if (ps->p >= ps->end || *ps->p != ':') {
		hujson_expected(ps, "':'");
		goto bad;
	}
	ps->p++;
	if (!hujson_skip_space(ps))
		goto bad;
	return name;
bad:
	free(name);
	return NULL;
}

/* The inside of an array or object, from behind its opening bracket. */
static bool parse_children(struct hujson_cursor *ps, struct hujson *v,
			   unsigned int depth)
{
	bool object = v->kind == HUJSON_OBJECT;
	char close = object ? '}' : ']';
	struct hujson **tail = &v->children, *child;
	unsigned int line, column;
	char *name = NULL;

	for (;;) {
		if (!hujson_skip_space(ps))
			return false;
		if (ps->p < ps->end && *ps->p == close)
			break;
		line = ps->line;
		column = (unsigned int)(ps->p - ps->line_start) + 1;
		if (object) {
			name = parse_name(ps);
			if (!name)
				return false;
		}
		child = parse_value(ps, depth + 1);
		if (!child) {
			free(name);
			return false;
		}
		child->name = name;
		child->name_line = line;
		child->name_column = column;
		*tail = child;
		tail = &child->next;
		v->n_children++;
		if (!hujson_skip_space(ps))
			return false;
		if (ps->p < ps->end && *ps->p == ',')
			ps->p++;
		else if (ps->p >= ps->end || *ps->p != close)
			return hujson_expected(ps, object ? "',' or '}'" :
					       "',' or ']'");
	}
	ps->p++;
	return !object || names_differ(ps, v);
}

static bool parse_content(struct hujson_cursor *ps, struct hujson *v,
			  unsigned int depth)
{
	char c = *ps->p;

	switch (c) {
	case '{':
	case '[':
		v->kind = c == '{' ? HUJSON_OBJECT : HUJSON_ARRAY;
		if (depth >= ps->limits->depth)
			return hujson_fail(ps, ps->p,
					   "nested more than %u levels deep",
					   ps->limits->depth);
		ps->p++;
		return parse_children(ps, v, depth);
	case '"':
		v->kind = HUJSON_STRING;
		v->text = hujson_take_string(ps);
		return v->text;
	case 't':
		v->kind = HUJSON_BOOL;
		v->boolean = true;
		return hujson_take_word(ps, "true");
	case 'f':
		v->kind = HUJSON_BOOL;
		return hujson_take_word(ps, "false");
	case 'n':
		v->kind = HUJSON_NULL;
		return hujson_take_word(ps, "null");
	default:
		if (c != '-' && (c < '0' || c > '9'))
			return hujson_expected(ps, "a value");
		v->kind = HUJSON_NUMBER;
		v->text = hujson_take_number(ps);
		return v->text;
	}
}

static struct hujson *parse_value(struct hujson_cursor *ps, unsigned int depth)
{
	struct hujson *v;

	if (ps->p >= ps->end) {
		hujson_expected(ps, "a value");
		return NULL;
	}
	if (++ps->values > ps->limits->values) {
		hujson_fail(ps, ps->p, "more than %zu values", ps->limits->values);
		return NULL;
	}
	v = xcalloc(1, sizeof(*v));
	v->line = ps->line;
	v->column = (unsigned int)(ps->p - ps->line_start) + 1;
	if (parse_content(ps, v, depth))
		return v;
	hujson_free(v);
	return NULL;
}

struct hujson *hujson_parse(const char *text, size_t len,
			    const struct hujson_limits *limits,
			    struct hujson_error *err)
{
	struct hujson_cursor ps = {
		.p = text, .end = text + len, .line_start = text,
		.line = 1, .limits = limits, .err = err,
	};
	struct hujson *v;

	if (len > limits->bytes) {
		hujson_fail(&ps, text, "%zu bytes, at most %zu are read", len,
			    limits->bytes);
		return NULL;
	}
	if (!hujson_skip_space(&ps))
		return NULL;
	v = parse_value(&ps, 0);
	if (!v)
		return NULL;
	if (hujson_skip_space(&ps)) {
		if (ps.p == ps.end)
			return v;
		hujson_expected(&ps, "the end of the file");
	}
	hujson_free(v);
	return NULL;
}

void hujson_free(struct hujson *v)
{
	struct hujson *next;

	for (; v; v = next) {
		next = v->next;
		hujson_free(v->children);
		free(v->name);
		free(v->text);
		free(v);
	}
}
