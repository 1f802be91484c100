// SPDX-License-Identifier: GPL-2.0
#include "cli/flags.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/duration.h"
#include "lib/util.h"

static void print_help(const struct flag *flags, const char *command,
		       const char *arguments)
{
	const struct flag *f;

	printf("Usage: tailrace %s%s%s%s\n", command,
	       flags->name ? " [flags]" : "", *arguments ? " " : "", arguments);
	for (f = flags; f->name; f++)
		if (f->help)
			printf("  --%-20s %s\n", f->name, f->help);
}

static struct flag *find(struct flag *flags, const char *name, size_t n)
{
	struct flag *f;

	for (f = flags; f->name; f++)
		if (strlen(f->name) == n && memcmp(f->name, name, n) == 0)
			return f;
	return NULL;
}

static bool parse_bool(bool *out, const char *text)
{
	if (!strcmp(text, "true") || !strcmp(text, "1"))
		*out = true;
	else if (!strcmp(text, "false") || !strcmp(text, "0"))
		*out = false;
	else
		return false;
	return true;
}

static bool parse_number(unsigned long *out, const char *text, char **end)
{
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoul(text, end, 10);
	return !errno && *out <= INT_MAX;
}

static bool parse_duration(unsigned long *out, const char *text)
{
	uint64_t ns;

	if (duration_parse(text, &ns) || ns / MS_NS > INT_MAX)
		return false;
	*out = ns / MS_NS;
	return true;
}

static bool parse_lifetime(unsigned long *out, const char *text)
{
	uint64_t ns;

	if (duration_parse(text, &ns) || ns % SEC_NS)
		return false;
	*out = ns / SEC_NS;
	return true;
}

static bool is_bool(const struct flag *f)
{
	const struct flag_only *only = f->value;

	return f->kind == FLAG_BOOL ||
	       (f->kind == FLAG_ONLY && !strcmp(only->value, "false"));
}

/* "0" is false, too. */
static bool is_only(const struct flag *f, const char *text)
{
	const struct flag_only *only = f->value;
	bool yes;

	if (is_bool(f))
		return parse_bool(&yes, text) && !yes;
	return !strcmp(text, only->value);
}

static bool parse_value(struct flag *f, const char *text)
{
	unsigned long n;
	char *end;

	switch (f->kind) {
	case FLAG_BOOL:
		return parse_bool(f->value, text);
	case FLAG_TEXT:
		*(const char **)f->value = text;
		return true;
	case FLAG_NUMBER:
		if (!parse_number(&n, text, &end) || *end)
			return false;
		*(unsigned long *)f->value = n;
		return true;
	case FLAG_DURATION:
		return parse_duration(f->value, text);
	case FLAG_LIFETIME:
		return parse_lifetime(f->value, text);
	case FLAG_ONLY:
		return is_only(f, text);
	case FLAG_IGNORED:
		return true;
	}
	return false;
}

static void explain(const struct flag *f, const char *value)
{
	const struct flag_only *only = f->value;

	if (f->kind == FLAG_ONLY && value)
		cli_error("--%s=%s: %s; leave it out, or say --%s=%s", f->name,
			  value, only->why, f->name, only->value);
	else
		cli_error("--%s: '%s' is not a value for it", f->name,
			  value ? value : "");
}

int flags_parse(struct flag *flags, const char *arguments, int argc,
		char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *name = argv[i] + 1 + (argv[i][1] == '-');
		const char *value = strchr(name, '=');
		struct flag *f;

		if (!*name)
			return i + 1;
		if (!strcmp(name, "help") || !strcmp(name, "h")) {
			print_help(flags, argv[0], arguments);
			return -2;
		}
		f = find(flags, name,
			 value ? (size_t)(value - name) : strlen(name));
		if (!f) {
			cli_error("%s has no flag '%s'; see 'tailrace %s --help'",
				  argv[0], argv[i], argv[0]);
			return -1;
		}
		if (value)
			value++;
		else if (is_bool(f))
			value = "true";
		else if (i + 1 < argc)
			value = argv[++i];
		if (!value || !parse_value(f, value)) {
			explain(f, value);
			return -1;
		}
		f->set = true;
	}
	return i;
}
