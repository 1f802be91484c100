// SPDX-License-Identifier: GPL-2.0
#include "kernel/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

void fault_note(struct fault *f, const char *fmt, ...)
{
	size_t n = strlen(f->text);
	va_list ap;

	if (n)
		n += (size_t)snprintf(f->text + n, sizeof(f->text) - n, "; ");
	if (n >= sizeof(f->text))
		return;
	va_start(ap, fmt);
	vsnprintf(f->text + n, sizeof(f->text) - n, fmt, ap);
	va_end(ap);
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
	if (*f->text)
		log_error("%s", f->text);
	return true;
}
