// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/device.h"
#include "cli/flags.h"
#include "kernel/stats.h"
#include "lib/util.h"

/* An agent that is silent for that long is as good as none. */
#define ANSWER_SECONDS 20

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

static void print_peers(struct json_object *s, bool active)
{
	struct json_object *map = json_member(s, "Peer"), **list;
	size_t n = 0, i;

	if (!map)
		return;
	list = xcalloc((size_t)json_object_object_length(map), sizeof(*list));
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

/* No agent: what the module says for itself. */
static int module_status(bool json)
{
	const char *why = "";
	struct json_object *devices = stats_all_json(false, &why), *o, *health;
	int status = devices ? device_exit_status(devices) : DEVICE_CLOSED;

	if (json) {
		o = json_object_new_object();
		health = json_object_new_array();
		json_object_array_add(health,
				      json_object_new_string(
					      "tailraced does not answer"));
		if (*why)
			json_object_array_add(health,
					      json_object_new_string(why));
		json_object_object_add(o, "BackendState",
				       json_object_new_string("NoState"));
		json_object_object_add(o, "Health", health);
		json_object_object_add(o, "Self", NULL);
		json_object_object_add(o, "Peer", NULL);
		json_object_object_add(o, "Devices", devices);
		cli_print_json(o);
		json_object_put(o);
		return status;
	}
	if (!devices) {
		cli_error("%s", why);
		return status;
	}
	puts("# Without an agent; tailrace.ko says of itself:");
	json_object_object_foreach(devices, name, device)
		device_print(stdout, "#     ", name, device);
	if (!json_object_object_length(devices))
		puts("#     no device is attached");
	json_object_put(devices);
	return status;
}

int cmd_status(struct cli *c, int argc, char **argv)
{
	bool json = false, active = false, peers = true, self = true;
	bool header = false;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ "active", FLAG_BOOL, &active, "only peers with traffic",
		  false },
		{ "header", FLAG_BOOL, &header, "name the columns", false },
		{ "peers", FLAG_BOOL, &peers, "show peers (true)", false },
		{ "self", FLAG_BOOL, &self, "show this node (true)", false },
		{ 0 }
	};
	struct json_object *s;
	int err;

	err = flags_parse(flags, "", argc, argv);
	if (err < 0)
		return err == -2 ? 0 : 2;
	if (err < argc)
		return cli_error("status takes no argument '%s'", argv[err]) +
		       1;
	c->patience = ANSWER_SECONDS;
	s = cli_status(c, peers);
	if (!s)
		return c->unreachable ? module_status(json) : 1;
	if (json) {
		cli_print_json(s);
		json_object_put(s);
		return 0;
	}
	err = explain_state(s);
	if (!err) {
		if (header)
			printf("%-15s %-20s %-20s %-7s %s\n", "IP",
			       "Hostname", "Owner", "OS", "Status");
		if (self && json_member(s, "Self"))
			print_node(s, json_member(s, "Self"), true);
		print_peers(s, active);
	}
	if (*cli_text(json_member(s, "Kernel"), "state")) {
		puts("\n# Kernel:");
		device_print(stdout, "#     ", NULL, json_member(s, "Kernel"));
	}
	print_health(s);
	json_object_put(s);
	return err;
}
