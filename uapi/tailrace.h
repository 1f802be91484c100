/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * The generic netlink interface of tailrace.ko. tailrace.yaml is its
 * specification; a test proves that the two agree.
 *
 * Every command names a device by the ifindex of an attached WireGuard
 * interface in the caller's network namespace and needs CAP_NET_ADMIN in the
 * user namespace that owns it. Unknown attributes, commands and flags, and
 * reserved bytes that are not zero, are refused with an extack text.
 */
#ifndef _UAPI_TAILRACE_H
#define _UAPI_TAILRACE_H

#include <linux/types.h>

#define TAILRACE_FAMILY_NAME "tailrace"
#define TAILRACE_FAMILY_VERSION 1
#define TAILRACE_MCGRP_EVENTS "events"
#define TAILRACE_MCGRP_FLOWS "flows"

/* Limits. A request past one is refused with -E2BIG. */
#define TAILRACE_MAX_PEERS 65536
#define TAILRACE_MAX_PEER_ADDRS 4096 /* addresses and routes of one peer */
#define TAILRACE_MAX_ALIASES 64 /* of one peer */
#define TAILRACE_MAX_RULES 65536
#define TAILRACE_MAX_RULE_ADDRS 1048576 /* in a policy; also of all peers */
#define TAILRACE_MAX_CAPS 256 /* of one rule or one peer */
#define TAILRACE_MAX_TSMP 64 /* bytes after the IP header */
#define TAILRACE_MIN_FLOWS 4096 /* of one device, -ERANGE below it */
#define TAILRACE_MAX_FLOWS 16777216
#define TAILRACE_MAX_TRACES 4 /* of one device, -EBUSY past it */
#define TAILRACE_TRACE_RATE 1000 /* verdicts a second, unless asked for more */
#define TAILRACE_TRACE_RATE_MAX 100000

enum tailrace_addr_kind {
	TAILRACE_ADDR_ANY, /* every IPv4 and every IPv6 address */
	TAILRACE_ADDR_PREFIX4,
	TAILRACE_ADDR_PREFIX6,
	TAILRACE_ADDR_RANGE4, /* first to last inclusive, first <= last */
	TAILRACE_ADDR_RANGE6,
};

/* A set of addresses as a rule names it. IPv4 uses the first four bytes. */
struct tailrace_addr {
	__u8 kind; /* enum tailrace_addr_kind */
	__u8 prefix_len; /* PREFIX4 and PREFIX6 only */
	__u16 reserved;
	__u8 first[16]; /* network byte order; host bits of a prefix are zero */
	__u8 last[16]; /* RANGE4 and RANGE6 only */
};

/* A destination of a rule: addresses and an inclusive port range. */
struct tailrace_dst {
	struct tailrace_addr addr;
	__u16 port_first;
	__u16 port_last;
};

/* A UDP address outside of the tunnel. */
struct tailrace_endpoint {
	__u8 family; /* AF_INET or AF_INET6 */
	__u8 reserved;
	__be16 port;
	__u8 addr[16]; /* network byte order; IPv4 uses the first four */
};

enum tailrace_state {
	TAILRACE_STATE_CLOSED, /* attached, no policy yet: nothing passes */
	TAILRACE_STATE_ACTIVE, /* policy in force, agent's socket alive */
	TAILRACE_STATE_ORPHANED, /* policy in force, no agent's socket */
	TAILRACE_STATE_EXPIRED, /* the same for MAX_STALE: nothing passes */
};

/* Bits of TAILRACE_A_DEVICE_FLAGS. */
enum tailrace_device_flags {
	/*
	 * What comes in belongs to a flow that a rule allows now or that this
	 * host has opened: a commit cuts the flows it no longer allows, and TCP
	 * begins with SYN. Off at first.
	 */
	TAILRACE_DEVICE_STRICT = 1 << 0,
};

/* Bits of TAILRACE_A_POLICY_FLAGS. */
enum tailrace_policy_flags {
	/* The user blocks inbound connections: rejects say so. */
	TAILRACE_POLICY_SHIELDS_UP = 1 << 0,
};

/* Bits of TAILRACE_A_PEER_FLAGS. */
enum tailrace_peer_flags {
	/* May not open flows towards us; replies to ours pass. */
	TAILRACE_PEER_JAILED = 1 << 0,
	/* Never matched by a capability source. */
	TAILRACE_PEER_UNSIGNED = 1 << 1,
};

/* Why the filter dropped a packet; index of TAILRACE_A_STATS_DROP. */
enum tailrace_drop {
	TAILRACE_DROP_NO_POLICY,
	TAILRACE_DROP_MALFORMED, /* the filter's "unknown protocol" */
	TAILRACE_DROP_MULTICAST,
	TAILRACE_DROP_LINK_LOCAL,
	TAILRACE_DROP_NOT_LOCAL, /* destination outside of the local set */
	TAILRACE_DROP_NO_RULE,
	TAILRACE_DROP_SHIELDS_UP,
	TAILRACE_DROP_JAILED,
	TAILRACE_DROP_TSMP_OUT, /* only the agent sends TSMP */
	TAILRACE_DROP_DISCO_INSIDE, /* our own disco looped through the tunnel */
	TAILRACE_DROP_EXPIRED, /* no agent for MAX_STALE */
	TAILRACE_DROP_NO_FLOW, /* strict: opens no flow and belongs to none */
	TAILRACE_DROP_FLOWS_FULL, /* strict: no room for the flow it opens */
	__TAILRACE_DROP_MAX
};

/* How a peer is reached; index of the PATHS attributes. */
enum tailrace_path {
	TAILRACE_PATH_DERP, /* relayed: its endpoint is of 127.0.0.0/8 */
	TAILRACE_PATH_DIRECT4,
	TAILRACE_PATH_DIRECT6,
	__TAILRACE_PATH_MAX
};

/*
 * What came and went by a path. Inbound these are WireGuard's packets, of any
 * type, with the bytes of their UDP payload, by the endpoint they came from.
 * Outbound they are packets inside the tunnel, with bytes from the IP header
 * on, by the canonical endpoint that the peer had; WireGuard adds 32 to 47
 * bytes to each.
 */
struct tailrace_path_counters {
	__u64 rx_packets;
	__u64 rx_bytes;
	__u64 tx_packets;
	__u64 tx_bytes;
};

/* Bits of tailrace_flow_record.flags. */
enum tailrace_flow_flags {
	TAILRACE_FLOW_DROPPED = 1 << 0, /* its packets were, see .drop */
	TAILRACE_FLOW_BY_RULE = 1 << 1, /* .rule has let it in */
	TAILRACE_FLOW_OUTBOUND = 1 << 2, /* its first packet was to the peer */
};

/* Why a flow record was made. */
enum tailrace_flow_end {
	TAILRACE_FLOW_END_NONE, /* the flow goes on */
	TAILRACE_FLOW_END_CLOSED, /* TCP: FIN both ways, RST, or a new SYN */
	TAILRACE_FLOW_END_IDLE, /* 30 s of silence; TCP let pass: 300 s */
	TAILRACE_FLOW_END_EVICTED, /* its place was needed */
	TAILRACE_FLOW_END_OFF, /* records off, or the device detached */
};

/*
 * What a flow did inside the tunnel since its last record. Packets of the same
 * addresses, ports and protocol that were dropped, and for another reason
 * each, are flows of their own; so the sums over all records are the device's
 * counters FILTER_IN, FILTER_OUT and DROP.
 */
struct tailrace_flow_record {
	__u64 start; /* Unix time in ns of the flow's first packet */
	__u64 last; /* of its last one */
	__u64 rx_packets;
	__u64 rx_bytes; /* from the IP header on */
	__u64 tx_packets;
	__u64 tx_bytes;
	__u8 local[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u8 remote[16];
	__u16 local_port; /* host byte order; 0 in protocols without ports */
	__u16 remote_port;
	__u8 family; /* AF_INET or AF_INET6; 0: neither */
	__u8 proto; /* IP protocol; 0: malformed, 255: later fragments */
	__u8 flags; /* enum tailrace_flow_flags */
	__u8 end; /* enum tailrace_flow_end */
	__u8 drop; /* enum tailrace_drop */
	__u8 rx_tcp_flags; /* all that were seen since start */
	__u8 tx_tcp_flags;
	__u8 reserved;
	__u32 rule; /* id */
	__u32 peer; /* 0: unknown */
	__u32 generation; /* of the policy, 0: none */
};

/* What let a packet pass. */
enum tailrace_cause {
	TAILRACE_CAUSE_DROPPED, /* nothing: enum tailrace_drop says why */
	TAILRACE_CAUSE_RULE, /* a rule, looked up for this packet */
	TAILRACE_CAUSE_CACHE, /* a rule, remembered from an earlier packet */
	TAILRACE_CAUSE_REPLY, /* it answers what this host has sent */
	TAILRACE_CAUSE_STATELESS, /* TCP but SYN, ICMP replies, errors, TSMP */
	TAILRACE_CAUSE_FRAGMENT, /* a later fragment */
	TAILRACE_CAUSE_KEEPALIVE, /* WireGuard's, empty */
	TAILRACE_CAUSE_OUTBOUND, /* this host may send what it likes */
};

/* Bits of TAILRACE_A_TRACE_FLAGS and of tailrace_verdict.flags. */
enum tailrace_trace_flags {
	TAILRACE_TRACE_IN = 1 << 0, /* from a peer */
	TAILRACE_TRACE_OUT = 1 << 1, /* to a peer */
	TAILRACE_TRACE_ACCEPT = 1 << 2,
	TAILRACE_TRACE_DROP = 1 << 3,
};

/* The filter's verdict on one packet. Addresses: IPv4 uses the first four. */
struct tailrace_verdict {
	__u64 time; /* ns since 1970 */
	__u32 rule; /* id, if the cause is RULE or CACHE */
	__u32 generation; /* of the policy; 0: there was none */
	__u32 peer; /* id; 0: nobody's address */
	__u32 len; /* bytes from the IP header on */
	__u16 packets; /* that GRO has made one of, or GSO will make of it */
	__u8 flags; /* enum tailrace_trace_flags, two of them */
	__u8 drop; /* enum tailrace_drop, unless accepted */
	__u8 cause; /* enum tailrace_cause */
	__u8 family; /* AF_INET, AF_INET6; 0: neither, without addresses */
	__u8 proto; /* IP protocol; 0: malformed; 255: a later fragment */
	__u8 tcp_flags; /* byte 13 of the header */
	__u8 icmp_type; /* ICMP in IPv4, ICMPv6 in IPv6 */
	__u8 icmp_code;
	__u16 sport; /* TCP, UDP and SCTP; host byte order */
	__u16 dport;
	__u16 reserved;
	__u8 src[16];
	__u8 dst[16];
};

enum tailrace_cmd {
	TAILRACE_CMD_UNSPEC,
	/*
	 * Attach to a WireGuard device: DEVICE_IFINDEX, DEVICE_PORT, and what
	 * else DEV_SET takes.
	 */
	TAILRACE_CMD_DEV_ATTACH,
	/* Restore the device: DEVICE_IFINDEX. */
	TAILRACE_CMD_DEV_DETACH,
	/*
	 * DEVICE_IFINDEX and any of DEVICE_PORT (WireGuard's has changed),
	 * DEVICE_FLAGS, DEVICE_FLOWS_MAX, DEVICE_MAX_STALE, DEVICE_RECORDS; on
	 * error nothing has changed.
	 */
	TAILRACE_CMD_DEV_SET,
	/* do: DEVICE_IFINDEX; dump: all. Replies with the whole DEVICE set. */
	TAILRACE_CMD_DEV_GET,
	/*
	 * DEVICE_IFINDEX, DEVICE_FD: a bound UDP socket of the caller, one per
	 * family. It gets disco, STUN and NAT-PMP replies that arrive on the
	 * device's port, and sends from that port. Replaces an earlier one.
	 */
	TAILRACE_CMD_SOCKET_BIND,
	/*
	 * A policy transaction, owned by the netlink socket that began it and
	 * forgotten when that closes. POLICY_IFINDEX in all; ADD carries any
	 * number of LOCAL and RULE; COMMIT carries FLAGS and replies with
	 * GENERATION. Until then the old policy stays; packets see the old or
	 * the new one.
	 */
	TAILRACE_CMD_POLICY_BEGIN,
	TAILRACE_CMD_POLICY_ADD,
	TAILRACE_CMD_POLICY_COMMIT,
	/* dump: POLICY_IFINDEX. Messages with LOCAL and RULE as committed. */
	TAILRACE_CMD_POLICY_GET,
	/*
	 * ALIAS_IFINDEX, ALIAS_PEER, ALIAS_CANONICAL, ALIAS_SEEN*: WireGuard
	 * packets from a seen endpoint are presented as coming from the
	 * canonical one. Replaces all of the peer's. -EEXIST when another peer
	 * has one of the endpoints.
	 */
	TAILRACE_CMD_ALIAS_SET,
	/* ALIAS_IFINDEX, ALIAS_PEER. */
	TAILRACE_CMD_ALIAS_DEL,
	/* dump: ALIAS_IFINDEX. One message an endpoint, with its counters. */
	TAILRACE_CMD_ALIAS_GET,
	/* The whole PEER set but counters; creates or replaces PEER_ID. */
	TAILRACE_CMD_PEER_SET,
	/* PEER_IFINDEX, PEER_ID. */
	TAILRACE_CMD_PEER_DEL,
	/* dump: PEER_IFINDEX. A message may be as long as its peer's routes. */
	TAILRACE_CMD_PEER_GET,
	/* do: STATS_IFINDEX. */
	TAILRACE_CMD_STATS_GET,
	/*
	 * TSMP_IFINDEX, TSMP_SRC, TSMP_DST, TSMP_PAYLOAD: sends one TSMP packet
	 * (IP protocol 99) through the tunnel.
	 */
	TAILRACE_CMD_TSMP_SEND,
	/*
	 * The TRACE set but VERDICTS and what was lost: from here on verdicts that
	 * match all that is given come to the calling socket, until it stops
	 * that, closes, or the device goes. One trace a socket and device.
	 */
	TAILRACE_CMD_TRACE_START,
	/* TRACE_IFINDEX. What is still to be said comes before the answer. */
	TAILRACE_CMD_TRACE_STOP,
	/*
	 * do: the VERDICT set but RESULT: what the filter would say to such a
	 * packet now. Replies with RESULT; no flow is entered or kept alive.
	 */
	TAILRACE_CMD_VERDICT_GET,

	/* Events, multicast group "events". */

	/* EVENT_IFINDEX, EVENT_PEER: first packet either way after idleness. */
	TAILRACE_CMD_PEER_ACTIVE_NTF,
	/* EVENT_IFINDEX, EVENT_PEER: nothing either way for 45 s. */
	TAILRACE_CMD_PEER_IDLE_NTF,
	/*
	 * EVENT_IFINDEX, EVENT_ENDPOINT: WireGuard packets come from an endpoint
	 * that is nobody's. At most one a second a device; ask WireGuard.
	 */
	TAILRACE_CMD_SOURCE_NTF,
	/* TSMP_IFINDEX, TSMP_SRC, TSMP_DST, TSMP_PAYLOAD: all but pings. */
	TAILRACE_CMD_TSMP_NTF,
	/* DEVICE_IFINDEX, DEVICE_STATE. */
	TAILRACE_CMD_STATE_NTF,
	/* EVENT_IFINDEX: events were lost, dump what you depend on. */
	TAILRACE_CMD_RESYNC_NTF,

	/*
	 * To the socket that traces: TRACE_IFINDEX, TRACE_VERDICTS, how many were
	 * lost so far, and TRACE_ENDED in the last when the device is gone.
	 */
	TAILRACE_CMD_TRACE_NTF,

	/*
	 * FLOW_IFINDEX, FLOW_RECORDS; multicast group "flows". Of flows that
	 * have ended and, every DEVICE_RECORDS seconds, of those that go on.
	 */
	TAILRACE_CMD_FLOW_NTF,

	__TAILRACE_CMD_MAX
};

#define TAILRACE_CMD_MAX (__TAILRACE_CMD_MAX - 1)

enum {
	TAILRACE_A_DEVICE_UNSPEC,
	TAILRACE_A_DEVICE_IFINDEX, /* u32 */
	TAILRACE_A_DEVICE_PORT, /* u16, host byte order, not 0 */
	TAILRACE_A_DEVICE_FD, /* s32 */
	TAILRACE_A_DEVICE_STATE, /* u32, enum tailrace_state */
	TAILRACE_A_DEVICE_GENERATION, /* u32, of the policy; 0: none yet */
	TAILRACE_A_DEVICE_RULES, /* u32 */
	TAILRACE_A_DEVICE_PEERS, /* u32 */
	TAILRACE_A_DEVICE_FLOWS, /* u32, in the flow table now */
	/*
	 * The size of the flow table, 72 bytes a flow; rounded up to a power of
	 * two, TAILRACE_MIN_FLOWS to TAILRACE_MAX_FLOWS. At first 262144, less
	 * where that would be more than 1/200 of the memory. Flows live on when
	 * it changes, as far as there is room. Jailed peers have their own 4096.
	 */
	TAILRACE_A_DEVICE_FLOWS_MAX, /* u32 */
	/*
	 * Seconds between two records of a flow that goes on, up to 86400; 0:
	 * no records, as at first.
	 */
	TAILRACE_A_DEVICE_RECORDS, /* u32 */
	TAILRACE_A_DEVICE_MAX_STALE, /* u32, s without an agent; 0: any time */
	TAILRACE_A_DEVICE_FLAGS, /* u32, enum tailrace_device_flags */
	TAILRACE_A_DEVICE_STALE, /* u32, s without one; absent: there is one */
	__TAILRACE_A_DEVICE_MAX
};

#define TAILRACE_A_DEVICE_MAX (__TAILRACE_A_DEVICE_MAX - 1)

enum {
	TAILRACE_A_POLICY_UNSPEC,
	TAILRACE_A_POLICY_IFINDEX, /* u32 */
	TAILRACE_A_POLICY_FLAGS, /* u32, enum tailrace_policy_flags */
	TAILRACE_A_POLICY_GENERATION, /* u32 */
	TAILRACE_A_POLICY_LOCAL, /* struct tailrace_addr[] */
	TAILRACE_A_POLICY_RULE, /* nest of TAILRACE_A_RULE, repeated */
	__TAILRACE_A_POLICY_MAX
};

#define TAILRACE_A_POLICY_MAX (__TAILRACE_A_POLICY_MAX - 1)

enum {
	TAILRACE_A_RULE_UNSPEC,
	TAILRACE_A_RULE_ID, /* u32, chosen by the agent */
	TAILRACE_A_RULE_PROTOS, /* u8[], 1..256; absent: TCP, UDP, ICMP, ICMPv6 */
	TAILRACE_A_RULE_SRC, /* struct tailrace_addr[] */
	TAILRACE_A_RULE_SRC_CAPS, /* u32[], capabilities of the source peer */
	TAILRACE_A_RULE_DST, /* struct tailrace_dst[] */
	/*
	 * Packets that the rule has let in, by a lookup or from the cache; of
	 * TCP, unless strict, what opens connections. Goes on when a policy is
	 * replaced by one with a rule of the same id and contents, in their
	 * order.
	 */
	TAILRACE_A_RULE_HITS, /* u64, dumps only */
	TAILRACE_A_RULE_PAD,
	__TAILRACE_A_RULE_MAX
};

#define TAILRACE_A_RULE_MAX (__TAILRACE_A_RULE_MAX - 1)

enum {
	TAILRACE_A_ALIAS_UNSPEC,
	TAILRACE_A_ALIAS_IFINDEX, /* u32 */
	TAILRACE_A_ALIAS_PEER, /* u32 */
	TAILRACE_A_ALIAS_CANONICAL, /* struct tailrace_endpoint */
	TAILRACE_A_ALIAS_SEEN, /* struct tailrace_endpoint[] */
	TAILRACE_A_ALIAS_GENERATION, /* u32, dumps only */
	TAILRACE_A_ALIAS_RX_PACKETS, /* u64, dumps only */
	TAILRACE_A_ALIAS_RX_BYTES, /* u64, dumps only; UDP payload */
	TAILRACE_A_ALIAS_PAD,
	__TAILRACE_A_ALIAS_MAX
};

#define TAILRACE_A_ALIAS_MAX (__TAILRACE_A_ALIAS_MAX - 1)

enum {
	TAILRACE_A_PEER_UNSPEC,
	TAILRACE_A_PEER_IFINDEX, /* u32 */
	TAILRACE_A_PEER_ID, /* u32, 1 .. 0xffffff, chosen by the agent */
	TAILRACE_A_PEER_FLAGS, /* u32, enum tailrace_peer_flags */
	/* Both may be repeated: an attribute takes up to 64 KiB. */
	TAILRACE_A_PEER_ADDRS, /* struct tailrace_addr[]: own addresses */
	TAILRACE_A_PEER_ROUTES, /* struct tailrace_addr[]: allowed IPs */
	TAILRACE_A_PEER_CAPS, /* u32[] */
	TAILRACE_A_PEER_GENERATION, /* u32, dumps only */
	TAILRACE_A_PEER_RX_PACKETS, /* u64, dumps only; inside the tunnel */
	TAILRACE_A_PEER_RX_BYTES, /* u64, dumps only */
	TAILRACE_A_PEER_TX_PACKETS, /* u64, dumps only */
	TAILRACE_A_PEER_TX_BYTES, /* u64, dumps only */
	TAILRACE_A_PEER_RX_AGE, /* u64, ms since the last; absent: never */
	TAILRACE_A_PEER_TX_AGE, /* u64, ms since the last; absent: never */
	TAILRACE_A_PEER_ACTIVE, /* flag, dumps only */
	TAILRACE_A_PEER_PAD,
	/*
	 * The box keys of disco with this peer, 32 bytes each, all three or
	 * none: the module answers the peer's disco pings by itself while the
	 * agent is dead. Peers may have the same disco key; of two secrets for
	 * one key the newer holds.
	 */
	TAILRACE_A_PEER_DISCO, /* the peer's public key */
	TAILRACE_A_PEER_DISCO_OWN, /* our public key */
	TAILRACE_A_PEER_DISCO_SHARED, /* their precomputed box key; not dumped */
	/* Inbound since the peer has aliases; dumps only. */
	TAILRACE_A_PEER_PATHS, /* struct tailrace_path_counters[__TAILRACE_PATH_MAX] */
	__TAILRACE_A_PEER_MAX
};

#define TAILRACE_A_PEER_MAX (__TAILRACE_A_PEER_MAX - 1)

enum {
	TAILRACE_A_STATS_UNSPEC,
	TAILRACE_A_STATS_IFINDEX, /* u32 */
	TAILRACE_A_STATS_STEER_DISCO, /* u64, packets to the agent's socket */
	TAILRACE_A_STATS_STEER_STUN, /* u64 */
	TAILRACE_A_STATS_STEER_GENEVE, /* u64, Geneve-framed disco */
	TAILRACE_A_STATS_STEER_LIMITED, /* u64, over the rate limit */
	TAILRACE_A_STATS_STEER_NO_SOCKET, /* u64, nobody to give them to */
	TAILRACE_A_STATS_WG_RX, /* u64, WireGuard packets on the port */
	TAILRACE_A_STATS_WG_ALIASED, /* u64, of them rewritten */
	TAILRACE_A_STATS_WG_UNKNOWN, /* u64, of them from nobody's endpoint */
	TAILRACE_A_STATS_FILTER_IN, /* u64, accepted inbound */
	TAILRACE_A_STATS_FILTER_OUT, /* u64, accepted outbound */
	TAILRACE_A_STATS_FLOW_HITS, /* u64 */
	TAILRACE_A_STATS_FLOW_NEW, /* u64 */
	TAILRACE_A_STATS_FLOW_EVICTED, /* u64 */
	TAILRACE_A_STATS_TSMP_PONGS, /* u64, pings answered */
	TAILRACE_A_STATS_TSMP_REJECTS, /* u64, rejects sent */
	TAILRACE_A_STATS_DROP, /* u64[__TAILRACE_DROP_MAX] */
	TAILRACE_A_STATS_PAD,
	TAILRACE_A_STATS_STEER_PONGS, /* u64, of STEER_NO_SOCKET: answered pings */
	TAILRACE_A_STATS_STEER_PORTMAP, /* u64, NAT-PMP and PCP replies */
	TAILRACE_A_STATS_RECORDS_LOST, /* u64, flow records that nobody got */
	/* Over all peers that there ever were. */
	TAILRACE_A_STATS_PATHS, /* struct tailrace_path_counters[__TAILRACE_PATH_MAX] */
	__TAILRACE_A_STATS_MAX
};

#define TAILRACE_A_STATS_MAX (__TAILRACE_A_STATS_MAX - 1)

enum {
	TAILRACE_A_TSMP_UNSPEC,
	TAILRACE_A_TSMP_IFINDEX, /* u32 */
	TAILRACE_A_TSMP_SRC, /* 4 or 16 bytes, network byte order */
	TAILRACE_A_TSMP_DST, /* same length */
	TAILRACE_A_TSMP_PAYLOAD, /* 1 .. TAILRACE_MAX_TSMP bytes */
	__TAILRACE_A_TSMP_MAX
};

#define TAILRACE_A_TSMP_MAX (__TAILRACE_A_TSMP_MAX - 1)

enum {
	TAILRACE_A_EVENT_UNSPEC,
	TAILRACE_A_EVENT_IFINDEX, /* u32 */
	TAILRACE_A_EVENT_PEER, /* u32 */
	TAILRACE_A_EVENT_ENDPOINT, /* struct tailrace_endpoint */
	__TAILRACE_A_EVENT_MAX
};

#define TAILRACE_A_EVENT_MAX (__TAILRACE_A_EVENT_MAX - 1)

enum {
	TAILRACE_A_TRACE_UNSPEC,
	TAILRACE_A_TRACE_IFINDEX, /* u32 */
	TAILRACE_A_TRACE_RATE, /* u32, 1 .. TAILRACE_TRACE_RATE_MAX a second */
	/* Of a pair of flags that has neither bit both are meant. */
	TAILRACE_A_TRACE_FLAGS, /* u32, enum tailrace_trace_flags */
	TAILRACE_A_TRACE_PROTO, /* u8, as in struct tailrace_verdict */
	TAILRACE_A_TRACE_SRC, /* struct tailrace_addr */
	TAILRACE_A_TRACE_DST, /* struct tailrace_addr */
	TAILRACE_A_TRACE_HOST, /* struct tailrace_addr: source or destination */
	TAILRACE_A_TRACE_SPORT, /* u16 */
	TAILRACE_A_TRACE_DPORT, /* u16 */
	TAILRACE_A_TRACE_PORT, /* u16, source or destination */
	TAILRACE_A_TRACE_PEER, /* u32 */
	TAILRACE_A_TRACE_REASON, /* u32, enum tailrace_drop */
	TAILRACE_A_TRACE_RULE, /* u32, id */
	TAILRACE_A_TRACE_VERDICTS, /* struct tailrace_verdict[] */
	TAILRACE_A_TRACE_LOST_RATE, /* u64, over the rate */
	TAILRACE_A_TRACE_LOST_RING, /* u64, faster than they could be sent */
	TAILRACE_A_TRACE_LOST_SOCKET, /* u64, no room in the receiver's buffer */
	TAILRACE_A_TRACE_ENDED, /* flag */
	TAILRACE_A_TRACE_PAD,
	__TAILRACE_A_TRACE_MAX
};

#define TAILRACE_A_TRACE_MAX (__TAILRACE_A_TRACE_MAX - 1)

enum {
	TAILRACE_A_VERDICT_UNSPEC,
	TAILRACE_A_VERDICT_IFINDEX, /* u32 */
	TAILRACE_A_VERDICT_SRC, /* 4 or 16 bytes, network byte order */
	TAILRACE_A_VERDICT_DST, /* same length */
	TAILRACE_A_VERDICT_PROTO, /* u8 */
	TAILRACE_A_VERDICT_SPORT, /* u16, host byte order */
	TAILRACE_A_VERDICT_DPORT, /* u16, host byte order */
	TAILRACE_A_VERDICT_TCP_FLAGS, /* u8; absent: SYN */
	TAILRACE_A_VERDICT_ICMP_TYPE, /* u8; absent: an echo request */
	TAILRACE_A_VERDICT_ICMP_CODE, /* u8 */
	TAILRACE_A_VERDICT_OUT, /* flag: to a peer rather than from one */
	TAILRACE_A_VERDICT_RESULT, /* struct tailrace_verdict */
	__TAILRACE_A_VERDICT_MAX
};

#define TAILRACE_A_VERDICT_MAX (__TAILRACE_A_VERDICT_MAX - 1)

enum {
	TAILRACE_A_FLOW_UNSPEC,
	TAILRACE_A_FLOW_IFINDEX, /* u32 */
	TAILRACE_A_FLOW_RECORDS, /* struct tailrace_flow_record[] */
	__TAILRACE_A_FLOW_MAX
};

#define TAILRACE_A_FLOW_MAX (__TAILRACE_A_FLOW_MAX - 1)

#endif /* _UAPI_TAILRACE_H */
