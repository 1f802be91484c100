/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pongs without an agent. A peer stops to trust a direct path whose pings
 * nobody answers for 6.5 s, and then sends by a relay that only the agent
 * speaks to. So the module answers while there is none, from WireGuard's port
 * and to exactly where the ping came from (spec/disco.md 9.3).
 */
#ifndef _TR_PONG_H
#define _TR_PONG_H

#include <linux/types.h>

struct nf_hook_state;
struct sk_buff;
struct tr_device;
struct tr_outer;

/* Whether pings are the module's to answer. Any context. */
bool tr_pong_is_ours(struct tr_device *tdev);

/**
 * tr_pong_answer() - answer a disco ping
 * @skb: a packet on the device's port, not GSO; stays the caller's
 * @state: LOCAL_IN, past the host's firewall
 * @outer: the same packet, parsed
 *
 * Silent unless it is a ping of a peer. Softirq, RCU read side.
 */
void tr_pong_answer(struct sk_buff *skb, const struct nf_hook_state *state,
		    const struct tr_outer *outer);

#endif
