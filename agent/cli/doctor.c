// SPDX-License-Identifier: GPL-2.0
#include "cli/doctor.h"

#include <json-c/json.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "kernel/stats.h"
#include "lib/util.h"

/* 1 and 2 are what was found. */
#define EXIT_USAGE 64
#define ANSWER_SECONDS 20

static const char *const level_names[] = {
	[DOCTOR_NONE] = "none",
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_FAULT] = "fault",
};

/* Only root gets it; the library says nothing on standard error then. */
static struct json_object *ruleset(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	struct json_object *o = NULL;

	if (!nft)
		return NULL;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON);
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	if (!nft_run_cmd_from_buffer(nft, "list ruleset"))
		o = json_tokener_parse(nft_ctx_get_output_buffer(nft));
	nft_ctx_free(nft);
	return o;
}

static int synced(void)
{
	struct timex t = { 0 };
	int state = adjtimex(&t);

	return state < 0 ? -1 : !(t.status & STA_UNSYNC);
}

static void ask(struct cli *c, struct doctor *d)
{
	c->patience = ANSWER_SECONDS;
	c->quiet = true;
	cli_request(c, "GET", "status?peers=false", NULL, &d->status);
	if (d->status)
		cli_request(c, "GET", "prefs", NULL, &d->prefs);
	d->devices = stats_all_json(false, &d->module_problem);
	d->ruleset = ruleset();
	d->clock_synced = synced();
	d->now = time(NULL);
}

/* Runs a table; adds to @list, or prints when that is NULL. The worst. */
static enum doctor_level run(const struct doctor *d,
			     const struct doctor_check *check,
			     struct json_object *list)
{
	enum doctor_level worst = DOCTOR_OK;
	struct json_object *o;

	for (; check->name; check++) {
		struct doctor_result r = { 0 };

		check->run(d, &r);
		if (r.level > worst)
			worst = r.level;
		if (r.level == DOCTOR_NONE)
			continue;
		if (!list) {
			printf("%-7s  %-10s  %s\n", level_names[r.level],
			       check->name, r.text);
			continue;
		}
		o = json_object_new_object();
		json_object_object_add(o, "name",
				       json_object_new_string(check->name));
		json_object_object_add(
			o, "level",
			json_object_new_string(level_names[r.level]));
		json_object_object_add(o, "text",
				       json_object_new_string(r.text));
		json_object_array_add(list, o);
	}
	return worst;
}

static enum doctor_level run_all(const struct doctor *d,
				 struct json_object *list)
{
	static const struct doctor_check *const tables[] = {
		doctor_module_checks, doctor_host_checks,
		doctor_network_checks
	};
	enum doctor_level worst = DOCTOR_OK, one;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		one = run(d, tables[i], list);
		if (one > worst)
			worst = one;
	}
	return worst;
}

int cmd_doctor(struct cli *c, int argc, char **argv)
{
	bool json = false;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ 0 }
	};
	struct doctor d = { .root = "" };
	enum doctor_level worst;
	struct json_object *o;
	struct utsname name;
	int n;

	n = flags_parse(flags, "", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : EXIT_USAGE;
	if (n < argc) {
		cli_error("doctor takes no argument '%s'", argv[n]);
		return EXIT_USAGE;
	}
	uname(&name);
	d.release = name.release;
	ask(c, &d);
	if (json) {
		o = json_object_new_object();
		json_object_object_add(o, "checks", json_object_new_array());
		worst = run_all(&d, json_member(o, "checks"));
		json_object_object_add(
			o, "level",
			json_object_new_string(level_names[worst]));
		cli_print_json(o);
		json_object_put(o);
	} else {
		worst = run_all(&d, NULL);
		if (geteuid())
			puts("(as root it sees more: the module's state, the firewall, enrolled keys)");
	}
	json_object_put(d.status);
	json_object_put(d.prefs);
	json_object_put(d.devices);
	json_object_put(d.ruleset);
	return worst == DOCTOR_FAULT ? 2 : worst == DOCTOR_WARNING;
}
