/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tailrace

#if !defined(_TR_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TR_TRACE_H

#include <linux/netdevice.h>
#include <linux/tracepoint.h>

#include "filter.h"
#include "packet.h"
#include "steer.h"

TRACE_DEFINE_ENUM(TR_STEER_WIREGUARD);
TRACE_DEFINE_ENUM(TR_STEER_STUN);
TRACE_DEFINE_ENUM(TR_STEER_GENEVE);
TRACE_DEFINE_ENUM(TR_STEER_DISCO);
TRACE_DEFINE_ENUM(TR_STEER_PORTMAP);
TRACE_DEFINE_ENUM(TR_STEER_OTHER);

TRACE_EVENT(tailrace_steer,
	TP_PROTO(const struct net_device *dev, u8 family, __be16 sport, u32 len,
		 enum tr_steer_kind kind),
	TP_ARGS(dev, family, sport, len, kind),
	TP_STRUCT__entry(
		__field(int, ifindex)
		__field(u8, family)
		__field(u16, sport)
		__field(u32, len)
		__field(u32, kind)
	),
	TP_fast_assign(
		__entry->ifindex = dev->ifindex;
		__entry->family = family;
		__entry->sport = ntohs(sport);
		__entry->len = len;
		__entry->kind = kind;
	),
	TP_printk("ifindex=%d family=%u sport=%u len=%u kind=%s",
		  __entry->ifindex, __entry->family, __entry->sport,
		  __entry->len,
		  __print_symbolic(__entry->kind,
			{ TR_STEER_WIREGUARD, "wireguard" },
			{ TR_STEER_STUN, "stun" },
			{ TR_STEER_GENEVE, "geneve" },
			{ TR_STEER_DISCO, "disco" },
			{ TR_STEER_PORTMAP, "portmap" },
			{ TR_STEER_OTHER, "other" }))
);

TRACE_EVENT(tailrace_verdict,
	TP_PROTO(const struct net_device *dev, bool in,
		 const struct tr_packet *pkt, const struct tr_result *res),
	TP_ARGS(dev, in, pkt, res),
	TP_STRUCT__entry(
		__field(int, ifindex)
		__field(bool, in)
		__field(bool, accept)
		__field(u8, family)
		__field(u8, proto)
		__field(u16, sport)
		__field(u16, dport)
		__field(u32, len)
		__field(u32, drop)
		__field(u32, rule)
		__field(u32, generation)
		__array(u8, src, 16)
		__array(u8, dst, 16)
	),
	TP_fast_assign(
		__entry->ifindex = dev->ifindex;
		__entry->in = in;
		__entry->accept = res->accept;
		__entry->family = pkt->family;
		__entry->proto = pkt->proto;
		__entry->sport = pkt->sport;
		__entry->dport = pkt->dport;
		__entry->len = pkt->len;
		__entry->drop = res->accept ? U32_MAX : res->drop;
		__entry->rule = res->by_rule ? res->rule : 0;
		__entry->generation = res->generation;
		memcpy(__entry->src, &pkt->src, 16);
		memcpy(__entry->dst, &pkt->dst, 16);
	),
	TP_printk("ifindex=%d %s %s proto=%u %pI6c:%u > %pI6c:%u len=%u drop=%d rule=%u generation=%u",
		  __entry->ifindex, __entry->in ? "in" : "out",
		  __entry->accept ? "accept" : "drop", __entry->proto,
		  __entry->src, __entry->sport, __entry->dst, __entry->dport,
		  __entry->len, (int)__entry->drop, __entry->rule,
		  __entry->generation)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
