/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_HUJSON_TOKEN_H
#define COORD_HUJSON_TOKEN_H

#include "coord/hujson.h"

/* The smallest parts of HuJSON; for coord/hujson*.c only. */

struct hujson_cursor {
	const char *p, *end, *line_start;
	unsigned int line;
	const struct hujson_limits *limits;
	struct hujson_error *err;
	size_t values;
};

/*
 * These move the cursor behind what they take, or fill in its error and return
 * false or NULL. Strings are malloced.
 */

/* Blanks and comments. */
bool hujson_skip_space(struct hujson_cursor *ps);
char *hujson_take_string(struct hujson_cursor *ps);
/* As it is written. */
char *hujson_take_number(struct hujson_cursor *ps);
/* true, false, null. */
bool hujson_take_word(struct hujson_cursor *ps, const char *word);

/* An error at @at, in the cursor's line; returns false, as does the next. */
bool hujson_fail(struct hujson_cursor *ps, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Something else is here than @what. */
bool hujson_expected(struct hujson_cursor *ps, const char *what);

#endif
