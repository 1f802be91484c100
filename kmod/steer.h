/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who gets a packet that arrives on WireGuard's UDP port.
 */
#ifndef _TR_STEER_H
#define _TR_STEER_H

#include <linux/udp.h>

struct nf_hook_state;
struct sk_buff;
struct tr_device;

/* Kinds of packets, in the order of their tests. */
enum tr_steer_kind {
	TR_STEER_WIREGUARD,
	TR_STEER_STUN,
	TR_STEER_GENEVE, /* disco in Geneve */
	TR_STEER_DISCO,
	TR_STEER_PORTMAP, /* NAT-PMP or PCP, from the gateway */
	TR_STEER_OTHER, /* WireGuard drops it */
};

#define TR_STEER_KINDS (TR_STEER_OTHER + 1)

/**
 * struct tr_outer - a UDP packet on a device's port
 * @tdev: the device
 * @family: AF_INET or AF_INET6
 * @udp_off: of the UDP header, from skb->data
 * @len: of the UDP payload; of all segments together if it is GSO
 * @udp: the header
 */
struct tr_outer {
	struct tr_device *tdev;
	u8 family;
	unsigned int udp_off;
	unsigned int len;
	struct udphdr udp;
};

/**
 * tr_steer_parse() - find out whether a packet is on a device's port
 * @skb: starts at its IP header
 * @state: LOCAL_IN, IPv4 or IPv6
 * @outer: filled in
 *
 * RCU read side. Return: false for other packets and later fragments.
 */
bool tr_steer_parse(const struct sk_buff *skb,
		    const struct nf_hook_state *state, struct tr_outer *outer);

/* What the payload at @off of @len bytes is. Any context. */
enum tr_steer_kind tr_steer_classify(const struct sk_buff *skb,
				     unsigned int off, unsigned int len,
				     __be16 source);

/* Netfilter hook, LOCAL_IN of IPv4 and IPv6, first. */
unsigned int tr_steer_in(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state);

/**
 * tr_steer_segment() - split a GSO packet of the receive path
 * @skb: starts at its IP header; consumed, also on error
 *
 * Return: a list, each starting at its IP header, or NULL.
 */
struct sk_buff *tr_steer_segment(struct sk_buff *skb);

#endif
