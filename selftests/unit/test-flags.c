// SPDX-License-Identifier: GPL-2.0
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "cli/flags.h"
#include "tap.h"

static const char *text;
static bool yes, no;
static unsigned long number, duration, lifetime;

static const struct flag_only off = { "false", "there is none" };
static const struct flag_only none = { "0", "it is zero" };

static int parse(const char *line)
{
	struct flag flags[] = {
		{ "text", FLAG_TEXT, &text, "", false },
		{ "yes", FLAG_BOOL, &yes, "", false },
		{ "no", FLAG_BOOL, &no, "", false },
		{ "c", FLAG_NUMBER, &number, "", false },
		{ "timeout", FLAG_DURATION, &duration, "", false },
		{ "life", FLAG_LIFETIME, &lifetime, "", false },
		{ "off", FLAG_ONLY, (void *)(uintptr_t)&off, NULL, false },
		{ "none", FLAG_ONLY, (void *)(uintptr_t)&none, NULL, false },
		{ "any", FLAG_IGNORED, NULL, NULL, false },
		{ 0 }
	};
	static char copy[256];
	char *argv[16], *save = NULL;
	int argc = 0;

	text = NULL;
	yes = false;
	no = true;
	number = duration = lifetime = 99;
	snprintf(copy, sizeof(copy), "cmd %s", line);
	for (argv[argc] = strtok_r(copy, " ", &save); argv[argc];
	     argv[argc] = strtok_r(NULL, " ", &save))
		argc++;
	return flags_parse(flags, "", argc, argv);
}

int main(void)
{
	static const char *const bad[] = {
		"--what",	  "--text",	 "--yes=maybe",
		"--off",	  "--off=true",	 "--off=x",
		"--none",	  "--none=1",	 "--none=",
		"--any",
		"--c=-1",	  "--c=1x",	 "--c=99999999999999999999",
		"--timeout=5",	  "--timeout=x", "--timeout=-1s",
		"--timeout=9999h", "--c",	 "--textual=1",
		"--life=5",	  "--life=101y", "--life=1ms",
		"--life=",	  "--life=d",	 "--life=1dd",
	};
	size_t i;

	/* The complaints are not what is tested. */
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	tap_ok(parse("--text=a --yes --no=false arg --c=1") == 4 &&
		       !strcmp(text, "a") && yes && !no && number == 99,
	       "flags end at the first argument");
	tap_ok(parse("-text a -c 3") == 5 && !strcmp(text, "a") && number == 3,
	       "one dash, value apart");
	tap_ok(parse("--yes true") == 2 && yes,
	       "a boolean never takes the next word");
	tap_ok(parse("--timeout=300ms") == 2 && duration == 300 &&
		       parse("--timeout=2m") == 2 && duration == 120000 &&
		       parse("--timeout=0") == 2 && duration == 0,
	       "durations");
	tap_ok(parse("--life=90d") == 2 && lifetime == 90 * 86400 &&
		       parse("--life=100y") == 2 &&
		       lifetime == 100ul * 365 * 86400 &&
		       parse("--life=0") == 2 && lifetime == 0,
	       "lifetimes");
	tap_ok(parse("--text= x") == 2 && !*text, "an empty value");
	tap_ok(parse("--off=false --off=0 --none=0 --none 0 --any x --any=") ==
		       9,
	       "what is not here, said to be off");
	tap_ok(parse("--timeout=1h30m --life=1m30s") == 3 &&
		       duration == 5400000 && lifetime == 90,
	       "several units");
	tap_ok(parse("-- --text") == 2, "two dashes end them");
	tap_ok(parse("- x") == 1, "one dash is an argument");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(parse(bad[i]) == -1, "%s is refused", bad[i]);
	return tap_done();
}
