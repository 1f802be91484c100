// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "engine/endpoints.h"
#include "lib/util.h"

static uint8_t mask_bits(const struct sockaddr *mask, uint8_t full)
{
	struct endpoint m;
	uint8_t bits = 0;

	/* A v6 mask of all ones parses like any address. */
	if (!mask || endpoint_from_sockaddr(&m, mask))
		return full;
	while (bits < full && m.ip.b[bits / 8] & (0x80 >> bits % 8))
		bits++;
	return bits;
}

int interface_addrs(struct interface_addr **out, const char *skip)
{
	struct interface_addr *list;
	struct ifaddrs *all, *ifa;
	struct endpoint ep;
	int n = 0;

	if (getifaddrs(&all))
		return -errno;
	list = xcalloc(INTERFACE_ADDRS_MAX, sizeof(*list));
	for (ifa = all; ifa && n < INTERFACE_ADDRS_MAX; ifa = ifa->ifa_next) {
		struct interface_addr *a = &list[n];

		if (!ifa->ifa_addr ||
		    endpoint_from_sockaddr(&ep, ifa->ifa_addr) ||
		    (skip && !strcmp(ifa->ifa_name, skip)))
			continue;
		snprintf(a->name, sizeof(a->name), "%s", ifa->ifa_name);
		a->up = ifa->ifa_flags & IFF_UP;
		a->loopback = ifa->ifa_flags & IFF_LOOPBACK;
		a->addr.ip = ep.ip;
		a->addr.bits = mask_bits(ifa->ifa_netmask,
					 (uint8_t)ip_bits(&ep.ip));
		n++;
	}
	freeifaddrs(all);
	*out = list;
	return n;
}

void interface_families(const struct interface_addr *a, size_t n, bool *have_v4,
			bool *have_v6)
{
	size_t i;

	*have_v4 = *have_v6 = false;
	for (i = 0; i < n; i++) {
		const struct ip_addr *ip = &a[i].addr.ip;

		if (!a[i].up || a[i].loopback || ip_is_loopback(ip) ||
		    ip_is_link_local(ip) || ip_is_tailscale(ip) ||
		    ip_is_multicast(ip))
			continue;
		if (ip->family == 4)
			*have_v4 = true;
		else
			*have_v6 = true;
	}
}
