// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/checksum.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/udp.h>

#include "alias.h"
#include "device.h"
#include "pong.h"
#include "present.h"
#include "steer.h"

/* Where a packet is to come from, and where it is to have arrived. */
struct tr_path {
	struct tailrace_endpoint from;
	struct tr_alias_local local;
};

static void source(const struct sk_buff *skb, const struct tr_outer *outer,
		   struct tr_path *path)
{
	*path = (struct tr_path){
		.from = { .family = outer->family, .port = outer->udp.source },
		.local = { .iif = skb->skb_iif },
	};
	if (outer->family == AF_INET) {
		memcpy(path->from.addr, &ip_hdr(skb)->saddr, 4);
		memcpy(path->local.addr, &ip_hdr(skb)->daddr, 4);
	} else {
		memcpy(path->from.addr, &ipv6_hdr(skb)->saddr, 16);
		memcpy(path->local.addr, &ipv6_hdr(skb)->daddr, 16);
	}
}

/* The addresses of the pseudo header, in place. */
static void rewrite4(struct sk_buff *skb, struct udphdr *udp,
		     const struct tr_path *path, bool has_sum)
{
	struct iphdr *ip = ip_hdr(skb);
	__be32 saddr, daddr;

	memcpy(&saddr, path->from.addr, 4);
	memcpy(&daddr, path->local.addr, 4);
	if (has_sum) {
		inet_proto_csum_replace4(&udp->check, skb, ip->saddr, saddr,
					 true);
		inet_proto_csum_replace4(&udp->check, skb, ip->daddr, daddr,
					 true);
	}
	csum_replace4(&ip->check, ip->saddr, saddr);
	csum_replace4(&ip->check, ip->daddr, daddr);
	ip->saddr = saddr;
	ip->daddr = daddr;
}

static void rewrite6(struct sk_buff *skb, struct udphdr *udp,
		     const struct tr_path *path, bool has_sum)
{
	struct ipv6hdr *ip = ipv6_hdr(skb);
	struct in6_addr saddr, daddr;

	memcpy(&saddr, path->from.addr, 16);
	memcpy(&daddr, path->local.addr, 16);
	if (has_sum) {
		inet_proto_csum_replace16(&udp->check, skb,
					  ip->saddr.s6_addr32,
					  saddr.s6_addr32, true);
		inet_proto_csum_replace16(&udp->check, skb,
					  ip->daddr.s6_addr32,
					  daddr.s6_addr32, true);
	}
	ip->saddr = saddr;
	ip->daddr = daddr;
}

static unsigned int rewrite(struct sk_buff *skb, const struct tr_outer *outer,
			    const struct tr_path *path)
{
	struct udphdr *udp;
	bool has_sum;

	if (skb_ensure_writable(skb, outer->udp_off + sizeof(*udp)))
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NOMEM, 0);
	udp = (struct udphdr *)(skb->data + outer->udp_off);
	has_sum = udp->check || skb->ip_summed == CHECKSUM_PARTIAL;
	if (outer->family == AF_INET)
		rewrite4(skb, udp, path, has_sum);
	else
		rewrite6(skb, udp, path, has_sum);
	if (has_sum) {
		inet_proto_csum_replace2(&udp->check, skb, udp->source,
					 path->from.port, false);
		if (!udp->check)
			udp->check = CSUM_MANGLED_0;
	}
	udp->source = path->from.port;
	skb->skb_iif = path->local.iif;
	return NF_ACCEPT;
}

/* Return: WireGuard's socket on the port with a reference, or NULL. */
static struct sock *wireguard_sock(const struct tr_device *tdev, u8 family)
{
	struct net *net = tdev->tn->net;
	__be16 port = READ_ONCE(tdev->port);
	struct sock *sk = NULL;

	/* It is bound to all addresses and connected to none. */
	if (family == AF_INET)
		sk = udp4_lib_lookup(net, 0, 0, 0, port, 0);
#if IS_ENABLED(CONFIG_IPV6)
	else
		sk = udp6_lib_lookup(net, &in6addr_any, 0, &in6addr_any, port,
				     0);
#endif
	if (sk && !READ_ONCE(udp_sk(sk)->encap_rcv)) {
		sock_put(sk);
		sk = NULL;
	}
	return sk;
}

static void put_header4(struct sk_buff *skb, const struct tr_path *path)
{
	struct iphdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	*ip = (struct iphdr){ .version = 4,
			      .ihl = sizeof(*ip) / 4,
			      .tot_len = htons(skb->len),
			      .ttl = 64,
			      .protocol = IPPROTO_UDP };
	memcpy(&ip->saddr, path->from.addr, 4);
	memcpy(&ip->daddr, path->local.addr, 4);
	ip_send_check(ip);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	skb->protocol = htons(ETH_P_IP);
}

static void put_header6(struct sk_buff *skb, const struct tr_path *path)
{
	struct ipv6hdr *ip = skb_push(skb, sizeof(*ip));

	skb_reset_network_header(skb);
	*ip = (struct ipv6hdr){ .version = 6,
				.payload_len = htons(skb->len - sizeof(*ip)),
				.nexthdr = IPPROTO_UDP,
				.hop_limit = 64 };
	memcpy(&ip->saddr, path->from.addr, 16);
	memcpy(&ip->daddr, path->local.addr, 16);
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	skb->protocol = htons(ETH_P_IPV6);
}

/*
 * Gives WireGuard one packet in another IP version. Its socket would not get
 * it from the stack, which has long decided where the packet goes, so the
 * socket's own receive function does. What it would check of UDP before does
 * not matter: WireGuard believes nothing it cannot decrypt.
 */
static void hand_over(struct sk_buff *skb, const struct tr_outer *outer,
		      const struct tr_path *path, struct sock *sk)
{
	unsigned int headers = path->from.family == AF_INET ?
				       sizeof(struct iphdr) :
				       sizeof(struct ipv6hdr);
	struct udphdr *udp;

	if (!pskb_may_pull(skb, outer->udp_off + sizeof(*udp)))
		goto drop;
	skb_pull(skb, outer->udp_off);
	/* Loopback's headroom is short of what IPv6 takes more than IPv4. */
	if (skb_cow_head(skb, headers))
		goto drop;
	skb_reset_transport_header(skb);
	udp = udp_hdr(skb);
	udp->source = path->from.port;
	udp->check = 0;
	if (path->from.family == AF_INET)
		put_header4(skb, path);
	else
		put_header6(skb, path);
	skb_pull(skb, headers);
	skb_reset_mac_header(skb);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->skb_iif = path->local.iif;
	skb_dst_drop(skb);
	skb_orphan(skb);
	nf_reset_ct(skb);
	if (udp_sk(sk)->encap_rcv(sk, skb) <= 0)
		return;
drop:
	kfree_skb(skb);
}

static unsigned int convert(struct sk_buff *skb, const struct tr_outer *outer,
			    const struct tr_path *path)
{
	struct sock *sk = wireguard_sock(outer->tdev, path->from.family);
	struct sk_buff *seg, *next;

	if (!sk)
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NO_SOCKET, 0);
	if (skb_is_gso(skb)) {
		skb_list_walk_safe(tr_steer_segment(skb), seg, next) {
			skb_mark_not_on_list(seg);
			hand_over(seg, outer, path, sk);
		}
	} else {
		hand_over(skb, outer, path, sk);
	}
	sock_put(sk);
	return NF_STOLEN;
}

unsigned int tr_present_in(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	struct tr_alias *alias, *canonical;
	enum tr_steer_kind kind;
	struct tr_outer outer;
	struct tr_device *tdev;
	unsigned int packets;
	struct tr_path path;

	/* Steering has given the others a socket. */
	if (skb->sk || !tr_steer_parse(skb, state, &outer))
		return NF_ACCEPT;
	kind = tr_steer_classify(skb, outer.udp_off + sizeof(struct udphdr),
				 outer.len, outer.udp.source);
	if (kind == TR_STEER_DISCO && !skb_is_gso(skb)) {
		tr_pong_answer(skb, state, &outer);
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NO_SOCKET, 0);
	}
	if (kind != TR_STEER_WIREGUARD)
		return NF_ACCEPT;

	tdev = outer.tdev;
	packets = max_t(unsigned int, skb_shinfo(skb)->gso_segs, 1);
	source(skb, &outer, &path);
	alias = tr_alias_seen(&tdev->aliases, &path.from, &path.local, packets,
			      outer.len);
	tr_stats_path_rx(tdev->stats,
			 alias ? alias->path : tr_path_of(&path.from), packets,
			 outer.len);
	if (!alias) {
		tr_stats_add(tdev->stats, TAILRACE_A_STATS_WG_UNKNOWN, packets);
		tr_event_source(&tdev->events, &path.from);
		return NF_ACCEPT;
	}
	canonical = rcu_dereference(alias->canonical);
	if (canonical == alias)
		return NF_ACCEPT;

	tr_stats_add(tdev->stats, TAILRACE_A_STATS_WG_ALIASED, packets);
	path.from = canonical->key;
	tr_alias_local(canonical, &path.local);
	if (path.from.family == outer.family)
		return rewrite(skb, &outer, &path);
	return convert(skb, &outer, &path);
}
