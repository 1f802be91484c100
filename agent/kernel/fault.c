// SPDX-License-Identifier: GPL-2.0
#include "kernel/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

void fault_note(struct fault *f, const char *fmt, ...)
{
	char text[sizeof(f->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!*f->text)
		strcpy(f->text, text);
	if (strcmp(text, f->told))
		log_error("%s", text);
}

void fault_clear(struct fault *f)
{
	*f->text = '\0';
}

bool fault_is_news(struct fault *f)
{
	if (!strcmp(f->text, f->told))
		return false;
	strcpy(f->told, f->text);
	return true;
}
