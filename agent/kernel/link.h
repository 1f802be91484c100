/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_LINK_H
#define KERNEL_LINK_H

#include "kernel/netlink.h"
#include "lib/addr.h"

/* The WireGuard interface and its addresses, over rtnetlink. */

struct link {
	uint32_t index;
	bool wireguard; /* of that kind */
	bool up;
	uint32_t mtu;
};

/* A growing list of prefixes; free(p) when done. */
struct prefix_list {
	struct prefix *p;
	size_t n;
};

/* -ENODEV when there is no such interface. */
int link_get(struct netlink *nl, const char *name, struct link *out);
/* Of kind wireguard, down. */
int link_create(struct netlink *nl, const char *name, uint32_t mtu);
int link_delete(struct netlink *nl, uint32_t index);
int link_set_mtu(struct netlink *nl, uint32_t index, uint32_t mtu);
int link_set_up(struct netlink *nl, uint32_t index, bool up);

/* The interface's addresses but IPv6 link-local ones. */
int link_addrs(struct netlink *nl, uint32_t index, struct prefix_list *out);
int link_add_addr(struct netlink *nl, uint32_t index, const struct prefix *p);
int link_del_addr(struct netlink *nl, uint32_t index, const struct prefix *p);

/* Whether the kernel has IPv6 at all, and on this interface. */
bool link_has_ipv6(const char *name);

/*
 * Prefixes of @want that @have lacks, and the reverse. Sorts both. Without
 * @ipv6, IPv6 prefixes are not wanted. The caller frees the lists.
 */
void prefix_list_diff(struct prefix_list *have, struct prefix_list *want,
		      bool ipv6, struct prefix_list *add,
		      struct prefix_list *del);

#endif
