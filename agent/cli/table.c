// SPDX-License-Identifier: GPL-2.0
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

struct table {
	size_t n_columns, n_cells, room;
	char **cells;
};

struct table *table_new(const char *const *columns)
{
	struct table *t = xcalloc(1, sizeof(*t));

	while (columns[t->n_columns])
		table_add(t, columns[t->n_columns++]);
	return t;
}

void table_add(struct table *t, const char *text)
{
	char *p;

	if (t->n_cells == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cells = xrealloc(t->cells, t->room, sizeof(*t->cells));
	}
	t->cells[t->n_cells++] = p = xstrdup(text);
	for (; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

void table_print(struct table *t)
{
	size_t *width = xcalloc(t->n_columns, sizeof(*width));
	size_t i, column;

	for (i = 0; i < t->n_cells; i++) {
		size_t n = strlen(t->cells[i]);

		column = i % t->n_columns;
		if (n > width[column])
			width[column] = n;
	}
	for (i = 0; i < t->n_cells; i++) {
		column = i % t->n_columns;
		if (column + 1 < t->n_columns)
			printf("%-*s  ", (int)width[column], t->cells[i]);
		else
			printf("%s\n", t->cells[i]);
		free(t->cells[i]);
	}
	free(t->cells);
	free(width);
	free(t);
}
