/* SPDX-License-Identifier: GPL-2.0 */
/* What the oracle's files share. */
#ifndef KMOD_ORACLE_INSIDE_H
#define KMOD_ORACLE_INSIDE_H

#include "oracle.h"

enum {
	ACCEPT = -1,
	UNKNOWN = 0,
	ICMP4 = 1,
	IGMP = 2,
	TCP = 6,
	UDP = 17,
	FRAGMENT_HEADER = 44,
	ICMP6 = 58,
	TSMP = 99,
	SCTP = 132,
	FRAGMENT = 0xff,
};

struct oracle_packet {
	int family; /* 4, 6 or 0 */
	int proto;
	uint8_t src[16], dst[16]; /* IPv4: the first four bytes */
	const uint8_t *data; /* after the IP header */
	size_t len;
	int sport, dport;
	bool fragmented; /* the first fragment of several */
	uint32_t id; /* of fragments */
};

int oracle_get16(const uint8_t *b);
struct oracle_packet oracle_decode(const uint8_t *b, size_t len);
bool oracle_is_icmp(const struct oracle_packet *p);
bool oracle_is_icmp_reply_or_error(const struct oracle_packet *p);
bool oracle_is_syn(const struct oracle_packet *p);
bool oracle_any_contains(const struct tailrace_addr *sets, size_t n,
			 int family, const uint8_t *addr);
const struct oracle_peer *oracle_peer_of(const struct oracle *o, int family,
					 const uint8_t *addr);
bool oracle_rules_accept(const struct oracle *o,
			 const struct oracle_policy *policy,
			 const struct oracle_packet *p);
struct oracle_flow oracle_flow_of(const struct oracle_packet *p, bool reversed);

/* 7.3: a verdict, or -2 to go on. */
int oracle_pre(const struct oracle_packet *p, size_t len);

/* Flows as sets. */
bool oracle_flow_known(const struct oracle_flows *flows,
		       const struct oracle_flow *f);
void oracle_flows_add(struct oracle_flows *flows, const struct oracle_flow *f);
void oracle_flows_del(struct oracle_flows *flows, const struct oracle_flow *f);

/* oracle_strict.c */

/* Not strict: a rule let the peer open @f; we have answered; it goes on. */
void oracle_strict_by_rule(struct oracle *o, const struct oracle_flow *f);
void oracle_strict_answered(struct oracle *o, const struct oracle_flow *f);
void oracle_strict_used(struct oracle *o, const struct oracle_flow *f);

/* Before the first commit after which @o->policy is @policy. */
void oracle_strict_commit(struct oracle *o, const struct oracle_policy *policy);

int oracle_strict_in(struct oracle *o, const struct oracle_packet *p);
void oracle_strict_out(struct oracle *o, const struct oracle_packet *p);

#endif
