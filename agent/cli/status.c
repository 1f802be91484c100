// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "lib/util.h"

static void print_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			   JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* Seconds since an RFC 3339 time, -1 for the zero time. */
static long long age(const char *text)
{
	struct tm tm = { 0 };
	time_t t;

	if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) || tm.tm_year < 70)
		return -1;
	t = timegm(&tm);
	return (long long)(time(NULL) - t);
}

static const char *user_name(struct json_object *status,
			     struct json_object *node)
{
	struct json_object *u;
	char id[24];

	if (json_member(node, "Tags"))
		return "tagged-devices";
	snprintf(id, sizeof(id), "%lld",
		 (long long)cli_number(node, "UserID"));
	u = json_member(json_member(status, "User"), id);
	return u ? cli_text(u, "LoginName") : "-";
}

static void print_path(struct json_object *peer)
{
	const char *direct = cli_text(peer, "CurAddr");
	const char *relay = cli_text(peer, "Relay");
	long long shake = age(cli_text(peer, "LastHandshake"));
	int64_t tx = cli_number(peer, "TxBytes");
	int64_t rx = cli_number(peer, "RxBytes");

	if (!cli_true(peer, "Active"))
		fputs(tx || rx ? "idle" : "-", stdout);
	else if (*direct)
		printf("active; direct %s", direct);
	else if (*relay)
		printf("active; relay \"%s\"", relay);
	else
		fputs("active; no path", stdout);
	if (!cli_true(peer, "Online"))
		fputs(", offline", stdout);
	if (tx || rx)
		printf(", tx %lld rx %lld", (long long)tx, (long long)rx);
	if (shake >= 0)
		printf(", handshake %lld s ago", shake);
}

static void print_node(struct json_object *status, struct json_object *node,
		       bool self)
{
	struct json_object *ips = json_member(node, "TailscaleIPs");
	_cleanup_free_ char *name = xstrdup(cli_text(node, "DNSName"));
	const char *ip = ips && json_object_array_length(ips) ?
				 json_object_get_string(
					 json_object_array_get_idx(ips, 0)) :
				 "-";

	name[strcspn(name, ".")] = '\0';
	printf("%-15s %-20s %-20s %-7s ", ip,
	       *name ? name : cli_text(node, "HostName"),
	       user_name(status, node), cli_text(node, "OS"));
	if (self)
		putchar('-');
	else
		print_path(node);
	putchar('\n');
}

static void print_health(struct json_object *s)
{
	struct json_object *health = json_member(s, "Health");
	size_t i, n = health ? json_object_array_length(health) : 0;

	if (n)
		puts("\n# Health check:");
	for (i = 0; i < n; i++)
		printf("#     - %s\n",
		       json_object_get_string(
			       json_object_array_get_idx(health, i)));
}

/* 0 when running; what else to do, and 1. */
static int explain_state(struct json_object *s)
{
	const char *state = cli_text(s, "BackendState");

	if (!strcmp(state, "Running"))
		return 0;
	if (!strcmp(state, "Stopped"))
		puts("Tailrace is stopped; run 'tailrace up'.");
	else if (!strcmp(state, "NeedsLogin") && *cli_text(s, "AuthURL"))
		printf("Logged out. Log in at: %s\n", cli_text(s, "AuthURL"));
	else if (!strcmp(state, "NeedsLogin"))
		puts("Logged out; run 'tailrace up'.");
	else if (!strcmp(state, "NeedsMachineAuth"))
		puts("This node waits for an admin's approval.");
	else
		puts("Tailrace is starting; control has not answered yet.");
	return 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(cli_text(*(struct json_object *const *)a, "DNSName"),
		      cli_text(*(struct json_object *const *)b, "DNSName"));
}

int cmd_status(struct cli *c, int argc, char **argv)
{
	bool json = false, active = false, peers = true, self = true;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ "active", FLAG_BOOL, &active, "only peers with traffic",
		  false },
		{ "peers", FLAG_BOOL, &peers, "show peers (true)", false },
		{ "self", FLAG_BOOL, &self, "show this node (true)", false },
		{ 0 }
	};
	struct json_object *s, *map, **list;
	size_t n = 0, i;
	int err;

	err = flags_parse(flags, "", argc, argv);
	if (err < 0)
		return err == -2 ? 0 : 2;
	s = cli_status(c, peers);
	if (!s)
		return 1;
	if (json) {
		print_json(s);
		json_object_put(s);
		return 0;
	}
	err = explain_state(s);
	map = json_member(s, "Peer");
	if (!err && self && json_member(s, "Self"))
		print_node(s, json_member(s, "Self"), true);
	if (!err && map) {
		list = xcalloc((size_t)json_object_object_length(map),
			       sizeof(*list));
		json_object_object_foreach(map, key, node) {
			(void)key;
			list[n++] = node;
		}
		qsort(list, n, sizeof(struct json_object *), by_name);
		for (i = 0; i < n; i++)
			if (!active || cli_true(list[i], "Active"))
				print_node(s, list[i], false);
		free(list);
	}
	print_health(s);
	json_object_put(s);
	return err;
}

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
		print_json(r);
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
