// SPDX-License-Identifier: GPL-2.0
/* The list of own endpoints, from given facts. */
#include "engine/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tap.h"

#define T0 (1000 * SEC_NS)
#define PORT 41641

static struct endpoint_cache cache;
static struct net_report report;
static struct interface_addr ifs[32];
static struct endpoints_input in;

static void reset(void)
{
	memset(&cache, 0, sizeof(cache));
	memset(&in, 0, sizeof(in));
	net_report_init(&report, T0);
	in.now = T0;
	in.report = &report;
	in.local_port = PORT;
	in.interfaces = ifs;
}

static void interface(const char *name, const char *prefix)
{
	struct interface_addr *a = &ifs[in.n_interfaces++];

	memset(a, 0, sizeof(*a));
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->up = true;
	a->loopback = !strcmp(name, "lo");
	if (prefix_parse(&a->addr, prefix))
		abort();
}

static void stun(int region, int family, const char *mapped)
{
	struct endpoint e;

	endpoint_parse(&e, mapped);
	net_report_add_stun(&report, region, family, MS_NS, &e);
}

/* The list as "address/type address/type". */
static void is_list(const char *want, const char *what)
{
	struct own_endpoint out[ENDPOINTS_MAX];
	size_t i, len = 0, n = endpoints_assemble(&in, &cache, out);
	char have[4096] = "", text[ENDPOINT_TEXT_MAX];

	for (i = 0; i < n; i++)
		len += (size_t)snprintf(have + len, sizeof(have) - len,
					"%s%s/%d", i ? " " : "",
					endpoint_format(&out[i].ep, text),
					out[i].type);
	if (!tap_ok(!strcmp(have, want), "%s", what))
		printf("# have %s\n# want %s\n", have, want);
}

static void test_sources(void)
{
	struct endpoint explicit;

	reset();
	is_list("", "nothing known");
	in.report = NULL;
	interface("eth0", "192.168.1.5/24");
	is_list("192.168.1.5:41641/1", "before the first netcheck");
	in.report = &report;
	stun(1, 4, "203.0.113.1:5000");
	stun(2, 4, "203.0.113.1:5000");
	stun(1, 6, "[2001:db8::5]:41641");
	interface("eth0", "2001:db8::5/64");
	endpoint_parse(&in.portmap, "203.0.113.1:6000");
	endpoint_parse(&explicit, "198.51.100.7:1");
	in.explicit_eps = &explicit;
	in.n_explicit = 1;
	is_list("203.0.113.1:6000/3 203.0.113.1:5000/2 "
		"[2001:db8::5]:41641/2 198.51.100.7:1/5 192.168.1.5:41641/1",
		"all sources in order, each address once");

	reset();
	in.fixed_port = true;
	stun(1, 4, "203.0.113.1:5000");
	stun(2, 4, "203.0.113.1:5001");
	stun(3, 4, "203.0.113.1:5002");
	stun(4, 4, "203.0.113.1:5002");
	is_list("203.0.113.1:5000/2 203.0.113.1:5002/2 203.0.113.1:41641/4",
		"a hard NAT: addresses seen once are noise, but a forward is "
		"worth a guess");
	reset();
	stun(1, 4, "203.0.113.1:5000");
	stun(2, 4, "203.0.113.1:5001");
	is_list("203.0.113.1:5000/2", "not with a random port");
}

static void test_cache(void)
{
	char text[32];
	int i;

	reset();
	stun(1, 4, "203.0.113.1:5000");
	is_list("203.0.113.1:5000/2", "an address");
	net_report_init(&report, T0);
	stun(1, 4, "203.0.113.1:5001");
	in.now = T0 + 309 * SEC_NS;
	is_list("203.0.113.1:5001/2 203.0.113.1:5000/2",
		"the one before it stays for 5 min 10 s");
	in.now = T0 + 310 * SEC_NS;
	is_list("203.0.113.1:5001/2", "and no longer");
	for (i = 0; i < 20; i++) {
		net_report_init(&report, T0);
		snprintf(text, sizeof(text), "203.0.113.1:%d", 6000 + i);
		stun(1, 4, text);
		in.now += SEC_NS;
		endpoints_assemble(&in, &cache,
				   (struct own_endpoint[ENDPOINTS_MAX]){ 0 });
	}
	tap_ok(cache.n == ENDPOINT_CACHE_PER_IP,
	       "at most six of one address (%zu)", cache.n);
	for (i = 0; i < 200; i++) {
		net_report_init(&report, T0);
		snprintf(text, sizeof(text), "203.0.113.%d:1", i);
		stun(1, 4, text);
		in.now += MS_NS;
		endpoints_assemble(&in, &cache,
				   (struct own_endpoint[ENDPOINTS_MAX]){ 0 });
	}
	tap_ok(cache.n == ENDPOINT_CACHE_MAX, "and bounded in all (%zu)",
	       cache.n);
	reset();
	interface("eth0", "192.168.1.5/24");
	is_list("192.168.1.5:41641/1", "interface addresses");
	in.n_interfaces = 0;
	is_list("", "are not cached");
}

static void test_interfaces(void)
{
	bool v4, v6;

	reset();
	interface("lo", "127.0.0.1/8");
	is_list("127.0.0.1:41641/1", "the loopback if there is nothing else");
	stun(1, 4, "203.0.113.1:5000");
	is_list("203.0.113.1:5000/2", "not beside a mapped address");
	reset();
	interface("lo", "127.0.0.1/8");
	interface("eth0", "fe80::1/64");
	is_list("127.0.0.1:41641/1", "link-local IPv6 is nothing");
	interface("eth1", "169.254.1.1/16");
	interface("eth1", "fd12::1/64");
	is_list("169.254.1.1:41641/1 [fd12::1]:41641/1",
		"link-local IPv4 and ULA without a regular address");
	interface("eth2", "10.0.0.9/24");
	is_list("10.0.0.9:41641/1", "not with one");
	interface("eth3", "8.8.0.1/24");
	interface("wt0", "10.9.9.9/24");
	interface("ztabc", "10.8.8.8/24");
	interface("tailrace0", "100.101.102.103/32");
	interface("tailrace0", "fd7a:115c:a1e0::1/128");
	interface("cros", "100.115.92.5/30");
	interface("down", "10.7.7.7/24");
	ifs[in.n_interfaces - 1].up = false;
	is_list("8.8.0.1:41641/1 10.0.0.9:41641/1 100.115.92.5:41641/1",
		"sorted; other overlays, Tailscale addresses and interfaces "
		"that are down left out");
	interface("eth2", "2001:db8::9/64");
	interface("eth2", "2001:db8::7/64");
	interface("eth2", "2001:db8::8/64");
	interface("eth2", "2001:db8:0:1::1/64");
	is_list("8.8.0.1:41641/1 10.0.0.9:41641/1 100.115.92.5:41641/1 "
		"[2001:db8::7]:41641/1 [2001:db8::9]:41641/1 "
		"[2001:db8:0:1::1]:41641/1",
		"two of one IPv6 subnet");
	interface_families(ifs, in.n_interfaces, &v4, &v6);
	tap_ok(v4 && v6, "both families are there");
	interface_families(ifs, 3, &v4, &v6);
	tap_ok(!v4 && !v6, "neither with loopback and link-local alone");
}

static void test_compare(void)
{
	struct own_endpoint a[2] = { 0 }, b[2] = { 0 };

	endpoint_parse(&a[0].ep, "1.2.3.4:5");
	endpoint_parse(&a[1].ep, "1.2.3.4:6");
	a[0].type = a[1].type = ENDPOINT_STUN;
	b[0] = a[1];
	b[1] = a[0];
	tap_ok(endpoints_equal(a, 2, b, 2) && !endpoints_equal(a, 2, b, 1),
	       "order does not matter, number does");
	b[0].type = ENDPOINT_LOCAL;
	tap_ok(!endpoints_equal(a, 2, b, 2), "nor do types go unnoticed");
}

static void test_host(void)
{
	_cleanup_free_ struct interface_addr *list = NULL;
	int i, n = interface_addrs(&list, NULL);
	bool found = false;
	struct ip_addr lo;

	ip_parse(&lo, "127.0.0.1");
	for (i = 0; i < n; i++)
		found = found || (ip_equal(&list[i].addr.ip, &lo) &&
				  list[i].loopback && list[i].addr.bits == 8);
	tap_ok(found, "this host has a loopback address");
	free(list);
	list = NULL;
	n = interface_addrs(&list, "lo");
	for (found = false, i = 0; i < n; i++)
		found = found || !strcmp(list[i].name, "lo");
	tap_ok(n >= 0 && !found, "which can be left out");
}

int main(void)
{
	test_sources();
	test_cache();
	test_interfaces();
	test_compare();
	test_host();
	return tap_done();
}
