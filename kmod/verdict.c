// SPDX-License-Identifier: GPL-2.0
#include "verdict.h"

#include <linux/string.h>

#include "filter.h"
#include "interval.h"
#include "packet.h"
#include "peer.h"

static void fill_address(u8 *to, u8 family, const struct in6_addr *addr)
{
	if (family == AF_INET)
		memcpy(to, &addr->s6_addr32[3], 4);
	else if (family == AF_INET6)
		memcpy(to, addr, 16);
}

void tr_verdict_fill(struct tailrace_verdict *verdict,
		     const struct tr_packet *pkt, const struct tr_result *res,
		     enum tailrace_trace_flags direction)
{
	*verdict = (struct tailrace_verdict){
		.rule = res->by_rule ? res->rule : 0,
		.generation = res->generation,
		.peer = res->peer ? res->peer->id : 0,
		.len = pkt->len,
		.flags = direction | (res->accept ? TAILRACE_TRACE_ACCEPT :
						    TAILRACE_TRACE_DROP),
		.drop = res->accept ? 0 : res->drop,
		.cause = res->cause,
		.family = pkt->family,
		.proto = pkt->proto,
		.tcp_flags = pkt->tcp_flags,
		.sport = pkt->sport,
		.dport = pkt->dport,
	};
	fill_address(verdict->src, pkt->family, &pkt->src);
	fill_address(verdict->dst, pkt->family, &pkt->dst);
}

static bool contains(const struct tailrace_addr *set, u8 family,
		     const struct in6_addr *addr)
{
	struct tr_range bounds;
	struct tr_point at;

	if (!family || !tr_addr_bounds(set, family, &bounds))
		return false;
	at = tr_point_of(family, addr);
	return !tr_point_less(at, bounds.first) &&
	       !tr_point_less(bounds.last, at);
}

bool tr_verdict_matches(const struct tr_verdict_filter *filter,
			const struct tailrace_verdict *verdict,
			const struct tr_packet *pkt)
{
	const bool by_rule = verdict->cause == TAILRACE_CAUSE_RULE ||
			     verdict->cause == TAILRACE_CAUSE_CACHE;
	const u32 given = filter->given;

#define WANTS(attr) (given & 1U << TAILRACE_A_TRACE_##attr)
	if (verdict->flags & ~filter->flags)
		return false;
	if (WANTS(PROTO) && verdict->proto != filter->proto)
		return false;
	if (WANTS(SPORT) && verdict->sport != filter->sport)
		return false;
	if (WANTS(DPORT) && verdict->dport != filter->dport)
		return false;
	if (WANTS(PORT) && verdict->sport != filter->port &&
	    verdict->dport != filter->port)
		return false;
	if (WANTS(PEER) && verdict->peer != filter->peer)
		return false;
	if (WANTS(REASON) && (!(verdict->flags & TAILRACE_TRACE_DROP) ||
			      verdict->drop != filter->reason))
		return false;
	if (WANTS(RULE) && (!by_rule || verdict->rule != filter->rule))
		return false;
	if (WANTS(SRC) && !contains(&filter->src, pkt->family, &pkt->src))
		return false;
	if (WANTS(DST) && !contains(&filter->dst, pkt->family, &pkt->dst))
		return false;
	return !WANTS(HOST) || contains(&filter->host, pkt->family, &pkt->src) ||
	       contains(&filter->host, pkt->family, &pkt->dst);
#undef WANTS
}
