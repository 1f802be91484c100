/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TSMP, Tailscale's messages between peers inside the tunnel: IP protocol 99.
 * None of them reaches the host. The packet path only puts packets aside;
 * answers are made in process context.
 */
#ifndef _TR_TSMP_H
#define _TR_TSMP_H

#include <linux/skbuff.h>
#include <linux/workqueue.h>

#include "../uapi/tailrace.h"
#include "ratelimit.h"

struct tr_event_queue;
struct tr_packet;

#define TR_TSMP_QUEUE 256

/**
 * struct tr_tsmp - TSMP of one device
 * @dev: the WireGuard device
 * @stats: of the device
 * @events: for what is not a ping
 * @queue: packets to look at, at most TR_TSMP_QUEUE
 * @work: does it
 * @limit: of answers
 */
struct tr_tsmp {
	struct net_device *dev;
	struct tr_stats __percpu *stats;
	struct tr_event_queue *events;
	struct sk_buff_head queue;
	struct work_struct work;
	struct tr_ratelimit limit;
};

void tr_tsmp_init(struct tr_tsmp *tsmp, struct net_device *dev,
		  struct tr_stats __percpu *stats,
		  struct tr_event_queue *events);
/* Nothing may be received any more. Process context. */
void tr_tsmp_uninit(struct tr_tsmp *tsmp);

/* Takes a TSMP packet the filter lets in. Softirq. */
void tr_tsmp_receive(struct tr_tsmp *tsmp, struct sk_buff *skb);

/**
 * tr_tsmp_reject() - tell a peer that the filter refuses its connection
 * @tsmp: of the device
 * @skb: refused
 * @pkt: the same, parsed
 * @why: it is refused
 *
 * Softirq. Return: whether @skb was taken; there is no answer to most packets.
 */
bool tr_tsmp_reject(struct tr_tsmp *tsmp, struct sk_buff *skb,
		    const struct tr_packet *pkt, enum tailrace_drop why);

/**
 * tr_tsmp_send() - send a TSMP packet through the tunnel
 * @tsmp: of the device
 * @family: AF_INET or AF_INET6
 * @src: 4 or 16 bytes
 * @dst: as many
 * @payload: after the IP header
 * @len: of @payload, at most TAILRACE_MAX_TSMP
 *
 * Process context. Return: 0, -ENOMEM or -ENETDOWN.
 */
int tr_tsmp_send(struct tr_tsmp *tsmp, u8 family, const void *src,
		 const void *dst, const void *payload, int len);

#endif
