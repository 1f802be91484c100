// SPDX-License-Identifier: GPL-2.0
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ktime.h>
#include <net/ipv6.h>

#include "device.h"
#include "interval.h"
#include "netlink.h"
#include "packet.h"
#include "tap.h"
#include "verdict.h"

#define PROTO_SCTP 132

#define DIRECTIONS (TAILRACE_TRACE_IN | TAILRACE_TRACE_OUT)
#define OUTCOMES (TAILRACE_TRACE_ACCEPT | TAILRACE_TRACE_DROP)

static struct netlink_range_validation rates = {
	.min = 1,
	.max = TAILRACE_TRACE_RATE_MAX,
};

const struct nla_policy tr_netlink_trace_attrs[TAILRACE_A_TRACE_MAX + 1] = {
	[TAILRACE_A_TRACE_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_TRACE_RATE] = NLA_POLICY_FULL_RANGE(NLA_U32, &rates),
	[TAILRACE_A_TRACE_FLAGS] = { .type = NLA_U32 },
	[TAILRACE_A_TRACE_PROTO] = { .type = NLA_U8 },
	[TAILRACE_A_TRACE_SRC] =
		NLA_POLICY_EXACT_LEN(sizeof(struct tailrace_addr)),
	[TAILRACE_A_TRACE_DST] =
		NLA_POLICY_EXACT_LEN(sizeof(struct tailrace_addr)),
	[TAILRACE_A_TRACE_HOST] =
		NLA_POLICY_EXACT_LEN(sizeof(struct tailrace_addr)),
	[TAILRACE_A_TRACE_SPORT] = { .type = NLA_U16 },
	[TAILRACE_A_TRACE_DPORT] = { .type = NLA_U16 },
	[TAILRACE_A_TRACE_PORT] = { .type = NLA_U16 },
	[TAILRACE_A_TRACE_PEER] = { .type = NLA_U32 },
	[TAILRACE_A_TRACE_REASON] =
		NLA_POLICY_MAX(NLA_U32, __TAILRACE_DROP_MAX - 1),
	[TAILRACE_A_TRACE_RULE] = { .type = NLA_U32 },
};

const struct nla_policy
	tr_netlink_verdict_attrs[TAILRACE_A_VERDICT_MAX + 1] = {
	[TAILRACE_A_VERDICT_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_VERDICT_SRC] = NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[TAILRACE_A_VERDICT_DST] = NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[TAILRACE_A_VERDICT_PROTO] = { .type = NLA_U8 },
	[TAILRACE_A_VERDICT_SPORT] = { .type = NLA_U16 },
	[TAILRACE_A_VERDICT_DPORT] = { .type = NLA_U16 },
	[TAILRACE_A_VERDICT_TCP_FLAGS] = { .type = NLA_U8 },
	[TAILRACE_A_VERDICT_ICMP_TYPE] = { .type = NLA_U8 },
	[TAILRACE_A_VERDICT_ICMP_CODE] = { .type = NLA_U8 },
	[TAILRACE_A_VERDICT_OUT] = { .type = NLA_FLAG },
};

static int read_flags(const struct nlattr *attr, u8 *flags,
		      struct netlink_ext_ack *extack)
{
	u32 given = attr ? nla_get_u32(attr) : 0;

	if (given & ~(u32)(DIRECTIONS | OUTCOMES)) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "unknown trace flag");
		return -EINVAL;
	}
	if (!(given & DIRECTIONS))
		given |= DIRECTIONS;
	if (!(given & OUTCOMES))
		given |= OUTCOMES;
	*flags = given;
	return 0;
}

static int read_addr(const struct nlattr *attr, struct tailrace_addr *addr,
		     struct netlink_ext_ack *extack)
{
	if (!attr)
		return 0;
	memcpy(addr, nla_data(attr), sizeof(*addr));
	return tr_addr_check(addr, extack);
}

static int read_filter(struct genl_info *info, struct tr_verdict_filter *filter)
{
	struct nlattr **attrs = info->attrs;
	int i, ret;

	*filter = (struct tr_verdict_filter){};
	for (i = 0; i <= TAILRACE_A_TRACE_RULE; i++)
		filter->given |= (attrs[i] ? 1U : 0) << i;
	ret = read_flags(attrs[TAILRACE_A_TRACE_FLAGS], &filter->flags,
			 info->extack);
	if (!ret)
		ret = read_addr(attrs[TAILRACE_A_TRACE_SRC], &filter->src,
				info->extack);
	if (!ret)
		ret = read_addr(attrs[TAILRACE_A_TRACE_DST], &filter->dst,
				info->extack);
	if (!ret)
		ret = read_addr(attrs[TAILRACE_A_TRACE_HOST], &filter->host,
				info->extack);
	if (ret)
		return ret;
	if (attrs[TAILRACE_A_TRACE_PROTO])
		filter->proto = nla_get_u8(attrs[TAILRACE_A_TRACE_PROTO]);
	if (attrs[TAILRACE_A_TRACE_SPORT])
		filter->sport = nla_get_u16(attrs[TAILRACE_A_TRACE_SPORT]);
	if (attrs[TAILRACE_A_TRACE_DPORT])
		filter->dport = nla_get_u16(attrs[TAILRACE_A_TRACE_DPORT]);
	if (attrs[TAILRACE_A_TRACE_PORT])
		filter->port = nla_get_u16(attrs[TAILRACE_A_TRACE_PORT]);
	if (attrs[TAILRACE_A_TRACE_PEER])
		filter->peer = nla_get_u32(attrs[TAILRACE_A_TRACE_PEER]);
	if (attrs[TAILRACE_A_TRACE_REASON])
		filter->reason = nla_get_u32(attrs[TAILRACE_A_TRACE_REASON]);
	if (attrs[TAILRACE_A_TRACE_RULE])
		filter->rule = nla_get_u32(attrs[TAILRACE_A_TRACE_RULE]);
	return 0;
}

int tr_netlink_trace_start(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	struct tr_verdict_filter filter;
	u32 rate = TAILRACE_TRACE_RATE;
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(attrs, info->extack, TAILRACE_A_TRACE_IFINDEX);
	ret = read_filter(info, &filter);
	if (ret)
		return ret;
	if (attrs[TAILRACE_A_TRACE_RATE])
		rate = nla_get_u32(attrs[TAILRACE_A_TRACE_RATE]);
	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_TRACE_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_tap_start(tdev, info->snd_portid, &filter, rate, info->extack);
	mutex_unlock(&tn->lock);
	return ret;
}

int tr_netlink_trace_stop(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_TRACE_IFINDEX);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_TRACE_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_tap_stop(tdev, info->snd_portid, info->extack);
	mutex_unlock(&tn->lock);
	return ret;
}

static void read_addresses(struct tr_packet *pkt, const struct nlattr *src,
			   const struct nlattr *dst)
{
	if (nla_len(src) == 4) {
		pkt->family = AF_INET;
		pkt->len = 20;
		ipv6_addr_set_v4mapped(*(const __be32 *)nla_data(src),
				       &pkt->src);
		ipv6_addr_set_v4mapped(*(const __be32 *)nla_data(dst),
				       &pkt->dst);
	} else {
		pkt->family = AF_INET6;
		pkt->len = 40;
		memcpy(&pkt->src, nla_data(src), 16);
		memcpy(&pkt->dst, nla_data(dst), 16);
	}
}

static int read_ports(struct tr_packet *pkt, struct nlattr **attrs,
		      struct netlink_ext_ack *extack)
{
	const struct nlattr *sport = attrs[TAILRACE_A_VERDICT_SPORT];
	const struct nlattr *dport = attrs[TAILRACE_A_VERDICT_DPORT];
	const struct nlattr *flags = attrs[TAILRACE_A_VERDICT_TCP_FLAGS];
	bool tcp = pkt->proto == IPPROTO_TCP;

	if (!tcp && pkt->proto != IPPROTO_UDP && pkt->proto != PROTO_SCTP &&
	    (sport || dport)) {
		NL_SET_ERR_MSG(extack, "ports are of TCP, UDP and SCTP");
		return -EINVAL;
	}
	if (!tcp && flags) {
		NL_SET_ERR_MSG_ATTR(extack, flags, "TCP flags without TCP");
		return -EINVAL;
	}
	if (sport)
		pkt->sport = nla_get_u16(sport);
	if (dport)
		pkt->dport = nla_get_u16(dport);
	if (tcp)
		pkt->tcp_flags = flags ? nla_get_u8(flags) : TR_TCP_SYN;
	return 0;
}

static int read_icmp(struct tr_packet *pkt, struct nlattr **attrs, u8 icmp[2],
		     struct netlink_ext_ack *extack)
{
	const struct nlattr *type = attrs[TAILRACE_A_VERDICT_ICMP_TYPE];
	const struct nlattr *code = attrs[TAILRACE_A_VERDICT_ICMP_CODE];

	icmp[0] = 0;
	icmp[1] = 0;
	if (tr_packet_is_icmp(pkt)) {
		icmp[0] = pkt->family == AF_INET ? ICMP_ECHO :
						   ICMPV6_ECHO_REQUEST;
		if (type)
			icmp[0] = nla_get_u8(type);
		if (code)
			icmp[1] = nla_get_u8(code);
		pkt->icmp_reply = tr_packet_icmp_is_reply(pkt->family, icmp[0],
							  icmp[1]);
		return 0;
	}
	if (!type && !code)
		return 0;
	NL_SET_ERR_MSG(extack, "an ICMP type without ICMP of the family");
	return -EINVAL;
}

/*
 * The packet as tr_packet_parse() would find it, had it a transport header of
 * 20 bytes, and its type of ICMP.
 */
static int read_question(struct genl_info *info, struct tr_packet *pkt,
			 u8 icmp[2])
{
	const struct nlattr *src = info->attrs[TAILRACE_A_VERDICT_SRC];
	const struct nlattr *dst = info->attrs[TAILRACE_A_VERDICT_DST];
	struct nlattr **attrs = info->attrs;
	int ret;

	if ((nla_len(src) != 4 && nla_len(src) != 16) ||
	    nla_len(dst) != nla_len(src)) {
		NL_SET_ERR_MSG(info->extack, "addresses of unlike lengths");
		return -EINVAL;
	}
	*pkt = (struct tr_packet){ .question = true };
	read_addresses(pkt, src, dst);
	pkt->l4_len = 20;
	pkt->len += pkt->l4_len;
	pkt->proto = nla_get_u8(attrs[TAILRACE_A_VERDICT_PROTO]);
	if (pkt->proto == TR_PROTO_FRAGMENT)
		pkt->proto = TR_PROTO_UNKNOWN;
	ret = read_ports(pkt, attrs, info->extack);
	return ret ? ret : read_icmp(pkt, attrs, icmp, info->extack);
}

/* By the very function that judges packets. */
static void judge(struct tr_device *tdev, const struct tr_packet *pkt, bool out,
		  struct tailrace_verdict *verdict)
{
	struct tr_result res;

	local_bh_disable();
	rcu_read_lock();
	if (out)
		tr_filter_out(&tdev->filter, &tdev->peers, pkt, &res);
	else
		tr_filter_in(&tdev->filter, &tdev->peers, pkt, &res);
	tr_verdict_fill(verdict, pkt, &res,
			out ? TAILRACE_TRACE_OUT : TAILRACE_TRACE_IN);
	rcu_read_unlock();
	local_bh_enable();
}

int tr_netlink_verdict_get(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	struct tailrace_verdict verdict;
	struct tr_device *tdev;
	struct tr_packet pkt;
	struct sk_buff *reply;
	u8 icmp[2];
	void *hdr;
	int ret;

	TR_REQUIRE(attrs, info->extack, TAILRACE_A_VERDICT_IFINDEX);
	TR_REQUIRE(attrs, info->extack, TAILRACE_A_VERDICT_SRC);
	TR_REQUIRE(attrs, info->extack, TAILRACE_A_VERDICT_DST);
	TR_REQUIRE(attrs, info->extack, TAILRACE_A_VERDICT_PROTO);
	ret = read_question(info, &pkt, icmp);
	if (ret)
		return ret;
	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_VERDICT_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	judge(tdev, &pkt, nla_get_flag(attrs[TAILRACE_A_VERDICT_OUT]),
	      &verdict);
	mutex_unlock(&tn->lock);
	verdict.time = ktime_get_real_ns();
	verdict.packets = 1;
	verdict.icmp_type = icmp[0];
	verdict.icmp_code = icmp[1];

	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &tr_netlink_family, 0,
				TAILRACE_CMD_VERDICT_GET);
	nla_put_u32(reply, TAILRACE_A_VERDICT_IFINDEX,
		    nla_get_u32(attrs[TAILRACE_A_VERDICT_IFINDEX]));
	nla_put(reply, TAILRACE_A_VERDICT_RESULT, sizeof(verdict), &verdict);
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}
