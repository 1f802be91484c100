// SPDX-License-Identifier: GPL-2.0
#include "cli/verdict.h"

#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>

#include "cli/expression.h"
#include "cli/rule.h"
#include "cli/show.h"
#include "kernel/addrset.h"
#include "kernel/stats.h"
#include "lib/util.h"

static const char *const reasons[] = {
	[TAILRACE_DROP_NO_POLICY] = "no policy has been committed yet",
	[TAILRACE_DROP_MALFORMED] = "malformed, or a header the filter refuses",
	[TAILRACE_DROP_MULTICAST] = "multicast does not pass",
	[TAILRACE_DROP_LINK_LOCAL] = "link-local addresses do not pass",
	[TAILRACE_DROP_NOT_LOCAL] =
		"the destination is not this host's, nor a route it advertises",
	[TAILRACE_DROP_NO_RULE] = "no rule accepts it",
	[TAILRACE_DROP_SHIELDS_UP] = "shields are up: only replies pass",
	[TAILRACE_DROP_JAILED] = "the peer is jailed: only replies pass",
	[TAILRACE_DROP_TSMP_OUT] = "only the agent sends TSMP",
	[TAILRACE_DROP_DISCO_INSIDE] =
		"the agent's own path discovery, inside of the tunnel",
	[TAILRACE_DROP_EXPIRED] = "no agent for longer than max-stale",
	[TAILRACE_DROP_NO_FLOW] = "strict: it belongs to no known flow",
	[TAILRACE_DROP_FLOWS_FULL] = "strict: no room for another flow",
};

static const char *const causes[] = {
	[TAILRACE_CAUSE_DROPPED] = "dropped",
	[TAILRACE_CAUSE_RULE] = "rule",
	[TAILRACE_CAUSE_CACHE] = "cache",
	[TAILRACE_CAUSE_REPLY] = "reply",
	[TAILRACE_CAUSE_STATELESS] = "stateless",
	[TAILRACE_CAUSE_FRAGMENT] = "fragment",
	[TAILRACE_CAUSE_KEEPALIVE] = "keepalive",
	[TAILRACE_CAUSE_OUTBOUND] = "outbound",
};

static const char *const cause_words[ARRAY_SIZE(causes)] = {
	[TAILRACE_CAUSE_REPLY] = "a reply to this host",
	[TAILRACE_CAUSE_STATELESS] = "needs no rule",
	[TAILRACE_CAUSE_FRAGMENT] = "a later fragment needs no rule",
	[TAILRACE_CAUSE_KEEPALIVE] = "WireGuard's keepalive",
	[TAILRACE_CAUSE_OUTBOUND] = "outbound",
};

static bool accepted(const struct tailrace_verdict *v)
{
	return v->flags & TAILRACE_TRACE_ACCEPT;
}

static const char *direction(const struct tailrace_verdict *v)
{
	return v->flags & TAILRACE_TRACE_OUT ? "out" : "in";
}

static const char *lookup(const char *const *list, size_t n, unsigned int i)
{
	return i < n ? list[i] : NULL;
}

/* Letters of tcpdump: "S", "S.", "FP.", "none". */
static const char *tcp_flags(uint8_t flags, char text[16])
{
	static const char letters[] = "FSRP.UEW";
	size_t i, n = 0;

	for (i = 0; i < 8; i++)
		if (flags & 1 << i && letters[i] != '.')
			text[n++] = letters[i];
	if (flags & 1 << 4)
		text[n++] = '.';
	text[n] = '\0';
	return n ? text : strcpy(text, "none");
}

static bool is_icmp(const struct tailrace_verdict *v)
{
	return v->family &&
	       verdict_is_icmp(v->family == AF_INET ? 4 : 6, v->proto);
}

static void print_icmp(FILE *f, const struct tailrace_verdict *v)
{
	bool v4 = v->family == AF_INET;

	if (v->icmp_type == (v4 ? 8 : 128))
		fputs(" echo request", f);
	else if (v->icmp_type == (v4 ? 0 : 129))
		fputs(" echo reply", f);
	else
		fprintf(f, " type %u code %u", v->icmp_type, v->icmp_code);
}

static void print_end(FILE *f, const struct ip_addr *ip, uint16_t port,
		      bool ports)
{
	struct endpoint e = { .ip = *ip, .port = port };
	char text[ENDPOINT_TEXT_MAX], bare[IP_TEXT_MAX];

	fputs(ports ? endpoint_format(&e, text) : ip_format(ip, bare), f);
}

void verdict_print_packet(FILE *f, const struct tailrace_verdict *v)
{
	struct ip_addr src = verdict_src(v), dst = verdict_dst(v);
	bool ports = verdict_has_ports(v->proto);
	char text[16];

	if (v->proto == 255)
		fputs("fragment", f);
	else if (!v->proto)
		fputs("unknown", f);
	else if (expression_proto_name(v->proto))
		fputs(expression_proto_name(v->proto), f);
	else
		fprintf(f, "proto %u", v->proto);
	if (v->proto == IPPROTO_TCP)
		fprintf(f, " %s", tcp_flags(v->tcp_flags, text));
	if (is_icmp(v))
		print_icmp(f, v);
	if (!src.family)
		return;
	fputc(' ', f);
	print_end(f, &src, v->sport, ports);
	fputs(" > ", f);
	print_end(f, &dst, v->dport, ports);
}

void verdict_print_cause(FILE *f, const struct tailrace_verdict *v,
			 const struct policy *policy)
{
	const struct kernel_rule *rule;
	char text[RULE_TEXT_MAX], n[16];
	const char *words;

	if (!accepted(v)) {
		words = lookup(reasons, ARRAY_SIZE(reasons), v->drop);
		fputs(words ? words :
			      show_named(stats_drop_name(v->drop), v->drop, n),
		      f);
		return;
	}
	if (!verdict_by_rule(v)) {
		fputs(show_named(lookup(cause_words, ARRAY_SIZE(cause_words),
					v->cause),
				 v->cause, n),
		      f);
		return;
	}
	rule = policy ? rule_find(policy, v->rule, v) : NULL;
	fprintf(f, "rule %u", v->rule);
	if (rule)
		fprintf(f, ": %s", rule_excerpt(rule, v, text));
	else if (!policy)
		fputs(" of an earlier policy", f);
	if (v->cause == TAILRACE_CAUSE_CACHE)
		fputs(", known flow", f);
}

/* What a peer is known by, or NULL. */
static const char *peer_address(const struct module_peer *peer,
				char text[ADDRSET_TEXT_MAX])
{
	return peer && peer->n_addrs ? addrset_format(&peer->addrs[0], text) :
				       NULL;
}

void verdict_print(FILE *f, const struct tailrace_verdict *v,
		   const struct policy *policy, const struct module_peer *peer)
{
	char text[ADDRSET_TEXT_MAX];

	show_time(f, v->time, 6);
	fprintf(f, " %-3s %-6s ", direction(v),
		accepted(v) ? "accept" : "drop");
	verdict_print_packet(f, v);
	fprintf(f, " len %u", v->len);
	if (v->packets > 1)
		fprintf(f, " in %u packets", v->packets);
	fputs(", ", f);
	verdict_print_cause(f, v, policy);
	if (v->peer)
		fprintf(f, ", peer %u", v->peer);
	if (peer_address(peer, text))
		fprintf(f, " (%s)", text);
	fputc('\n', f);
}

static void add_packet(struct json_object *o, const struct tailrace_verdict *v)
{
	struct ip_addr src = verdict_src(v), dst = verdict_dst(v);
	bool ports = verdict_has_ports(v->proto);
	char text[IP_TEXT_MAX], flags[16];

	show_add_number(o, "proto", v->proto);
	if (expression_proto_name(v->proto))
		show_add_text(o, "proto_name", expression_proto_name(v->proto));
	if (src.family) {
		show_add_text(o, "src", ip_format(&src, text));
		show_add_text(o, "dst", ip_format(&dst, text));
	}
	if (ports) {
		show_add_number(o, "sport", v->sport);
		show_add_number(o, "dport", v->dport);
	}
	if (v->proto == IPPROTO_TCP)
		show_add_text(o, "tcp_flags", tcp_flags(v->tcp_flags, flags));
	if (is_icmp(v)) {
		show_add_number(o, "icmp_type", v->icmp_type);
		show_add_number(o, "icmp_code", v->icmp_code);
	}
	show_add_number(o, "len", v->len);
	show_add_number(o, "packets", v->packets);
}

struct json_object *verdict_json(const struct tailrace_verdict *v,
				 const struct policy *policy,
				 const struct module_peer *peer)
{
	struct json_object *o = json_object_new_object();
	char text[RULE_TEXT_MAX], addr[ADDRSET_TEXT_MAX], n[16];
	const struct kernel_rule *rule = NULL;

	show_add_time(o, "time", v->time);
	show_add_text(o, "direction", direction(v));
	show_add_text(o, "verdict", accepted(v) ? "accept" : "drop");
	if (accepted(v))
		show_add_text(o, "cause",
			      show_named(lookup(causes, ARRAY_SIZE(causes),
						v->cause),
					 v->cause, n));
	else
		show_add_text(o, "reason",
			      show_named(stats_drop_name(v->drop), v->drop, n));
	if (accepted(v) && verdict_by_rule(v)) {
		show_add_number(o, "rule", v->rule);
		rule = policy ? rule_find(policy, v->rule, v) : NULL;
	}
	if (rule)
		show_add_text(o, "rule_text", rule_excerpt(rule, v, text));
	show_add_number(o, "generation", v->generation);
	if (v->peer)
		show_add_number(o, "peer", v->peer);
	if (peer_address(peer, addr))
		show_add_text(o, "peer_addr", addr);
	add_packet(o, v);
	return o;
}
