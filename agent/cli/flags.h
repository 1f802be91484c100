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
};

struct flag {
	const char *name;
	enum flag_kind kind;
	void *value;
	const char *help;
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
