// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "device.h"
#include "netlink.h"
#include "policy.h"
#include "transaction.h"

/* Addresses of the local set in one message of a dump. */
#define LOCAL_CHUNK 64

static const struct nla_policy rule_attrs[TAILRACE_A_RULE_MAX + 1] = {
	[TAILRACE_A_RULE_ID] = { .type = NLA_U32 },
	[TAILRACE_A_RULE_PROTOS] = NLA_POLICY_RANGE(NLA_BINARY, 1, 256),
	[TAILRACE_A_RULE_SRC] = { .type = NLA_BINARY },
	[TAILRACE_A_RULE_SRC_CAPS] = { .type = NLA_BINARY },
	[TAILRACE_A_RULE_DST] = { .type = NLA_BINARY },
};

const struct nla_policy tr_netlink_policy_attrs[] = {
	[TAILRACE_A_POLICY_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_POLICY_FLAGS] = { .type = NLA_U32 },
	[TAILRACE_A_POLICY_LOCAL] = { .type = NLA_BINARY },
	[TAILRACE_A_POLICY_RULE] = NLA_POLICY_NESTED(rule_attrs),
};

int tr_netlink_policy_begin(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_POLICY_IFINDEX);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_POLICY_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_transaction_begin(tdev, info->snd_portid, info->extack);
	mutex_unlock(&tn->lock);
	return ret;
}

/* Return: the array of an attribute that may be absent; NULL when damaged. */
static const void *array(const struct nlattr *attr, size_t size, u32 *n,
			 struct netlink_ext_ack *extack)
{
	*n = 0;
	if (!attr)
		return "";
	if (nla_len(attr) % size) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "array with a broken entry");
		return NULL;
	}
	*n = nla_len(attr) / size;
	return nla_data(attr);
}

static int add_local(struct tr_policy *policy, const struct nlattr *attr,
		     struct netlink_ext_ack *extack)
{
	const struct tailrace_addr *addrs;
	u32 n;

	addrs = array(attr, sizeof(*addrs), &n, extack);
	return addrs ? tr_policy_add_local(policy, addrs, n, extack) : -EINVAL;
}

static int add_rule(struct tr_policy *policy, const struct nlattr *attr,
		    struct netlink_ext_ack *extack)
{
	struct nlattr *tb[TAILRACE_A_RULE_MAX + 1];
	struct tr_rule rule = {};
	int ret;

	ret = nla_parse_nested(tb, TAILRACE_A_RULE_MAX, attr, rule_attrs,
			       extack);
	if (ret)
		return ret;
	TR_REQUIRE(tb, extack, TAILRACE_A_RULE_ID);
	rule.id = nla_get_u32(tb[TAILRACE_A_RULE_ID]);
	rule.protos = array(tb[TAILRACE_A_RULE_PROTOS], 1, &rule.n_protos,
			    extack);
	rule.srcs = array(tb[TAILRACE_A_RULE_SRC], sizeof(*rule.srcs),
			  &rule.n_srcs, extack);
	rule.caps = array(tb[TAILRACE_A_RULE_SRC_CAPS], sizeof(*rule.caps),
			  &rule.n_caps, extack);
	rule.dsts = array(tb[TAILRACE_A_RULE_DST], sizeof(*rule.dsts),
			  &rule.n_dsts, extack);
	if (!rule.protos || !rule.srcs || !rule.caps || !rule.dsts)
		return -EINVAL;
	return tr_policy_add_rule(policy, &rule, extack);
}

/* Refused as a whole: the transaction is over when any part is bad. */
static int add(struct tr_policy *policy, struct genl_info *info)
{
	struct nlattr *attr;
	int rem, ret = 0;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) == TAILRACE_A_POLICY_LOCAL)
			ret = add_local(policy, attr, info->extack);
		else if (nla_type(attr) == TAILRACE_A_POLICY_RULE)
			ret = add_rule(policy, attr, info->extack);
		if (ret)
			return ret;
	}
	return 0;
}

int tr_netlink_policy_add(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_policy *policy;
	struct tr_device *tdev;
	int ret = -ENOENT;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_POLICY_IFINDEX);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_POLICY_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	policy = tr_transaction_policy(tdev, info->snd_portid, info->extack);
	if (policy) {
		ret = add(policy, info);
		if (ret)
			tr_transactions_drop(tdev, info->snd_portid);
	}
	mutex_unlock(&tn->lock);
	return ret;
}

static int reply_generation(struct sk_buff *reply, struct genl_info *info,
			    u32 ifindex, u32 generation)
{
	void *hdr = genlmsg_put_reply(reply, info, &tr_netlink_family, 0,
				      TAILRACE_CMD_POLICY_COMMIT);

	nla_put_u32(reply, TAILRACE_A_POLICY_IFINDEX, ifindex);
	nla_put_u32(reply, TAILRACE_A_POLICY_GENERATION, generation);
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

int tr_netlink_policy_commit(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct nlattr *ifindex = info->attrs[TAILRACE_A_POLICY_IFINDEX];
	struct tr_policy *policy;
	struct tr_device *tdev;
	struct sk_buff *reply;
	u32 flags = 0, generation;
	u64 serial;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_POLICY_IFINDEX);
	if (info->attrs[TAILRACE_A_POLICY_FLAGS])
		flags = nla_get_u32(info->attrs[TAILRACE_A_POLICY_FLAGS]);
	tdev = tr_netlink_lock(tn, ifindex, info->extack);
	if (!tdev)
		return -ENODEV;
	serial = tdev->serial;
	policy = tr_transaction_end(tdev, info->snd_portid, info->extack);
	mutex_unlock(&tn->lock);
	if (!policy)
		return -ENOENT;

	/* Nothing may fail any more once the policy is in force. */
	ret = -ENOMEM;
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		goto err_free;
	/* May take long, and whoever waits for our lock may have the RTNL. */
	ret = tr_policy_compile(policy, flags, info->extack);
	if (ret)
		goto err_free;

	ret = -ENODEV;
	tdev = tr_netlink_lock(tn, ifindex, info->extack);
	if (!tdev)
		goto err_free;
	if (tdev->serial != serial) {
		NL_SET_ERR_MSG(info->extack, "attached anew in the meantime");
		mutex_unlock(&tn->lock);
		goto err_free;
	}
	generation = tr_filter_commit(&tdev->filter, policy);
	if (!generation) {
		mutex_unlock(&tn->lock);
		ret = -ENOMEM;
		goto err_free;
	}
	tr_device_announce(tdev);
	mutex_unlock(&tn->lock);
	return reply_generation(reply, info, nla_get_u32(ifindex), generation);

err_free:
	nlmsg_free(reply);
	tr_policy_free(policy);
	return ret;
}

static size_t rule_size(const struct tr_rule *rule)
{
	return nla_total_size(0) + nla_total_size(sizeof(u32)) +
	       nla_total_size_64bit(sizeof(u64)) +
	       nla_total_size(rule->n_protos) +
	       nla_total_size(rule->n_srcs * sizeof(*rule->srcs)) +
	       nla_total_size(rule->n_caps * sizeof(*rule->caps)) +
	       nla_total_size(rule->n_dsts * sizeof(*rule->dsts));
}

/* Makes room for the largest rule in every message. */
int tr_netlink_policy_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct tr_net *tn = tr_device_net(sock_net(cb->skb->sk));
	const struct tr_policy *policy;
	struct tr_device *tdev;
	size_t size = 0;
	u32 i;

	TR_REQUIRE(attrs, cb->extack, TAILRACE_A_POLICY_IFINDEX);
	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_POLICY_IFINDEX],
			       cb->extack);
	if (!tdev)
		return -ENODEV;
	policy = rcu_dereference_protected(tdev->filter.policy,
					   lockdep_is_held(&tn->lock));
	for (i = 0; policy && i < tr_policy_n_rules(policy); i++)
		size = max(size, rule_size(tr_policy_rule(policy, i)));
	mutex_unlock(&tn->lock);
	cb->min_dump_alloc = tr_netlink_min_dump(size);
	return 0;
}

static int put_array(struct sk_buff *skb, int type, const void *data, u32 n,
		     size_t size)
{
	return n ? nla_put(skb, type, n * size, data) : 0;
}

static int fill_rule(struct sk_buff *skb, const struct tr_rule *rule, u64 hits)
{
	struct nlattr *nest = nla_nest_start(skb, TAILRACE_A_POLICY_RULE);

	if (!nest)
		return -EMSGSIZE;
	if (nla_put_u32(skb, TAILRACE_A_RULE_ID, rule->id) ||
	    put_array(skb, TAILRACE_A_RULE_PROTOS, rule->protos,
		      rule->n_protos, 1) ||
	    put_array(skb, TAILRACE_A_RULE_SRC, rule->srcs, rule->n_srcs,
		      sizeof(*rule->srcs)) ||
	    put_array(skb, TAILRACE_A_RULE_SRC_CAPS, rule->caps, rule->n_caps,
		      sizeof(*rule->caps)) ||
	    put_array(skb, TAILRACE_A_RULE_DST, rule->dsts, rule->n_dsts,
		      sizeof(*rule->dsts)) ||
	    nla_put_u64_64bit(skb, TAILRACE_A_RULE_HITS, hits,
			      TAILRACE_A_RULE_PAD)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* One message; the cursor is cb->args: begun, local addresses, rules. */
static int fill_policy(struct sk_buff *skb, struct netlink_callback *cb,
		       struct tr_device *tdev, const struct tr_policy *policy)
{
	const struct tailrace_addr *local;
	u32 n_local, n;
	void *hdr;

	local = tr_policy_local(policy, &n_local);
	if (cb->args[0] && cb->args[1] >= n_local &&
	    cb->args[2] >= tr_policy_n_rules(policy))
		return -ENODATA;
	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &tr_netlink_family, NLM_F_MULTI,
			  TAILRACE_CMD_POLICY_GET);
	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, hdr);
	if (nla_put_u32(skb, TAILRACE_A_POLICY_IFINDEX, tdev->dev->ifindex) ||
	    nla_put_u32(skb, TAILRACE_A_POLICY_FLAGS,
			tr_policy_flags(policy)) ||
	    nla_put_u32(skb, TAILRACE_A_POLICY_GENERATION,
			tr_policy_generation(policy)))
		goto err_cancel;
	if (cb->args[1] < n_local) {
		n = min_t(u32, n_local - cb->args[1], LOCAL_CHUNK);
		if (nla_put(skb, TAILRACE_A_POLICY_LOCAL, n * sizeof(*local),
			    &local[cb->args[1]]))
			goto err_cancel;
		cb->args[1] += n;
	} else if (cb->args[2] < tr_policy_n_rules(policy)) {
		if (fill_rule(skb, tr_policy_rule(policy, cb->args[2]),
			      tr_hits_read(&tdev->filter.hits,
					   policy->slot[cb->args[2]])))
			goto err_cancel;
		cb->args[2]++;
	}
	cb->args[0] = 1;
	genlmsg_end(skb, hdr);
	return 0;

err_cancel:
	genlmsg_cancel(skb, hdr);
	return -EMSGSIZE;
}

int tr_netlink_policy_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct tr_net *tn = tr_device_net(sock_net(skb->sk));
	const struct tr_policy *policy;
	struct tr_device *tdev;

	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_POLICY_IFINDEX],
			       cb->extack);
	if (!tdev)
		return -ENODEV;
	policy = rcu_dereference_protected(tdev->filter.policy,
					   lockdep_is_held(&tn->lock));
	cb->seq = policy ? tr_policy_generation(policy) : 0;
	while (policy && !fill_policy(skb, cb, tdev, policy))
		;
	mutex_unlock(&tn->lock);
	return skb->len;
}
