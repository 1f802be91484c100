// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>
#include <net/ip.h>

#include "device.h"
#include "event.h"
#include "packet.h"
#include "tsmp.h"

#define TSMP_PING 'p' /* 8 bytes */
#define TSMP_PONG 'o' /* the same 8 bytes, our peer API's port */
#define TSMP_REJECT '!' /* protocol, reason, both ports */
#define TSMP_DATA_LEN 8
#define TTL 64

static struct sk_buff *build(u8 family, const void *src, const void *dst,
			     const void *payload, int len)
{
	struct sk_buff *skb;

	skb = alloc_skb(MAX_HEADER + sizeof(struct ipv6hdr) + len, GFP_KERNEL);
	if (!skb)
		return NULL;
	skb_reserve(skb, MAX_HEADER);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	if (family == AF_INET) {
		struct iphdr *ip = skb_put_zero(skb, sizeof(*ip));

		ip->version = 4;
		ip->ihl = sizeof(*ip) / 4;
		ip->tot_len = htons(sizeof(*ip) + len);
		ip->ttl = TTL;
		ip->protocol = TR_PROTO_TSMP;
		memcpy(&ip->saddr, src, sizeof(ip->saddr));
		memcpy(&ip->daddr, dst, sizeof(ip->daddr));
		ip_send_check(ip);
		skb->protocol = htons(ETH_P_IP);
	} else {
		struct ipv6hdr *ip = skb_put_zero(skb, sizeof(*ip));

		ip->version = 6;
		ip->payload_len = htons(len);
		ip->nexthdr = TR_PROTO_TSMP;
		ip->hop_limit = TTL;
		memcpy(&ip->saddr, src, sizeof(ip->saddr));
		memcpy(&ip->daddr, dst, sizeof(ip->daddr));
		skb->protocol = htons(ETH_P_IPV6);
	}
	skb_set_transport_header(skb, skb->len);
	skb_put_data(skb, payload, len);
	return skb;
}

int tr_tsmp_send(struct tr_tsmp *tsmp, u8 family, const void *src,
		 const void *dst, const void *payload, int len)
{
	struct sk_buff *skb = build(family, src, dst, payload, len);

	if (!skb)
		return -ENOMEM;
	skb->dev = tsmp->dev;
	/* Past the hooks, where nobody's TSMP gets through. */
	return dev_direct_xmit(skb, 0) == NET_XMIT_SUCCESS ? 0 : -ENETDOWN;
}

static void answer(struct tr_tsmp *tsmp, const struct tr_packet *pkt,
		   const u8 *payload, int len, unsigned int stat)
{
	int off = pkt->family == AF_INET ? 12 : 0;

	/* To the sender, from where he sent it to. */
	if (tr_tsmp_send(tsmp, pkt->family, &pkt->dst.s6_addr[off],
			 &pkt->src.s6_addr[off], payload, len))
		return;
	local_bh_disable();
	tr_stats_inc(tsmp->stats, stat);
	local_bh_enable();
}

static void answer_ping(struct tr_tsmp *tsmp, const struct tr_packet *pkt,
			const u8 *ping)
{
	u8 pong[1 + TSMP_DATA_LEN + 2] = { TSMP_PONG };

	memcpy(pong + 1, ping + 1, TSMP_DATA_LEN);
	answer(tsmp, pkt, pong, sizeof(pong), TAILRACE_A_STATS_TSMP_PONGS);
}

static void answer_syn(struct tr_tsmp *tsmp, const struct tr_packet *pkt,
		       char reason)
{
	u8 reject[] = { TSMP_REJECT, IPPROTO_TCP, reason,
			pkt->sport >> 8, pkt->sport & 0xff,
			pkt->dport >> 8, pkt->dport & 0xff };

	answer(tsmp, pkt, reject, sizeof(reject),
	       TAILRACE_A_STATS_TSMP_REJECTS);
}

/* What the packet path leaves for us in skb->cb. */
struct tsmp_cb {
	char reason; /* of a reject */
};

#define TSMP_CB(skb) ((struct tsmp_cb *)(skb)->cb)

static void look_at(struct tr_tsmp *tsmp, struct sk_buff *skb)
{
	u8 payload[TAILRACE_MAX_TSMP];
	struct tr_packet pkt;
	int len, off;

	tr_packet_parse(skb, &pkt);
	if (pkt.proto == IPPROTO_TCP) {
		answer_syn(tsmp, &pkt, TSMP_CB(skb)->reason);
		return;
	}
	len = min_t(u32, pkt.l4_len, sizeof(payload));
	if (skb_copy_bits(skb, pkt.l4_off, payload, len))
		return;
	if (payload[0] == TSMP_PING) {
		if (len >= 1 + TSMP_DATA_LEN)
			answer_ping(tsmp, &pkt, payload);
		return;
	}
	off = pkt.family == AF_INET ? 12 : 0;
	tr_event_tsmp(tsmp->events, &pkt.src.s6_addr[off],
		      &pkt.dst.s6_addr[off], 16 - off, payload, len);
}

static void work(struct work_struct *work)
{
	struct tr_tsmp *tsmp = container_of(work, struct tr_tsmp, work);
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&tsmp->queue))) {
		look_at(tsmp, skb);
		consume_skb(skb);
		cond_resched();
	}
}

static void put_aside(struct tr_tsmp *tsmp, struct sk_buff *skb)
{
	if (skb_queue_len_lockless(&tsmp->queue) >= TR_TSMP_QUEUE) {
		kfree_skb(skb);
		return;
	}
	skb_queue_tail(&tsmp->queue, skb);
	queue_work(tr_wq, &tsmp->work);
}

void tr_tsmp_receive(struct tr_tsmp *tsmp, struct sk_buff *skb)
{
	put_aside(tsmp, skb);
}

bool tr_tsmp_reject(struct tr_tsmp *tsmp, struct sk_buff *skb,
		    const struct tr_packet *pkt, enum tailrace_drop why)
{
	char reason;

	if (pkt->family != AF_INET || pkt->proto != IPPROTO_TCP ||
	    !(pkt->tcp_flags & TR_TCP_SYN))
		return false;
	switch (why) {
	case TAILRACE_DROP_NOT_LOCAL:
	case TAILRACE_DROP_NO_RULE:
	case TAILRACE_DROP_JAILED:
		reason = 'A';
		break;
	case TAILRACE_DROP_SHIELDS_UP:
		reason = 'S';
		break;
	case TAILRACE_DROP_NO_POLICY:
	case TAILRACE_DROP_MALFORMED:
	case TAILRACE_DROP_MULTICAST:
	case TAILRACE_DROP_LINK_LOCAL:
	case TAILRACE_DROP_TSMP_OUT:
	case TAILRACE_DROP_DISCO_INSIDE:
	case TAILRACE_DROP_EXPIRED:
	case TAILRACE_DROP_NO_FLOW:
	case TAILRACE_DROP_FLOWS_FULL:
	case __TAILRACE_DROP_MAX:
		return false;
	}
	if (!tr_ratelimit_take(&tsmp->limit, AF_INET, &pkt->src.s6_addr[12]))
		return false;
	TSMP_CB(skb)->reason = reason;
	put_aside(tsmp, skb);
	return true;
}

void tr_tsmp_init(struct tr_tsmp *tsmp, struct net_device *dev,
		  struct tr_stats __percpu *stats,
		  struct tr_event_queue *events)
{
	tsmp->dev = dev;
	tsmp->stats = stats;
	tsmp->events = events;
	skb_queue_head_init(&tsmp->queue);
	INIT_WORK(&tsmp->work, work);
	tr_ratelimit_init(&tsmp->limit, 10, 20);
}

void tr_tsmp_uninit(struct tr_tsmp *tsmp)
{
	cancel_work_sync(&tsmp->work);
	skb_queue_purge(&tsmp->queue);
}
