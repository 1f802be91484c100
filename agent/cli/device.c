// SPDX-License-Identifier: GPL-2.0
#include "cli/device.h"

#include <json-c/json.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/duration.h"

/* How long without an agent; when that ends. */
static void print_stale(FILE *f, struct json_object *d)
{
	char text[DURATION_TEXT_MAX];
	int64_t max = cli_number(d, "max_stale");
	int64_t stale = cli_number(d, "stale");

	if (!json_member(d, "stale"))
		return;
	fprintf(f, " for %s", duration_format((uint64_t)stale, text));
	if (max > stale)
		fprintf(f, ", expires in %s",
			duration_format((uint64_t)(max - stale), text));
}

static void print_state(FILE *f, struct json_object *d)
{
	const char *state = cli_text(d, "state");

	fputs(state, f);
	if (!strcmp(state, "closed")) {
		fputs(": no policy yet, nothing passes", f);
	} else if (!strcmp(state, "orphaned")) {
		print_stale(f, d);
		fputs(": no agent, the last policy stays in force", f);
	} else if (!strcmp(state, "expired")) {
		print_stale(f, d);
		fputs(": no agent for longer than --max-stale, nothing passes",
		      f);
	}
}

static void print_drops(FILE *f, const char *prefix, struct json_object *drops)
{
	bool any = false;

	if (!drops)
		return;
	json_object_object_foreach(drops, reason, n) {
		if (!json_object_get_int64(n))
			continue;
		fprintf(f, "%s%s%s %lld", any ? "" : prefix,
			any ? ", " : "dropped: ", reason,
			(long long)json_object_get_int64(n));
		any = true;
	}
	if (any)
		fputc('\n', f);
}

void device_print(FILE *f, const char *prefix, const char *name,
		  struct json_object *d)
{
	char text[DURATION_TEXT_MAX];
	int64_t max_stale = cli_number(d, "max_stale");
	int64_t records = cli_number(d, "records");

	if (!*cli_text(d, "state"))
		return;
	fprintf(f, "%s%s%s", prefix, name ? name : "", name ? ": " : "");
	print_state(f, d);
	fprintf(f, "\n%spolicy %lld with %lld rules%s, %lld peers, %lld of %lld flows",
		prefix, (long long)cli_number(d, "generation"),
		(long long)cli_number(d, "rules"),
		cli_true(d, "strict") ? ", strict" : "",
		(long long)cli_number(d, "peers"),
		(long long)cli_number(d, "flows"),
		(long long)cli_number(d, "flows_max"));
	if (max_stale)
		fprintf(f, ", max-stale %s",
			duration_format((uint64_t)max_stale, text));
	if (records)
		fprintf(f, ", flow records every %s",
			duration_format((uint64_t)records, text));
	fputc('\n', f);
	print_drops(f, prefix, json_member(d, "drops"));
}

int device_exit_status(struct json_object *devices)
{
	if (!devices)
		return DEVICE_CLOSED;
	json_object_object_foreach(devices, name, d) {
		const char *state = cli_text(d, "state");

		(void)name;
		if (!strcmp(state, "active") || !strcmp(state, "orphaned"))
			return DEVICE_FORWARDING;
	}
	return DEVICE_CLOSED;
}
