/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_FLAGS_H
#define CLI_FLAGS_H

#include <stdbool.h>

/*
 * Flags as the tools that operators script against take them: -name, --name,
 * --name=value, --name value; a boolean takes a value only after '='.
 */
enum flag_kind {
	FLAG_BOOL, /* bool */
	FLAG_TEXT, /* const char * */
	FLAG_NUMBER, /* unsigned long */
	FLAG_DURATION, /* unsigned long of milliseconds; lib/duration.h */
	FLAG_LIFETIME, /* unsigned long of whole seconds; a century at most */
	FLAG_ONLY, /* const struct flag_only: no other value is taken */
	FLAG_IGNORED, /* any text, of no meaning here */
};

/*
 * A flag of the tool that operators know whose feature is not here: the value
 * that says so is accepted, as it means the same.
 */
struct flag_only {
	const char *value; /* "false": then it is a boolean */
	const char *why; /* of every other one: "there is no SSH server" */
};

struct flag {
	const char *name;
	enum flag_kind kind;
	void *value;
	const char *help; /* NULL: not shown */
	bool set; /* was given */
};

/*
 * Parses the flags at the beginning of @argv (which begins with the command's
 * name); @flags ends with a NULL name. Returns the index of the first argument
 * that is none; -1 after having said what is wrong; -2 after printing help.
 */
int flags_parse(struct flag *flags, const char *arguments, int argc,
		char **argv);

#endif
