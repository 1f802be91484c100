/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets inside the tunnel: what WireGuard has decrypted or is to encrypt.
 */
#ifndef _TR_INSIDE_H
#define _TR_INSIDE_H

struct nf_hook_state;
struct sk_buff;

/* Netdev hook, ingress of the WireGuard device. @priv: its struct tr_device. */
unsigned int tr_inside_in(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state);

/* Netdev hook, egress of the WireGuard device. @priv: its struct tr_device. */
unsigned int tr_inside_out(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);

/*
 * Netfilter hook, POST_ROUTING of IPv4 and IPv6, for kernels without egress
 * hooks: what leaves through any of the namespace's devices.
 */
unsigned int tr_inside_post_routing(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *state);

#endif
