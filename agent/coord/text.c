// SPDX-License-Identifier: GPL-2.0
#include "coord/text.h"

#include <json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

static void text_room(struct text *t, size_t n)
{
	size_t want = t->len + n + 1;

	if (want <= t->cap)
		return;
	t->cap = want < 2 * t->cap ? 2 * t->cap : want;
	t->s = xrealloc(t->s, t->cap, 1);
}

void text_add(struct text *t, const void *s, size_t n)
{
	text_room(t, n);
	if (n)
		memcpy(t->s + t->len, s, n);
	t->len += n;
	t->s[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	text_add(t, s, (size_t)n);
	free(s);
}

void text_json(struct text *t, struct json_object *o)
{
	if (!o)
		return;
	text_puts(t, json_object_to_json_string_ext(
			     o, JSON_C_TO_STRING_PLAIN |
					JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

void text_reset(struct text *t)
{
	t->len = 0;
	if (t->s)
		t->s[0] = '\0';
}

void text_clear(struct text *t)
{
	free(t->s);
	*t = (struct text){0};
}
