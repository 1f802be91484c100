// SPDX-License-Identifier: GPL-2.0
#include "cli/show.h"

#include <json-c/json.h>
#include <time.h>

#include "lib/util.h"

const char *show_named(const char *name, unsigned int n, char text[16])
{
	if (name)
		return name;
	snprintf(text, 16, "%u", n);
	return text;
}

void show_time(FILE *f, uint64_t ns, int digits)
{
	time_t seconds = (time_t)(ns / SEC_NS);
	char text[16], fraction[16];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	snprintf(fraction, sizeof(fraction), "%09u",
		 (unsigned int)(ns % SEC_NS));
	fprintf(f, "%s.%.*s", text, digits, fraction);
}

void show_add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

void show_add_number(struct json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_uint64(n));
}

void show_add_time(struct json_object *o, const char *name, uint64_t ns)
{
	time_t seconds = (time_t)(ns / SEC_NS);
	char text[40], all[64];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(all, sizeof(all), "%s.%09uZ", text,
		 (unsigned int)(ns % SEC_NS));
	show_add_text(o, name, all);
}
