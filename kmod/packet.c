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
	if (fragment & 0x2000) {
		/* TSMP has no use for fragments. */
		if (iph->protocol == TR_PROTO_TSMP)
			return;
		pkt->fragmented = true;
	}
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
	pkt->fragmented = ntohs(fh->offset) & 1;
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

	/* One by one: of a whole struct the compiler makes "rep stos". */
	pkt->family = 0;
	pkt->proto = TR_PROTO_UNKNOWN;
	pkt->tcp_flags = 0;
	pkt->icmp_reply = false;
	pkt->question = false;
	pkt->fragmented = false;
	pkt->sport = 0;
	pkt->dport = 0;
	pkt->len = skb->len - off;
	pkt->l4_off = 0;
	pkt->l4_len = 0;
	pkt->src = (struct in6_addr){};
	pkt->dst = (struct in6_addr){};
	pkt->skb = skb;
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

bool tr_packet_fragment_id(const struct tr_packet *pkt, u32 *id)
{
	u32 off = pkt->skb ? skb_network_offset(pkt->skb) : 0;
	const void *h;
	u8 buf[20];

	if (!pkt->skb)
		return false;
	if (pkt->family == AF_INET) {
		h = skb_header_pointer(pkt->skb, off, sizeof(struct iphdr),
				       buf);
		if (h)
			*id = ntohs(((const struct iphdr *)h)->id);
	} else {
		h = skb_header_pointer(pkt->skb, off + sizeof(struct ipv6hdr),
				       sizeof(struct fragment_header), buf);
		if (h)
			*id = ntohl(((const struct fragment_header *)h)->id);
	}
	return h;
}

static u16 get16(const u8 *b)
{
	return b[0] << 8 | b[1];
}

bool tr_packet_icmp(const struct tr_packet *pkt, u8 *type, u16 *id)
{
	u8 buf[8];
	const u8 *h;

	if (!pkt->skb || pkt->l4_len < sizeof(buf))
		return false;
	h = skb_header_pointer(pkt->skb, pkt->l4_off, sizeof(buf), buf);
	if (!h)
		return false;
	*type = h[0];
	*id = get16(h + 4);
	return true;
}

/* *@off and *@left are behind the error's header, and then behind IP's. */
static bool quote4(const struct sk_buff *skb, u32 *off, u32 *left,
		   struct tr_quote *quote)
{
	const struct iphdr *iph;
	struct iphdr buf;

	if (*left < sizeof(buf))
		return false;
	iph = skb_header_pointer(skb, *off, sizeof(buf), &buf);
	if (!iph || iph->version != 4 || iph->ihl < 5 ||
	    *left < iph->ihl * 4U || ntohs(iph->frag_off) & 0x1fff)
		return false;
	quote->family = AF_INET;
	quote->proto = iph->protocol;
	ipv6_addr_set_v4mapped(iph->saddr, &quote->src);
	ipv6_addr_set_v4mapped(iph->daddr, &quote->dst);
	*off += iph->ihl * 4;
	*left -= iph->ihl * 4;
	return true;
}

static bool quote6(const struct sk_buff *skb, u32 *off, u32 *left,
		   struct tr_quote *quote)
{
	const struct fragment_header *fh;
	const struct ipv6hdr *ip6h;
	struct fragment_header frag;
	struct ipv6hdr buf;

	if (*left < sizeof(buf))
		return false;
	ip6h = skb_header_pointer(skb, *off, sizeof(buf), &buf);
	if (!ip6h || ip6h->version != 6)
		return false;
	quote->family = AF_INET6;
	quote->proto = ip6h->nexthdr;
	quote->src = ip6h->saddr;
	quote->dst = ip6h->daddr;
	*off += sizeof(buf);
	*left -= sizeof(buf);
	if (quote->proto != IPPROTO_FRAGMENT)
		return true;
	if (*left < sizeof(frag))
		return false;
	fh = skb_header_pointer(skb, *off, sizeof(frag), &frag);
	if (!fh || ntohs(fh->offset) >> 3)
		return false;
	quote->proto = fh->next;
	*off += sizeof(frag);
	*left -= sizeof(frag);
	return true;
}

bool tr_packet_quote(const struct tr_packet *pkt, struct tr_quote *quote)
{
	u32 off = pkt->l4_off + 8, left;
	u8 buf[8];
	const u8 *h;

	if (!pkt->skb || pkt->l4_len < 8)
		return false;
	left = pkt->l4_len - 8;
	*quote = (struct tr_quote){};
	if (pkt->family == AF_INET ? !quote4(pkt->skb, &off, &left, quote) :
				     !quote6(pkt->skb, &off, &left, quote))
		return false;
	switch (quote->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case PROTO_SCTP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		break;
	case TR_PROTO_UNKNOWN:
	case TR_PROTO_FRAGMENT:
		return false;
	default:
		return true;
	}
	/* Eight bytes of it is what an error has at least. */
	if (left < sizeof(buf))
		return false;
	h = skb_header_pointer(pkt->skb, off, sizeof(buf), buf);
	if (!h)
		return false;
	if (quote->proto == (pkt->family == AF_INET ? IPPROTO_ICMP :
						      IPPROTO_ICMPV6)) {
		quote->icmp_type = h[0];
		quote->sport = get16(h + 4);
	} else if (quote->proto != IPPROTO_ICMP &&
		   quote->proto != IPPROTO_ICMPV6) {
		quote->sport = get16(h);
		quote->dport = get16(h + 2);
	}
	return true;
}
