// SPDX-License-Identifier: GPL-2.0
#include "kernel/policy.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>

#include "kernel/list.h"
#include "lib/util.h"

static int compare_u8(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

static int compare_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_addr));
}

static int compare_dst(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_dst));
}

static int compare_lists(const void *a, size_t n_a, const void *b, size_t n_b,
			 size_t size)
{
	if (n_a != n_b)
		return n_a < n_b ? -1 : 1;
	return n_a ? memcmp(a, b, n_a * size) : 0;
}

static int compare_rules(const void *a, const void *b)
{
	const struct kernel_rule *x = a, *y = b;
	int c = (x->id > y->id) - (x->id < y->id);

	if (!c)
		c = compare_lists(x->protos, x->n_protos, y->protos,
				  y->n_protos, 1);
	if (!c)
		c = compare_lists(x->src, x->n_src, y->src, y->n_src,
				  sizeof(*x->src));
	if (!c)
		c = compare_lists(x->src_caps, x->n_src_caps, y->src_caps,
				  y->n_src_caps, sizeof(*x->src_caps));
	if (!c)
		c = compare_lists(x->dst, x->n_dst, y->dst, y->n_dst,
				  sizeof(*x->dst));
	return c;
}

static void free_rule(struct kernel_rule *r)
{
	free((void *)r->protos);
	free((void *)r->src);
	free((void *)r->src_caps);
	free((void *)r->dst);
}

/* The lists' order, in place; they are ours though the struct says const. */
static void sort_rule(struct kernel_rule *r)
{
	r->n_protos = list_unique((void *)r->protos, r->n_protos, 1, compare_u8);
	r->n_src = list_unique((void *)r->src, r->n_src, sizeof(*r->src),
			  compare_addr);
	r->n_src_caps = list_unique((void *)r->src_caps, r->n_src_caps,
			       sizeof(*r->src_caps), list_compare_u32);
	r->n_dst = list_unique((void *)r->dst, r->n_dst, sizeof(*r->dst),
			  compare_dst);
}

static void sort_policy(struct policy *p)
{
	size_t i;

	p->n_local = list_unique(p->local, p->n_local, sizeof(*p->local),
			    compare_addr);
	for (i = 0; i < p->n_rules; i++)
		sort_rule(&p->rules[i]);
	if (p->n_rules)
		qsort(p->rules, p->n_rules, sizeof(*p->rules), compare_rules);
}

static size_t part(size_t n, size_t from)
{
	return n - from < POLICY_PART ? n - from : POLICY_PART;
}

/*
 * One part: sources from @src on, destinations from @dst on. Protocol 0 never
 * reaches a rule and stands for "a protocol list with nothing in it".
 */
static void add_part(struct policy *p, const struct kernel_rule *whole,
		     size_t src, size_t dst)
{
	static const uint8_t nothing = 0;
	struct kernel_rule *r = list_add(p->rules, &p->n_rules);

	r->id = whole->id;
	r->n_protos = whole->n_protos;
	if (whole->protos && !whole->n_protos)
		r->protos = list_copy(&nothing, r->n_protos = 1, 1);
	else
		r->protos = list_copy(whole->protos, r->n_protos, 1);
	r->n_src = part(whole->n_src, src);
	r->src = list_copy(whole->src + src, r->n_src, sizeof(*r->src));
	r->n_dst = part(whole->n_dst, dst);
	r->dst = list_copy(whole->dst + dst, r->n_dst, sizeof(*r->dst));
	if (src)
		return;
	r->n_src_caps = whole->n_src_caps;
	r->src_caps = list_copy(whole->src_caps, r->n_src_caps,
				sizeof(*r->src_caps));
}

static void add_rule(struct policy *p, const struct kernel_rule *from)
{
	struct kernel_rule r = *from;
	size_t src = 0, dst;

	/* nothing from nowhere matches nothing */
	if (!r.n_dst || (!r.n_src && !r.n_src_caps))
		return;
	r.src = list_copy(r.src, r.n_src, sizeof(*r.src));
	r.dst = list_copy(r.dst, r.n_dst, sizeof(*r.dst));
	r.src_caps = list_copy(r.src_caps, r.n_src_caps, sizeof(*r.src_caps));
	r.protos = NULL;
	r.n_protos = 0;
	sort_rule(&r);
	do {
		struct kernel_rule whole = r;

		whole.protos = from->protos;
		whole.n_protos = from->n_protos;
		for (dst = 0; dst < r.n_dst; dst += POLICY_PART)
			add_part(p, &whole, src, dst);
		src += POLICY_PART;
	} while (src < r.n_src);
	free_rule(&r);
}

void policy_from_state(struct policy *out, const struct kernel_state *state)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	out->flags = state->policy_flags;
	out->n_local = state->n_local;
	out->local = list_copy(state->local, state->n_local,
			       sizeof(*state->local));
	for (i = 0; i < state->n_rules; i++)
		add_rule(out, &state->rules[i]);
	sort_policy(out);
}

bool policy_equal(const struct policy *a, const struct policy *b)
{
	size_t i;

	if (a->flags != b->flags || a->n_rules != b->n_rules ||
	    compare_lists(a->local, a->n_local, b->local, b->n_local,
			  sizeof(*a->local)))
		return false;
	for (i = 0; i < a->n_rules; i++)
		if (compare_rules(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

void policy_clear(struct policy *p)
{
	size_t i;

	for (i = 0; i < p->n_rules; i++)
		free_rule(&p->rules[i]);
	free(p->rules);
	free(p->local);
	memset(p, 0, sizeof(*p));
}

/* The dump. */

static void *read_list(const struct nlattr *a, size_t size, size_t *n)
{
	*n = a ? mnl_attr_get_payload_len(a) / size : 0;
	return *n ? list_copy(mnl_attr_get_payload(a), *n, size) : NULL;
}

static void read_rule(struct policy *p, const struct nlattr *nest)
{
	const struct nlattr *tb[TAILRACE_A_RULE_MAX + 1];
	struct kernel_rule *r = list_add(p->rules, &p->n_rules);

	netlink_nest_attrs(nest, tb, ARRAY_SIZE(tb));
	r->id = attr_u32(tb[TAILRACE_A_RULE_ID]);
	r->protos = read_list(tb[TAILRACE_A_RULE_PROTOS], 1, &r->n_protos);
	r->src = read_list(tb[TAILRACE_A_RULE_SRC], sizeof(*r->src),
			   &r->n_src);
	r->src_caps = read_list(tb[TAILRACE_A_RULE_SRC_CAPS],
				sizeof(*r->src_caps), &r->n_src_caps);
	r->dst = read_list(tb[TAILRACE_A_RULE_DST], sizeof(*r->dst),
			   &r->n_dst);
	r->hits = attr_u64(tb[TAILRACE_A_RULE_HITS]);
}

static void read_local(struct policy *p, const struct nlattr *a)
{
	size_t n = mnl_attr_get_payload_len(a) / sizeof(*p->local);

	if (!n)
		return;
	p->local = xrealloc(p->local, p->n_local + n, sizeof(*p->local));
	memcpy(p->local + p->n_local, mnl_attr_get_payload(a),
	       n * sizeof(*p->local));
	p->n_local += n;
}

static void on_policy(void *ctx, const struct nlmsghdr *h)
{
	struct policy *p = ctx;
	const struct nlattr *a;

	/* LOCAL and RULE repeat */
	mnl_attr_for_each(a, h, GENL_HDRLEN) {
		switch (mnl_attr_get_type(a)) {
		case TAILRACE_A_POLICY_FLAGS:
			p->flags = attr_u32(a);
			break;
		case TAILRACE_A_POLICY_GENERATION:
			p->generation = attr_u32(a);
			break;
		case TAILRACE_A_POLICY_LOCAL:
			read_local(p, a);
			break;
		case TAILRACE_A_POLICY_RULE:
			read_rule(p, a);
			break;
		}
	}
}

int policy_get(struct netlink *nl, uint16_t family, uint32_t link,
	       struct policy *out)
{
	int err = -EAGAIN, tries;

	memset(out, 0, sizeof(*out));
	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		struct nlmsghdr *h = netlink_begin_genl(
			nl, family, TAILRACE_CMD_POLICY_GET,
			TAILRACE_FAMILY_VERSION, NLM_F_DUMP);

		policy_clear(out);
		mnl_attr_put_u32(h, TAILRACE_A_POLICY_IFINDEX, link);
		err = netlink_ask(nl, h, on_policy, out);
	}
	if (err)
		policy_clear(out);
	else
		sort_policy(out);
	return err;
}

/* Appends to a list of a rule, which is ours though the struct says const. */
#define JOIN(to, from, list)                                                  \
	do {                                                                  \
		void *all_ = xrealloc((void *)(to)->list,                     \
				      (to)->n_##list + (from)->n_##list,      \
				      sizeof(*(to)->list));                   \
		if ((from)->n_##list)                                         \
			memcpy((char *)all_ +                                 \
				       (to)->n_##list * sizeof(*(to)->list),  \
			       (from)->list,                                  \
			       (from)->n_##list * sizeof(*(to)->list));       \
		(to)->list = all_;                                            \
		(to)->n_##list += (from)->n_##list;                           \
	} while (0)

void policy_join(struct policy *p)
{
	size_t i, kept = 0;

	for (i = 0; i < p->n_rules; i++) {
		struct kernel_rule *from = &p->rules[i], *to;

		if (!kept || p->rules[kept - 1].id != from->id) {
			p->rules[kept++] = *from;
			continue;
		}
		to = &p->rules[kept - 1];
		JOIN(to, from, src);
		JOIN(to, from, src_caps);
		JOIN(to, from, dst);
		to->hits += from->hits;
		free_rule(from);
	}
	p->n_rules = kept;
	for (i = 0; i < kept; i++)
		sort_rule(&p->rules[i]);
}

/* The transaction. */

static struct nlmsghdr *begin(struct netlink *nl, uint16_t family,
			      uint32_t link, enum tailrace_cmd cmd)
{
	struct nlmsghdr *h = netlink_begin_genl(nl, family, cmd,
						TAILRACE_FAMILY_VERSION, 0);

	mnl_attr_put_u32(h, TAILRACE_A_POLICY_IFINDEX, link);
	return h;
}

static void put_list(struct nlmsghdr *h, uint16_t type, const void *list,
		     size_t n, size_t size)
{
	if (n)
		mnl_attr_put(h, type, n * size, list);
}

static void put_rule(struct nlmsghdr *h, const struct kernel_rule *r)
{
	struct nlattr *nest = mnl_attr_nest_start(h, TAILRACE_A_POLICY_RULE);

	mnl_attr_put_u32(h, TAILRACE_A_RULE_ID, r->id);
	put_list(h, TAILRACE_A_RULE_PROTOS, r->protos, r->n_protos, 1);
	put_list(h, TAILRACE_A_RULE_SRC, r->src, r->n_src, sizeof(*r->src));
	put_list(h, TAILRACE_A_RULE_SRC_CAPS, r->src_caps, r->n_src_caps,
		 sizeof(*r->src_caps));
	put_list(h, TAILRACE_A_RULE_DST, r->dst, r->n_dst, sizeof(*r->dst));
	mnl_attr_nest_end(h, nest);
}

static int add_local(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct policy *p)
{
	size_t at, n;
	int err = 0;

	for (at = 0; !err && at < p->n_local; at += n) {
		struct nlmsghdr *h =
			begin(nl, family, link, TAILRACE_CMD_POLICY_ADD);

		n = part(p->n_local, at);
		put_list(h, TAILRACE_A_POLICY_LOCAL, p->local + at, n,
			 sizeof(*p->local));
		err = netlink_change(nl, h, NULL, NULL);
	}
	return err;
}

static int add_rules(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct policy *p)
{
	size_t i = 0;
	int err = 0;

	while (!err && i < p->n_rules) {
		struct nlmsghdr *h =
			begin(nl, family, link, TAILRACE_CMD_POLICY_ADD);

		while (i < p->n_rules && h->nlmsg_len < NETLINK_BATCH)
			put_rule(h, &p->rules[i++]);
		err = netlink_change(nl, h, NULL, NULL);
	}
	return err;
}

int policy_commit(struct netlink *nl, uint16_t family, uint32_t link,
		  const struct policy *p)
{
	struct nlmsghdr *h;
	int err;

	err = netlink_change(nl,
			     begin(nl, family, link, TAILRACE_CMD_POLICY_BEGIN),
			     NULL, NULL);
	if (!err)
		err = add_local(nl, family, link, p);
	if (!err)
		err = add_rules(nl, family, link, p);
	if (err)
		return err;
	h = begin(nl, family, link, TAILRACE_CMD_POLICY_COMMIT);
	mnl_attr_put_u32(h, TAILRACE_A_POLICY_FLAGS, p->flags);
	return netlink_change(nl, h, NULL, NULL);
}
