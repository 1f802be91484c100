/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

/* Rows of text in columns as wide as they need to be. */
struct table;

/* @columns ends with NULL: the headings. */
struct table *table_new(const char *const *columns);
/* The next cell, row by row; copied, control characters become '?'. */
void table_add(struct table *t, const char *text);
/* To standard output; frees it. */
void table_print(struct table *t);

#endif
