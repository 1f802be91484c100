/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_RESOLVER_H
#define LIB_RESOLVER_H

#include <sys/stat.h>

/*
 * libevent's DNS, kept to what /etc/resolv.conf says now: it may not be there
 * yet when a service starts, and DHCP or systemd-resolved change it later.
 */

struct event;
struct event_base;
struct evdns_base;

struct resolver {
	struct evdns_base *dns; /* for whoever resolves; the same for life */
	const char *path;
	struct stat seen; /* of the file; zero: it is missing */
	struct event *tick;
};

#define RESOLV_CONF "/etc/resolv.conf"

/* @path is RESOLV_CONF, kept by reference. NULL without memory. */
struct resolver *resolver_new(struct event_base *base, const char *path);
/* NULL is fine. Lookups under way end without a callback. */
void resolver_free(struct resolver *r);
/*
 * Reads the file again if it is another one than before; happens every five
 * seconds by itself. Lookups under way are asked of the new servers.
 */
void resolver_refresh(struct resolver *r);

#endif
