// SPDX-License-Identifier: GPL-2.0
#include "kernel/alias.h"

#include <string.h>

#include "kernel/list.h"
#include "lib/util.h"

static int compare_endpoints(const void *a, const void *b)
{
	return endpoint_compare(a, b);
}

static int compare_peers(const void *a, const void *b)
{
	const struct alias *x = a, *y = b;

	return (x->peer > y->peer) - (x->peer < y->peer);
}

void alias_want(struct alias_list *list, const struct kernel_path *path,
		uint64_t age)
{
	struct alias *a = list_add(list->a, &list->n);
	size_t i;

	a->peer = path->peer;
	a->canonical = path->canonical;
	a->age = age;
	for (i = 0; i < path->n_seen; i++)
		if (path->seen[i].ip.family &&
		    !endpoint_equal(&path->seen[i], &path->canonical))
			*list_add(a->seen, &a->n_seen) = path->seen[i];
}

void alias_sort(struct alias_list *list)
{
	size_t i;

	if (list->n)
		qsort(list->a, list->n, sizeof(*list->a), compare_peers);
	for (i = 0; i < list->n; i++)
		list->a[i].n_seen = list_unique(
			list->a[i].seen, list->a[i].n_seen,
			sizeof(struct endpoint), compare_endpoints);
}

void alias_free(struct alias_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		free(list->a[i].seen);
	free(list->a);
	memset(list, 0, sizeof(*list));
}

static struct alias *find(const struct alias_list *list, uint32_t peer)
{
	struct alias wanted = { .peer = peer };

	return list->n ? bsearch(&wanted, list->a, list->n, sizeof(wanted),
				 compare_peers) :
			 NULL;
}

/* An endpoint and the alias that names it. */
struct holder {
	struct endpoint endpoint;
	size_t alias; /* index */
	uint64_t age;
};

static int compare_holders(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;
	int c = endpoint_compare(&x->endpoint, &y->endpoint);

	/* the newest first */
	return c ? c : (x->age < y->age) - (x->age > y->age);
}

static struct holder *holders(const struct alias_list *list, size_t *n)
{
	struct holder *h = NULL;
	size_t i, j;

	*n = 0;
	for (i = 0; i < list->n; i++) {
		const struct alias *a = &list->a[i];

		*list_add(h, n) =
			(struct holder){ a->canonical, i, a->age };
		for (j = 0; j < a->n_seen; j++)
			*list_add(h, n) =
				(struct holder){ a->seen[j], i, a->age };
	}
	if (*n)
		qsort(h, *n, sizeof(*h), compare_holders);
	return h;
}

static void lose(struct alias *a, const struct endpoint *e)
{
	size_t i, kept = 0;

	if (endpoint_equal(&a->canonical, e)) {
		memset(&a->canonical, 0, sizeof(a->canonical));
		return;
	}
	for (i = 0; i < a->n_seen; i++)
		if (!endpoint_equal(&a->seen[i], e))
			a->seen[kept++] = a->seen[i];
	a->n_seen = kept;
}

void alias_settle(struct alias_list *want)
{
	struct holder *h;
	size_t n, i, kept = 0;

	alias_sort(want);
	h = holders(want, &n);
	for (i = 1; i < n; i++)
		if (endpoint_equal(&h[i].endpoint, &h[i - 1].endpoint))
			lose(&want->a[h[i].alias], &h[i].endpoint);
	free(h);
	for (i = 0; i < want->n; i++) {
		if (want->a[i].canonical.ip.family)
			want->a[kept++] = want->a[i];
		else
			free(want->a[i].seen);
	}
	want->n = kept;
}

bool alias_equal(const struct alias *a, const struct alias *b)
{
	return a->n_seen == b->n_seen &&
	       endpoint_equal(&a->canonical, &b->canonical) &&
	       (!a->n_seen ||
		!memcmp(a->seen, b->seen, a->n_seen * sizeof(*a->seen)));
}

static int compare_holder_endpoints(const void *a, const void *b)
{
	return endpoint_compare(&((const struct holder *)a)->endpoint,
				&((const struct holder *)b)->endpoint);
}

/* Whether one of @a's endpoints goes to another peer. */
static bool in_the_way(const struct alias *a, const struct alias_list *want,
		       const struct holder *h, size_t n)
{
	size_t i;

	for (i = 0; n && i <= a->n_seen; i++) {
		struct holder wanted = {
			.endpoint = i ? a->seen[i - 1] : a->canonical,
		};
		const struct holder *at = bsearch(&wanted, h, n, sizeof(*h),
						  compare_holder_endpoints);

		if (at && want->a[at->alias].peer != a->peer)
			return true;
	}
	return false;
}

size_t alias_diff(struct alias_list *have, struct alias_list *want,
		  bool (*keep)(void *ctx, uint32_t peer), void *ctx,
		  struct alias_op **ops)
{
	struct holder *h;
	size_t n_holders, n = 0, i;

	*ops = NULL;
	alias_sort(have);
	alias_sort(want);
	h = holders(want, &n_holders);
	for (i = 0; i < have->n; i++) {
		struct alias *a = &have->a[i];
		bool wanted = find(want, a->peer);

		if (!in_the_way(a, want, h, n_holders) &&
		    (wanted || keep(ctx, a->peer)))
			continue;
		*list_add(*ops, &n) =
			(struct alias_op){ .del = true, .peer = a->peer };
		/* so that it is set again below */
		memset(&a->canonical, 0, sizeof(a->canonical));
	}
	for (i = 0; i < want->n; i++) {
		const struct alias *now = find(have, want->a[i].peer);

		if (!now || !alias_equal(now, &want->a[i]))
			*list_add(*ops, &n) =
				(struct alias_op){ .set = &want->a[i],
						   .peer = want->a[i].peer };
	}
	free(h);
	return n;
}
