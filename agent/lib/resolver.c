// SPDX-License-Identifier: GPL-2.0
#include "lib/resolver.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define TICK_SECONDS 5

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void read_file(struct resolver *r)
{
	evdns_base_clear_nameservers_and_suspend(r->dns);
	evdns_base_search_clear(r->dns);
	/* An error means a file without servers, or none: there are none. */
	evdns_base_resolv_conf_parse(
		r->dns,
		DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC |
			DNS_OPTION_NAMESERVERS_NO_DEFAULT,
		r->path);
	evdns_base_resume(r->dns);
}

void resolver_refresh(struct resolver *r)
{
	struct stat now;

	if (stat(r->path, &now))
		memset(&now, 0, sizeof(now));
	if (is_same(&now, &r->seen))
		return;
	r->seen = now;
	read_file(r);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	resolver_refresh(arg);
}

struct resolver *resolver_new(struct event_base *base, const char *path)
{
	static const struct timeval every = { TICK_SECONDS, 0 };
	struct resolver *r = xcalloc(1, sizeof(*r));

	r->path = path;
	r->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	r->tick = event_new(base, -1, EV_PERSIST, on_tick, r);
	if (!r->dns || !r->tick) {
		resolver_free(r);
		return NULL;
	}
	evdns_base_load_hosts(r->dns, "/etc/hosts");
	resolver_refresh(r);
	event_add(r->tick, &every);
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	if (r->tick)
		event_free(r->tick);
	if (r->dns)
		evdns_base_free(r->dns, 0);
	free(r);
}
