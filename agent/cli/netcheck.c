// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"

static const char *yes_no(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);

	return !v ? "" : json_object_get_boolean(v) ? "true" : "false";
}

static void print_latencies(struct json_object *r)
{
	struct json_object *latency = json_member(r, "RegionLatency");
	struct json_object *codes = json_member(r, "RegionCode");

	puts("\t* DERP latency:");
	if (!latency)
		return;
	json_object_object_foreach(latency, id, ns)
		printf("\t\t- %4s: %.1fms\n", cli_text(codes, id),
		       (double)json_object_get_int64(ns) / 1e6);
}

static void print_report(struct json_object *r)
{
	char home[16];

	snprintf(home, sizeof(home), "%d",
		 (int)cli_number(r, "PreferredDERP"));
	puts("\nReport:");
	printf("\t* UDP: %s\n", yes_no(r, "UDP"));
	printf("\t* IPv4: %s%s%s\n",
	       cli_true(r, "IPv4") ? "yes" : "(no addr found)",
	       *cli_text(r, "GlobalV4") ? ", " : "", cli_text(r, "GlobalV4"));
	printf("\t* IPv6: %s%s%s\n", cli_true(r, "IPv6") ? "yes" : "no",
	       *cli_text(r, "GlobalV6") ? ", " : "", cli_text(r, "GlobalV6"));
	printf("\t* MappingVariesByDestIP: %s\n",
	       yes_no(r, "MappingVariesByDestIP"));
	printf("\t* Nearest DERP: %s\n",
	       cli_text(json_member(r, "RegionCode"), home));
	print_latencies(r);
}

static int report(struct cli *c, const char *format)
{
	struct json_object *r;

	if (cli_request(c, "GET", "netcheck", NULL, &r))
		return 1;
	if (!strcmp(format, "json"))
		cli_print_json(r);
	else if (*format)
		puts(json_object_to_json_string_ext(
			r, JSON_C_TO_STRING_PLAIN |
				   JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_report(r);
	fflush(stdout);
	json_object_put(r);
	return 0;
}

int cmd_netcheck(struct cli *c, int argc, char **argv)
{
	static const struct flag_only no_address = {
		"", "the agent measures from WireGuard's port"
	};
	static const struct flag_only no_port = {
		"0", "the agent measures from WireGuard's port"
	};
	bool json = false, verbose = false;
	unsigned long every = 0;
	const char *format = "";
	struct flag flags[] = {
		{ "every", FLAG_DURATION, &every, "again and again", false },
		{ "format", FLAG_TEXT, &format, "json or json-line", false },
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ "verbose", FLAG_BOOL, &verbose, NULL, false },
		{ "bind-address", FLAG_ONLY, (void *)(uintptr_t)&no_address,
		  NULL, false },
		{ "bind-port", FLAG_ONLY, (void *)(uintptr_t)&no_port, NULL,
		  false },
		{ 0 }
	};
	int err;

	err = flags_parse(flags, "", argc, argv);
	if (err < 0)
		return err == -2 ? 0 : 2;
	if (err < argc)
		return cli_error("netcheck takes no argument '%s'",
				 argv[err]) + 1;
	if (json)
		format = "json";
	if (*format && strcmp(format, "json") && strcmp(format, "json-line"))
		return cli_error("--format takes json or json-line, not '%s'",
				 format) + 1;
	for (err = report(c, format); !err && every; err = report(c, format))
		cli_sleep(every);
	return err;
}
