// SPDX-License-Identifier: GPL-2.0
/* A policy document: its life, its findings, what it says of tags and routes. */
#include "coord/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "coord/policy_doc.h"
#include "lib/util.h"

#define MESSAGE_MAX 300

void policy_note(struct policy_report *r, bool warning, unsigned int line,
		 unsigned int column, const char *fmt, ...)
{
	struct policy_message *m;
	char text[MESSAGE_MAX], *p;
	va_list ap;
	size_t same = warning ? r->n_messages - r->n_errors : r->n_errors;

	if (same >= POLICY_MAX_ERRORS) {
		r->more = r->more || !warning;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	r->messages = xrealloc(r->messages, r->n_messages + 1,
			       sizeof(*r->messages));
	m = &r->messages[r->n_messages++];
	m->warning = warning;
	m->line = line;
	m->column = column;
	m->text = xstrdup(text);
	r->n_errors += !warning;
}

static int by_place(const void *a, const void *b)
{
	const struct policy_message *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return strcmp(x->text, y->text);
}

void policy_report_sort(struct policy_report *r)
{
	if (r->n_messages)
		qsort(r->messages, r->n_messages, sizeof(*r->messages),
		      by_place);
}

void policy_report_clear(struct policy_report *r)
{
	size_t i;

	for (i = 0; i < r->n_messages; i++)
		free(r->messages[i].text);
	free(r->messages);
	memset(r, 0, sizeof(*r));
}

char *policy_message_format(const struct policy_message *m, const char *name)
{
	char *out;

	if (asprintf(&out, "%s:%u:%u: %s%s", name, m->line, m->column,
		     m->warning ? "warning: " : "", m->text) < 0)
		abort();
	return out;
}

static void free_names(struct policy *p)
{
	struct policy_user *u, *next_user;
	struct policy_group *g, *next_group;
	struct policy_tag *t, *next_tag;
	struct policy_host *h, *next_host;

	HASH_ITER(hh, p->groups, g, next_group) {
		HASH_DEL(p->groups, g);
		free(g->members);
		free(g->name);
		free(g);
	}
	HASH_ITER(hh, p->tags, t, next_tag) {
		HASH_DEL(p->tags, t);
		free(t->owners);
		free(t->name);
		free(t);
	}
	HASH_ITER(hh, p->hosts, h, next_host) {
		HASH_DEL(p->hosts, h);
		free(h->name);
		free(h);
	}
	HASH_ITER(hh, p->users, u, next_user) {
		HASH_DEL(p->users, u);
		free(u->login);
		free(u);
	}
}

void policy_free(struct policy *p)
{
	size_t i, k;

	if (!p)
		return;
	for (i = 0; i < p->n_rules; i++) {
		struct policy_rule *rule = &p->rules[i];

		for (k = 0; k < rule->n_services; k++)
			free(rule->services[k].ports);
		free(rule->services);
		free(rule->src);
		free(rule->dst);
		free(rule->via);
	}
	free(p->rules);
	for (i = 0; i < p->n_approvers; i++)
		free(p->approvers[i].who);
	free(p->approvers);
	free(p->exit_approvers);
	for (i = 0; i < p->n_attrs; i++) {
		for (k = 0; k < p->attrs[i].n_names; k++)
			free(p->attrs[i].names[k]);
		free(p->attrs[i].names);
		free(p->attrs[i].targets);
	}
	free(p->attrs);
	for (i = 0; i < p->n_tests; i++) {
		struct policy_test_case *t = &p->tests[i];

		for (k = 0; k < t->n_expectations; k++)
			free(t->expectations[k].text);
		free(t->expectations);
		free(t->src_text);
	}
	free(p->tests);
	free_names(p);
	free(p);
}

bool policy_tag_exists(const struct policy *p, const char *tag)
{
	struct policy_tag *t;

	if (!p)
		return false;
	HASH_FIND_STR(p->tags, tag, t);
	return t;
}

static bool has_tag(const char *const *tags, size_t n, const char *tag)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(tags[i], tag))
			return true;
	return false;
}

/* Someone who wants a tag or a route. */
struct applicant {
	const char *login; /* NULL: none */
	const struct policy_user *user; /* NULL: none that the file names */
	const char *const *tags;
	size_t n_tags;
};

/* Is the applicant, or does it bear, what @s names? */
static bool selects(const struct policy_selector *s, const struct applicant *a)
{
	switch (s->what) {
	case POLICY_USER:
		return a->user == s->user;
	case POLICY_GROUP:
		return a->user && policy_group_has(s->group, a->user);
	case POLICY_TAG:
		return has_tag(a->tags, a->n_tags, s->tag->name);
	case POLICY_MEMBER:
		return a->login;
	case POLICY_ANY:
	case POLICY_TAGGED:
	case POLICY_SELF:
	case POLICY_INTERNET:
	case POLICY_DANGER_ALL:
	case POLICY_RANGE:
		break; /* no owners: policy_names.c has seen to that */
	}
	return false;
}

/*
 * Does the applicant own @tag, if only as the owner of a tag that owns it?
 * Tags may own each other in circles.
 */
static bool owns(const struct policy *p, const struct policy_tag *tag,
		 const struct applicant *a)
{
	unsigned int n = HASH_COUNT(p->tags), done = 0, found = 1;
	_cleanup_free_ const struct policy_tag **queue =
		xcalloc(n, sizeof(*queue));
	_cleanup_free_ bool *seen = xcalloc(n, sizeof(*seen));
	size_t i;

	queue[0] = tag;
	seen[tag->id] = true;
	while (done < found) {
		const struct policy_tag *t = queue[done++];

		for (i = 0; i < t->n_owners; i++) {
			const struct policy_selector *s = &t->owners[i];

			if (selects(s, a))
				return true;
			if (s->what == POLICY_TAG && !seen[s->tag->id]) {
				seen[s->tag->id] = true;
				queue[found++] = s->tag;
			}
		}
	}
	return false;
}

bool policy_may_tag(const struct policy *p, const char *login,
		    const char *const *tags, size_t n_tags, const char *tag)
{
	struct applicant a = { login, NULL, tags, n_tags };
	struct policy_tag *t;

	if (!p)
		return false;
	HASH_FIND_STR(p->tags, tag, t);
	if (!t)
		return false;
	if (login)
		a.user = policy_find_user(p, login);
	return owns(p, t, &a);
}

static bool any_selects(const struct policy_selector *list, size_t n,
			const struct applicant *a)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (selects(&list[i], a))
			return true;
	return false;
}

bool policy_approves_route(const struct policy *p,
			   const struct policy_node *node,
			   const struct prefix *route)
{
	/* a tagged node no longer belongs to its user */
	struct applicant a = {
		.login = node->n_tags ? NULL : node->user,
		.tags = node->tags, .n_tags = node->n_tags,
	};
	size_t i;

	if (!p)
		return false;
	if (a.login)
		a.user = policy_find_user(p, a.login);
	if (prefix_is_default(route))
		return any_selects(p->exit_approvers, p->n_exit_approvers, &a);
	for (i = 0; i < p->n_approvers; i++) {
		const struct policy_approver *ap = &p->approvers[i];

		if (ap->prefix.bits <= route->bits &&
		    prefix_contains(&ap->prefix, &route->ip) &&
		    any_selects(ap->who, ap->n_who, &a))
			return true;
	}
	return false;
}
