// SPDX-License-Identifier: GPL-2.0
/* Faults of the reconciler: what is logged, and what the engine hears. */
#include <string.h>
#include <unistd.h>

#include "kernel/fault.h"
#include "tap.h"

/* Of standard error since the last look. */
static size_t lines(FILE *log)
{
	char line[2048];
	size_t n = 0;

	while (fgets(line, sizeof(line), log))
		n++;
	clearerr(log);
	return n;
}

int main(void)
{
	static struct fault f;
	FILE *file = tmpfile(), *log;
	int i, told;

	if (!file || dup2(fileno(file), STDERR_FILENO) < 0)
		return 1;
	fclose(file);
	log = fopen("/proc/self/fd/2", "r"); /* with a position of its own */
	if (!log)
		return 1;
	fault_clear(&f);
	tap_ok(!fault_is_news(&f), "that nothing is wrong is no news");
	fault_note(&f, "strict: %s", "no");
	fault_note(&f, "flow-table: %s", "no memory");
	tap_ok(fault_is_news(&f) &&
		       !strcmp(f.text, "strict: no; flow-table: no memory"),
	       "the engine hears all");
	tap_ok(lines(log) == 1, "in a line of the log");

	for (i = told = 0; i < 3; i++) {
		fault_clear(&f);
		fault_note(&f, "strict: %s", "no");
		fault_note(&f, "flow-table: %s", "no memory");
		told += fault_is_news(&f);
	}
	tap_ok(!told && !lines(log), "and not again while they stay");

	fault_clear(&f);
	fault_note(&f, "strict: %s", "no");
	fault_note(&f, "flow-table: %s", "no");
	tap_ok(fault_is_news(&f) && lines(log) == 1,
	       "one that comes behind one that stays is news");

	fault_clear(&f);
	tap_ok(fault_is_news(&f) && !*f.text && !lines(log),
	       "all is well, which is news and nothing for the log");
	fault_clear(&f);
	fault_note(&f, "strict: %s", "no");
	tap_ok(fault_is_news(&f) && lines(log) == 1,
	       "what comes back is logged again");

	/* every length at which the end of the text may come */
	for (i = 0; i < 40; i++) {
		memset(&f, 0, sizeof(f));
		fault_note(&f, "%.*s", i, "........................................");
		for (told = 0; told < 2000; told++)
			fault_note(&f, "peer %d", told);
		if (strlen(f.text) != sizeof(f.text) - 1 ||
		    *f.told || f.told[1])
			break;
	}
	tap_ok(i == 40, "of many, as many as fit");
	fclose(log);
	return tap_done();
}
