// SPDX-License-Identifier: GPL-2.0
#include <linux/rtnetlink.h>

#include "device.h"
#include "netlink.h"
#include "policy.h"
#include "record.h"
#include "tap.h"
#include "transaction.h"

static const struct nla_policy device_attrs[TAILRACE_A_DEVICE_MAX + 1] = {
	[TAILRACE_A_DEVICE_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_DEVICE_FD] = NLA_POLICY_MIN(NLA_S32, 0),
};

static struct netlink_range_validation record_seconds = {
	.max = TR_RECORDS_SECONDS_MAX,
};

/* Of DEV_ATTACH and DEV_SET. */
static const struct nla_policy settings[TAILRACE_A_DEVICE_MAX + 1] = {
	[TAILRACE_A_DEVICE_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_DEVICE_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
	[TAILRACE_A_DEVICE_FLAGS] =
		NLA_POLICY_MASK(NLA_U32, TAILRACE_DEVICE_STRICT),
	[TAILRACE_A_DEVICE_FLOWS_MAX] =
		NLA_POLICY_MIN(NLA_U32, TAILRACE_MIN_FLOWS),
	[TAILRACE_A_DEVICE_RECORDS] =
		NLA_POLICY_FULL_RANGE(NLA_U32, &record_seconds),
	[TAILRACE_A_DEVICE_MAX_STALE] = { .type = NLA_U32 },
};

/*
 * Does what the settings but PORT say, first what may fail. On error nothing
 * has changed.
 */
static int change_settings(struct tr_device *tdev, struct nlattr **attrs,
			   struct netlink_ext_ack *extack)
{
	const struct nlattr *flags = attrs[TAILRACE_A_DEVICE_FLAGS];
	const struct nlattr *flows = attrs[TAILRACE_A_DEVICE_FLOWS_MAX];
	const struct nlattr *stale = attrs[TAILRACE_A_DEVICE_MAX_STALE];
	const struct nlattr *records = attrs[TAILRACE_A_DEVICE_RECORDS];
	struct tr_records *fresh = NULL;
	int ret;

	if (records && nla_get_u32(records) && !tr_records_seconds(tdev)) {
		fresh = tr_records_new(tdev);
		if (!fresh)
			return -ENOMEM;
	}
	if (flows) {
		ret = tr_filter_resize(&tdev->filter, nla_get_u32(flows),
				       extack);
		if (ret) {
			tr_records_free(fresh);
			return ret;
		}
	}
	if (records)
		tr_records_set(tdev, nla_get_u32(records), fresh);
	if (flags)
		tr_filter_set_strict(&tdev->filter,
				     nla_get_u32(flags) &
					     TAILRACE_DEVICE_STRICT);
	if (stale)
		tr_device_set_max_stale(tdev, nla_get_u32(stale));
	return 0;
}

static int dev_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	int ret, ifindex;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_IFINDEX);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_PORT);
	ifindex = nla_get_u32(info->attrs[TAILRACE_A_DEVICE_IFINDEX]);

	rtnl_lock();
	mutex_lock(&tn->lock);
	ret = tr_device_attach(
		tn, ifindex,
		htons(nla_get_u16(info->attrs[TAILRACE_A_DEVICE_PORT])),
		info->extack);
	if (!ret) {
		tdev = tr_device_get(tn, ifindex, info->extack);
		ret = change_settings(tdev, info->attrs, info->extack);
		if (ret)
			tr_device_detach(tdev);
	}
	mutex_unlock(&tn->lock);
	rtnl_unlock();
	return ret;
}

struct tr_device *tr_netlink_lock(struct tr_net *tn,
				  const struct nlattr *ifindex,
				  struct netlink_ext_ack *extack)
{
	struct tr_device *tdev;

	mutex_lock(&tn->lock);
	tdev = tr_device_get(tn, nla_get_u32(ifindex), extack);
	if (!tdev)
		mutex_unlock(&tn->lock);
	return tdev;
}

static int dev_detach(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_IFINDEX);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	tr_device_detach(tdev);
	mutex_unlock(&tn->lock);
	return 0;
}

static int dev_set(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	const struct nlattr *port = info->attrs[TAILRACE_A_DEVICE_PORT];
	struct tr_device *tdev;
	__be16 old_port;
	int i, ret = 0;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_IFINDEX);
	for (i = 0; i <= TAILRACE_A_DEVICE_MAX; i++)
		if (i != TAILRACE_A_DEVICE_IFINDEX && info->attrs[i])
			break;
	if (i > TAILRACE_A_DEVICE_MAX) {
		NL_SET_ERR_MSG(info->extack, "nothing to be set");
		return -EINVAL;
	}
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	old_port = tdev->port;
	if (port)
		ret = tr_device_set_port(tdev, htons(nla_get_u16(port)),
					 info->extack);
	if (!ret) {
		ret = change_settings(tdev, info->attrs, info->extack);
		if (ret && port)
			tr_device_set_port(tdev, old_port, NULL);
	}
	mutex_unlock(&tn->lock);
	return ret;
}

static int fill_device(struct sk_buff *skb, struct tr_device *tdev)
{
	const struct tr_policy *policy = rcu_dereference_protected(
		tdev->filter.policy, lockdep_is_held(&tdev->tn->lock));
	u32 stale;

	if (nla_put_u32(skb, TAILRACE_A_DEVICE_IFINDEX, tdev->dev->ifindex) ||
	    nla_put_u16(skb, TAILRACE_A_DEVICE_PORT, ntohs(tdev->port)) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_STATE, tr_device_state(tdev)) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_GENERATION,
			policy ? tr_policy_generation(policy) : 0) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_RULES,
			policy ? tr_policy_n_rules(policy) : 0) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_PEERS, tdev->peers.n_peers) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_FLAGS,
			tdev->filter.strict ? TAILRACE_DEVICE_STRICT : 0) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_FLOWS,
			tr_filter_flows(&tdev->filter)) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_FLOWS_MAX,
			tr_filter_flows_max(&tdev->filter)) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_RECORDS,
			tr_records_seconds(tdev)) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_MAX_STALE,
			READ_ONCE(tdev->max_stale)) ||
	    (tr_device_stale(tdev, &stale) &&
	     nla_put_u32(skb, TAILRACE_A_DEVICE_STALE, stale)))
		return -EMSGSIZE;
	return 0;
}

static int dev_get(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	struct sk_buff *reply;
	void *hdr;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_IFINDEX);
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &tr_netlink_family, 0,
				TAILRACE_CMD_DEV_GET);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
			       info->extack);
	if (!tdev) {
		nlmsg_free(reply);
		return -ENODEV;
	}
	fill_device(reply, tdev);
	mutex_unlock(&tn->lock);
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

static int dev_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct tr_net *tn = tr_device_net(sock_net(skb->sk));
	struct tr_device *tdev;
	long n = 0;

	mutex_lock(&tn->lock);
	list_for_each_entry(tdev, &tn->devices, list) {
		void *hdr;

		if (n++ < cb->args[0])
			continue;
		hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
				  cb->nlh->nlmsg_seq, &tr_netlink_family,
				  NLM_F_MULTI, TAILRACE_CMD_DEV_GET);
		if (!hdr)
			break;
		if (fill_device(skb, tdev)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cb->args[0] = n;
	}
	mutex_unlock(&tn->lock);
	return skb->len;
}

static int socket_bind(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_IFINDEX);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_DEVICE_FD);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_sock_bind(&tdev->sock, tn->net,
			   nla_get_s32(info->attrs[TAILRACE_A_DEVICE_FD]),
			   tdev->port, info->extack);
	if (!ret)
		tr_device_announce(tdev);
	mutex_unlock(&tn->lock);
	return ret;
}

static const struct nla_policy stats_attrs[TAILRACE_A_STATS_MAX + 1] = {
	[TAILRACE_A_STATS_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
};

static int fill_stats(struct sk_buff *skb, struct tr_device *tdev)
{
	struct tr_stats_sum sum;
	int i;

	tr_stats_read(tdev->stats, &sum);
	if (nla_put_u32(skb, TAILRACE_A_STATS_IFINDEX, tdev->dev->ifindex) ||
	    nla_put_64bit(skb, TAILRACE_A_STATS_DROP, sizeof(sum.drop),
			  sum.drop, TAILRACE_A_STATS_PAD) ||
	    nla_put_64bit(skb, TAILRACE_A_STATS_PATHS,
			  __TAILRACE_PATH_MAX * sizeof(*sum.path), sum.path,
			  TAILRACE_A_STATS_PAD))
		return -EMSGSIZE;
	for (i = TAILRACE_A_STATS_IFINDEX + 1; i <= TAILRACE_A_STATS_MAX; i++) {
		if (i != TAILRACE_A_STATS_DROP && i != TAILRACE_A_STATS_PAD &&
		    i != TAILRACE_A_STATS_PATHS &&
		    nla_put_u64_64bit(skb, i, sum.n[i], TAILRACE_A_STATS_PAD))
			return -EMSGSIZE;
	}
	return 0;
}

static int stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	struct sk_buff *reply;
	void *hdr;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_STATS_IFINDEX);
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &tr_netlink_family, 0,
				TAILRACE_CMD_STATS_GET);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_STATS_IFINDEX],
			       info->extack);
	if (!tdev) {
		nlmsg_free(reply);
		return -ENODEV;
	}
	ret = fill_stats(reply, tdev);
	mutex_unlock(&tn->lock);
	if (ret) {
		nlmsg_free(reply);
		return ret;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

static const struct nla_policy tsmp_attrs[TAILRACE_A_TSMP_MAX + 1] = {
	[TAILRACE_A_TSMP_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_TSMP_SRC] = NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[TAILRACE_A_TSMP_DST] = NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[TAILRACE_A_TSMP_PAYLOAD] =
		NLA_POLICY_RANGE(NLA_BINARY, 1, TAILRACE_MAX_TSMP),
};

static int tsmp_send(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	struct tr_device *tdev;
	int len, ret;

	TR_REQUIRE(attrs, info->extack, TAILRACE_A_TSMP_IFINDEX);
	TR_REQUIRE(attrs, info->extack, TAILRACE_A_TSMP_SRC);
	TR_REQUIRE(attrs, info->extack, TAILRACE_A_TSMP_DST);
	TR_REQUIRE(attrs, info->extack, TAILRACE_A_TSMP_PAYLOAD);
	len = nla_len(attrs[TAILRACE_A_TSMP_SRC]);
	if ((len != 4 && len != 16) ||
	    nla_len(attrs[TAILRACE_A_TSMP_DST]) != len) {
		NL_SET_ERR_MSG(info->extack, "addresses of unlike lengths");
		return -EINVAL;
	}
	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_TSMP_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_tsmp_send(&tdev->tsmp, len == 4 ? AF_INET : AF_INET6,
			   nla_data(attrs[TAILRACE_A_TSMP_SRC]),
			   nla_data(attrs[TAILRACE_A_TSMP_DST]),
			   nla_data(attrs[TAILRACE_A_TSMP_PAYLOAD]),
			   nla_len(attrs[TAILRACE_A_TSMP_PAYLOAD]));
	if (ret == -ENETDOWN)
		NL_SET_ERR_MSG(info->extack,
			       "the device is down or has no such peer");
	mutex_unlock(&tn->lock);
	return ret;
}

#define OP(name, attrs, ...)                     \
	{                                        \
		.cmd = TAILRACE_CMD_##name,      \
		.flags = GENL_UNS_ADMIN_PERM,    \
		.policy = attrs,                 \
		.maxattr = ARRAY_SIZE(attrs) - 1, \
		__VA_ARGS__                      \
	}

static const struct genl_ops ops[] = {
	OP(DEV_ATTACH, settings, .doit = dev_attach),
	OP(DEV_DETACH, device_attrs, .doit = dev_detach),
	OP(DEV_SET, settings, .doit = dev_set),
	OP(DEV_GET, device_attrs, .doit = dev_get, .dumpit = dev_dump),
	OP(SOCKET_BIND, device_attrs, .doit = socket_bind),
	OP(POLICY_BEGIN, tr_netlink_policy_attrs,
	   .doit = tr_netlink_policy_begin),
	OP(POLICY_ADD, tr_netlink_policy_attrs, .doit = tr_netlink_policy_add),
	OP(POLICY_COMMIT, tr_netlink_policy_attrs,
	   .doit = tr_netlink_policy_commit),
	OP(POLICY_GET, tr_netlink_policy_attrs,
	   .start = tr_netlink_policy_start, .dumpit = tr_netlink_policy_dump),
	OP(ALIAS_SET, tr_netlink_alias_attrs, .doit = tr_netlink_alias_set),
	OP(ALIAS_DEL, tr_netlink_alias_attrs, .doit = tr_netlink_alias_del),
	OP(ALIAS_GET, tr_netlink_alias_attrs, .dumpit = tr_netlink_alias_dump),
	OP(PEER_SET, tr_netlink_peer_attrs, .doit = tr_netlink_peer_set),
	OP(PEER_DEL, tr_netlink_peer_attrs, .doit = tr_netlink_peer_del),
	OP(PEER_GET, tr_netlink_peer_attrs, .start = tr_netlink_peer_start,
	   .dumpit = tr_netlink_peer_dump),
	OP(STATS_GET, stats_attrs, .doit = stats_get),
	OP(TSMP_SEND, tsmp_attrs, .doit = tsmp_send),
	OP(TRACE_START, tr_netlink_trace_attrs, .doit = tr_netlink_trace_start),
	OP(TRACE_STOP, tr_netlink_trace_attrs, .doit = tr_netlink_trace_stop),
	OP(VERDICT_GET, tr_netlink_verdict_attrs,
	   .doit = tr_netlink_verdict_get),
};

static const struct genl_multicast_group groups[] = {
	[TR_GROUP_EVENTS] = {
		.name = TAILRACE_MCGRP_EVENTS,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
	[TR_GROUP_FLOWS] = {
		.name = TAILRACE_MCGRP_FLOWS,
		.flags = GENL_MCAST_CAP_NET_ADMIN,
	},
};

struct genl_family tr_netlink_family __ro_after_init = {
	.name = TAILRACE_FAMILY_NAME,
	.version = TAILRACE_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

/* A netlink socket is gone, and with it what it has not committed or seen. */
static int release(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct netlink_notify *notify = ptr;
	struct tr_net *tn = tr_device_net(notify->net);
	struct tr_device *tdev;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	mutex_lock(&tn->lock);
	list_for_each_entry(tdev, &tn->devices, list) {
		tr_transactions_drop(tdev, notify->portid);
		tr_taps_release(tdev, notify->portid);
	}
	mutex_unlock(&tn->lock);
	return NOTIFY_DONE;
}

static struct notifier_block notifier = {
	.notifier_call = release,
};

int __init tr_netlink_init(void)
{
	int ret;

	ret = netlink_register_notifier(&notifier);
	if (ret)
		return ret;
	ret = genl_register_family(&tr_netlink_family);
	if (ret)
		netlink_unregister_notifier(&notifier);
	return ret;
}

void tr_netlink_uninit(void)
{
	genl_unregister_family(&tr_netlink_family);
	netlink_unregister_notifier(&notifier);
}
