/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_PROMLINT_H
#define UNIT_PROMLINT_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What promtool's "check metrics" and a Prometheus server ask of a page in the
 * text format: the first complaint as text, NULL when there is none. @page is
 * changed.
 */

#define LINT_SERIES 4096

struct promlint {
	char family[128], type[16]; /* of the lines that follow */
	bool helped;
	const char *families[512]; /* that are over */
	size_t n_families;
	const char *series[LINT_SERIES]; /* name and labels */
	size_t n_series;
	char why[256];
};

static inline bool lint_name(const char *p, const char *end, bool colon)
{
	const char *at;

	if (p == end || isdigit((unsigned char)*p))
		return false;
	for (at = p; at < end; at++)
		if (!isalnum((unsigned char)*at) && *at != '_' &&
		    !(colon && *at == ':'))
			return false;
	return true;
}

/* {a="b",c="d"}: the end of it, NULL when it is not well formed. */
static inline char *lint_labels(char *p)
{
	while (*p++ != '}') {
		char *eq = strchr(p, '=');

		if (!eq || !lint_name(p, eq, false) || eq[1] != '"')
			return NULL;
		for (p = eq + 2; *p && *p != '"'; p++)
			if (*p == '\\' && !strchr("\\\"n", *++p))
				return NULL;
		if (!*p++ || !strchr(",}", *p))
			return NULL;
	}
	return p;
}

static inline bool lint_ends(const char *name, const char *tail)
{
	size_t n = strlen(name), m = strlen(tail);

	return n >= m && !strcmp(name + n - m, tail);
}

static inline const char *lint_family(struct promlint *l)
{
	static const char *const bad_units[] = { "_ms", "_milliseconds",
						 "_minutes", "_hours", "_kb",
						 "_mb", "_percent" };
	size_t i;

	for (i = 0; i < l->n_families; i++)
		if (!strcmp(l->families[i], l->family))
			return "comes in two places";
	for (i = 0; i < sizeof(bad_units) / sizeof(bad_units[0]); i++)
		if (lint_ends(l->family, bad_units[i]))
			return "is not in a base unit";
	if (!strcmp(l->type, "counter") != lint_ends(l->family, "_total"))
		return "_total and type do not match";
	if (!l->helped)
		return "has no help";
	return NULL;
}

static inline const char *lint_comment(struct promlint *l, char *line)
{
	bool help = !strncmp(line, "# HELP ", 7);
	char *name = line + 7, *rest;

	if (!help && strncmp(line, "# TYPE ", 7) != 0)
		return "a comment of another kind";
	rest = strchr(name, ' ');
	if (!rest || !rest[1])
		return "says nothing";
	*rest++ = '\0';
	if (!lint_name(name, name + strlen(name), true))
		return "is no name";
	if (help) {
		if (*l->family)
			l->families[l->n_families++] = strdup(l->family);
		snprintf(l->family, sizeof(l->family), "%s", name);
		*l->type = '\0';
		l->helped = true;
		return isupper((unsigned char)*rest) ? NULL :
						       "help is no sentence";
	}
	if (strcmp(name, l->family) != 0)
		return "type without help";
	snprintf(l->type, sizeof(l->type), "%s", rest);
	return lint_family(l);
}

static inline const char *lint_sample(struct promlint *l, char *line)
{
	char *end = line + strcspn(line, "{ "), *value = end, *tail;
	size_t i;

	if (strncmp(line, l->family, (size_t)(end - line)) != 0 ||
	    strlen(l->family) != (size_t)(end - line))
		return "a sample of another family";
	if (!*l->type)
		return "has no type";
	if (*end == '{')
		value = lint_labels(end);
	if (!value || *value != ' ')
		return "has bad labels";
	*value++ = '\0';
	strtod(value, &tail);
	if (tail == value || *tail)
		return "has no value";
	if (!strcmp(l->type, "counter") && *value == '-')
		return "counts below zero";
	for (i = 0; i < l->n_series; i++)
		if (!strcmp(l->series[i], line))
			return "the same series twice";
	if (l->n_series == LINT_SERIES)
		return "too many series";
	l->series[l->n_series++] = line;
	return NULL;
}

static inline const char *promlint(struct promlint *l, char *page)
{
	char *line, *save = NULL;
	const char *why = NULL;
	size_t n = strlen(page);

	memset(l, 0, sizeof(*l));
	if (!n || page[n - 1] != '\n')
		return "the last line has no end";
	for (line = strtok_r(page, "\n", &save); line && !why;
	     line = strtok_r(NULL, "\n", &save)) {
		char copy[200];

		snprintf(copy, sizeof(copy), "%s", line);
		why = *line == '#' ? lint_comment(l, line) :
				     lint_sample(l, line);
		if (why)
			snprintf(l->why, sizeof(l->why), "%.190s: %s", copy,
				 why);
	}
	while (l->n_families)
		free((void *)(uintptr_t)l->families[--l->n_families]);
	return why ? l->why : NULL;
}

#endif
