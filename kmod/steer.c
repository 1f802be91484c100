// SPDX-License-Identifier: GPL-2.0
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/gso.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include "device.h"
#include "pong.h"
#include "steer.h"
#include "trace.h"

#define NATPMP_PORT 5351
#define GENEVE_LEN 8
#define DISCO_MIN 38 /* magic and sender's key */

static const u8 disco_magic[6] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

bool tr_steer_parse(const struct sk_buff *skb,
		    const struct nf_hook_state *state, struct tr_outer *outer)
{
	const struct udphdr *udp;
	unsigned int off;

	if (state->pf == NFPROTO_IPV4) {
		if (ip_hdr(skb)->protocol != IPPROTO_UDP)
			return false;
		outer->family = AF_INET;
		off = ip_hdrlen(skb);
	} else {
		u8 next = ipv6_hdr(skb)->nexthdr;

		outer->family = AF_INET6;
		off = sizeof(struct ipv6hdr);
		/* Extension headers are looked at after LOCAL_IN only. */
		if (next != IPPROTO_UDP) {
			__be16 frag = 0;
			int end = ipv6_skip_exthdr(skb, off, &next, &frag);

			if (end < 0 || next != IPPROTO_UDP || frag)
				return false;
			off = end;
		}
	}

	off += skb_network_offset(skb);
	udp = skb_header_pointer(skb, off, sizeof(outer->udp), &outer->udp);
	if (!udp)
		return false;
	if (udp != &outer->udp)
		outer->udp = *udp;
	outer->tdev = tr_device_by_port(tr_device_net(state->net),
					outer->udp.dest);
	if (!outer->tdev)
		return false;
	outer->udp_off = off;
	outer->len = skb->len - off - sizeof(*udp);
	if (!skb_is_gso(skb)) {
		unsigned int len = ntohs(outer->udp.len);

		/* UDP drops what does not add up. */
		if (len < sizeof(*udp) || len - sizeof(*udp) > outer->len)
			return false;
		outer->len = len - sizeof(*udp);
	}
	return true;
}

static bool is_disco(const u8 *m, unsigned int len)
{
	return len >= DISCO_MIN && !memcmp(m, disco_magic, sizeof(disco_magic));
}

enum tr_steer_kind tr_steer_classify(const struct sk_buff *skb,
				     unsigned int off, unsigned int len,
				     __be16 source)
{
	u8 buf[GENEVE_LEN + sizeof(disco_magic)] = {};
	const u8 *m;

	m = skb_header_pointer(skb, off, min_t(unsigned int, len, sizeof(buf)),
			       buf);
	if (!m || len < 4)
		return TR_STEER_OTHER;
	/* No other kind begins like this, and most packets do. */
	if (m[0] >= 1 && m[0] <= 4 && !m[1] && !m[2] && !m[3])
		return TR_STEER_WIREGUARD;
	if (len < GENEVE_LEN)
		return TR_STEER_OTHER;
	if (len >= 20 && !(m[0] & 0xc0) && m[1] == 0x01 && m[4] == 0x21 &&
	    m[5] == 0x12 && m[6] == 0xa4 && m[7] == 0x42)
		return TR_STEER_STUN;
	if (!(m[0] & 0xc0) && !(m[1] & 0x3f) && !m[7] && m[2] == 0x7a) {
		if (m[3] == 0x11)
			return is_disco(m + GENEVE_LEN, len - GENEVE_LEN) ?
				       TR_STEER_GENEVE :
				       TR_STEER_OTHER;
		if (m[3] == 0x12)
			return TR_STEER_OTHER;
	}
	if (is_disco(m, len))
		return TR_STEER_DISCO;
	/* Version 0 or 2, and the bit of a response. */
	if (source == htons(NATPMP_PORT) && (m[0] == 0 || m[0] == 2) &&
	    (m[1] & 0x80))
		return TR_STEER_PORTMAP;
	return TR_STEER_OTHER;
}

static bool is_for_agent(enum tr_steer_kind kind)
{
	return kind != TR_STEER_WIREGUARD && kind != TR_STEER_OTHER;
}

/* Whether any segment of a GSO packet is for the agent. */
static bool has_any_for_agent(struct sk_buff *skb,
			      const struct tr_outer *outer)
{
	unsigned int size = skb_shinfo(skb)->gso_size;
	unsigned int off = outer->udp_off + sizeof(struct udphdr);
	unsigned int end = skb->len;
	struct sk_buff *seg;

	if (skb_shinfo(skb)->gso_type & SKB_GSO_FRAGLIST) {
		/* GRO has pulled the headers of all but the first. */
		skb_walk_frags(skb, seg) {
			if (is_for_agent(tr_steer_classify(
				    seg, 0, seg->len, outer->udp.source)))
				return true;
			end -= seg->len;
		}
		size = end - off;
	}
	if (!size)
		return false;
	for (; off < end; off += size) {
		if (is_for_agent(tr_steer_classify(skb, off,
						   min(size, end - off),
						   outer->udp.source)))
			return true;
	}
	return false;
}

struct sk_buff *tr_steer_segment(struct sk_buff *skb)
{
	struct sk_buff *segs, *seg;

	/* As udp_rcv_segment() does: sums are checked, or made, in software. */
	if (skb->pkt_type == PACKET_LOOPBACK)
		skb->ip_summed = CHECKSUM_PARTIAL;
	__skb_push(skb, -skb_mac_offset(skb));
	segs = __skb_gso_segment(
		skb, NETIF_F_SG | NETIF_F_IP_CSUM | NETIF_F_IPV6_CSUM, false);
	if (IS_ERR_OR_NULL(segs)) {
		kfree_skb(skb);
		return NULL;
	}
	consume_skb(skb);
	for (seg = segs; seg; seg = seg->next)
		__skb_pull(seg, skb_network_offset(seg));
	return segs;
}

/* Each segment goes through LOCAL_IN again, on its own. */
static unsigned int split(struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	struct sk_buff *seg, *next;

	skb_list_walk_safe(tr_steer_segment(skb), seg, next) {
		skb_mark_not_on_list(seg);
		NF_HOOK(state->pf, state->hook, state->net, NULL, seg,
			state->in, state->out, state->okfn);
	}
	return NF_STOLEN;
}

static const void *source(const struct sk_buff *skb, u8 family)
{
	return family == AF_INET ? (const void *)&ip_hdr(skb)->saddr :
				   (const void *)&ipv6_hdr(skb)->saddr;
}

/*
 * The sender of disco is named in the packet. That can be a lie, but only of
 * somebody in the tailnet or who has seen the peer's packets, and it costs
 * nobody but that peer.
 */
static bool is_within_limit(const struct sk_buff *skb,
			    const struct tr_outer *outer,
			    enum tr_steer_kind kind)
{
	unsigned int off = outer->udp_off + sizeof(struct udphdr);
	struct tr_device *tdev = outer->tdev;
	u8 key[TR_DISCO_KEY] __aligned(8);

	if (kind == TR_STEER_GENEVE)
		off += GENEVE_LEN;
	if ((kind == TR_STEER_DISCO || kind == TR_STEER_GENEVE) &&
	    !skb_copy_bits(skb, off + sizeof(disco_magic), key, sizeof(key)) &&
	    tr_disco_knows(&tdev->disco, key))
		return tr_ratelimit_take_by(&tdev->peers_limit, key,
					    sizeof(key));
	return tr_ratelimit_take(&tdev->strangers, outer->family,
				 source(skb, outer->family)) &&
	       tr_bucket_take(&tdev->strangers_all[kind]);
}

static unsigned int to_agent(struct sk_buff *skb, const struct tr_outer *outer,
			     enum tr_steer_kind kind)
{
	static const unsigned int stat[] = {
		[TR_STEER_STUN] = TAILRACE_A_STATS_STEER_STUN,
		[TR_STEER_GENEVE] = TAILRACE_A_STATS_STEER_GENEVE,
		[TR_STEER_DISCO] = TAILRACE_A_STATS_STEER_DISCO,
		[TR_STEER_PORTMAP] = TAILRACE_A_STATS_STEER_PORTMAP,
	};
	struct tr_device *tdev = outer->tdev;
	struct sock *sk;

	if (!is_within_limit(skb, outer, kind)) {
		tr_stats_inc(tdev->stats, TAILRACE_A_STATS_STEER_LIMITED);
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NETFILTER_DROP, 0);
	}
	sk = tr_sock_get(&tdev->sock, outer->family);
	if (!sk) {
		tr_stats_inc(tdev->stats, TAILRACE_A_STATS_STEER_NO_SOCKET);
		/* tr_present_in() answers what the host's firewall lets in. */
		if (kind == TR_STEER_DISCO && tr_pong_is_ours(tdev))
			return NF_ACCEPT;
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NO_SOCKET, 0);
	}
	/* UDP delivers to the socket a packet brings along. */
	skb_orphan(skb);
	skb->sk = sk;
	skb->destructor = sock_edemux;
	tr_stats_inc(tdev->stats, stat[kind]);
	return NF_ACCEPT;
}

unsigned int tr_steer_in(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	enum tr_steer_kind kind;
	struct tr_outer outer;

	if (!tr_steer_parse(skb, state, &outer))
		return NF_ACCEPT;
	if (skb_is_gso(skb))
		return has_any_for_agent(skb, &outer) ? split(skb, state) :
							NF_ACCEPT;
	kind = tr_steer_classify(skb, outer.udp_off + sizeof(struct udphdr),
				 outer.len, outer.udp.source);
	trace_tailrace_steer(outer.tdev->dev, outer.family, outer.udp.source,
			     outer.len, kind);
	return is_for_agent(kind) ? to_agent(skb, &outer, kind) : NF_ACCEPT;
}
