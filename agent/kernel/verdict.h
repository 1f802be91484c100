/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_VERDICT_H
#define KERNEL_VERDICT_H

#include "kernel/netlink.h"
#include "lib/addr.h"
#include "tailrace.h"

/*
 * What the module's filter says: live, as a trace of its verdicts, or asked
 * about a packet that nobody has sent. @family is tailrace's.
 */

/* Bits of verdict_filter.given. */
#define VERDICT_GIVEN(attr) (1u << TAILRACE_A_TRACE_##attr)

/* All that is given has to hold; what it means is in uapi/tailrace.h. */
struct verdict_filter {
	uint32_t given;
	uint32_t flags; /* enum tailrace_trace_flags */
	uint8_t proto;
	struct tailrace_addr src, dst, host;
	uint16_t sport, dport, port;
	uint32_t peer;
	uint32_t reason; /* enum tailrace_drop */
	uint32_t rule;
};

/*
 * Starts a trace: verdict_news of it come to this socket from now on, @rate of
 * them a second at most, 0: the module's default.
 */
int verdict_trace(struct netlink *nl, uint16_t family, uint32_t link,
		  const struct verdict_filter *filter, uint32_t rate);

/* One message of a trace. */
struct verdict_news {
	uint32_t link;
	const uint8_t *verdicts; /* within the message; verdict_news_at() */
	size_t n;
	/* So far: over the rate; faster than sent; not read in time. */
	uint64_t lost_rate, lost_ring, lost_socket;
	bool ended; /* the device is gone, and with it the trace */
};

/* False when it is not one. */
bool verdict_news_parse(const struct nlmsghdr *h, struct verdict_news *out);
/* The one at @i below @n. Its values are the module's, of any version. */
struct tailrace_verdict verdict_news_at(const struct verdict_news *news,
					size_t i);

/* A packet from a peer, or to one. */
struct verdict_question {
	bool out;
	struct ip_addr src, dst; /* of one family */
	uint8_t proto;
	uint16_t sport, dport; /* TCP, UDP and SCTP */
	uint8_t tcp_flags; /* TCP */
	uint8_t icmp_type, icmp_code; /* ICMP of the family */
};

bool verdict_has_ports(uint8_t proto);
/* Whether it is ICMP of its own IP version, 4 or 6. */
bool verdict_is_icmp(int ip_version, uint8_t proto);

/* 0, or the kernel's negative errno; -EPROTO for an answer that is none. */
int verdict_ask(struct netlink *nl, uint16_t family, uint32_t link,
		const struct verdict_question *q, struct tailrace_verdict *out);

/* Addresses of a verdict; without a family when it has none. */
struct ip_addr verdict_src(const struct tailrace_verdict *v);
struct ip_addr verdict_dst(const struct tailrace_verdict *v);
/* Whether a rule let the packet in, so that @v->rule names it. */
bool verdict_by_rule(const struct tailrace_verdict *v);

#endif
