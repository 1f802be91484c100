// SPDX-License-Identifier: GPL-2.0
/* What all of the doctor's checks use. */
#include <dirent.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"
#include "lib/file.h"
#include "lib/util.h"

#define FILE_MAX (32u << 20)

void doctor_say(struct doctor_result *r, enum doctor_level level,
		const char *fmt, ...)
{
	size_t at = 0;
	va_list ap;

	if (level < r->level)
		return;
	if (level == r->level)
		at = strlen(r->text);
	r->level = level;
	if (at)
		at += (size_t)snprintf(r->text + at, sizeof(r->text) - at,
				       "; ");
	if (at >= sizeof(r->text))
		return;
	va_start(ap, fmt);
	vsnprintf(r->text + at, sizeof(r->text) - at, fmt, ap);
	va_end(ap);
}

const char *doctor_path(const struct doctor *d, char out[DOCTOR_PATH_MAX],
			const char *fmt, ...)
{
	int n = snprintf(out, DOCTOR_PATH_MAX, "%s", d->root);
	va_list ap;

	if (n < 0 || n >= DOCTOR_PATH_MAX)
		return out;
	va_start(ap, fmt);
	vsnprintf(out + n, DOCTOR_PATH_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	return out;
}

bool doctor_exists(const struct doctor *d, const char *path)
{
	char full[DOCTOR_PATH_MAX];

	return !access(doctor_path(d, full, "%s", path), F_OK);
}

/* Files of /proc have no size, so this is read to its end. */
char *doctor_read(const struct doctor *d, const char *path, size_t *n)
{
	char full[DOCTOR_PATH_MAX], *text = NULL;
	FILE *f = fopen(doctor_path(d, full, "%s", path), "re");
	size_t have = 0, room = 0, got;

	if (!f)
		return NULL;
	do {
		if (room - have < 2) {
			room = room ? room * 2 : 8192;
			text = xrealloc(text, room, 1);
		}
		got = fread(text + have, 1, room - have - 1, f);
		have += got;
	} while (got && have < FILE_MAX);
	if (ferror(f)) {
		free(text);
		text = NULL;
	} else {
		text[have] = '\0';
	}
	fclose(f);
	if (n)
		*n = have;
	return text;
}

long doctor_number(const struct doctor *d, const char *path, long otherwise)
{
	_cleanup_free_ char *text = doctor_read(d, path, NULL);
	char *end;
	long v;

	if (!text)
		return otherwise;
	v = strtol(text, &end, 10);
	return end == text ? otherwise : v;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **doctor_list(const struct doctor *d, const char *path, size_t *n)
{
	char full[DOCTOR_PATH_MAX];
	DIR *dir = opendir(doctor_path(d, full, "%s", path));
	char **list = NULL;
	struct dirent *e;

	*n = 0;
	if (!dir)
		return NULL;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		list = xrealloc(list, *n + 1, sizeof(*list));
		list[(*n)++] = xstrdup(e->d_name);
	}
	closedir(dir);
	if (*n)
		qsort(list, *n, sizeof(*list), by_text);
	return list;
}

const char *doctor_device(const struct doctor *d, struct json_object **device)
{
	*device = NULL;
	if (d->devices) {
		json_object_object_foreach(d->devices, name, o) {
			*device = o;
			return name;
		}
	}
	return "tailrace0";
}
