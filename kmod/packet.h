/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_PACKET_H
#define _TR_PACKET_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/types.h>

struct sk_buff;

/* Values of tr_packet.proto that are no protocol on the wire. */
#define TR_PROTO_UNKNOWN 0 /* malformed; also what IPv6 calls hop-by-hop */
#define TR_PROTO_FRAGMENT 0xff /* a later fragment */

#define TR_PROTO_TSMP 99

/* The flags of byte 13 of a TCP header that the filter looks at. */
#define TR_TCP_FIN 0x01
#define TR_TCP_SYN 0x02
#define TR_TCP_RST 0x04
#define TR_TCP_ACK 0x10

/**
 * struct tr_packet - what the filter knows about a packet inside the tunnel
 * @family: AF_INET or AF_INET6; 0 when it is neither or has no whole header
 * @proto: IP protocol, TR_PROTO_UNKNOWN or TR_PROTO_FRAGMENT
 * @tcp_flags: byte 13 of the TCP header, 0 for other protocols
 * @icmp_reply: ICMPv4 in IPv4 or ICMPv6 in IPv6, an echo response or an error
 * @question: what would become of such a packet; no flow is entered or kept
 *	for it, nothing counted
 * @fragmented: the first fragment of several
 * @skb: whence all this is, for those who want to know more; NULL: nowhere
 * @sport: host byte order; TCP, UDP and SCTP, 0 for others
 * @dport: likewise
 * @len: bytes from the IP header on; 0 is WireGuard's keepalive
 * @l4_off: offset of the transport header from skb->data
 * @l4_len: bytes from there to the end of the IP packet
 * @src: IPv4 as ::ffff:a.b.c.d
 * @dst: likewise
 *
 * Addresses are those of the header whenever @family is not 0, also for an
 * unknown protocol. Ports, flags, @l4_off and @l4_len are proven only for a
 * protocol that is neither unknown nor a fragment.
 */
struct tr_packet {
	u8 family;
	u8 proto;
	u8 tcp_flags;
	bool icmp_reply;
	bool question;
	bool fragmented;
	u16 sport;
	u16 dport;
	u32 len;
	u32 l4_off;
	u32 l4_len;
	struct in6_addr src;
	struct in6_addr dst;
	const struct sk_buff *skb;
};

/**
 * tr_packet_parse() - decode the headers of a packet inside the tunnel
 * @skb: starts at its network header (skb_network_offset()), not changed
 * @pkt: filled in whole
 *
 * Takes non-linear and GSO packets. Never fails: what cannot be decoded has
 * @pkt->proto TR_PROTO_UNKNOWN. Any context.
 */
void tr_packet_parse(const struct sk_buff *skb, struct tr_packet *pkt);

/**
 * tr_packet_icmp_is_reply() - whether ICMP is let in without a rule
 * @family: of the IP header, AF_INET with ICMPv4 or AF_INET6 with ICMPv6
 * @type: of at least 8 bytes of ICMP
 * @code: likewise
 *
 * Return: true for an echo response or an error.
 */
bool tr_packet_icmp_is_reply(u8 family, u8 type, u8 code);

/**
 * tr_packet_fragment_id() - what the fragments of one packet have in common
 * @pkt: parsed; fragmented, or a later fragment
 * @id: beside addresses and IP version
 *
 * Return: false if the packet is gone.
 */
bool tr_packet_fragment_id(const struct tr_packet *pkt, u32 *id);

/**
 * tr_packet_icmp() - the first eight bytes of ICMP
 * @pkt: parsed, ICMP of its own IP version
 * @type: filled in
 * @id: of an echo request or response
 *
 * Return: false if there are less.
 */
bool tr_packet_icmp(const struct tr_packet *pkt, u8 *type, u16 *id);

/**
 * struct tr_quote - the beginning of a packet that an ICMP error is about
 * @src: as in struct tr_packet
 * @dst: likewise
 * @sport: likewise; of ICMP the id of an echo request or response
 * @dport: likewise
 * @family: likewise
 * @proto: likewise, never a fragment
 * @icmp_type: of ICMP of its own IP version
 */
struct tr_quote {
	struct in6_addr src;
	struct in6_addr dst;
	u16 sport;
	u16 dport;
	u8 family;
	u8 proto;
	u8 icmp_type;
};

/**
 * tr_packet_quote() - what an ICMP error is about
 * @pkt: parsed, an ICMP error
 * @quote: filled in
 *
 * Return: false if that cannot be told.
 */
bool tr_packet_quote(const struct tr_packet *pkt, struct tr_quote *quote);

/**
 * tr_packet_is_syn() - whether a TCP packet asks for a new connection
 * @pkt: parsed
 */
static inline bool tr_packet_is_syn(const struct tr_packet *pkt)
{
	return (pkt->tcp_flags & (TR_TCP_SYN | TR_TCP_ACK)) == TR_TCP_SYN;
}

/**
 * tr_packet_is_icmp() - whether it is ICMP of its own IP version
 * @pkt: parsed
 */
static inline bool tr_packet_is_icmp(const struct tr_packet *pkt)
{
	return pkt->proto == (pkt->family == AF_INET ? IPPROTO_ICMP :
						       IPPROTO_ICMPV6);
}

#endif
