// SPDX-License-Identifier: GPL-2.0
/* `tailrace policy test`: what would become of a packet, and why. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/question.h"
#include "cli/policyrules.h"
#include "cli/rule.h"
#include "cli/sight.h"
#include "cli/verdict.h"

/* Exit statuses: a test of a script, like those of grep. */
enum { ACCEPTED, DROPPED, FAILED };

/* Rules that come close, and are named. */
#define CLOSE 3

static const char *missing(enum rule_miss miss)
{
	switch (miss) {
	case RULE_OTHER_PORT:
		return "for other ports";
	case RULE_OTHER_PROTO:
		return "for other protocols";
	case RULE_MATCHES:
	case RULE_OTHER_ADDRESS:
		break;
	}
	return "";
}

/* Of a packet that no rule lets in, those that name both addresses. */
static void print_close(const struct policy *p,
			const struct tailrace_verdict *v)
{
	char text[RULE_TEXT_MAX];
	size_t i, n = 0;

	for (i = 0; p && i < p->n_rules; i++) {
		enum rule_miss miss = rule_miss(&p->rules[i], v);

		if (miss != RULE_OTHER_PORT && miss != RULE_OTHER_PROTO)
			continue;
		if (n++ < CLOSE)
			printf("  rule %u is %s: %s\n", p->rules[i].id,
			       missing(miss),
			       rule_excerpt(&p->rules[i], v, text));
	}
	if (n > CLOSE)
		printf("  and %zu more\n", n - CLOSE);
	if (!n && p)
		printf("  none of the %zu rules names both addresses\n",
		       p->n_rules);
}

/* What to do about it, where that is not plain. */
static const char *advice(const struct tailrace_verdict *v)
{
	if (v->flags & TAILRACE_TRACE_ACCEPT)
		return NULL;
	if (v->drop == TAILRACE_DROP_NO_POLICY)
		return "tailraced commits one when it is logged in: tailrace status";
	if (v->drop == TAILRACE_DROP_EXPIRED)
		return "systemctl start tailraced";
	if (v->drop == TAILRACE_DROP_NOT_LOCAL)
		return "a subnet behind this host: tailrace set --advertise-routes=PREFIX";
	if (v->drop == TAILRACE_DROP_SHIELDS_UP)
		return "tailrace set --shields-up=false lets the rules decide";
	return NULL;
}

static void print(struct sight *s, const struct tailrace_verdict *v)
{
	const struct policy *policy = sight_policy(s, v);
	bool accepted = v->flags & TAILRACE_TRACE_ACCEPT;

	printf("%s: ", accepted ? "accept" : "drop");
	verdict_print_cause(stdout, v, policy);
	printf("\n  %s %s ", s->device, v->flags & TAILRACE_TRACE_OUT ? "out" : "in");
	verdict_print_packet(stdout, v);
	if (v->peer)
		printf(", peer %u", v->peer);
	printf(", policy %u\n", v->generation);
	if (!accepted && v->drop == TAILRACE_DROP_NO_RULE)
		print_close(policy, v);
	if (advice(v))
		printf("  %s\n", advice(v));
	if (!v->peer)
		printf("  no peer has the %s address: WireGuard itself drops such a packet\n",
		       v->flags & TAILRACE_TRACE_OUT ? "destination" : "source");
}

static int test(struct sight *s, const struct verdict_question *q, bool json)
{
	struct tailrace_verdict v;
	struct json_object *o;
	int err = verdict_ask(&s->nl, s->family, s->link, q, &v);

	if (err) {
		cli_error("%s", s->nl.error);
		return FAILED;
	}
	if (json) {
		o = verdict_json(&v, sight_policy(s, &v),
				 sight_peer(s, v.peer));
		cli_print_json(o);
		json_object_put(o);
	} else {
		print(s, &v);
	}
	return v.flags & TAILRACE_TRACE_ACCEPT ? ACCEPTED : DROPPED;
}

static int policy_test(int argc, char **argv)
{
	struct question_words w = { 0 };
	const char *device = NULL;
	bool json = false;
	struct flag flags[] = {
		{ "src", FLAG_TEXT, &w.src, "from: ADDR or ADDR:PORT", false },
		{ "dst", FLAG_TEXT, &w.dst, "to: ADDR or ADDR:PORT", false },
		{ "proto", FLAG_TEXT, &w.proto,
		  "tcp, udp, icmp, ... (tcp with a port, else icmp)", false },
		{ "established", FLAG_BOOL, &w.established,
		  "TCP within a connection, not its first packet", false },
		{ "icmp-type", FLAG_TEXT, &w.icmp_type, "(an echo request)",
		  false },
		{ "icmp-code", FLAG_TEXT, &w.icmp_code, "(0)", false },
		{ "out", FLAG_BOOL, &w.out, "to a peer rather than from one",
		  false },
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ "device", FLAG_TEXT, &device, "of several, which", false },
		{ 0 }
	};
	char error[QUESTION_ERROR_MAX];
	struct verdict_question q;
	struct sight s;
	int n = flags_parse(flags, "", argc, argv), status;

	if (n == -2)
		puts("\n"
		     "Asks the packet filter in force what it would do with a packet. Exit status 0:\n"
		     "accept, 1: drop, 2: no answer. Needs root, works without tailraced.");
	if (n < 0)
		return n == -2 ? 0 : FAILED;
	if (n < argc) {
		cli_error("policy test takes no argument '%s'", argv[n]);
		return FAILED;
	}
	if (question_parse(&q, &w, error)) {
		cli_error("%s", error);
		return FAILED;
	}
	if (sight_open(&s, device))
		return FAILED;
	status = test(&s, &q, json);
	sight_close(&s);
	return status;
}

int cmd_policy(struct cli *c, int argc, char **argv)
{
	static const char usage[] =
		"Usage: tailrace policy rules [flags]\n"
		"       tailrace policy test --src=ADDR --dst=ADDR[:PORT] [flags]\n\n"
		"'tailrace policy test --help' shows its flags; a policy file is checked by\n"
		"'tailrace coord policy check FILE'.\n";
	char title[] = "policy test", rules[] = "policy rules";

	if (argc > 1 && !strcmp(argv[1], "rules")) {
		argv[1] = rules;
		return policyrules_run(argc - 1, argv + 1);
	}
	if (argc > 1 && !strcmp(argv[1], "test")) {
		argv[1] = title;
		return policy_test(argc - 1, argv + 1);
	}
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
			 !strcmp(argv[1], "help"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 1)
		cli_error("no command 'policy %s'", argv[1]);
	fputs(usage, stderr);
	return FAILED;
}
