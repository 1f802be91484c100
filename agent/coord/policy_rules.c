// SPDX-License-Identifier: GPL-2.0
/* The rules of a policy file: acls and grants. */
#include <string.h>

#include "coord/policy_read.h"
#include "lib/util.h"

struct rule_reader {
	struct policy_rule rule;
	uint8_t proto;
	const struct hujson *src, *dst, *ip; /* NULL: not there */
	bool app;
};

static void read_action(struct policy_reader *rd, const struct hujson *v, void *out)
{
	if (strcmp(v->text, "accept"))
		policy_error_at(rd, v, "the action ", v->text,
				" is not \"accept\", the only one there is");
}

static void read_proto(struct policy_reader *rd, const struct hujson *v, void *out)
{
	struct rule_reader *rr = out;

	if (*v->text)
		policy_read_proto(rd->report, v, v->text, &rr->proto);
}

static void read_src(struct policy_reader *rd, const struct hujson *v, void *out)
{
	struct rule_reader *rr = out;

	rr->src = v;
	policy_read_selectors(rd, v, POLICY_ROLE_SRC, &rr->rule.src, &rr->rule.n_src);
}

static void read_dst(struct policy_reader *rd, const struct hujson *v, void *out)
{
	((struct rule_reader *)out)->dst = v;
}

static void read_ip(struct policy_reader *rd, const struct hujson *v, void *out)
{
	((struct rule_reader *)out)->ip = v;
}

static void read_via(struct policy_reader *rd, const struct hujson *v, void *out)
{
	struct rule_reader *rr = out;

	policy_read_selectors(rd, v, POLICY_ROLE_VIA, &rr->rule.via, &rr->rule.n_via);
}

static void read_app(struct policy_reader *rd, const struct hujson *v, void *out)
{
	((struct rule_reader *)out)->app = true;
	policy_note(rd->report, true, v->name_line, v->name_column,
		    "app has no effect: this server grants no application capabilities");
}

static bool ports_fit(struct policy_reader *rd, const struct hujson *v,
		      const struct policy_service *s)
{
	if (policy_has_ports(s->proto) || policy_ports_all(s->ports, s->n_ports))
		return true;
	policy_error_at(rd, v, "", v->text,
			": only tcp, udp and sctp have ports, '*' is expected");
	return false;
}

/* HOST:PORTS of an acl's dst, a service of its own. */
static void read_acl_dst(struct policy_reader *rd, const struct hujson *v,
			 struct rule_reader *rr)
{
	struct policy_rule *rule = &rr->rule;
	struct policy_service s = { .proto = rr->proto,
				    .first_dst = rule->n_dst, .n_dst = 1 };
	_cleanup_free_ char *host = NULL;
	const char *ports;

	if (!policy_split_ports(rd->report, v, &host, &ports) ||
	    !policy_read_selector(rd->policy, rd->report, v, host,
				  POLICY_ROLE_DST, &rule->dst[rule->n_dst]) ||
	    !policy_read_ports(rd->report, v, ports, &s.ports, &s.n_ports))
		return;
	ports_fit(rd, v, &s);
	rule->n_dst++;
	rule->services[rule->n_services++] = s;
}

/* "*", PORTS or PROTO:PORTS of a grant's ip, for all its destinations. */
static void read_grant_ip(struct policy_reader *rd, const struct hujson *v,
			  struct policy_rule *rule)
{
	struct policy_service s = { .n_dst = rule->n_dst };
	_cleanup_free_ char *proto = xstrdup(v->text);
	char *colon = strchr(proto, ':');
	const char *ports = v->text;

	if (colon) {
		*colon = '\0';
		ports = v->text + (colon - proto) + 1;
		if (!policy_read_proto(rd->report, v, proto, &s.proto))
			return;
	}
	if (!policy_read_ports(rd->report, v, ports, &s.ports, &s.n_ports))
		return;
	ports_fit(rd, v, &s);
	rule->services[rule->n_services++] = s;
}

/* autogroup:self is for people's own nodes, so its sources must be people. */
static void check_self(struct policy_reader *rd, const struct rule_reader *rr,
		       bool grant)
{
	const struct policy_rule *rule = &rr->rule;
	bool self = false;
	size_t i;

	for (i = 0; i < rule->n_dst; i++)
		self = self || rule->dst[i].what == POLICY_SELF;
	for (i = 0; self && i < rule->n_src; i++) {
		enum policy_what what = rule->src[i].what;

		if (what == POLICY_USER || what == POLICY_GROUP ||
		    what == POLICY_MEMBER || (what == POLICY_ANY && !grant))
			continue;
		policy_note(rd->report, false, rr->src->line, rr->src->column,
			    "with the destination autogroup:self, sources are users, groups or autogroup:member%s",
			    grant ? "" : " or *");
		return;
	}
}

static void add_rule(struct policy_reader *rd, const struct hujson *at,
		     const struct policy_rule *rule)
{
	struct policy *p = rd->policy;

	if (p->n_rules == POLICY_MAX_RULES)
		policy_note(rd->report, false, at->line, at->column,
			    "more than %u rules", POLICY_MAX_RULES);
	p->rules = xrealloc(p->rules, p->n_rules + 1, sizeof(*p->rules));
	p->rules[p->n_rules++] = *rule;
}

static void read_acl(struct policy_reader *rd, const struct hujson *o)
{
	static const struct policy_field fields[] = {
		{ FIELD("action", HUJSON_STRING, read_action), .needed = true },
		{ FIELD("proto", HUJSON_STRING, read_proto), .number = true },
		{ FIELD("src", HUJSON_ARRAY, read_src), .needed = true },
		{ FIELD("dst", HUJSON_ARRAY, read_dst), .needed = true },
		{ "srcPosture", .refused = NO_POSTURE },
		{ "users", .refused = "it is called src now" },
		{ "ports", .refused = "it is called dst now" },
	};
	struct rule_reader rr = { 0 };
	const struct hujson *v;
	size_t n;

	policy_read_object(rd, o, fields, ARRAY_SIZE(fields), &rr);
	n = rr.dst ? rr.dst->n_children : 0;
	rr.rule.dst = xcalloc(n + 1, sizeof(*rr.rule.dst));
	rr.rule.services = xcalloc(n + 1, sizeof(*rr.rule.services));
	for (v = n ? rr.dst->children : NULL; v; v = v->next)
		if (policy_is_kind(rd, v, HUJSON_STRING, "a destination"))
			read_acl_dst(rd, v, &rr);
	check_self(rd, &rr, false);
	add_rule(rd, o, &rr.rule);
}

/* All addresses as a grant's destination: which of them is meant? */
static void check_default_route(struct policy_reader *rd, const struct hujson *dst)
{
	const struct hujson *v;
	struct prefix p;

	for (v = dst->children; v; v = v->next)
		if (v->kind == HUJSON_STRING && !prefix_parse(&p, v->text) &&
		    prefix_is_default(&p))
			policy_error_at(rd, v, "", v->text,
					" is not a grant's destination; write * or autogroup:internet");
}

/* Nobody goes by a router to what is in the tailnet itself. */
static void check_via(struct policy_reader *rd, const struct hujson *dst,
		      const struct policy_rule *rule)
{
	const struct hujson *v = dst->children;
	size_t i;

	if (!rule->n_via || rule->n_dst != dst->n_children)
		return; /* some is an error already */
	for (i = 0; i < rule->n_dst; i++, v = v->next)
		if (rule->dst[i].what != POLICY_RANGE &&
		    rule->dst[i].what != POLICY_INTERNET)
			policy_note(rd->report, true, v->line, v->column,
				    "\"%.80s\" has no effect: via is for subnets and autogroup:internet",
				    v->text);
}

static void read_grant(struct policy_reader *rd, const struct hujson *o)
{
	static const struct policy_field fields[] = {
		{ FIELD("src", HUJSON_ARRAY, read_src), .needed = true },
		{ FIELD("dst", HUJSON_ARRAY, read_dst), .needed = true },
		{ FIELD("ip", HUJSON_ARRAY, read_ip) },
		{ FIELD("app", HUJSON_OBJECT, read_app) },
		{ FIELD("via", HUJSON_ARRAY, read_via) },
		{ "srcPosture", .refused = NO_POSTURE },
	};
	struct rule_reader rr = { 0 };
	const struct hujson *v;
	size_t n;

	policy_read_object(rd, o, fields, ARRAY_SIZE(fields), &rr);
	if ((!rr.ip || !rr.ip->n_children) && !rr.app)
		policy_note(rd->report, false, o->line, o->column,
			    "this grant has no ip, such as [\"tcp:443\"] or [\"*\"]");
	if (rr.dst) {
		policy_read_selectors(rd, rr.dst, POLICY_ROLE_DST, &rr.rule.dst,
				      &rr.rule.n_dst);
		check_default_route(rd, rr.dst);
		check_via(rd, rr.dst, &rr.rule);
	}
	n = rr.ip ? rr.ip->n_children : 0;
	rr.rule.services = xcalloc(n + 1, sizeof(*rr.rule.services));
	for (v = n ? rr.ip->children : NULL; v; v = v->next)
		if (policy_is_kind(rd, v, HUJSON_STRING, "an entry of ip"))
			read_grant_ip(rd, v, &rr.rule);
	check_self(rd, &rr, true);
	add_rule(rd, o, &rr.rule);
}

void policy_read_acls(struct policy_reader *rd, const struct hujson *list, void *out)
{
	const struct hujson *v;

	rd->policy->has_rules = true;
	for (v = list->children; v; v = v->next)
		if (policy_is_kind(rd, v, HUJSON_OBJECT, "a rule"))
			read_acl(rd, v);
}

void policy_read_grants(struct policy_reader *rd, const struct hujson *list,
			void *out)
{
	const struct hujson *v;

	rd->policy->has_rules = true;
	for (v = list->children; v; v = v->next)
		if (policy_is_kind(rd, v, HUJSON_OBJECT, "a grant"))
			read_grant(rd, v);
}
