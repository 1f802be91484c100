/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_TEXT_H
#define COORD_TEXT_H

#include <stddef.h>

/*
 * A string that grows: messages to thousands of streams are put together from
 * pieces that were serialised once. Zeroed memory is an empty one.
 */
struct json_object;

struct text {
	char *s; /* NULL while empty, else @len bytes and a NUL */
	size_t len, cap;
};

void text_add(struct text *t, const void *s, size_t n);
void text_puts(struct text *t, const char *s);
void text_printf(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Takes @o; nothing for NULL. */
void text_json(struct text *t, struct json_object *o);
/* Empties it, the memory is kept. */
void text_reset(struct text *t);
/* Frees what it holds. */
void text_clear(struct text *t);

#endif
