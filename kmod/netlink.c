// SPDX-License-Identifier: GPL-2.0
#include <linux/rtnetlink.h>

#include "device.h"
#include "netlink.h"

/* Refuses a request without an attribute it needs, by name. */
#define REQUIRE(info, attr)                                               \
	do {                                                              \
		if (!(info)->attrs[attr]) {                               \
			NL_SET_ERR_MSG((info)->extack, #attr " missing"); \
			return -EINVAL;                                   \
		}                                                         \
	} while (0)

static const struct nla_policy device_policy[TAILRACE_A_DEVICE_MAX + 1] = {
	[TAILRACE_A_DEVICE_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_DEVICE_PORT] = NLA_POLICY_MIN(NLA_U16, 1),
	[TAILRACE_A_DEVICE_FD] = NLA_POLICY_MIN(NLA_S32, 0),
};

static int dev_attach(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	int ret;

	REQUIRE(info, TAILRACE_A_DEVICE_IFINDEX);
	REQUIRE(info, TAILRACE_A_DEVICE_PORT);

	rtnl_lock();
	mutex_lock(&tn->lock);
	ret = tr_device_attach(
		tn, nla_get_u32(info->attrs[TAILRACE_A_DEVICE_IFINDEX]),
		htons(nla_get_u16(info->attrs[TAILRACE_A_DEVICE_PORT])),
		info->extack);
	mutex_unlock(&tn->lock);
	rtnl_unlock();
	return ret;
}

/* Return: the device with @tn->lock held, or NULL. */
static struct tr_device *lock_device(struct tr_net *tn,
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

	REQUIRE(info, TAILRACE_A_DEVICE_IFINDEX);
	tdev = lock_device(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
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
	struct tr_device *tdev;
	int ret;

	REQUIRE(info, TAILRACE_A_DEVICE_IFINDEX);
	REQUIRE(info, TAILRACE_A_DEVICE_PORT);
	tdev = lock_device(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
			   info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_device_set_port(
		tdev, htons(nla_get_u16(info->attrs[TAILRACE_A_DEVICE_PORT])),
		info->extack);
	mutex_unlock(&tn->lock);
	return ret;
}

static int fill_device(struct sk_buff *skb, struct tr_device *tdev)
{
	if (nla_put_u32(skb, TAILRACE_A_DEVICE_IFINDEX, tdev->dev->ifindex) ||
	    nla_put_u16(skb, TAILRACE_A_DEVICE_PORT, ntohs(tdev->port)) ||
	    nla_put_u32(skb, TAILRACE_A_DEVICE_STATE, tr_device_state(tdev)))
		return -EMSGSIZE;
	return 0;
}

static int dev_get(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	struct sk_buff *reply;
	void *hdr;

	REQUIRE(info, TAILRACE_A_DEVICE_IFINDEX);
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &tr_netlink_family, 0,
				TAILRACE_CMD_DEV_GET);
	tdev = lock_device(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
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

	REQUIRE(info, TAILRACE_A_DEVICE_IFINDEX);
	REQUIRE(info, TAILRACE_A_DEVICE_FD);
	tdev = lock_device(tn, info->attrs[TAILRACE_A_DEVICE_IFINDEX],
			   info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_sock_bind(&tdev->sock, tn->net,
			   nla_get_s32(info->attrs[TAILRACE_A_DEVICE_FD]),
			   tdev->port, info->extack);
	mutex_unlock(&tn->lock);
	return ret;
}

#define OP(name, attrs, ...)                                     \
	{                                                        \
		.cmd = TAILRACE_CMD_##name,                      \
		.flags = GENL_UNS_ADMIN_PERM,                    \
		.policy = attrs##_policy,                        \
		.maxattr = ARRAY_SIZE(attrs##_policy) - 1,       \
		__VA_ARGS__                                      \
	}

static const struct genl_ops ops[] = {
	OP(DEV_ATTACH, device, .doit = dev_attach),
	OP(DEV_DETACH, device, .doit = dev_detach),
	OP(DEV_SET, device, .doit = dev_set),
	OP(DEV_GET, device, .doit = dev_get, .dumpit = dev_dump),
	OP(SOCKET_BIND, device, .doit = socket_bind),
};

static const struct genl_multicast_group groups[] = {
	{ .name = TAILRACE_MCGRP_EVENTS },
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

int __init tr_netlink_init(void)
{
	return genl_register_family(&tr_netlink_family);
}

void tr_netlink_uninit(void)
{
	genl_unregister_family(&tr_netlink_family);
}
