// SPDX-License-Identifier: GPL-2.0
/* A policy's own tests. */
#include "coord/policy_test.h"

#include <string.h>

#include "coord/policy_compile.h"
#include "coord/policy_result.h"
#include "lib/util.h"

/* The nodes there are, and imagined ones for whom there is none. */
struct cast {
	struct policy_node *nodes;
	size_t n, n_real;
	struct ip_addr *addresses; /* two for each imagined node */
};

static const char *const some_tag = "tag:some";

/*
 * Imagined addresses lie at the end of 100.127/16 and of a /64 of the tailnet's
 * IPv6, where real ones are given out last; one that is in use is left out.
 */
static struct ip_addr imagined_address(const struct cast *c, unsigned int *next,
				       unsigned int family)
{
	struct ip_addr a = { .family = 6,
			     .b = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0,
				    0xff, 0xff } };
	unsigned int v;
	size_t i, k;

	for (;;) {
		v = 0x3ffffe - (*next)++ % 0x3ffffe;
		if (family == 4)
			a = ip_v4(100, (uint8_t)(64 | v >> 16),
				  (uint8_t)(v >> 8), (uint8_t)v);
		else
			put_be32(a.b + 12, v);
		for (i = 0; i < c->n_real; i++)
			for (k = 0; k < c->nodes[i].n_addresses; k++)
				if (ip_equal(&c->nodes[i].addresses[k], &a))
					goto taken;
		return a;
taken:;
	}
}

static void imagine(struct cast *c, const char *user, const char *const *tag,
		    unsigned int next[2])
{
	struct policy_node *node = &c->nodes[c->n];
	struct ip_addr *pair = &c->addresses[2 * (c->n - c->n_real)];

	pair[0] = imagined_address(c, &next[0], 4);
	pair[1] = imagined_address(c, &next[1], 6);
	*node = (struct policy_node){ .user = user, .addresses = pair,
				      .n_addresses = 2 };
	if (tag) {
		node->tags = tag;
		node->n_tags = 1;
	}
	c->n++;
}

static bool has_user(const struct policy *p, const struct cast *c,
		     const struct policy_user *u)
{
	size_t i;

	for (i = 0; i < c->n_real; i++)
		if (!c->nodes[i].n_tags && c->nodes[i].user &&
		    policy_find_user(p, c->nodes[i].user) == u)
			return true;
	return false;
}

static bool has_tag(const struct cast *c, const char *tag)
{
	size_t i, k;

	for (i = 0; i < c->n_real; i++)
		for (k = 0; k < c->nodes[i].n_tags; k++)
			if (!strcmp(c->nodes[i].tags[k], tag))
				return true;
	return false;
}

/* Who is wanted: users and tags that tests name, if by way of a group. */
struct wanted {
	bool *users, *tags; /* by id */
	size_t n;
};

static void want(bool *list, unsigned int id, struct wanted *w)
{
	w->n += !list[id];
	list[id] = true;
}

static void want_selected(const struct policy_selector *s, struct wanted *w)
{
	size_t i;

	if (s->what == POLICY_USER)
		want(w->users, s->user->id, w);
	else if (s->what == POLICY_TAG)
		want(w->tags, s->tag->id, w);
	else if (s->what == POLICY_GROUP)
		for (i = 0; i < s->group->n_members; i++)
			want(w->users, s->group->members[i]->id, w);
}

static void want_all(const struct policy *p, struct wanted *w)
{
	size_t i, k;

	w->users = xcalloc(HASH_COUNT(p->users), sizeof(*w->users));
	w->tags = xcalloc(HASH_COUNT(p->tags), sizeof(*w->tags));
	for (i = 0; i < p->n_tests; i++) {
		const struct policy_test_case *t = &p->tests[i];

		want_selected(&t->src, w);
		for (k = 0; k < t->n_expectations; k++)
			want_selected(&t->expectations[k].dst, w);
	}
}

static void cast_init(struct cast *c, const struct policy *p,
		      const struct policy_node *nodes, size_t n,
		      const struct wanted *w)
{
	size_t more = w->n + 2, i;
	struct policy_user *u, *next_user;
	struct policy_tag *t, *next_tag;
	unsigned int next[2] = { 0, 0 };
	bool member = false, tagged = false;

	c->nodes = xcalloc(n + more, sizeof(*c->nodes));
	c->addresses = xcalloc(2 * more, sizeof(*c->addresses));
	for (i = 0; i < n; i++)
		c->nodes[i] = nodes[i];
	c->n = n;
	c->n_real = n;
	HASH_ITER(hh, p->users, u, next_user) {
		if (w->users[u->id] && !has_user(p, c, u))
			imagine(c, u->login, NULL, next);
	}
	HASH_ITER(hh, p->tags, t, next_tag) {
		if (w->tags[t->id] && !has_tag(c, t->name))
			imagine(c, NULL, (const char *const *)&t->name, next);
	}
	/* for autogroup:member and autogroup:tagged */
	for (i = 0; i < c->n; i++) {
		member = member || (c->nodes[i].n_addresses &&
				    !c->nodes[i].n_tags);
		tagged = tagged || c->nodes[i].n_tags;
	}
	if (!member)
		imagine(c, "someone", NULL, next);
	if (!tagged)
		imagine(c, NULL, &some_tag, next);
}

static void cast_clear(struct cast *c)
{
	free(c->nodes);
	free(c->addresses);
}

/* Seconds, on a small machine. */
#define STEPS_MAX 200000000

struct run {
	const struct policy *policy;
	struct policy_report *report;
	struct policy_result *result;
	struct policy_resolver *resolver;
	uint64_t steps;
};

/* All addresses that @s stands for; with autogroup:self, those of @self. */
static struct ip_set addresses_of(struct run *run,
				  const struct policy_selector *s,
				  const uint64_t *self)
{
	struct policy_result *r = run->result;
	_cleanup_free_ uint64_t *nodes = xcalloc(r->words, sizeof(uint64_t));
	struct ip_set set = { 0 };
	size_t i, k;

	if (s->what == POLICY_RANGE) {
		/* an address that is no node's may be behind one */
		ip_set_add(&set, &s->range);
		return set;
	}
	if (s->what == POLICY_SELF)
		bits_or(nodes, self, r->words);
	else
		policy_resolve(run->resolver, s, nodes);
	bits_for_each(nodes, i, r->n) {
		for (k = 0; k < r->members[i].n_addresses; k++)
			ip_set_add_ip(&set, &r->members[i].addresses[k]);
	}
	return set;
}

/* The untagged nodes of the users whose nodes @from are. */
static uint64_t *own_nodes(const struct run *run, const struct ip_set *from)
{
	struct policy_result *r = run->result;
	uint64_t *nodes = xcalloc(r->words, sizeof(uint64_t));
	size_t i;

	for (i = 0; i < from->n; i++) {
		ssize_t at = policy_node_at(r, &from->ranges[i].first);
		int owner = at < 0 ? -1 : r->members[at].owner;

		if (owner >= 0)
			bits_or(nodes,
				policy_owner_nodes(run->resolver,
						   (size_t)owner),
				r->words);
	}
	return nodes;
}

/* Does @line lead to an address of @family among @to, which are @nodes'? */
static bool leads_to_some(struct run *run, const struct policy_line *line,
			  const struct ip_set *to, const ssize_t *nodes,
			  unsigned int family)
{
	size_t i;

	for (i = 0; i < to->n; i++) {
		const struct ip_addr *a = &to->ranges[i].first;

		run->steps++;
		if (a->family == family &&
		    policy_line_leads_to(line, a, nodes[i]))
			return true;
	}
	return false;
}

/* Marks who of @from reaches some address of @to. */
static void find_reached(struct run *run, const struct ip_set *from,
			 const struct ip_set *to, uint8_t proto, uint16_t port,
			 bool *reached)
{
	_cleanup_free_ ssize_t *nodes = xcalloc(to->n, sizeof(*nodes));
	size_t i, k;

	for (i = 0; i < to->n; i++)
		nodes[i] = policy_node_at(run->result, &to->ranges[i].first);
	for (i = 0; i < run->result->n_lines; i++) {
		const struct policy_line *line = &run->result->lines[i];
		bool v4, v6;

		if (run->steps > STEPS_MAX)
			return;
		run->steps++;
		if (!policy_line_opens(line, proto, port))
			continue;
		v4 = leads_to_some(run, line, to, nodes, 4);
		v6 = leads_to_some(run, line, to, nodes, 6);
		for (k = 0; k < from->n && (v4 || v6); k++) {
			const struct ip_addr *a = &from->ranges[k].first;

			run->steps++;
			if ((a->family == 4 ? v4 : v6) &&
			    ip_set_contains(&line->key->key.source->set, a))
				reached[k] = true;
		}
	}
}

static bool one_family(const struct ip_addr *a, const struct ip_set *to)
{
	size_t i;

	for (i = 0; i < to->n; i++)
		if (to->ranges[i].first.family == a->family)
			return true;
	return false;
}

/*
 * Accepted is what every address of the source can reach at one address of the
 * destination at least; denied what none can at any.
 */
static bool meets(struct run *run, const struct policy_test_case *t,
		  const struct policy_expectation *e, const struct ip_set *from,
		  const struct ip_set *to)
{
	_cleanup_free_ bool *reached = xcalloc(from->n, sizeof(*reached));
	size_t i, tried = 0;

	find_reached(run, from, to, t->proto, e->port, reached);
	for (i = 0; i < from->n; i++) {
		if (!one_family(&from->ranges[i].first, to))
			continue;
		tried++;
		if (e->accept != reached[i])
			return false;
	}
	return !e->accept || tried;
}

static size_t run_test(struct run *run, const struct policy_test_case *t)
{
	struct ip_set from = addresses_of(run, &t->src, NULL), to;
	_cleanup_free_ uint64_t *self = own_nodes(run, &from);
	size_t i, failed = 0;

	for (i = 0; i < t->n_expectations && run->steps <= STEPS_MAX; i++) {
		const struct policy_expectation *e = &t->expectations[i];
		const char *what = NULL;

		to = addresses_of(run, &e->dst, self);
		if (!from.n)
			what = "the source is nobody";
		else if (!to.n)
			what = "the destination is nobody";
		else if (!meets(run, t, e, &from, &to))
			what = e->accept ? "expected to be accepted, but denied" :
					   "expected to be denied, but accepted";
		ip_set_clear(&to);
		if (run->steps > STEPS_MAX)
			break; /* what is not known has not failed */
		if (!what)
			continue;
		failed++;
		policy_note(run->report, false, e->place.line, e->place.column,
			    "test failed: \"%.60s\" to \"%.60s\": %s",
			    t->src_text, e->text, what);
	}
	ip_set_clear(&from);
	return failed;
}

size_t policy_test(const struct policy *p, const struct policy_node *nodes,
		   size_t n, struct policy_report *report)
{
	struct run run = { .policy = p, .report = report };
	struct wanted wanted = { 0 };
	struct cast cast = { 0 };
	size_t i, failed = 0;

	if (!p->n_tests)
		return 0;
	want_all(p, &wanted);
	if (wanted.n > POLICY_MAX_IMAGINED) {
		policy_note(report, false, p->tests->place.line,
			    p->tests->place.column,
			    "the tests are about more than %u users and tags",
			    POLICY_MAX_IMAGINED);
		failed = 1;
		goto out;
	}
	cast_init(&cast, p, nodes, n, &wanted);
	run.result = policy_compile(p, cast.nodes, cast.n);
	run.resolver = policy_resolver_new(p, run.result, cast.nodes);
	for (i = 0; i < p->n_tests && run.steps <= STEPS_MAX; i++)
		failed += run_test(&run, &p->tests[i]);
	if (run.steps > STEPS_MAX) {
		policy_note(report, false, p->tests->place.line,
			    p->tests->place.column,
			    "the tests take too long: they are about too many nodes and rules");
		failed++;
	}
	policy_resolver_free(run.resolver);
	policy_result_free(run.result);
	cast_clear(&cast);
out:
	free(wanted.users);
	free(wanted.tags);
	policy_report_sort(report);
	return failed;
}

struct policy *policy_load(const char *text, size_t len,
			   const struct policy_node *nodes, size_t n,
			   struct policy_report *report)
{
	struct policy *p = policy_parse(text, len, report);

	if (p && policy_test(p, nodes, n, report)) {
		policy_free(p);
		return NULL;
	}
	return p;
}
