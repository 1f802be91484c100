/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_SETTINGS_H
#define ENGINE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel.h"

/*
 * What an operator tells the module about one device, apart from the policy.
 * A setting is one word in four places: a flag of the command line's and of
 * tailraced's, and a preference in the LocalAPI and the state file. What the
 * user has not set is as tailraced's flags say.
 */
enum setting {
	SETTING_STRICT, /* 0 or 1 */
	SETTING_MAX_STALE, /* seconds, 0: never */
	SETTING_FLOW_TABLE, /* flows */
	SETTING_FLOW_RECORDS, /* seconds, 0: off */
	SETTINGS_COUNT
};

#define SETTING_UNSET (-1)

struct settings {
	int64_t v[SETTINGS_COUNT];
};

struct setting_info {
	const char *flag; /* "max-stale" */
	const char *pref; /* "MaxStaleSeconds" */
	bool duration; /* text is a duration, the value whole seconds */
	bool boolean;
	/* The least and the most; zero_is_unset: 0 means the default, too. */
	int64_t min, max;
	bool zero_is_unset;
	int64_t fallback; /* with neither preference nor flag */
	const char *takes; /* "a duration of at most 10y, or 0 for never" */
};

extern const struct setting_info setting_infos[SETTINGS_COUNT];

/* All unset. */
void settings_init(struct settings *s);
/* A number as a preference has it; -ERANGE when it is none of its values. */
int setting_set(struct settings *s, enum setting which, int64_t value);
/* A flag's text; NULL is "true" of a boolean one. -EINVAL or -ERANGE. */
int setting_parse(struct settings *s, enum setting which, const char *text);
/* @user's over @defaults' over the fallbacks, as the kernel process takes it. */
void settings_resolve(const struct settings *user,
		      const struct settings *defaults,
		      struct kernel_settings *out);

#endif
