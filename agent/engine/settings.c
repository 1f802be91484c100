// SPDX-License-Identifier: GPL-2.0
#include "engine/settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/duration.h"
#include "lib/util.h"

#define YEAR_S (365 * 86400)

const struct setting_info setting_infos[SETTINGS_COUNT] = {
	[SETTING_STRICT] = { .flag = "strict", .pref = "Strict",
			     .boolean = true, .max = 1,
			     .takes = "true or false" },
	[SETTING_MAX_STALE] = { .flag = "max-stale", .pref = "MaxStaleSeconds",
				.duration = true, .max = 10 * YEAR_S,
				.takes = "whole seconds of at most 10y (12h, 90s), 0: never" },
	[SETTING_FLOW_TABLE] = { .flag = "flow-table", .pref = "FlowTable",
				 .min = KERNEL_FLOWS_MIN,
				 .max = KERNEL_FLOWS_MAX,
				 .zero_is_unset = true,
				 .fallback = KERNEL_FLOWS_DEFAULT,
				 .takes = "4096 to 16777216 flows, 0: the default" },
	[SETTING_FLOW_RECORDS] = { .flag = "flow-records",
				   .pref = "FlowRecordsSeconds",
				   .duration = true, .max = 86400,
				   .takes = "whole seconds of at most 24h (10s), 0: off" },
};

void settings_init(struct settings *s)
{
	size_t i;

	for (i = 0; i < SETTINGS_COUNT; i++)
		s->v[i] = SETTING_UNSET;
}

int setting_set(struct settings *s, enum setting which, int64_t value)
{
	const struct setting_info *info = &setting_infos[which];

	if (!value && info->zero_is_unset)
		value = SETTING_UNSET;
	else if (value < info->min || value > info->max)
		return -ERANGE;
	s->v[which] = value;
	return 0;
}

static int parse_number(const char *text, int64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno || *end ? -EINVAL : 0;
}

static int parse_bool(const char *text, int64_t *out)
{
	*out = !strcmp(text, "true") || !strcmp(text, "1");
	return *out || !strcmp(text, "false") || !strcmp(text, "0") ? 0 :
								      -EINVAL;
}

int setting_parse(struct settings *s, enum setting which, const char *text)
{
	const struct setting_info *info = &setting_infos[which];
	int64_t value = 0;
	uint64_t ns;
	int err;

	if (info->boolean) {
		err = parse_bool(text ? text : "true", &value);
	} else if (!text) {
		err = -EINVAL;
	} else if (info->duration) {
		err = duration_parse(text, &ns);
		if (!err && ns % SEC_NS)
			err = -EINVAL;
		value = (int64_t)(ns / SEC_NS);
	} else {
		err = parse_number(text, &value);
	}
	return err ? err : setting_set(s, which, value);
}

static uint32_t resolve(const struct settings *user,
			const struct settings *defaults, enum setting which)
{
	int64_t v = user->v[which];

	if (v == SETTING_UNSET)
		v = defaults->v[which];
	if (v == SETTING_UNSET)
		v = setting_infos[which].fallback;
	return (uint32_t)v;
}

void settings_resolve(const struct settings *user,
		      const struct settings *defaults,
		      struct kernel_settings *out)
{
	out->flags = resolve(user, defaults, SETTING_STRICT) ?
			     TAILRACE_DEVICE_STRICT :
			     0;
	out->max_stale = resolve(user, defaults, SETTING_MAX_STALE);
	out->flows_max = resolve(user, defaults, SETTING_FLOW_TABLE);
	out->records = resolve(user, defaults, SETTING_FLOW_RECORDS);
}
