/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The netlink interface. netlink.c has the family and what is about a device
 * as a whole, netlink_policy.c, netlink_peer.c and netlink_trace.c the rest of
 * its commands.
 */
#ifndef _TR_NETLINK_H
#define _TR_NETLINK_H

#include <linux/log2.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>

#include "../uapi/tailrace.h"

struct tr_device;
struct tr_net;

extern struct genl_family tr_netlink_family;

/* Multicast groups, in the family's order. */
enum { TR_GROUP_EVENTS, TR_GROUP_FLOWS };

int tr_netlink_init(void);
void tr_netlink_uninit(void);

/* Refuses a request without an attribute it needs, by name. */
#define TR_REQUIRE(attrs, extack, attr)                            \
	do {                                                       \
		if (!(attrs)[attr]) {                              \
			NL_SET_ERR_MSG(extack, #attr " missing"); \
			return -EINVAL;                            \
		}                                                  \
	} while (0)

/**
 * tr_netlink_lock() - find the device a request is about
 * @tn: of the request
 * @ifindex: u32
 * @extack: text on error
 *
 * Return: the device with @tn->lock held, or NULL: -ENODEV.
 */
struct tr_device *tr_netlink_lock(struct tr_net *tn,
				  const struct nlattr *ifindex,
				  struct netlink_ext_ack *extack);

/**
 * tr_netlink_min_dump() - netlink_callback.min_dump_alloc for long objects
 * @size: of the longest object of the dump, as attributes
 *
 * Return: room for a message with it. netlink_dump() reserves whatever the
 * allocator gave it beyond that as headroom, and an skb's header offsets end at
 * 64 KiB: what would be rounded up by more is asked for in whole.
 */
static inline u32 tr_netlink_min_dump(size_t size)
{
	size += NLMSG_DEFAULT_SIZE;
	if (size < SZ_64K)
		return size;
	size += SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	return SKB_WITH_OVERHEAD(roundup_pow_of_two(size));
}

extern const struct nla_policy
	tr_netlink_policy_attrs[TAILRACE_A_POLICY_MAX + 1];
extern const struct nla_policy tr_netlink_alias_attrs[TAILRACE_A_ALIAS_MAX + 1];
extern const struct nla_policy tr_netlink_peer_attrs[TAILRACE_A_PEER_MAX + 1];
extern const struct nla_policy tr_netlink_trace_attrs[TAILRACE_A_TRACE_MAX + 1];
extern const struct nla_policy
	tr_netlink_verdict_attrs[TAILRACE_A_VERDICT_MAX + 1];

int tr_netlink_policy_begin(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_policy_add(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_policy_commit(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_policy_start(struct netlink_callback *cb);
int tr_netlink_policy_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tr_netlink_alias_set(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_alias_del(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_alias_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tr_netlink_peer_set(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_peer_del(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_peer_start(struct netlink_callback *cb);
int tr_netlink_peer_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tr_netlink_trace_start(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_trace_stop(struct sk_buff *skb, struct genl_info *info);
int tr_netlink_verdict_get(struct sk_buff *skb, struct genl_info *info);

#endif
