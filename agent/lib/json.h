/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Table-driven decoding of parsed JSON objects (json-c) into structs. The
 * conventions are the control protocol's (spec/control.md 0.1): unknown fields
 * are ignored, null is the same as absent and leaves the field untouched, a
 * value of the wrong type is an error. Integers never pass through a double.
 */

struct json_object;

/*
 * Decodes @v, never NULL, into @out. @n belongs to lists: the number of
 * entries beside the list pointer @out. 0 or -EPROTO.
 */
typedef int (*json_decoder)(struct json_object *v, void *out, size_t *n);

struct json_field {
	const char *name;
	json_decoder decode;
	size_t offset;
	size_t n_offset; /* of a list's length; the decoder's @n */
};

#define JSON_FIELD(type, member, name_, decoder)  \
	{                                         \
		.name = name_, .decode = decoder, \
		.offset = offsetof(type, member)  \
	}
#define JSON_LIST(type, member, name_, decoder)        \
	{                                              \
		.name = name_, .decode = decoder,      \
		.offset = offsetof(type, member),      \
		.n_offset = offsetof(type, n_##member) \
	}

/*
 * Fills @out from @o. On -EPROTO (@o is no object, or a field does not decode)
 * *@why names the innermost culprit and @out may be half filled: the caller
 * frees it as usual.
 */
int json_decode(struct json_object *o, const struct json_field *fields,
		size_t n, void *out, const char **why);

/*
 * Decoders. Strings are malloced and replace (free) what was there; a string
 * holding a NUL is an error.
 */
int json_get_bool(struct json_object *v, void *out, size_t *n); /* bool */
/* int: 0 or 1, so that -1 can say "absent". */
int json_get_opt_bool(struct json_object *v, void *out, size_t *n);
int json_get_int(struct json_object *v, void *out, size_t *n); /* int */
int json_get_int64(struct json_object *v, void *out, size_t *n);
int json_get_string(struct json_object *v, void *out, size_t *n); /* char * */
/* struct json_object *: an object, a reference of its own. */
int json_get_object(struct json_object *v, void *out, size_t *n);
/* char **: a list of strings. */
int json_get_strings(struct json_object *v, void *out, size_t *n);
/*
 * A list of entries of @size bytes, at most @max of them, each by @entry: 0,
 * JSON_SKIP to leave it out, or an error. A null entry comes to @entry as NULL.
 * *@out must be empty; on error it holds what there is, the entry that failed
 * included, and the caller frees it as usual.
 */
#define JSON_SKIP 1
int json_get_list(struct json_object *v, void *out, size_t *n, size_t size,
		  size_t max, json_decoder entry);
/*
 * int64_t: an RFC 3339 time as Unix seconds. Year 1 is "none" and gives 0;
 * times from the epoch back give 1, so that they stay in the past.
 */
int json_get_time(struct json_object *v, void *out, size_t *n);

/* The string inside @v, or NULL if it is no string or holds a NUL. */
const char *json_text(struct json_object *v);
/* The member if it is there and not null, else NULL. */
struct json_object *json_member(struct json_object *o, const char *name);
/* A decimal map key ("17") as a number; -EPROTO for anything else. */
int json_key_int64(const char *key, int64_t *out);

/* 0 or -EINVAL; the rules of json_get_time(). */
int time_parse_rfc3339(const char *text, int64_t *out);
#define TIME_TEXT_MAX 24
/* "0001-01-01T00:00:00Z" for 0. Returns @out. */
const char *time_format_rfc3339(int64_t t, char out[TIME_TEXT_MAX]);

void free_strings(char **list, size_t n);
/* The same list as JSON, an empty one included; caller puts. */
struct json_object *json_from_strings(char *const *list, size_t n);

struct json_tokener;
/*
 * Parses the @len bytes at @text as one JSON value, nothing but white space
 * behind it, at most JSON_DEPTH deep. NULL if it is not; caller puts.
 */
#define JSON_DEPTH 128
struct json_object *json_parse(const char *text, size_t len);
/* A tokener with our depth and strictness, to be fed in pieces. */
struct json_tokener *json_tokener_strict(void);

#endif
