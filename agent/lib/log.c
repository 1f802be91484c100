// SPDX-License-Identifier: GPL-2.0
#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *process_name = "tailrace";
static bool want_debug;
static bool journal;

void log_init(const char *process, bool verbose)
{
	process_name = process;
	want_debug = verbose;
	journal = getenv("JOURNAL_STREAM") != NULL;
}

static void emit(int priority, const char *fmt, va_list ap)
{
	char line[1024];
	char *p;

	vsnprintf(line, sizeof(line), fmt, ap);
	for (p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (journal)
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "%s: %s\n", process_name, line);
}

#define LOG_LEVEL(name, priority)                 \
	void log_##name(const char *fmt, ...)     \
	{                                         \
		va_list ap;                       \
                                                  \
		va_start(ap, fmt);                \
		emit(priority, fmt, ap);          \
		va_end(ap);                       \
	}

LOG_LEVEL(error, 3)
LOG_LEVEL(warn, 4)
LOG_LEVEL(info, 6)

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!want_debug)
		return;
	va_start(ap, fmt);
	emit(7, fmt, ap);
	va_end(ap);
}
