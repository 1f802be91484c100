// SPDX-License-Identifier: GPL-2.0
#include "kernel/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/kernel.h"
#include "kernel/netlink.h"
#include "lib/util.h"

struct watch {
	const struct watch_ops *ops;
	void *ctx;
	struct netlink news;
	struct netlink ask;
	struct event *readable;
	struct event *look;
	uint32_t link;
	uint32_t port_id;
	uint64_t picture; /* of the outside world */
};

/*
 * The picture: a sum of hashes over all links, addresses and the way to the
 * internet, so that their order doesn't matter and a change that was undone
 * within 250 ms, or a router advertisement that only renews, is none.
 */

static uint64_t hash(uint64_t h, const void *data, size_t n)
{
	const uint8_t *p = data;

	/* FNV-1a */
	while (n--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static uint64_t hash_attr(uint64_t h, const struct nlattr *a)
{
	return a ? hash(h, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a)) :
		   hash(h, "", 1);
}

#define HASH_START 0xcbf29ce484222325ull

static void add_link(struct watch *w, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFLA_MAX + 1];
	uint32_t flags = i->ifi_flags & (IFF_UP | IFF_RUNNING);
	uint64_t sum;

	if ((uint32_t)i->ifi_index == w->link)
		return;
	netlink_msg_attrs(h, sizeof(*i), tb, ARRAY_SIZE(tb));
	sum = hash(HASH_START, &i->ifi_index, sizeof(i->ifi_index));
	sum = hash(sum, &flags, sizeof(flags));
	w->picture += hash_attr(sum, tb[IFLA_IFNAME]);
}

static void add_addr(struct watch *w, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFA_MAX + 1];
	uint64_t sum;

	if (m->ifa_index == w->link || m->ifa_flags & IFA_F_TENTATIVE)
		return;
	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	sum = hash(HASH_START, &m->ifa_index, sizeof(m->ifa_index));
	sum = hash(sum, &m->ifa_prefixlen, 1);
	w->picture += hash_attr(
		sum, tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS]);
}

static void add_route(struct watch *w, const struct nlmsghdr *h)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_MAX + 1];
	uint64_t sum;

	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	sum = hash(HASH_START, &m->rtm_family, 1);
	sum = hash_attr(sum, tb[RTA_OIF]);
	sum = hash_attr(sum, tb[RTA_GATEWAY]);
	w->picture += hash_attr(sum, tb[RTA_PREFSRC]);
}

static void on_answer(void *ctx, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
		add_link(ctx, h);
		return;
	case RTM_NEWADDR:
		add_addr(ctx, h);
		return;
	case RTM_NEWROUTE:
		add_route(ctx, h);
		return;
	}
}

static int ask_dump(struct watch *w, uint16_t type, size_t header)
{
	struct nlmsghdr *h = netlink_begin(&w->ask, type, NLM_F_DUMP);

	mnl_nlmsg_put_extra_header(h, header);
	return netlink_ask(&w->ask, h, on_answer, w);
}

/* How a marked packet would leave for a public address; none is sent. */
static void ask_way(struct watch *w, uint8_t family, const void *to, size_t n)
{
	struct nlmsghdr *h = netlink_begin(&w->ask, RTM_GETROUTE, 0);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->rtm_family = family;
	m->rtm_dst_len = (uint8_t)(n * 8);
	mnl_attr_put(h, RTA_DST, n, to);
	mnl_attr_put_u32(h, RTA_MARK, FWMARK_BYPASS);
	netlink_ask(&w->ask, h, on_answer, w);
}

static void take_picture(struct watch *w)
{
	static const uint8_t v4[4] = { 8, 8, 8, 8 };
	static const uint8_t v6[16] = { 0x20, 0x01, 0x48, 0x60, 0x48, 0x60, 0,
					0,    0,    0,	  0,	0,    0,    0,
					0x88, 0x88 };
	int tries, err = -EAGAIN;

	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		w->picture = 0;
		err = ask_dump(w, RTM_GETLINK, sizeof(struct ifinfomsg));
		if (!err)
			err = ask_dump(w, RTM_GETADDR,
				       sizeof(struct ifaddrmsg));
	}
	ask_way(w, AF_INET, v4, sizeof(v4));
	ask_way(w, AF_INET6, v6, sizeof(v6));
}

static void look_again(struct watch *w)
{
	static const struct timeval soon = { .tv_usec = 250000 };

	if (!event_pending(w->look, EV_TIMEOUT, NULL))
		event_add(w->look, &soon);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct watch *w = ctx;
	uint64_t before = w->picture;

	take_picture(w);
	if (w->picture != before)
		w->ops->link_changed(w->ctx);
}

/* News. */

static void sort_out(struct watch *w, const struct nlmsghdr *h, bool ours,
		     bool outside)
{
	if (ours && h->nlmsg_pid != w->port_id)
		w->ops->ours_changed(w->ctx);
	if (outside)
		look_again(w);
}

static void on_route_news(struct watch *w, const struct nlmsghdr *h)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_MAX + 1];
	uint32_t table;

	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	table = tb[RTA_TABLE] ? attr_u32(tb[RTA_TABLE]) : m->rtm_table;
	sort_out(w, h, table == ROUTE_TABLE,
		 !m->rtm_dst_len && table != ROUTE_TABLE);
}

static void on_rule_news(struct watch *w, const struct nlmsghdr *h)
{
	const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[FRA_MAX + 1];
	uint32_t priority;

	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	priority = attr_u32(tb[FRA_PRIORITY]);
	sort_out(w, h, priority >= RULE_BASE && priority <= RULE_BASE + 60,
		 false);
}

static void on_news(void *ctx, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
	struct watch *w = ctx;
	bool own;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		own = w->link && (uint32_t)i->ifi_index == w->link;
		sort_out(w, h, own, !own);
		return;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		own = w->link && a->ifa_index == w->link;
		sort_out(w, h, own, !own);
		return;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route_news(w, h);
		return;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		on_rule_news(w, h);
		return;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct watch *w = ctx;

	/* what was lost could have been anything */
	if (netlink_receive(&w->news, on_news, w)) {
		w->ops->ours_changed(w->ctx);
		look_again(w);
	}
}

/*
 * A router with the internet's table has thousands of route changes a second;
 * the kernel throws them away here, before they are a wake-up. What stays:
 * other messages, our table, default routes.
 */
static int attach_filter(struct watch *w)
{
#define BYTE(type, member) (NLMSG_HDRLEN + (uint32_t)offsetof(type, member))
	struct sock_filter code[] = {
		/* 16 bits are loaded as big-endian */
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 4),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 BYTE(struct rtmsg, rtm_table)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ROUTE_TABLE, 2, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 BYTE(struct rtmsg, rtm_dst_len)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { ARRAY_SIZE(code), code };

	return setsockopt(mnl_socket_get_fd(w->news.socket), SOL_SOCKET,
			  SO_ATTACH_FILTER, &program, sizeof(program)) ?
		       -errno :
		       0;
#undef BYTE
}

static int join_all(struct watch *w)
{
	static const uint32_t groups[] = {
		RTNLGRP_LINK,	     RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE,  RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
		RTNLGRP_IPV6_RULE,
	};
	size_t i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(groups); i++)
		err = netlink_join(&w->news, groups[i]);
	return err;
}

struct watch *watch_new(struct event_base *base, const struct watch_ops *ops,
			void *ctx)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	int err;

	w->ops = ops;
	w->ctx = ctx;
	err = netlink_open(&w->news, NETLINK_ROUTE);
	if (!err)
		err = netlink_open(&w->ask, NETLINK_ROUTE);
	if (!err)
		err = attach_filter(w);
	if (!err)
		err = join_all(w);
	if (!err) {
		w->look = evtimer_new(base, on_look, w);
		w->readable = event_new(base,
					mnl_socket_get_fd(w->news.socket),
					EV_READ | EV_PERSIST, on_readable, w);
		if (!w->look || !w->readable ||
		    event_add(w->readable, NULL))
			err = -ENOMEM;
	}
	if (err) {
		watch_free(w);
		errno = -err;
		return NULL;
	}
	take_picture(w);
	return w;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	if (w->readable)
		event_free(w->readable);
	if (w->look)
		event_free(w->look);
	netlink_close(&w->news);
	netlink_close(&w->ask);
	free(w);
}

void watch_set(struct watch *w, uint32_t link, uint32_t port_id)
{
	bool other = w->link != link;

	w->link = link;
	w->port_id = port_id;
	/* ours left the picture: that is no news */
	if (other)
		take_picture(w);
}
