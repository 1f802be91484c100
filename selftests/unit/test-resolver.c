// SPDX-License-Identifier: GPL-2.0
#include <event2/dns.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/resolver.h"
#include "tap.h"

static char path[] = "/tmp/test-resolver.XXXXXX/resolv.conf";

/* As DHCP clients do it: a new file in the place of the old one. */
static void put(const char *text)
{
	char new[sizeof(path) + 4];
	FILE *f;

	snprintf(new, sizeof(new), "%s.new", path);
	f = fopen(new, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) || rename(new, path))
		abort();
}

static int servers(struct resolver *r)
{
	resolver_refresh(r);
	return evdns_base_count_nameservers(r->dns);
}

int main(void)
{
	struct event_base *base = event_base_new();
	char *slash = path + sizeof("/tmp/test-resolver.XXXXXX") - 1;
	struct resolver *r;
	struct evdns_base *dns;

	*slash = '\0';
	if (!mkdtemp(path))
		abort();
	*slash = '/';
	r = resolver_new(base, path);
	tap_ok(r, "without a file");
	dns = r->dns;
	tap_ok(servers(r) == 0, "there is no server, and none is made up");
	put("nameserver 192.0.2.1\n");
	tap_ok(servers(r) == 1, "the file comes");
	put("search example.com\nnameserver 192.0.2.2\nnameserver 2001:db8::2\n");
	tap_ok(servers(r) == 2, "and changes");
	put("# nothing\n");
	tap_ok(servers(r) == 0, "to nothing");
	put("nameserver 192.0.2.1\n");
	tap_ok(servers(r) == 1, "and back");
	unlink(path);
	tap_ok(servers(r) == 0, "and goes");
	tap_ok(r->dns == dns, "for users it is the same all the time");
	resolver_free(r);
	resolver_free(NULL);
	event_base_free(base);
	*slash = '\0';
	rmdir(path);
	return tap_done();
}
