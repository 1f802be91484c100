// SPDX-License-Identifier: GPL-2.0
#include "lib/json.h"

#include <ctype.h>
#include <errno.h>
#include <json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/util.h"

int json_decode(struct json_object *o, const struct json_field *fields,
		size_t n, void *out, const char **why)
{
	size_t i;

	if (!json_object_is_type(o, json_type_object)) {
		if (!*why)
			*why = "object";
		return -EPROTO;
	}
	for (i = 0; i < n; i++) {
		const struct json_field *f = &fields[i];
		struct json_object *v = json_member(o, f->name);
		char *base = out;

		if (!v)
			continue;
		if (f->decode(v, base + f->offset,
			      (size_t *)(base + f->n_offset))) {
			if (!*why)
				*why = f->name;
			return -EPROTO;
		}
	}
	return 0;
}

int json_get_bool(struct json_object *v, void *out, size_t *n)
{
	if (!json_object_is_type(v, json_type_boolean))
		return -EPROTO;
	*(bool *)out = json_object_get_boolean(v);
	return 0;
}

int json_get_opt_bool(struct json_object *v, void *out, size_t *n)
{
	if (!json_object_is_type(v, json_type_boolean))
		return -EPROTO;
	*(int *)out = json_object_get_boolean(v);
	return 0;
}

int json_get_int64(struct json_object *v, void *out, size_t *n)
{
	int64_t i;

	if (!json_object_is_type(v, json_type_int))
		return -EPROTO;
	i = json_object_get_int64(v);
	/* json-c keeps larger ones unsigned and saturates here. */
	if (i == INT64_MAX && json_object_get_uint64(v) != INT64_MAX)
		return -EPROTO;
	*(int64_t *)out = i;
	return 0;
}

int json_get_int(struct json_object *v, void *out, size_t *n)
{
	int64_t i;

	if (json_get_int64(v, &i, NULL) || i < INT_MIN || i > INT_MAX)
		return -EPROTO;
	*(int *)out = (int)i;
	return 0;
}

const char *json_text(struct json_object *v)
{
	const char *s;

	if (!json_object_is_type(v, json_type_string))
		return NULL;
	s = json_object_get_string(v);
	return strlen(s) == (size_t)json_object_get_string_len(v) ? s : NULL;
}

int json_get_string(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);
	char **p = out;

	if (!s)
		return -EPROTO;
	free(*p);
	*p = xstrdup(s);
	return 0;
}

void free_strings(char **list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

struct json_object *json_from_strings(char *const *list, size_t n)
{
	struct json_object *o = json_object_new_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_object_array_add(o, json_object_new_string(list[i]));
	return o;
}

int json_get_object(struct json_object *v, void *out, size_t *n)
{
	struct json_object **o = out;

	if (!json_object_is_type(v, json_type_object))
		return -EPROTO;
	json_object_put(*o);
	*o = json_object_get(v);
	return 0;
}

int json_get_strings(struct json_object *v, void *out, size_t *n)
{
	size_t i, len;
	char **list;

	if (!json_object_is_type(v, json_type_array))
		return -EPROTO;
	len = json_object_array_length(v);
	list = len ? xcalloc(len, sizeof(*list)) : NULL;
	for (i = 0; i < len; i++) {
		if (json_get_string(json_object_array_get_idx(v, i), &list[i],
				    NULL)) {
			free_strings(list, len);
			return -EPROTO;
		}
	}
	free_strings(*(char ***)out, *n);
	*(char ***)out = list;
	*n = len;
	return 0;
}

int json_get_list(struct json_object *v, void *out, size_t *n, size_t size,
		  size_t max, json_decoder entry)
{
	size_t i, len;
	char *list;
	int ret;

	if (!json_object_is_type(v, json_type_array))
		return -EPROTO;
	len = json_object_array_length(v);
	if (len > max)
		return -EPROTO;
	list = xcalloc(len, size);
	memcpy(out, &list, sizeof(list));
	*n = 0;
	for (i = 0; i < len; i++) {
		char *e = list + size * (*n)++;

		ret = entry(json_object_array_get_idx(v, i), e, NULL);
		if (ret < 0)
			return ret;
		if (ret == JSON_SKIP) {
			memset(e, 0, size);
			--*n;
		}
	}
	return 0;
}

struct json_object *json_member(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, name, &v);
	return v;
}

int json_key_int64(const char *key, int64_t *out)
{
	const char *p = key + (*key == '-');
	char *end;

	if (!isdigit((unsigned char)*p))
		return -EPROTO;
	errno = 0;
	*out = strtoll(key, &end, 10);
	return *end || errno ? -EPROTO : 0;
}

/* @n digits at *@p, advancing it. */
static bool digits(const char **p, int n, int *out)
{
	*out = 0;
	while (n--) {
		if (!isdigit((unsigned char)**p))
			return false;
		*out = *out * 10 + (*(*p)++ - '0');
	}
	return true;
}

int time_parse_rfc3339(const char *text, int64_t *out)
{
	int zone_hours = 0, zone_minutes = 0, sign = 1;
	const char *p = text;
	struct tm tm = {0};
	int64_t t;

	if (!digits(&p, 4, &tm.tm_year) || *p++ != '-' ||
	    !digits(&p, 2, &tm.tm_mon) || *p++ != '-' ||
	    !digits(&p, 2, &tm.tm_mday) || (*p != 'T' && *p != 't'))
		return -EINVAL;
	p++;
	if (!digits(&p, 2, &tm.tm_hour) || *p++ != ':' ||
	    !digits(&p, 2, &tm.tm_min) || *p++ != ':' ||
	    !digits(&p, 2, &tm.tm_sec))
		return -EINVAL;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return -EINVAL;
	if (*p == '.') {
		if (!isdigit((unsigned char)*++p))
			return -EINVAL;
		while (isdigit((unsigned char)*p))
			p++;
	}
	if (*p == 'Z' || *p == 'z') {
		p++;
	} else if (*p == '+' || *p == '-') {
		sign = *p++ == '-' ? -1 : 1;
		if (!digits(&p, 2, &zone_hours) || *p++ != ':' ||
		    !digits(&p, 2, &zone_minutes) || zone_hours > 23 ||
		    zone_minutes > 59)
			return -EINVAL;
	} else {
		return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	if (tm.tm_year <= 1) {
		*out = 0;
		return 0;
	}
	tm.tm_year -= 1900;
	tm.tm_mon--;
	t = timegm(&tm) - sign * (zone_hours * 3600 + zone_minutes * 60);
	*out = t > 0 ? t : 1;
	return 0;
}

const char *time_format_rfc3339(int64_t t, char out[TIME_TEXT_MAX])
{
	time_t sys = (time_t)t;
	struct tm tm;

	if (!t || !gmtime_r(&sys, &tm) ||
	    !strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(out, "0001-01-01T00:00:00Z");
	return out;
}

int json_get_time(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	return s && !time_parse_rfc3339(s, out) ? 0 : -EPROTO;
}

struct json_tokener *json_tokener_strict(void)
{
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);

	if (!tok)
		abort();
	/*
	 * Trailing bytes are left to the caller: json-c's own check would
	 * refuse the newline that some servers write behind an object.
	 */
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
					    JSON_TOKENER_ALLOW_TRAILING_CHARS |
					    JSON_TOKENER_VALIDATE_UTF8);
	return tok;
}

struct json_object *json_parse(const char *text, size_t len)
{
	struct json_tokener *tok;
	struct json_object *o;
	size_t end;

	if (len > INT_MAX)
		return NULL;
	tok = json_tokener_strict();
	o = json_tokener_parse_ex(tok, text, (int)len);
	end = json_tokener_get_parse_end(tok);
	if (json_tokener_get_error(tok) == json_tokener_continue) {
		/* A bare number ends only with its text. */
		o = json_tokener_parse_ex(tok, "", -1);
		end = len;
	}
	json_tokener_free(tok);
	for (; o && end < len; end++) {
		if (!memchr(" \t\r\n", text[end], 4)) {
			json_object_put(o);
			o = NULL;
		}
	}
	return o;
}
