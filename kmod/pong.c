// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "device.h"
#include "disco.h"
#include "pong.h"
#include "steer.h"

/* Longer ones probe for an MTU, which can wait for the agent. */
#define PING_MAX 1500

bool tr_pong_is_ours(struct tr_device *tdev)
{
	return tr_device_state(tdev) == TAILRACE_STATE_ORPHANED;
}

/* As UDP would check it. */
static bool is_sound(struct sk_buff *skb, const struct nf_hook_state *state,
		     const struct tr_outer *outer)
{
	if (!outer->udp.check)
		return outer->family == AF_INET;
	return !nf_checksum(skb, state->hook, outer->udp_off, IPPROTO_UDP,
			    outer->family);
}

/*
 * The way back: from the address it was sent to, to where it came from.
 * Return: false for addresses that cannot be both.
 */
static bool reverse(const struct sk_buff *skb,
		    const struct nf_hook_state *state,
		    const struct tr_outer *outer, struct flowi *fl)
{
	memset(fl, 0, sizeof(*fl));
	if (outer->family == AF_INET) {
		/* Routing knows which addresses can be a source. */
		fl->u.ip4.saddr = ip_hdr(skb)->daddr;
		fl->u.ip4.daddr = ip_hdr(skb)->saddr;
		fl->u.ip4.fl4_sport = outer->udp.dest;
		fl->u.ip4.fl4_dport = outer->udp.source;
	} else {
		const struct ipv6hdr *ip = ipv6_hdr(skb);
		int type = ipv6_addr_type(&ip->saddr);

		if (!(type & IPV6_ADDR_UNICAST) ||
		    ipv6_addr_is_multicast(&ip->daddr))
			return false;
		if (type & IPV6_ADDR_LINKLOCAL)
			fl->flowi_oif = state->in->ifindex;
		fl->u.ip6.saddr = ip->daddr;
		fl->u.ip6.daddr = ip->saddr;
		fl->u.ip6.fl6_sport = outer->udp.dest;
		fl->u.ip6.fl6_dport = outer->udp.source;
	}
	fl->flowi_proto = IPPROTO_UDP;
	fl->flowi_mark = READ_ONCE(outer->tdev->sock.mark);
	return true;
}

static struct dst_entry *route(const struct tr_device *tdev, struct flowi *fl,
			       u8 family)
{
	struct dst_entry *dst;

	if (nf_route(tdev->tn->net, &dst, fl, false, family))
		return NULL;
	/* WireGuard would not send its own this way either. */
	if (dst->dev == tdev->dev) {
		dst_release(dst);
		return NULL;
	}
	return dst;
}

static void put_udp(struct sk_buff *skb, __be16 sport, __be16 dport)
{
	struct udphdr *udp = skb_push(skb, sizeof(*udp));

	skb_reset_transport_header(skb);
	*udp = (struct udphdr){ .source = sport,
				.dest = dport,
				.len = htons(skb->len) };
}

static int send4(struct net *net, struct sk_buff *skb, const struct flowi4 *fl)
{
	struct iphdr *ip;

	put_udp(skb, fl->fl4_sport, fl->fl4_dport);
	udp_set_csum(false, skb, fl->saddr, fl->daddr, skb->len);
	ip = skb_push(skb, sizeof(*ip));
	skb_reset_network_header(skb);
	/* ip_local_out() knows the rest. */
	*ip = (struct iphdr){ .version = 4,
			      .ihl = sizeof(*ip) / 4,
			      .frag_off = htons(IP_DF),
			      .ttl = ip4_dst_hoplimit(skb_dst(skb)),
			      .protocol = IPPROTO_UDP,
			      .saddr = fl->saddr,
			      .daddr = fl->daddr };
	skb->protocol = htons(ETH_P_IP);
	return ip_local_out(net, NULL, skb);
}

static int send6(struct net *net, struct sk_buff *skb, const struct flowi6 *fl)
{
	struct ipv6hdr *ip;

	put_udp(skb, fl->fl6_sport, fl->fl6_dport);
	udp6_set_csum(false, skb, &fl->saddr, &fl->daddr, skb->len);
	ip = skb_push(skb, sizeof(*ip));
	skb_reset_network_header(skb);
	*ip = (struct ipv6hdr){ .version = 6,
				.nexthdr = IPPROTO_UDP,
				.hop_limit = ip6_dst_hoplimit(skb_dst(skb)),
				.saddr = fl->saddr,
				.daddr = fl->daddr };
	skb->protocol = htons(ETH_P_IPV6);
	return ip6_local_out(net, NULL, skb);
}

static bool send(const struct tr_device *tdev, struct flowi *fl, u8 family,
		 const u8 *pong)
{
	const unsigned int headers = MAX_HEADER + sizeof(struct ipv6hdr) +
				     sizeof(struct udphdr);
	struct net *net = tdev->tn->net;
	struct dst_entry *dst;
	struct sk_buff *skb;
	int ret;

	dst = route(tdev, fl, family);
	if (!dst)
		return false;
	skb = alloc_skb(headers + TR_DISCO_PONG, GFP_ATOMIC);
	if (!skb) {
		dst_release(dst);
		return false;
	}
	skb_reserve(skb, headers);
	skb_put_data(skb, pong, TR_DISCO_PONG);
	skb_dst_set(skb, dst);
	skb->mark = fl->flowi_mark;
	ret = family == AF_INET ? send4(net, skb, &fl->u.ip4) :
				  send6(net, skb, &fl->u.ip6);
	return !net_xmit_eval(ret);
}

static void source(const struct sk_buff *skb, const struct tr_outer *outer,
		   struct in6_addr *from)
{
	if (outer->family == AF_INET)
		ipv6_addr_set_v4mapped(ip_hdr(skb)->saddr, from);
	else
		*from = ipv6_hdr(skb)->saddr;
}

void tr_pong_answer(struct sk_buff *skb, const struct nf_hook_state *state,
		    const struct tr_outer *outer)
{
	unsigned int off = outer->udp_off + sizeof(struct udphdr);
	struct tr_device *tdev = outer->tdev;
	u8 pong[TR_DISCO_PONG];
	struct in6_addr from;
	struct flowi fl;

	if (!tr_pong_is_ours(tdev) || outer->len > PING_MAX ||
	    !outer->udp.source || !is_sound(skb, state, outer) ||
	    !pskb_may_pull(skb, off + outer->len) ||
	    !reverse(skb, state, outer, &fl))
		return;
	source(skb, outer, &from);
	if (tr_disco_answer(&tdev->disco, skb->data + off, outer->len, &from,
			    outer->udp.source, pong) &&
	    send(tdev, &fl, outer->family, pong))
		tr_stats_inc(tdev->stats, TAILRACE_A_STATS_STEER_PONGS);
}
