/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What WireGuard sees of the packets that come to it from outside: each is
 * presented as coming by its peer's canonical path.
 */
#ifndef _TR_PRESENT_H
#define _TR_PRESENT_H

struct nf_hook_state;
struct sk_buff;

/*
 * Netfilter hook, LOCAL_IN of IPv4 and IPv6, last: a host's firewall has seen
 * where the packet truly comes from.
 */
unsigned int tr_present_in(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state);

#endif
