/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_HUJSON_H
#define COORD_HUJSON_H

#include <stdbool.h>
#include <stddef.h>

/*
 * JSON as people write it: with comments (line and block, as in C) and a comma
 * behind the last entry. Every value knows where it began, so that whoever
 * reads it can say where it is wrong.
 */

enum hujson_kind {
	HUJSON_NULL,
	HUJSON_BOOL,
	HUJSON_NUMBER,
	HUJSON_STRING,
	HUJSON_ARRAY,
	HUJSON_OBJECT,
};

struct hujson {
	enum hujson_kind kind;
	unsigned int line, column; /* from 1; a column is a byte */
	unsigned int name_line, name_column;
	bool boolean;
	char *name; /* of a member of an object, NULL elsewhere */
	char *text; /* of strings, decoded: no NUL; of numbers, as written */
	struct hujson *children; /* of arrays and objects, in their order */
	size_t n_children;
	struct hujson *next;
};

struct hujson_error {
	unsigned int line, column;
	char text[160]; /* printable */
};

struct hujson_limits {
	size_t bytes;
	unsigned int depth; /* of nested arrays and objects */
	size_t values; /* in the whole document */
};

/*
 * Parses the @len bytes at @text as one value. NULL if that is not what they
 * are, with the first mistake in @err. Two members of one name are a mistake,
 * as are NULs in strings and bytes that are not UTF-8.
 */
struct hujson *hujson_parse(const char *text, size_t len,
			    const struct hujson_limits *limits,
			    struct hujson_error *err);
void hujson_free(struct hujson *v);

/* "a string", "an object", ...: for messages. */
const char *hujson_kind_name(enum hujson_kind kind);

#endif
