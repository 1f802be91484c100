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

int cmd_netcheck(struct cli *c, int argc, char **argv)
{
	const char *format = "";
	bool json = false;
	struct flag flags[] = {
		{ "format", FLAG_TEXT, &format, "json or json-line", false },
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ 0 }
	};
	char home[16];
	struct json_object *r;
	int err;

	err = flags_parse(flags, "", argc, argv);
	if (err < 0)
		return err == -2 ? 0 : 2;
	if (cli_request(c, "GET", "netcheck", NULL, &r))
		return 1;
	if (json || !strncmp(format, "json", 4)) {
		cli_print_json(r);
		json_object_put(r);
		return 0;
	}
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
	json_object_put(r);
	return 0;
}
