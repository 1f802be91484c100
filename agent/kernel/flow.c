// SPDX-License-Identifier: GPL-2.0
#include "kernel/flow.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

/* Room for some 20,000 records that are not read yet. */
#define RECEIVE_BUFFER (4 << 20)

int flow_listen(struct netlink *nl)
{
	int room = RECEIVE_BUFFER, yes = 1;
	uint32_t group = 0;
	uint16_t family;
	int err = netlink_family(nl, TAILRACE_FAMILY_NAME, &family,
				 TAILRACE_MCGRP_FLOWS, &group);

	if (err)
		return err;
	if (!group)
		return -ENOENT;
	setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_RCVBUFFORCE,
		   &room, sizeof(room));
	if (mnl_socket_setsockopt(nl->socket, NETLINK_BROADCAST_ERROR, &yes,
				  sizeof(yes)) < 0)
		return -errno;
	return netlink_join(nl, group);
}

bool flow_news_parse(const struct nlmsghdr *h, struct flow_news *out)
{
	const struct nlattr *tb[TAILRACE_A_FLOW_MAX + 1], *records;
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(h);

	memset(out, 0, sizeof(*out));
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*g) ||
	    g->cmd != TAILRACE_CMD_FLOW_NTF)
		return false;
	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	records = tb[TAILRACE_A_FLOW_RECORDS];
	if (!records)
		return false;
	out->link = attr_u32(tb[TAILRACE_A_FLOW_IFINDEX]);
	out->records = mnl_attr_get_payload(records);
	out->n = mnl_attr_get_payload_len(records) /
		 sizeof(struct tailrace_flow_record);
	return true;
}

struct tailrace_flow_record flow_news_at(const struct flow_news *news, size_t i)
{
	struct tailrace_flow_record r;

	/* attributes are aligned to four bytes, counters want eight */
	memcpy(&r, news->records + i * sizeof(r), sizeof(r));
	return r;
}

static struct ip_addr address(const struct tailrace_flow_record *r,
			      const __u8 b[16])
{
	struct ip_addr ip = { 0 };

	if (r->family == AF_INET) {
		ip.family = 4;
		memcpy(ip.b, b + 12, 4);
	} else if (r->family == AF_INET6) {
		ip.family = 6;
		memcpy(ip.b, b, 16);
	}
	return ip;
}

struct ip_addr flow_local(const struct tailrace_flow_record *r)
{
	return address(r, r->local);
}

struct ip_addr flow_remote(const struct tailrace_flow_record *r)
{
	return address(r, r->remote);
}
