/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Taps on the verdicts of a device. The packet path leaves what matches in the
 * tap's bounded ring; a work item sends it to the netlink socket that asked.
 */
#ifndef _TR_TAP_H
#define _TR_TAP_H

#include <linux/list.h>
#include <linux/types.h>

#include "../uapi/tailrace.h"

struct netlink_ext_ack;
struct sk_buff;
struct tr_device;
struct tr_packet;
struct tr_result;
struct tr_verdict_filter;

/* Verdicts that may wait to be sent, 144 KiB of each tap. */
#define TR_TAP_RING 2048

/**
 * tr_tap_start() - show verdicts to a socket
 * @tdev: device, its namespace's lock held
 * @portid: of the netlink socket
 * @filter: copied
 * @rate: verdicts a second, 1 .. TAILRACE_TRACE_RATE_MAX
 * @extack: text on error
 *
 * Return: 0, -EEXIST, -EBUSY or -ENOMEM.
 */
int tr_tap_start(struct tr_device *tdev, u32 portid,
		 const struct tr_verdict_filter *filter, u32 rate,
		 struct netlink_ext_ack *extack);

/* Sends what is left. Lock as above. Return: 0 or -ENOENT with a text. */
int tr_tap_stop(struct tr_device *tdev, u32 portid,
		struct netlink_ext_ack *extack);

/* Forgets the tap of a socket that is gone, if it has one. Lock as above. */
void tr_taps_release(struct tr_device *tdev, u32 portid);

/* Ends all and tells their owners; the device goes. Lock as above. */
void tr_taps_uninit(struct tr_device *tdev);

/* See tr_taps_note(). */
void tr_taps_show(struct hlist_head *taps, const struct sk_buff *skb,
		  const struct tr_packet *pkt, const struct tr_result *res,
		  enum tailrace_trace_flags direction);

/**
 * tr_taps_note() - show a verdict to whom it concerns
 * @taps: of the device
 * @skb: that was judged
 * @pkt: the same, parsed
 * @res: the outcome
 * @direction: TAILRACE_TRACE_IN or TAILRACE_TRACE_OUT
 *
 * RCU read side, BH disabled. Costs one read of a word that lies beside
 * tr_device.stats while there is no tap. A static branch would spare that, but
 * to patch the packet path's text under load is the larger risk.
 */
static inline void tr_taps_note(struct hlist_head *taps,
				const struct sk_buff *skb,
				const struct tr_packet *pkt,
				const struct tr_result *res,
				enum tailrace_trace_flags direction)
{
	if (unlikely(!hlist_empty(taps)))
		tr_taps_show(taps, skb, pkt, res, direction);
}

#endif
