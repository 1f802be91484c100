/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include <json-c/json.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/key.h"

/* Access to selftests/vectors/; tests run in selftests/. */

/* A file's object for the life of the program; exits if there is none. */
static inline struct json_object *vectors_load(const char *name)
{
	char path[256];
	struct json_object *o;

	snprintf(path, sizeof(path), "vectors/%s", name);
	o = json_object_from_file(path);
	if (!o) {
		printf("Bail out! %s: %s\n", path, json_util_get_last_err());
		exit(1);
	}
	return o;
}

static inline struct json_object *member(struct json_object *o,
					 const char *name)
{
	return json_object_object_get(o, name);
}

static inline const char *text(struct json_object *o, const char *name)
{
	const char *s = json_object_get_string(member(o, name));

	return s ? s : "";
}

static inline bool text_is(struct json_object *o, const char *name,
			   const char *value)
{
	return strcmp(text(o, name), value) == 0;
}

#define for_each_in(v, array)                                     \
	for (size_t v##_i = 0;                                    \
	     v##_i < json_object_array_length(array) &&           \
	     (v = json_object_array_get_idx(array, v##_i), true); \
	     v##_i++)

/*
 * Bytes in a block of exactly their size, so that a sanitizer sees the first
 * byte read beyond. Kept for the life of the program.
 */
struct blob {
	uint8_t *p;
	size_t len;
	struct blob *next;
};

static struct blob *blobs;

static inline struct blob *blob_new(const void *p, size_t len)
{
	struct blob *b = malloc(sizeof(*b));

	b->p = malloc(len ? len : 1);
	if (len)
		memcpy(b->p, p, len);
	b->len = len;
	b->next = blobs;
	blobs = b;
	return b;
}

static inline struct blob *hex(const char *s)
{
	size_t len = strlen(s) / 2, got;
	struct blob *b = blob_new(s, len);

	if (sodium_hex2bin(b->p, len, s, strlen(s), NULL, &got, NULL) ||
	    got != len) {
		printf("Bail out! not hex: %s\n", s);
		exit(1);
	}
	return b;
}

static inline struct blob *hex_of(struct json_object *o, const char *name)
{
	return hex(text(o, name));
}

static inline struct key key_of(struct json_object *o, const char *name)
{
	struct key k = {0};

	if (key_parse(&k, "", text(o, name))) {
		printf("Bail out! no key in %s\n", name);
		exit(1);
	}
	return k;
}

static inline bool same(const struct blob *b, const void *p, size_t len)
{
	return b->len == len && (!len || memcmp(b->p, p, len) == 0);
}

/* Last thing in main. */
static inline void blobs_free(void)
{
	while (blobs) {
		struct blob *b = blobs;

		blobs = b->next;
		free(b->p);
		free(b);
	}
}

#endif
