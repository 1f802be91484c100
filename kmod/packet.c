// SPDX-License-Identifier: GPL-2.0
/*
 * Decoding of the packets inside the tunnel, exactly as far as the filter
 * looks: deeper parsing would judge packets differently from other nodes.
 */
#include "packet.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <net/ipv6.h>

/* IP protocols without a name in every kernel's headers. */
#define PROTO_IGMP 2
#define PROTO_SCTP 132

/*
 * A later fragment that starts below this offset (in units of 8 bytes) could
 * overwrite the transport header that the first one showed: the longest IPv4
 * header and a TCP header.
 */
#define FRAGMENT_MIN_OFFSET ((60 + 20) / 8)

/* The type of an ICMPv4 "parameter problem" as Tailscale has it; really 12. */
#define ICMP_PARAMETER_PROBLEM_COMPAT 0x12

#define JUMBO_OPTION 0xc2

struct fragment_header {
	u8 next;
	u8 reserved;
	__be16 offset; /* 13 bits, then 2 reserved, then "more" */
	__be32 id;
};

/* The hop-by-hop header that GRO and TCP put before more than 64 KiB. */
struct jumbo_header {
	u8 next;
	u8 len;
	u8 option;
	u8 option_len;
	__be32 payload_len;
};

static bool icmp4_is_reply(u8 type, u8 code)
{
	switch (type) {
	case ICMP_ECHOREPLY:
		return code == 0;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM_COMPAT:
		return true;
	}
	return false;
}

static bool icmp6_is_reply(u8 type, u8 code)
{
	switch (type) {
	case ICMPV6_ECHO_REPLY:
		return code == 0;
	case ICMPV6_DEST_UNREACH:
	case ICMPV6_PKT_TOOBIG:
	case ICMPV6_TIME_EXCEED:
	case ICMPV6_PARAMPROB:
		return true;
	}
	return false;
}

bool tr_packet_icmp_is_reply(u8 family, u8 type, u8 code)
{
	return family == AF_INET ? icmp4_is_reply(type, code) :
				   icmp6_is_reply(type, code);
}

/* The least bytes of a transport header for a protocol to be itself. */
static u32 transport_min(u8 family, u8 proto)
{
	switch (proto) {
	case IPPROTO_ICMP:
		return family == AF_INET ? 4 : 0;
	case PROTO_IGMP:
		return family == AF_INET ? 8 : 0;
	case IPPROTO_ICMPV6:
		return family == AF_INET6 ? 4 : 0;
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
		return 8;
	case PROTO_SCTP:
		return 12;
	case TR_PROTO_TSMP:
		return 7;
	}
	return 0;
}

/*
 * Take over @proto, whose header starts at @pkt->l4_off, if the header is
 * there. @pkt->l4_len bytes are known to be in the skb.
 */
static void parse_transport(const struct sk_buff *skb, struct tr_packet *pkt,
			    u8 proto)
{
	u8 buf[14];
	const u8 *h;

	/* The value is ours for fragments; nobody sends it. */
	if (proto == TR_PROTO_FRAGMENT)
		return;
	if (pkt->l4_len < transport_min(pkt->family, proto))
		return;

	switch (proto) {
	case IPPROTO_TCP:
		h = skb_header_pointer(skb, pkt->l4_off, 14, buf);
		if (!h)
			return;
		pkt->tcp_flags = h[13];
		break;
	case IPPROTO_UDP:
	case PROTO_SCTP:
		h = skb_header_pointer(skb, pkt->l4_off, 4, buf);
		if (!h)
			return;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		h = NULL;
		if (pkt->l4_len >= 8)
			h = skb_header_pointer(skb, pkt->l4_off, 2, buf);
		if (h && pkt->family == AF_INET && proto == IPPROTO_ICMP)
			pkt->icmp_reply = icmp4_is_reply(h[0], h[1]);
		if (h && pkt->family == AF_INET6 && proto == IPPROTO_ICMPV6)
			pkt->icmp_reply = icmp6_is_reply(h[0], h[1]);
		fallthrough;
	default:
		pkt->proto = proto;
		return;
	}
	pkt->sport = h[0] << 8 | h[1];
	pkt->dport = h[2] << 8 | h[3];
	pkt->proto = proto;
}

static void parse4(const struct sk_buff *skb, u32 off, struct tr_packet *pkt)
{
	u32 header_len, total_len, fragment;
	const struct iphdr *iph;
	struct iphdr buf;

	iph = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!iph)
		return;
	pkt->family = AF_INET;
	ipv6_addr_set_v4mapped(iph->saddr, &pkt->src);
	ipv6_addr_set_v4mapped(iph->daddr, &pkt->dst);

	header_len = iph->ihl * 4;
	total_len = ntohs(iph->tot_len);
	/* More than 64 KiB, merged by GRO or not yet cut by GSO. */
	if (!total_len && skb_is_gso(skb))
		total_len = pkt->len;
	if (iph->ihl < 5 || header_len > total_len || total_len > pkt->len)
		return;

	pkt->l4_off = off + header_len;
	pkt->l4_len = total_len - header_len;
	fragment = ntohs(iph->frag_off);
	if (fragment & 0x1fff) {
		if ((fragment & 0x1fff) >= FRAGMENT_MIN_OFFSET &&
		    iph->protocol != TR_PROTO_FRAGMENT)
			pkt->proto = TR_PROTO_FRAGMENT;
		return;
	}
	/* TSMP has no use for fragments. */
	if (iph->protocol == TR_PROTO_TSMP && fragment & 0x2000)
		return;
	parse_transport(skb, pkt, iph->protocol);
}

/* The one extension header that is understood; @pkt->l4_off is at it. */
static void parse_fragment6(const struct sk_buff *skb, struct tr_packet *pkt)
{
	const struct fragment_header *fh;
	struct fragment_header buf;
	u32 offset;

	if (pkt->l4_len < sizeof(buf))
		return;
	fh = skb_header_pointer(skb, pkt->l4_off, sizeof(buf), &buf);
	if (!fh)
		return;
	offset = ntohs(fh->offset) >> 3;
	if (offset) {
		if (offset >= FRAGMENT_MIN_OFFSET)
			pkt->proto = TR_PROTO_FRAGMENT;
		return;
	}
	pkt->l4_off += sizeof(buf);
	pkt->l4_len -= sizeof(buf);
	parse_transport(skb, pkt, fh->next);
}

static void parse6(const struct sk_buff *skb, u32 off, struct tr_packet *pkt)
{
	const struct jumbo_header *jh = NULL;
	const struct ipv6hdr *ip6h;
	struct jumbo_header jumbo;
	struct ipv6hdr buf;
	u32 payload_len;

	ip6h = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!ip6h)
		return;
	pkt->family = AF_INET6;
	pkt->src = ip6h->saddr;
	pkt->dst = ip6h->daddr;

	payload_len = ntohs(ip6h->payload_len);
	if (!payload_len && skb_is_gso(skb)) {
		payload_len = pkt->len - sizeof(buf);
		if (ip6h->nexthdr == 0)
			jh = skb_header_pointer(skb, off + sizeof(buf),
						sizeof(jumbo), &jumbo);
	}
	if (payload_len > pkt->len - sizeof(buf))
		return;

	pkt->l4_off = off + sizeof(buf);
	pkt->l4_len = payload_len;
	if (jh && jh->next == IPPROTO_TCP && jh->len == 0 &&
	    jh->option == JUMBO_OPTION && jh->option_len == 4) {
		pkt->l4_off += sizeof(*jh);
		pkt->l4_len -= sizeof(*jh);
		parse_transport(skb, pkt, IPPROTO_TCP);
	} else if (ip6h->nexthdr == IPPROTO_FRAGMENT) {
		parse_fragment6(skb, pkt);
	} else {
		parse_transport(skb, pkt, ip6h->nexthdr);
	}
}

void tr_packet_parse(const struct sk_buff *skb, struct tr_packet *pkt)
{
	u32 off = skb_network_offset(skb);
	const u8 *version;
	u8 buf;

	*pkt = (struct tr_packet){ .proto = TR_PROTO_UNKNOWN };
	pkt->len = skb->len - off;
	version = skb_header_pointer(skb, off, 1, &buf);
	if (!version)
		return;
	switch (*version >> 4) {
	case 4:
		parse4(skb, off, pkt);
		break;
	case 6:
		parse6(skb, off, pkt);
		break;
	}
}
