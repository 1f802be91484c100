/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The filter when it is strict. What it lets in the ordinary one would let in,
 * too, but not the reverse:
 *
 * - A flow is whose first packet opened it. One that a peer has opened lives as
 *   long as a rule of the policy in force would let it be opened; our answers
 *   do not change that. One that we have opened outlives policies. Of TCP, SYN
 *   without ACK opens a flow, ours or the peer's by a rule, always anew.
 * - TCP that is neither in a flow nor opens one is dropped.
 * - An ICMP echo response needs our request of the same addresses and id. An
 *   ICMP error needs to quote what we have sent in a flow that lives, or, of
 *   protocols without flows, what a rule lets its receiver send.
 * - A later fragment needs its first one, not more than
 *   TR_FLOW_FRAGMENT_IDLE before, and is judged by what that was.
 *
 * TCP connections that are older than strictness have TR_STRICT_GRACE to say
 * something. If a rule lets the peer open such a one, it counts as the peer's.
 * If one of the policy at the beginning of the grace would have, it has been
 * revoked since. Otherwise it is ours: as soon as we send something but RST.
 *
 * What a flow table has forgotten because its place was needed, or because
 * a peer's UDP flow was silent for TR_FLOW_KEPT when its rule was revoked,
 * begins with whoever speaks first.
 */
#ifndef _TR_STRICT_H
#define _TR_STRICT_H

#include <linux/types.h>

struct tr_judge;
struct tr_packet;
struct tr_result;

#define TR_STRICT_GRACE 300 /* seconds */

/*
 * As tr_filter_in() and tr_filter_out(); @res has peer and generation already.
 */
bool tr_strict_in(const struct tr_judge *judge, const struct tr_packet *pkt,
		  struct tr_result *res);
bool tr_strict_out(const struct tr_judge *judge, const struct tr_packet *pkt,
		   struct tr_result *res);

#endif
