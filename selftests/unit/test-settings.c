// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include "engine/settings.h"
#include "lib/duration.h"
#include "lib/util.h"
#include "tap.h"

static void durations(void)
{
	static const struct {
		const char *text;
		uint64_t ns;
		int err;
	} cases[] = {
		{ "0", 0, 0 },
		{ "0s", 0, 0 },
		{ "300ms", 300 * MS_NS, 0 },
		{ "1h30m", 5400 * SEC_NS, 0 },
		{ "1h0m0s", 3600 * SEC_NS, 0 },
		{ "1.5s", 1500 * MS_NS, 0 },
		{ ".5s", 500 * MS_NS, 0 },
		{ "2.s", 2 * SEC_NS, 0 },
		{ "0.0000000001s", 0, 0 },
		{ "1m1ms", 60001 * MS_NS, 0 },
		{ "7ns3us", 3007, 0 },
		{ "2w", 14 * 86400 * SEC_NS, 0 },
		{ "100y", 100ull * 365 * 86400 * SEC_NS, 0 },
		{ "", 0, -EINVAL },
		{ "5", 0, -EINVAL },
		{ "00", 0, -EINVAL },
		{ ".s", 0, -EINVAL },
		{ "s", 0, -EINVAL },
		{ "1", 0, -EINVAL },
		{ "-1s", 0, -EINVAL },
		{ "+1s", 0, -EINVAL },
		{ "1 s", 0, -EINVAL },
		{ "1s ", 0, -EINVAL },
		{ "1x", 0, -EINVAL },
		{ "1S", 0, -EINVAL },
		{ "1s1", 0, -EINVAL },
		{ "1..5s", 0, -EINVAL },
		{ "101y", 0, -ERANGE },
		{ "100y1ns", 0, -ERANGE },
		{ "99999999999999999999s", 0, -ERANGE },
	};
	char text[DURATION_TEXT_MAX];
	uint64_t ns;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int err = duration_parse(cases[i].text, &ns);

		tap_ok(err == cases[i].err && (err || ns == cases[i].ns),
		       "\"%s\": %d, %llu ns", cases[i].text, err,
		       (unsigned long long)ns);
	}
	tap_ok(!strcmp(duration_format(0, text), "0s") &&
		       !strcmp(duration_format(61, text), "1m1s") &&
		       !strcmp(duration_format(43200, text), "12h0m0s") &&
		       !strcmp(duration_format(UINT64_MAX, text),
			       "5124095576030431h0m15s"),
	       "as text");
}

static void texts(void)
{
	static const struct {
		enum setting which;
		const char *text;
		int err;
		int64_t value;
	} cases[] = {
		{ SETTING_STRICT, NULL, 0, 1 },
		{ SETTING_STRICT, "true", 0, 1 },
		{ SETTING_STRICT, "0", 0, 0 },
		{ SETTING_STRICT, "yes", -EINVAL, 0 },
		{ SETTING_STRICT, "", -EINVAL, 0 },
		{ SETTING_MAX_STALE, "12h", 0, 43200 },
		{ SETTING_MAX_STALE, "0", 0, 0 },
		{ SETTING_MAX_STALE, "10y", 0, 10 * 365 * 86400 },
		{ SETTING_MAX_STALE, "11y", -ERANGE, 0 },
		{ SETTING_MAX_STALE, "500ms", -EINVAL, 0 },
		{ SETTING_MAX_STALE, "12", -EINVAL, 0 },
		{ SETTING_MAX_STALE, NULL, -EINVAL, 0 },
		{ SETTING_FLOW_TABLE, "4096", 0, 4096 },
		{ SETTING_FLOW_TABLE, "16777216", 0, 16777216 },
		{ SETTING_FLOW_TABLE, "0", 0, SETTING_UNSET },
		{ SETTING_FLOW_TABLE, "4095", -ERANGE, 0 },
		{ SETTING_FLOW_TABLE, "16777217", -ERANGE, 0 },
		{ SETTING_FLOW_TABLE, "4096k", -EINVAL, 0 },
		{ SETTING_FLOW_TABLE, "-1", -EINVAL, 0 },
		{ SETTING_FLOW_TABLE, "99999999999999999999", -EINVAL, 0 },
		{ SETTING_FLOW_RECORDS, "10s", 0, 10 },
		{ SETTING_FLOW_RECORDS, "25h", -ERANGE, 0 },
	};
	struct settings s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t want = cases[i].err ? 77 : cases[i].value;
		int err;

		s.v[cases[i].which] = 77;
		err = setting_parse(&s, cases[i].which, cases[i].text);
		tap_ok(err == cases[i].err && s.v[cases[i].which] == want,
		       "--%s=%s: %d", setting_infos[cases[i].which].flag,
		       cases[i].text ? cases[i].text : "(none)", err);
	}
}

int main(void)
{
	durations();
	texts();
	return tap_done();
}
