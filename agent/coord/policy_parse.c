// SPDX-License-Identifier: GPL-2.0
/* A policy file's sections but the rules. */
#include <string.h>
#include <strings.h>

#include "coord/policy_read.h"
#include "lib/util.h"

/* ── groups, hosts, tagOwners ── */

static void read_groups(struct policy_reader *rd, const struct hujson *o, void *out)
{
	struct policy *p = rd->policy;
	const struct hujson *v, *m;

	for (v = o->children; v; v = v->next) {
		struct policy_group *g;

		if (strncmp(v->name, "group:", 6) || !v->name[6]) {
			policy_note(rd->report, false, v->name_line,
				    v->name_column,
				    "\"%.80s\" is no group, \"group:NAME\" is expected",
				    v->name);
			continue;
		}
		g = xcalloc(1, sizeof(*g));
		g->name = xstrdup(v->name);
		g->id = HASH_COUNT(p->groups);
		HASH_ADD_KEYPTR(hh, p->groups, g->name, strlen(g->name), g);
		if (v->kind == HUJSON_NULL ||
		    !policy_is_kind(rd, v, HUJSON_ARRAY, v->name))
			continue;
		g->members = xcalloc(v->n_children + 1, sizeof(struct policy_user *));
		for (m = v->children; m; m = m->next) {
			if (!policy_is_kind(rd, m, HUJSON_STRING, "a member"))
				continue;
			if (!strncmp(m->text, "group:", 6) ||
			    !strncmp(m->text, "autogroup:", 10))
				policy_error_at(rd, m, "", m->text,
						": a group has users, no groups");
			else if (!strchr(m->text, '@') ||
				 strpbrk(m->text, ":*"))
				policy_error_at(rd, m, "", m->text,
						" is no user, a name with an @ is expected");
			else
				g->members[g->n_members++] =
					policy_intern_user(p, m->text);
		}
	}
}

static void read_hosts(struct policy_reader *rd, const struct hujson *o, void *out)
{
	struct policy *p = rd->policy;
	const struct hujson *v;

	for (v = o->children; v; v = v->next) {
		struct policy_host *h;
		struct ip_range r;

		if (!*v->name || strpbrk(v->name, "@:*/ ") ||
		    policy_parse_range(v->name, &r)) {
			policy_note(rd->report, false, v->name_line,
				    v->name_column,
				    "\"%.80s\" cannot be a host's name: no address, none of @ : * / or blanks",
				    v->name);
			continue;
		}
		if (!policy_is_kind(rd, v, HUJSON_STRING, v->name))
			continue;
		if (!policy_parse_range(v->text, &r)) {
			policy_error_at(rd, v, "", v->text,
					" is no address and no prefix");
			continue;
		}
		h = xcalloc(1, sizeof(*h));
		h->name = xstrdup(v->name);
		h->range = r;
		HASH_ADD_KEYPTR(hh, p->hosts, h->name, strlen(h->name), h);
	}
}

static bool is_tag_name(const char *name)
{
	size_t n;

	if (strncmp(name, "tag:", 4))
		return false;
	name += 4;
	n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789-_.");
	return n && !name[n] && (*name | 32) >= 'a' && (*name | 32) <= 'z';
}

/* Tags first: owners may be tags that come later. */
static void read_tag_names(struct policy_reader *rd, const struct hujson *o)
{
	struct policy *p = rd->policy;
	const struct hujson *v;

	for (v = o->children; v; v = v->next) {
		struct policy_tag *t;

		if (!is_tag_name(v->name)) {
			policy_note(rd->report, false, v->name_line,
				    v->name_column,
				    "\"%.80s\" is no tag, \"tag:NAME\" is expected: a letter, then letters, digits, - _ .",
				    v->name);
			continue;
		}
		t = xcalloc(1, sizeof(*t));
		t->name = xstrdup(v->name);
		t->id = HASH_COUNT(p->tags);
		HASH_ADD_KEYPTR(hh, p->tags, t->name, strlen(t->name), t);
	}
}

static void read_tag_owners(struct policy_reader *rd, const struct hujson *o,
			    void *out)
{
	struct policy *p = rd->policy;
	const struct hujson *v;
	struct policy_tag *t;

	read_tag_names(rd, o);
	for (v = o->children; v; v = v->next) {
		HASH_FIND_STR(p->tags, v->name, t);
		if (!t || v->kind == HUJSON_NULL ||
		    !policy_is_kind(rd, v, HUJSON_ARRAY, v->name))
			continue;
		policy_read_selectors(rd, v, POLICY_ROLE_OWNER, &t->owners,
				      &t->n_owners);
	}
}

/* ── autoApprovers ── */

static void read_routes(struct policy_reader *rd, const struct hujson *o, void *out)
{
	struct policy *p = rd->policy;
	const struct hujson *v;

	p->approvers = xcalloc(o->n_children + 1, sizeof(*p->approvers));
	for (v = o->children; v; v = v->next) {
		struct policy_approver *a = &p->approvers[p->n_approvers];

		if (prefix_parse(&a->prefix, v->name)) {
			policy_note(rd->report, false, v->name_line,
				    v->name_column,
				    "\"%.80s\" is no prefix such as 10.0.0.0/8",
				    v->name);
			continue;
		}
		if (v->kind == HUJSON_NULL ||
		    !policy_is_kind(rd, v, HUJSON_ARRAY, v->name))
			continue;
		policy_read_selectors(rd, v, POLICY_ROLE_OWNER, &a->who, &a->n_who);
		p->n_approvers++;
	}
}

static void read_exit_node(struct policy_reader *rd, const struct hujson *v,
			   void *out)
{
	policy_read_selectors(rd, v, POLICY_ROLE_OWNER, &rd->policy->exit_approvers,
			      &rd->policy->n_exit_approvers);
}

static void read_approvers(struct policy_reader *rd, const struct hujson *o,
			   void *out)
{
	static const struct policy_field fields[] = {
		{ FIELD("routes", HUJSON_OBJECT, read_routes) },
		{ FIELD("exitNode", HUJSON_ARRAY, read_exit_node) },
		{ "services", .ignored = "there are no services here" },
	};

	policy_read_object(rd, o, fields, ARRAY_SIZE(fields), NULL);
}

/* ── nodeAttrs ── */

static void read_targets(struct policy_reader *rd, const struct hujson *v, void *out)
{
	struct policy_attr_rule *a = out;

	policy_read_selectors(rd, v, POLICY_ROLE_TARGET, &a->targets, &a->n_targets);
}

static void read_attr(struct policy_reader *rd, const struct hujson *list, void *out)
{
	struct policy_attr_rule *a = out;
	const struct hujson *v;

	a->names = xcalloc(list->n_children + 1, sizeof(char *));
	for (v = list->children; v; v = v->next)
		if (policy_is_kind(rd, v, HUJSON_STRING, "an attribute"))
			a->names[a->n_names++] = xstrdup(v->text);
}

static void add_attr_rule(struct policy *p, const struct policy_attr_rule *a)
{
	p->attrs = xrealloc(p->attrs, p->n_attrs + 1, sizeof(*p->attrs));
	p->attrs[p->n_attrs++] = *a;
}

static void read_node_attrs(struct policy_reader *rd, const struct hujson *list,
			    void *out)
{
	static const struct policy_field fields[] = {
		{ FIELD("target", HUJSON_ARRAY, read_targets), .needed = true },
		{ FIELD("attr", HUJSON_ARRAY, read_attr) },
		{ "app", .ignored = "this server grants no application capabilities" },
		{ "ipPool", .ignored = "addresses come from one pool here" },
	};
	const struct hujson *v;

	for (v = list->children; v; v = v->next) {
		struct policy_attr_rule a = { 0 };

		if (!policy_is_kind(rd, v, HUJSON_OBJECT, "an entry"))
			continue;
		policy_read_object(rd, v, fields, ARRAY_SIZE(fields), &a);
		add_attr_rule(rd->policy, &a);
	}
}

static void read_randomize(struct policy_reader *rd, const struct hujson *v,
			   void *out)
{
	struct policy_attr_rule a = { .n_targets = 1, .n_names = 1 };

	if (!v->boolean)
		return;
	a.targets = xcalloc(1, sizeof(*a.targets));
	a.targets->what = POLICY_ANY;
	a.names = xcalloc(1, sizeof(char *));
	a.names[0] = xstrdup("randomize-client-port");
	add_attr_rule(rd->policy, &a);
}

/* ── tests ── */

static void read_test_src(struct policy_reader *rd, const struct hujson *v, void *out)
{
	struct policy_test_case *t = out;

	t->src_text = xstrdup(v->text);
	policy_read_selector(rd->policy, rd->report, v, v->text,
			     POLICY_ROLE_TEST_SRC, &t->src);
}

static void read_test_proto(struct policy_reader *rd, const struct hujson *v,
			    void *out)
{
	struct policy_test_case *t = out;

	if (*v->text &&
	    policy_read_proto(rd->report, v, v->text, &t->proto) &&
	    !policy_has_ports(t->proto))
		policy_error_at(rd, v, "", v->text,
				": tests are of tcp, udp or sctp");
}

static bool one_address(const struct policy_selector *s)
{
	return s->what != POLICY_RANGE ||
	       ip_equal(&s->range.first, &s->range.last);
}

static void read_expectation(struct policy_reader *rd, const struct hujson *v,
			     struct policy_expectation *e)
{
	_cleanup_free_ char *host = NULL;
	_cleanup_free_ struct policy_ports *ports = NULL;
	const char *text;
	size_t n;

	e->place.line = v->line;
	e->place.column = v->column;
	e->text = xstrdup(v->text);
	if (!policy_split_ports(rd->report, v, &host, &text) ||
	    !policy_read_selector(rd->policy, rd->report, v, host,
				  POLICY_ROLE_TEST_DST, &e->dst) ||
	    !policy_read_ports(rd->report, v, text, &ports, &n))
		return;
	if (n != 1 || ports->first != ports->last)
		policy_error_at(rd, v, "", v->text, ": a test has one port");
	else if (!one_address(&e->dst))
		policy_error_at(rd, v, "", v->text, ": a test has one destination");
	else
		e->port = ports->first;
}

static void read_expectations(struct policy_reader *rd, const struct hujson *list,
			      struct policy_test_case *t, bool accept)
{
	const struct hujson *v;

	t->expectations = xrealloc(t->expectations,
				   t->n_expectations + list->n_children + 1,
				   sizeof(*t->expectations));
	for (v = list->children; v; v = v->next) {
		struct policy_expectation *e;

		if (!policy_is_kind(rd, v, HUJSON_STRING, "a destination"))
			continue;
		e = &t->expectations[t->n_expectations++];
		memset(e, 0, sizeof(*e));
		e->accept = accept;
		read_expectation(rd, v, e);
	}
}

static void read_accept(struct policy_reader *rd, const struct hujson *v, void *out)
{
	read_expectations(rd, v, out, true);
}

static void read_deny(struct policy_reader *rd, const struct hujson *v, void *out)
{
	read_expectations(rd, v, out, false);
}

static void read_tests(struct policy_reader *rd, const struct hujson *list, void *out)
{
	static const struct policy_field fields[] = {
		{ FIELD("src", HUJSON_STRING, read_test_src), .needed = true },
		{ FIELD("proto", HUJSON_STRING, read_test_proto), .number = true },
		{ FIELD("accept", HUJSON_ARRAY, read_accept) },
		{ FIELD("deny", HUJSON_ARRAY, read_deny) },
		{ "srcPostureAttrs", .refused = "device posture is not known here" },
	};
	struct policy *p = rd->policy;
	const struct hujson *v;

	p->tests = xcalloc(list->n_children + 1, sizeof(*p->tests));
	for (v = list->children; v; v = v->next) {
		struct policy_test_case *t = &p->tests[p->n_tests];

		if (!policy_is_kind(rd, v, HUJSON_OBJECT, "a test"))
			continue;
		p->n_tests++;
		t->place.line = v->line;
		t->place.column = v->column;
		policy_read_object(rd, v, fields, ARRAY_SIZE(fields), t);
		if (!t->n_expectations)
			policy_note(rd->report, false, v->line, v->column,
				    "this test expects nothing, accept or deny is missing");
	}
}

/* ── the whole ── */

/* In this order: names before those who use them. */
static const struct policy_field sections[] = {
	{ FIELD("groups", HUJSON_OBJECT, read_groups) },
	{ FIELD("hosts", HUJSON_OBJECT, read_hosts) },
	{ FIELD("tagOwners", HUJSON_OBJECT, read_tag_owners) },
	{ FIELD("acls", HUJSON_ARRAY, policy_read_acls) },
	{ FIELD("grants", HUJSON_ARRAY, policy_read_grants) },
	{ FIELD("autoApprovers", HUJSON_OBJECT, read_approvers) },
	{ FIELD("nodeAttrs", HUJSON_ARRAY, read_node_attrs) },
	{ FIELD("randomizeClientPort", HUJSON_BOOL, read_randomize) },
	{ FIELD("tests", HUJSON_ARRAY, read_tests) },
	{ "ssh", .ignored = "this server sends no SSH policy" },
	{ "sshTests", .ignored = "this server sends no SSH policy" },
	{ "derpMap", .ignored = "DERP maps are the server's configuration" },
	{ "postures", .ignored = "device posture is not known here" },
	{ "defaultSrcPosture", .refused = NO_POSTURE },
	{ "ipsets", .ignored = "IP sets are not known here" },
	{ "disableIPv4", .ignored = "addresses are the server's configuration" },
	{ "oneCGNATRoute", .ignored = "write one-cgnat in nodeAttrs" },
};

/* A field that only one of @sections takes, all others let pass. */
static void read_sections(struct policy_reader *rd, struct hujson *root)
{
	struct hujson *sorted = NULL, **tail = &sorted, **link, *v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		for (link = &root->children; *link;) {
			v = *link;
			if (strcasecmp(v->name, sections[i].name)) {
				link = &v->next;
				continue;
			}
			*link = v->next;
			v->next = NULL;
			*tail = v;
			tail = &v->next;
		}
	}
	*tail = root->children; /* the unknown ones */
	root->children = sorted;
	policy_read_object(rd, root, sections, ARRAY_SIZE(sections), NULL);
}

struct policy *policy_parse(const char *text, size_t len,
			    struct policy_report *report)
{
	static const struct hujson_limits limits = {
		.bytes = POLICY_MAX_BYTES,
		.depth = POLICY_MAX_DEPTH,
		.values = POLICY_MAX_REFS,
	};
	struct policy_reader rd = { .report = report };
	struct hujson_error err;
	struct hujson *root = hujson_parse(text, len, &limits, &err);

	if (!root) {
		policy_note(report, false, err.line, err.column, "%s",
			    err.text);
		return NULL;
	}
	rd.policy = xcalloc(1, sizeof(*rd.policy));
	if (policy_is_kind(&rd, root, HUJSON_OBJECT, "the policy"))
		read_sections(&rd, root);
	hujson_free(root);
	policy_report_sort(report);
	if (!report->n_errors)
		return rd.policy;
	policy_free(rd.policy);
	return NULL;
}
