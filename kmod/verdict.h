/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A verdict as it is shown: of the filter on one packet, with its cause.
 */
#ifndef _TR_VERDICT_H
#define _TR_VERDICT_H

#include <linux/types.h>

#include "../uapi/tailrace.h"

struct tr_packet;
struct tr_result;

/**
 * struct tr_verdict_filter - which verdicts are wanted: all that is given
 * @given: bits 1 << TAILRACE_A_TRACE_*, of them that follow
 * @flags: enum tailrace_trace_flags, each pair with at least one of its bits
 * @proto: TAILRACE_A_TRACE_PROTO
 * @sport: and so on
 * @dport: and so on
 * @port: and so on
 * @peer: and so on
 * @reason: and so on
 * @rule: and so on
 * @src: checked
 * @dst: checked
 * @host: checked
 */
struct tr_verdict_filter {
	u32 given;
	u8 flags;
	u8 proto;
	u16 sport;
	u16 dport;
	u16 port;
	u32 peer;
	u32 reason;
	u32 rule;
	struct tailrace_addr src;
	struct tailrace_addr dst;
	struct tailrace_addr host;
};

/**
 * tr_verdict_fill() - put a verdict into words
 * @verdict: filled in whole but for its time, the packets and ICMP
 * @pkt: that was judged
 * @res: the outcome
 * @direction: TAILRACE_TRACE_IN or TAILRACE_TRACE_OUT
 *
 * The RCU section that @res is of.
 */
void tr_verdict_fill(struct tailrace_verdict *verdict,
		     const struct tr_packet *pkt, const struct tr_result *res,
		     enum tailrace_trace_flags direction);

/**
 * tr_verdict_matches() - whether a verdict is wanted
 * @filter: filter
 * @verdict: of @pkt
 * @pkt: packet
 *
 * Any context.
 */
bool tr_verdict_matches(const struct tr_verdict_filter *filter,
			const struct tailrace_verdict *verdict,
			const struct tr_packet *pkt);

#endif
