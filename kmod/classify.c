// SPDX-License-Identifier: GPL-2.0
#include "classify.h"

#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "packet.h"
#include "policy.h"

/* A destination of a rule, sorted by its ports. */
struct dst_ref {
	u16 port_first;
	u16 port_last;
	u32 index;
};

struct clause {
	u32 rule;
	u32 ref; /* the first of n_refs */
	u32 n_refs;
};

/* The clauses of a rule, n_clauses may be 0. */
struct rule_span {
	u32 first;
	u32 n;
	DECLARE_BITMAP(protos, 256);
};

struct build {
	struct tr_classifier *c;
	const struct tr_policy *policy;
	struct dst_ref *ref;
	struct clause *clause;
	u32 n_clauses;
	struct rule_span *span;
	struct tr_range *range; /* room for the most of any one list */
	struct tr_events events;
};

static const u8 default_protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
				     IPPROTO_ICMPV6 };
static const u8 families[] = { [TR_V4] = AF_INET, [TR_V6] = AF_INET6 };

static int compare_refs(const void *va, const void *vb)
{
	const struct dst_ref *a = va, *b = vb;

	if (a->port_first != b->port_first)
		return a->port_first < b->port_first ? -1 : 1;
	if (a->port_last != b->port_last)
		return a->port_last < b->port_last ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* Cut a rule into clauses; @ref has room for its destinations. */
static void add_clauses(struct build *b, u32 rule_index, u32 first_ref)
{
	const struct tr_rule *rule = b->policy->rule[rule_index];
	struct rule_span *span = &b->span[rule_index];
	struct dst_ref *ref = b->ref + first_ref;
	u32 i;

	span->first = b->n_clauses;
	if (!rule->n_srcs && !rule->n_caps)
		return;
	for (i = 0; i < rule->n_dsts; i++)
		ref[i] = (struct dst_ref){ rule->dsts[i].port_first,
					   rule->dsts[i].port_last, i };
	sort_nonatomic(ref, rule->n_dsts, sizeof(*ref), compare_refs, NULL);
	for (i = 0; i < rule->n_dsts; i++) {
		if (!i || ref[i].port_first != ref[i - 1].port_first ||
		    ref[i].port_last != ref[i - 1].port_last) {
			b->clause[b->n_clauses++] = (struct clause){
				.rule = rule_index,
				.ref = first_ref + i,
			};
			span->n++;
		}
		b->clause[b->n_clauses - 1].n_refs++;
	}

	if (rule->n_protos) {
		for (i = 0; i < rule->n_protos; i++)
			__set_bit(rule->protos[i], span->protos);
	} else {
		for (i = 0; i < ARRAY_SIZE(default_protos); i++)
			__set_bit(default_protos[i], span->protos);
	}
}

static int build_clauses(struct build *b)
{
	const struct tr_policy *policy = b->policy;
	u32 i, n_dsts = 0, longest = max(policy->n_local, 1U);

	for (i = 0; i < policy->n_rules; i++) {
		const struct tr_rule *rule = policy->rule[i];

		n_dsts += rule->n_dsts;
		longest = max3(longest, rule->n_dsts,
			       max(rule->n_srcs, rule->n_caps));
	}
	b->ref = kvmalloc_array(max(n_dsts, 1U), sizeof(*b->ref),
				GFP_KERNEL_ACCOUNT);
	b->clause = kvmalloc_array(max(n_dsts, 1U), sizeof(*b->clause),
				   GFP_KERNEL_ACCOUNT);
	b->span = kvcalloc(max(policy->n_rules, 1U), sizeof(*b->span),
			   GFP_KERNEL_ACCOUNT);
	b->range = kvmalloc_array(longest, sizeof(*b->range),
				  GFP_KERNEL_ACCOUNT);
	if (!b->ref || !b->clause || !b->span || !b->range)
		return -ENOMEM;

	n_dsts = 0;
	/* Shields up: the rules are only kept for dumps. */
	for (i = 0; i < policy->n_rules &&
		    !(policy->flags & TAILRACE_POLICY_SHIELDS_UP); i++) {
		add_clauses(b, i, n_dsts);
		n_dsts += policy->rule[i]->n_dsts;
		cond_resched();
	}

	b->c->rule = kvmalloc_array(max(b->n_clauses, 1U), sizeof(*b->c->rule),
				    GFP_KERNEL_ACCOUNT);
	if (!b->c->rule)
		return -ENOMEM;
	for (i = 0; i < b->n_clauses; i++)
		b->c->rule[i] = b->clause[i].rule;
	return tr_sets_init(&b->c->sets, b->n_clauses);
}

/* Turn the events gathered so far into a map. */
static int finish_map(struct build *b, struct tr_map *map, bool wide)
{
	int ret;

	ret = tr_map_build(map, &b->events, &b->c->sets, wide);
	tr_events_free(&b->events);
	cond_resched();
	return ret;
}

static int build_local(struct build *b, int f)
{
	const struct tr_policy *policy = b->policy;
	u32 i, n = 0;

	for (i = 0; i < policy->n_local; i++)
		n += tr_addr_bounds(&policy->local[i], families[f],
				    &b->range[n]);
	if (tr_events_add(&b->events, b->range, n, 0, 0))
		return -ENOMEM;
	return finish_map(b, &b->c->local[f], f == TR_V6);
}

static int build_src(struct build *b, int f)
{
	u32 i, k;

	for (i = 0; i < b->policy->n_rules; i++) {
		const struct tr_rule *rule = b->policy->rule[i];
		const struct rule_span *span = &b->span[i];
		u32 n = 0;

		if (!span->n)
			continue;
		for (k = 0; k < rule->n_srcs; k++)
			n += tr_addr_bounds(&rule->srcs[k], families[f],
					    &b->range[n]);
		if (tr_events_add(&b->events, b->range, n, span->first,
				  span->first + span->n - 1))
			return -ENOMEM;
		cond_resched();
	}
	return finish_map(b, &b->c->src[f], f == TR_V6);
}

static int build_cap(struct build *b)
{
	u32 i, k;

	for (i = 0; i < b->policy->n_rules; i++) {
		const struct tr_rule *rule = b->policy->rule[i];
		const struct rule_span *span = &b->span[i];

		if (!span->n)
			continue;
		for (k = 0; k < rule->n_caps; k++) {
			b->range[k].first.hi = 0;
			b->range[k].first.lo = rule->caps[k];
			b->range[k].last = b->range[k].first;
		}
		if (tr_events_add(&b->events, b->range, rule->n_caps,
				  span->first, span->first + span->n - 1))
			return -ENOMEM;
		cond_resched();
	}
	return finish_map(b, &b->c->cap, false);
}

/* The destinations of a clause in one family, into @b->range. */
static u32 clause_ranges(struct build *b, u32 clause, int f)
{
	const struct clause *cl = &b->clause[clause];
	const struct tr_rule *rule = b->policy->rule[cl->rule];
	u32 i, n = 0;

	for (i = 0; i < cl->n_refs; i++)
		n += tr_addr_bounds(&rule->dsts[b->ref[cl->ref + i].index].addr,
				    families[f], &b->range[n]);
	return n;
}

static int build_dst(struct build *b, int f)
{
	u32 i, n;

	for (i = 0; i < b->n_clauses; i++) {
		n = clause_ranges(b, i, f);
		if (tr_events_add(&b->events, b->range, n, i, i))
			return -ENOMEM;
		cond_resched();
	}
	return finish_map(b, &b->c->dst[f], f == TR_V6);
}

static int build_port(struct build *b)
{
	u32 i;

	for (i = 0; i < b->n_clauses; i++) {
		const struct dst_ref *ref = &b->ref[b->clause[i].ref];

		b->range[0] = (struct tr_range){ { .lo = ref->port_first },
						 { .lo = ref->port_last } };
		if (tr_events_add(&b->events, b->range, 1, i, i))
			return -ENOMEM;
	}
	return finish_map(b, &b->c->port, false);
}

/*
 * A set that does not come from a dimension: the clauses for which @member is
 * true. Neighbours share an event.
 */
static int build_set(struct build *b, u32 *root,
		     bool (*member)(struct build *b, u32 clause, u32 arg),
		     u32 arg)
{
	struct tr_event *e = NULL;
	u32 i, n = 0;
	int ret;

	/* At worst every other clause. */
	if (b->events.max < b->n_clauses / 2 + 1) {
		tr_events_free(&b->events);
		b->events.max = b->n_clauses / 2 + 1;
		b->events.event = kvmalloc_array(b->events.max, sizeof(*e),
						 GFP_KERNEL_ACCOUNT);
		if (!b->events.event) {
			b->events.max = 0;
			return -ENOMEM;
		}
	}
	for (i = 0; i < b->n_clauses; i++) {
		if (!member(b, i, arg))
			continue;
		if (e && e->last == i - 1) {
			e->last = i;
			continue;
		}
		e = &b->events.event[n++];
		*e = (struct tr_event){ .first = i, .last = i, .add = true };
	}
	*root = 0;
	ret = n ? tr_sets_apply(&b->c->sets, root, b->events.event, n) : 0;
	cond_resched();
	return ret;
}

static bool has_proto(struct build *b, u32 clause, u32 proto)
{
	return test_bit(proto, b->span[b->clause[clause].rule].protos);
}

static bool has_all_ports(struct build *b, u32 clause, u32 unused)
{
	const struct dst_ref *ref = &b->ref[b->clause[clause].ref];

	return ref->port_first == 0 && ref->port_last == 65535;
}

static bool has_family(struct build *b, u32 clause, u32 f)
{
	return clause_ranges(b, clause, f);
}

static int build_all(struct build *b)
{
	struct tr_classifier *c = b->c;
	u32 i;
	int f, ret;

	ret = build_clauses(b);
	for (f = TR_V4; !ret && f <= TR_V6; f++) {
		ret = build_local(b, f);
		if (!ret)
			ret = build_src(b, f);
		if (!ret)
			ret = build_dst(b, f);
		if (!ret)
			ret = build_set(b, &c->family[f], has_family, f);
	}
	if (!ret)
		ret = build_set(b, &c->all_ports, has_all_ports, 0);
	for (i = 0; !ret && i < ARRAY_SIZE(c->proto); i++)
		ret = build_set(b, &c->proto[i], has_proto, i);
	tr_events_free(&b->events);
	if (!ret)
		ret = build_port(b);
	if (!ret)
		ret = build_cap(b);
	tr_events_free(&b->events);
	return ret;
}

int tr_classifier_build(struct tr_classifier *c,
			const struct tr_policy *policy)
{
	struct build b = { .c = c, .policy = policy };
	int ret;

	ret = build_all(&b);
	kvfree(b.ref);
	kvfree(b.clause);
	kvfree(b.span);
	kvfree(b.range);
	if (ret)
		tr_classifier_free(c);
	else
		tr_sets_seal(&c->sets);
	return ret;
}

void tr_classifier_free(struct tr_classifier *c)
{
	int f;

	for (f = TR_V4; f <= TR_V6; f++) {
		tr_map_free(&c->local[f]);
		tr_map_free(&c->src[f]);
		tr_map_free(&c->dst[f]);
	}
	tr_map_free(&c->port);
	tr_map_free(&c->cap);
	tr_sets_free(&c->sets);
	kvfree(c->rule);
	*c = (struct tr_classifier){};
}

static int family_index(const struct tr_packet *pkt)
{
	return pkt->family == AF_INET ? TR_V4 : TR_V6;
}

bool tr_classifier_is_local(const struct tr_classifier *c,
			    const struct tr_packet *pkt)
{
	return tr_map_find(&c->local[family_index(pkt)],
			   tr_point_of(pkt->family, &pkt->dst));
}

static u32 cap_set(const struct tr_classifier *c, u32 cap)
{
	return tr_map_find(&c->cap, (struct tr_point){ .lo = cap });
}

/* ICMP looks at addresses only, and a capability opens every destination. */
static bool match_icmp(const struct tr_classifier *c, int f, u32 dst, u32 src,
		       const u32 *caps, u32 n_caps, u32 *clause)
{
	u32 roots[2] = { dst, src };
	u32 i;

	if (tr_sets_meet(&c->sets, roots, 2, clause))
		return true;
	roots[0] = c->family[f];
	for (i = 0; i < n_caps; i++) {
		roots[1] = cap_set(c, caps[i]);
		if (tr_sets_meet(&c->sets, roots, 2, clause))
			return true;
	}
	return false;
}

static bool match_ports(const struct tr_classifier *c, u8 proto, u16 port,
			u32 dst, u32 src, const u32 *caps, u32 n_caps,
			u32 *clause)
{
	u32 roots[4] = { src, dst, 0, c->proto[proto] };
	u32 i;

	if (!dst || !roots[3])
		return false;
	roots[2] = tr_map_find(&c->port, (struct tr_point){ .lo = port });
	if (tr_sets_meet(&c->sets, roots, 4, clause))
		return true;
	for (i = 0; i < n_caps; i++) {
		roots[0] = cap_set(c, caps[i]);
		if (tr_sets_meet(&c->sets, roots, 4, clause))
			return true;
	}
	return false;
}

bool tr_classifier_match(const struct tr_classifier *c,
			 const struct tr_packet *pkt, const u32 *caps,
			 u32 n_caps, u32 *rule)
{
	int f = family_index(pkt);
	u32 src, dst, clause;
	bool found;

	src = tr_map_find(&c->src[f], tr_point_of(pkt->family, &pkt->src));
	dst = tr_map_find(&c->dst[f], tr_point_of(pkt->family, &pkt->dst));

	if (tr_packet_is_icmp(pkt)) {
		found = match_icmp(c, f, dst, src, caps, n_caps, &clause);
	} else if (pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP ||
		   pkt->proto == IPPROTO_SCTP) {
		found = match_ports(c, pkt->proto, pkt->dport, dst, src, caps,
				    n_caps, &clause);
	} else {
		u32 roots[] = { src, dst, c->proto[pkt->proto], c->all_ports };

		found = tr_sets_meet(&c->sets, roots, 4, &clause);
	}
	if (found)
		*rule = c->rule[clause];
	return found;
}
