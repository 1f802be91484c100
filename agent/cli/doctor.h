/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * What an experienced operator would look at, as a table of small checks. A
 * check reads files below a root and what the doctor was told before, nothing
 * else, so a test gives it a made-up host. None changes anything.
 */

struct json_object;

enum doctor_level {
	DOCTOR_NONE, /* nothing was said: the check does not apply */
	DOCTOR_OK,
	DOCTOR_WARNING,
	DOCTOR_FAULT,
};

struct doctor_result {
	enum doctor_level level;
	char text[512];
};

/* The host. */
struct doctor {
	const char *root; /* before every path: "", or a directory of a test */
	const char *release; /* the running kernel, as uname -r has it */
	time_t now;
	int clock_synced; /* 1, 0; -1: not known */
	/* Any of these may be NULL, and has no other meaning than "not known". */
	struct json_object *status; /* LocalAPI; NULL without an agent */
	struct json_object *prefs; /* LocalAPI */
	struct json_object *devices; /* the module's, by name */
	const char *module_problem; /* why there are no devices */
	struct json_object *ruleset; /* nft -j list ruleset */
};

struct doctor_check {
	const char *name;
	void (*run)(const struct doctor *d, struct doctor_result *r);
};

/* Each ends with a NULL name. */
extern const struct doctor_check doctor_module_checks[];
extern const struct doctor_check doctor_host_checks[];
extern const struct doctor_check doctor_network_checks[];

/*
 * What a check has found. What is worse than what was said before replaces it,
 * what is as bad is added to it, what is better is not news.
 */
void doctor_say(struct doctor_result *r, enum doctor_level level,
		const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Files below the root. */

/* The path; at most PATH_MAX, cut then. Returns @out. */
#define DOCTOR_PATH_MAX 4096
__attribute__((format(printf, 3, 4))) const char *
doctor_path(const struct doctor *d, char out[DOCTOR_PATH_MAX],
	    const char *fmt, ...);
bool doctor_exists(const struct doctor *d, const char *path);
/*
 * A whole file, at most 32 MiB; NULL if it cannot be read. NUL-terminated, the
 * caller's; *@n (NULL is fine) is its length.
 */
char *doctor_read(const struct doctor *d, const char *path, size_t *n);
/* The number at the front of a file, @otherwise without one. */
long doctor_number(const struct doctor *d, const char *path, long otherwise);
/* Names in a directory, sorted, no dot files; @n of them, the caller's. */
char **doctor_list(const struct doctor *d, const char *path, size_t *n);

/* The first of the module's devices; "tailrace0" and NULL without one. */
const char *doctor_device(const struct doctor *d, struct json_object **device);

/*
 * Whether @ruleset (nft's JSON) lets UDP to @port in, and forwards what comes
 * from @device: DOCTOR_OK, or a warning in @r. Heuristic: it follows no jumps
 * but takes what any chain of a table accepts for accepted.
 */
void doctor_firewall(struct json_object *ruleset, unsigned int port,
		     const char *device, bool forwards,
		     struct doctor_result *r);

/* A module file's .modinfo: "version", "srcversion"; NULL, or within @ko. */
const char *doctor_modinfo(const char *ko, size_t n, const char *key);
/* Whether the file carries a signature, and whose (the issuer's name). */
bool doctor_signer(const char *ko, size_t n, char out[128]);

#endif
