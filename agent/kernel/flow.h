/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_FLOW_H
#define KERNEL_FLOW_H

#include "kernel/netlink.h"
#include "lib/addr.h"
#include "tailrace.h"

/* Flow records of the module, from its multicast group. */

/*
 * Joins the group: records come to this socket, which becomes non-blocking,
 * from now on. What it cannot take the module counts as lost. 0 or negative
 * errno.
 */
int flow_listen(struct netlink *nl);

/* One message. */
struct flow_news {
	uint32_t link;
	const uint8_t *records; /* within the message; flow_news_at() */
	size_t n;
};

/* False when it is none with records. */
bool flow_news_parse(const struct nlmsghdr *h, struct flow_news *out);
/* The one at @i below @n. Its values are the module's, of any version. */
struct tailrace_flow_record flow_news_at(const struct flow_news *news,
					 size_t i);

/* Without a family when the record has no addresses. */
struct ip_addr flow_local(const struct tailrace_flow_record *r);
struct ip_addr flow_remote(const struct tailrace_flow_record *r);

#endif
