// SPDX-License-Identifier: GPL-2.0
#include "kernel/link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "kernel/list.h"
#include "lib/util.h"

static struct nlmsghdr *begin_link(struct netlink *nl, uint16_t type,
				   uint16_t flags, const struct ifinfomsg *info)
{
	struct nlmsghdr *h = netlink_begin(nl, type, flags);

	memcpy(mnl_nlmsg_put_extra_header(h, sizeof(*info)), info,
	       sizeof(*info));
	return h;
}

static void on_link(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct link *l = ctx;

	if (h->nlmsg_type != RTM_NEWLINK)
		return;
	netlink_msg_attrs(h, sizeof(*i), tb, ARRAY_SIZE(tb));
	l->index = (uint32_t)i->ifi_index;
	l->up = i->ifi_flags & IFF_UP;
	l->mtu = attr_u32(tb[IFLA_MTU]);
	if (!tb[IFLA_LINKINFO])
		return;
	netlink_nest_attrs(tb[IFLA_LINKINFO], info, ARRAY_SIZE(info));
	l->wireguard =
		info[IFLA_INFO_KIND] &&
		!strncmp(mnl_attr_get_str(info[IFLA_INFO_KIND]), "wireguard",
			 mnl_attr_get_payload_len(info[IFLA_INFO_KIND]));
}

int link_get(struct netlink *nl, const char *name, struct link *out)
{
	struct ifinfomsg info = { 0 };
	struct nlmsghdr *h = begin_link(nl, RTM_GETLINK, 0, &info);

	memset(out, 0, sizeof(*out));
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return netlink_ask(nl, h, on_link, out);
}

int link_create(struct netlink *nl, const char *name, uint32_t mtu)
{
	struct ifinfomsg info = { 0 };
	struct nlmsghdr *h =
		begin_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info);
	struct nlattr *nest;

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	nest = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "wireguard");
	mnl_attr_nest_end(h, nest);
	return netlink_change(nl, h, NULL, NULL);
}

int link_delete(struct netlink *nl, uint32_t index)
{
	struct ifinfomsg info = { .ifi_index = (int)index };

	return netlink_change(nl, begin_link(nl, RTM_DELLINK, 0, &info), NULL,
			      NULL);
}

int link_set_mtu(struct netlink *nl, uint32_t index, uint32_t mtu)
{
	struct ifinfomsg info = { .ifi_index = (int)index };
	struct nlmsghdr *h = begin_link(nl, RTM_NEWLINK, 0, &info);

	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return netlink_change(nl, h, NULL, NULL);
}

int link_set_up(struct netlink *nl, uint32_t index, bool up)
{
	struct ifinfomsg info = { .ifi_index = (int)index,
				  .ifi_flags = up ? IFF_UP : 0,
				  .ifi_change = IFF_UP };

	return netlink_change(nl, begin_link(nl, RTM_NEWLINK, 0, &info), NULL,
			      NULL);
}

struct addr_dump {
	uint32_t index;
	struct prefix_list *out;
};

static void on_addr(void *ctx, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[IFA_MAX + 1], *a;
	struct addr_dump *d = ctx;
	struct prefix p = { 0 };
	size_t n;

	/* kernels without strict checking dump every interface */
	if (h->nlmsg_type != RTM_NEWADDR || m->ifa_index != d->index)
		return;
	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	a = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	n = m->ifa_family == AF_INET ? 4 : 16;
	if (!a || mnl_attr_get_payload_len(a) != n)
		return;
	p.ip.family = n == 4 ? 4 : 6;
	memcpy(p.ip.b, mnl_attr_get_payload(a), n);
	p.bits = m->ifa_prefixlen;
	if (p.ip.family == 6 && ip_is_link_local(&p.ip))
		return;
	*list_add(d->out->p, &d->out->n) = p;
}

int link_addrs(struct netlink *nl, uint32_t index, struct prefix_list *out)
{
	struct addr_dump d = { index, out };
	int err = -EAGAIN, tries;

	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		struct nlmsghdr *h =
			netlink_begin(nl, RTM_GETADDR, NLM_F_DUMP);
		struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

		m->ifa_index = index;
		free(out->p);
		memset(out, 0, sizeof(*out));
		err = netlink_ask(nl, h, on_addr, &d);
	}
	return err;
}

static int set_addr(struct netlink *nl, uint32_t index, const struct prefix *p,
		    bool add)
{
	struct nlmsghdr *h =
		netlink_begin(nl, add ? RTM_NEWADDR : RTM_DELADDR,
			      add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	size_t n = p->ip.family == 4 ? 4 : 16;

	m->ifa_family = n == 4 ? AF_INET : AF_INET6;
	m->ifa_prefixlen = p->bits;
	m->ifa_scope = RT_SCOPE_UNIVERSE;
	m->ifa_index = index;
	mnl_attr_put(h, IFA_LOCAL, n, p->ip.b);
	mnl_attr_put(h, IFA_ADDRESS, n, p->ip.b);
	return netlink_change(nl, h, NULL, NULL);
}

int link_add_addr(struct netlink *nl, uint32_t index, const struct prefix *p)
{
	return set_addr(nl, index, p, true);
}

int link_del_addr(struct netlink *nl, uint32_t index, const struct prefix *p)
{
	int err = set_addr(nl, index, p, false);

	/* deleting an IPv4 address may take others of its subnet along */
	return err == -EADDRNOTAVAIL ? 0 : err;
}

bool link_has_ipv6(const char *name)
{
	char path[64], c = '0';
	FILE *f;

	if (access("/proc/net/if_inet6", F_OK))
		return false;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
		 name);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (fread(&c, 1, 1, f) != 1)
		c = '0';
	fclose(f);
	return c == '0';
}

static int compare(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void sort(struct prefix_list *l)
{
	if (l->n)
		qsort(l->p, l->n, sizeof(*l->p), compare);
}

void prefix_list_diff(struct prefix_list *have, struct prefix_list *want,
		      bool ipv6, struct prefix_list *add,
		      struct prefix_list *del)
{
	size_t h = 0, w = 0;

	memset(add, 0, sizeof(*add));
	memset(del, 0, sizeof(*del));
	sort(have);
	sort(want);
	while (h < have->n || w < want->n) {
		int c;

		/* twice the same, or not possible here */
		if (w < want->n &&
		    ((w && prefix_equal(&want->p[w], &want->p[w - 1])) ||
		     (!ipv6 && want->p[w].ip.family == 6))) {
			w++;
			continue;
		}
		if (h == have->n)
			c = 1;
		else if (w == want->n)
			c = -1;
		else
			c = prefix_compare(&have->p[h], &want->p[w]);
		if (c > 0)
			*list_add(add->p, &add->n) = want->p[w];
		if (c < 0)
			*list_add(del->p, &del->n) = have->p[h];
		w += c >= 0;
		h += c <= 0;
	}
}
