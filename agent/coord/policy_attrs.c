// SPDX-License-Identifier: GPL-2.0
/* What nodeAttrs give to nodes. */
#include <string.h>

#include "coord/policy_result.h"
#include "lib/util.h"

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_attrs(struct policy_member *m)
{
	size_t i, n = 0;

	if (!m->n_attrs)
		return;
	qsort(m->attrs, m->n_attrs, sizeof(*m->attrs), by_text);
	for (i = 1; i < m->n_attrs; i++)
		if (strcmp(m->attrs[n], m->attrs[i]))
			m->attrs[++n] = m->attrs[i];
	m->n_attrs = n + 1;
}

static void add_attrs(struct policy_result *r, struct policy_resolver *rs,
		      const struct policy_attr_rule *a)
{
	_cleanup_free_ uint64_t *nodes = xcalloc(r->words, sizeof(uint64_t));
	size_t i, k;

	for (i = 0; i < a->n_targets; i++)
		if (!policy_resolve(rs, &a->targets[i], nodes))
			policy_resolve_range(r, &a->targets[i].range, nodes);
	r->attr_names = xrealloc(r->attr_names, r->n_attr_names + a->n_names,
				 sizeof(char *));
	for (k = 0; k < a->n_names; k++)
		r->attr_names[r->n_attr_names + k] = xstrdup(a->names[k]);
	bits_for_each(nodes, i, r->n) {
		struct policy_member *m = &r->members[i];

		m->attrs = xrealloc(m->attrs, m->n_attrs + a->n_names,
				    sizeof(*m->attrs));
		for (k = 0; k < a->n_names; k++)
			m->attrs[m->n_attrs++] =
				r->attr_names[r->n_attr_names + k];
	}
	r->n_attr_names += a->n_names;
}

void policy_give_attrs(struct policy_result *r, struct policy_resolver *rs,
		       const struct policy *p)
{
	size_t i;

	for (i = 0; p && i < p->n_attrs; i++)
		add_attrs(r, rs, &p->attrs[i]);
	for (i = 0; i < r->n; i++)
		sort_attrs(&r->members[i]);
}

const char *const *policy_attrs(const struct policy_result *r, size_t i,
				size_t *n)
{
	*n = r->members[i].n_attrs;
	return r->members[i].attrs;
}
