// SPDX-License-Identifier: GPL-2.0
#include "policy.h"

#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/string.h>

struct tr_policy *tr_policy_new(void)
{
	struct tr_policy *policy;

	policy = kvzalloc(sizeof(*policy), GFP_KERNEL_ACCOUNT);
	if (policy)
		INIT_LIST_HEAD(&policy->rules);
	return policy;
}

void tr_policy_free(struct tr_policy *policy)
{
	struct tr_rule *rule, *next;

	if (!policy)
		return;
	tr_classifier_free(&policy->classifier);
	list_for_each_entry_safe(rule, next, &policy->rules, list)
		kvfree(rule);
	kvfree(policy->rule);
	kvfree(policy->slot);
	kvfree(policy->local);
	kvfree(policy);
}

/* Account for @n more addresses, @n of any size. */
static int check_room(const struct tr_policy *policy, u64 n,
		      struct netlink_ext_ack *extack)
{
	if (n <= TAILRACE_MAX_RULE_ADDRS - policy->n_addrs)
		return 0;
	NL_SET_ERR_MSG(extack, "too many addresses in the policy");
	return -E2BIG;
}

int tr_policy_add_local(struct tr_policy *policy,
			const struct tailrace_addr *addrs, u32 n,
			struct netlink_ext_ack *extack)
{
	struct tailrace_addr *local;
	u32 i, max;
	int ret;

	ret = check_room(policy, n, extack);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		ret = tr_addr_check(&addrs[i], extack);
		if (ret)
			return ret;
	}
	if (policy->n_local + n > policy->max_local) {
		max = max(policy->n_local + n, policy->max_local * 2);
		local = kvmalloc_array(max, sizeof(*local), GFP_KERNEL_ACCOUNT);
		if (!local)
			return -ENOMEM;
		if (policy->n_local)
			memcpy(local, policy->local,
			       policy->n_local * sizeof(*local));
		kvfree(policy->local);
		policy->local = local;
		policy->max_local = max;
	}
	if (n)
		memcpy(policy->local + policy->n_local, addrs,
		       n * sizeof(*addrs));
	policy->n_local += n;
	policy->n_addrs += n;
	return 0;
}

static int check_rule(const struct tr_policy *policy,
		      const struct tr_rule *rule,
		      struct netlink_ext_ack *extack)
{
	u32 i;
	int ret;

	if (policy->n_rules >= TAILRACE_MAX_RULES) {
		NL_SET_ERR_MSG(extack, "too many rules in the policy");
		return -E2BIG;
	}
	if (rule->n_caps > TAILRACE_MAX_CAPS) {
		NL_SET_ERR_MSG(extack, "too many capabilities in a rule");
		return -E2BIG;
	}
	if (rule->n_protos > 256) {
		NL_SET_ERR_MSG(extack, "too many protocols in a rule");
		return -E2BIG;
	}
	ret = check_room(policy,
			 (u64)rule->n_srcs + rule->n_caps + rule->n_dsts,
			 extack);
	if (ret)
		return ret;
	for (i = 0; i < rule->n_srcs; i++) {
		ret = tr_addr_check(&rule->srcs[i], extack);
		if (ret)
			return ret;
	}
	for (i = 0; i < rule->n_dsts; i++) {
		ret = tr_addr_check(&rule->dsts[i].addr, extack);
		if (ret)
			return ret;
		if (rule->dsts[i].port_first > rule->dsts[i].port_last) {
			NL_SET_ERR_MSG(extack,
				       "port range ends before it begins");
			return -EINVAL;
		}
	}
	return 0;
}

static void *take(void **room, const void *from, size_t size)
{
	void *to = *room;

	if (size)
		memcpy(to, from, size);
	*room += size;
	return to;
}

int tr_policy_add_rule(struct tr_policy *policy, const struct tr_rule *rule,
		       struct netlink_ext_ack *extack)
{
	size_t srcs, caps, dsts;
	struct tr_rule *copy;
	void *room;
	int ret;

	ret = check_rule(policy, rule, extack);
	if (ret)
		return ret;
	/* The limits keep all of these far from overflow. */
	caps = rule->n_caps * sizeof(*rule->caps);
	dsts = rule->n_dsts * sizeof(*rule->dsts);
	srcs = rule->n_srcs * sizeof(*rule->srcs);
	copy = kvmalloc(sizeof(*copy) + caps + dsts + srcs + rule->n_protos,
			GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	*copy = *rule;
	/* In the order of their alignment. */
	room = copy + 1;
	copy->caps = take(&room, rule->caps, caps);
	copy->dsts = take(&room, rule->dsts, dsts);
	copy->srcs = take(&room, rule->srcs, srcs);
	copy->protos = take(&room, rule->protos, rule->n_protos);
	list_add_tail(&copy->list, &policy->rules);
	policy->n_rules++;
	policy->n_addrs += rule->n_srcs + rule->n_caps + rule->n_dsts;
	return 0;
}

int tr_policy_compile(struct tr_policy *policy, u32 flags,
		      struct netlink_ext_ack *extack)
{
	struct tr_rule *rule;
	u32 i = 0;
	int ret;

	if (flags & ~TAILRACE_POLICY_SHIELDS_UP) {
		NL_SET_ERR_MSG(extack, "unknown policy flag");
		return -EINVAL;
	}
	policy->flags = flags;
	policy->rule = kvmalloc_array(max(policy->n_rules, 1U),
				      sizeof(*policy->rule),
				      GFP_KERNEL_ACCOUNT);
	policy->slot = kvmalloc_array(max(policy->n_rules, 1U),
				      sizeof(*policy->slot),
				      GFP_KERNEL_ACCOUNT);
	if (!policy->rule || !policy->slot)
		return -ENOMEM;
	list_for_each_entry(rule, &policy->rules, list)
		policy->rule[i++] = rule;

	ret = tr_classifier_build(&policy->classifier, policy);
	if (ret == -E2BIG)
		NL_SET_ERR_MSG(extack, "rules overlap in too many ways");
	return ret;
}
