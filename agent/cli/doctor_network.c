// SPDX-License-Identifier: GPL-2.0
/* What of the host's network may be in the way. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "lib/util.h"

#define DEFAULT_PORT 41641
/* Of a tunnel's packet on the wire: IPv6, UDP, WireGuard. */
#define OVERHEAD (40 + 8 + 32)
#define TUNNEL_MTU 1280

static long setting(const struct doctor *d, const char *format,
		    const char *device)
{
	char path[DOCTOR_PATH_MAX];

	snprintf(path, sizeof(path), format, device);
	return doctor_number(d, path, -1);
}

static bool advertises(const struct doctor *d, char family)
{
	struct json_object *routes = json_member(d->prefs, "AdvertiseRoutes");
	size_t i, n = routes ? json_object_array_length(routes) : 0;

	for (i = 0; i < n; i++) {
		const char *text = json_object_get_string(
			json_object_array_get_idx(routes, i));

		if (text && (strchr(text, ':') ? '6' : '4') == family)
			return true;
	}
	return false;
}

static void check_forwarding(const struct doctor *d, struct doctor_result *r)
{
	bool v4 = advertises(d, '4'), v6 = advertises(d, '6');

	if (v4 && doctor_number(d, "/proc/sys/net/ipv4/ip_forward", 0) != 1)
		doctor_say(r, DOCTOR_FAULT,
			   "IPv4 routes are advertised and not forwarded: sysctl -w net.ipv4.ip_forward=1, and in /etc/sysctl.d");
	if (v6 && doctor_number(d, "/proc/sys/net/ipv6/conf/all/forwarding",
				0) != 1)
		doctor_say(r, DOCTOR_FAULT,
			   "IPv6 routes are advertised and not forwarded: sysctl -w net.ipv6.conf.all.forwarding=1, and in /etc/sysctl.d");
	if (v4 || v6)
		doctor_say(r, DOCTOR_OK, "what is advertised is forwarded");
}

/* The larger of "all" and the interface's counts. */
static void check_rp_filter(const struct doctor *d, struct doctor_result *r)
{
	static const char format[] = "/proc/sys/net/ipv4/conf/%s/rp_filter";
	bool routes = cli_true(d->prefs, "RouteAll") || advertises(d, '4');
	long all = setting(d, format, "all");
	struct json_object *o;
	const char *ours = doctor_device(d, &o);
	size_t n, i;
	char **devices = doctor_list(d, "/proc/sys/net/ipv4/conf", &n);

	for (i = 0; i < n; i++) {
		long one = setting(d, format, devices[i]);
		long v = all > one ? all : one;
		bool real = strcmp(devices[i], "all") &&
			    strcmp(devices[i], "default") &&
			    strcmp(devices[i], "lo");

		if (real && v == 1 && routes)
			doctor_say(r, DOCTOR_WARNING,
				   "rp_filter of %s is strict, replies that take another way than routes say are dropped: sysctl -w net.ipv4.conf.%s.rp_filter=2",
				   devices[i], devices[i]);
		else if (real && v == 1 && !strcmp(devices[i], ours))
			doctor_say(r, DOCTOR_OK,
				   "rp_filter is strict, and no subnets are routed");
		free(devices[i]);
	}
	free(devices);
	if (n)
		doctor_say(r, DOCTOR_OK, "rp_filter is in nobody's way");
}

/* tailraced's --port, or the default. */
static unsigned int wanted_port(const struct doctor *d)
{
	_cleanup_free_ char *text =
		doctor_read(d, "/etc/default/tailraced", NULL);
	const char *at = text ? strstr(text, "--port=") : NULL;

	return at ? (unsigned int)strtoul(at + 7, NULL, 10) : DEFAULT_PORT;
}

static bool port_in_use(const struct doctor *d, unsigned int port)
{
	static const char *const tables[] = { "/proc/net/udp",
					      "/proc/net/udp6" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		_cleanup_free_ char *text = doctor_read(d, tables[i], NULL);
		char *line, *save = NULL;
		unsigned int local;

		for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
		     line = strtok_r(NULL, "\n", &save))
			if (sscanf(line, " %*u: %*[0-9A-F]:%x", &local) == 1 &&
			    local == port)
				return true;
	}
	return false;
}

static void check_port(const struct doctor *d, struct doctor_result *r)
{
	unsigned int want = wanted_port(d), have;
	struct json_object *device;

	doctor_device(d, &device);
	have = (unsigned int)cli_number(device, "port");
	if (!want && have)
		doctor_say(r, DOCTOR_OK, "WireGuard has UDP port %u", have);
	else if (!want)
		return;
	else if (have == want)
		doctor_say(r, DOCTOR_OK, "WireGuard has UDP port %u", want);
	else if (have)
		doctor_say(r, DOCTOR_WARNING,
			   "WireGuard has UDP port %u, as %u was in use: firewalls that know only that one will block it (ss -lunp)",
			   have, want);
	else if (!d->devices && d->status)
		return; /* it may well be ours: only root can tell */
	else if (port_in_use(d, want))
		doctor_say(r, DOCTOR_WARNING,
			   "UDP port %u is in use by another program (ss -lunp): WireGuard will take another, or set --port in /etc/default/tailraced",
			   want);
	else
		doctor_say(r, DOCTOR_OK, "UDP port %u is free", want);
}

static void check_firewall(const struct doctor *d, struct doctor_result *r)
{
	struct json_object *device;
	const char *name = doctor_device(d, &device);
	unsigned int port = (unsigned int)cli_number(device, "port");
	_cleanup_free_ char *legacy =
		doctor_read(d, "/proc/net/ip_tables_names", NULL);

	if (d->ruleset)
		doctor_firewall(d->ruleset, port ? port : wanted_port(d), name,
				advertises(d, '4') || advertises(d, '6'), r);
	if (legacy && *legacy)
		doctor_say(r, DOCTOR_WARNING,
			   "legacy iptables has rules, which this does not look at: iptables-legacy -L -v");
}

static void check_mtu(const struct doctor *d, struct doctor_result *r)
{
	char path[DOCTOR_PATH_MAX];
	struct json_object *device;
	const char *ours = doctor_device(d, &device);
	size_t n, i;
	char **names = doctor_list(d, "/sys/class/net", &n);

	for (i = 0; i < n; i++) {
		long mtu = setting(d, "/sys/class/net/%s/mtu", names[i]);

		snprintf(path, sizeof(path), "/sys/class/net/%s/device",
			 names[i]);
		if (!strcmp(names[i], ours) && mtu != TUNNEL_MTU)
			doctor_say(r, DOCTOR_WARNING,
				   "%s has MTU %ld, peers expect %d: ip link set %s mtu %d",
				   ours, mtu, TUNNEL_MTU, ours, TUNNEL_MTU);
		else if (mtu > 0 && mtu < TUNNEL_MTU + OVERHEAD &&
			 doctor_exists(d, path))
			doctor_say(r, DOCTOR_WARNING,
				   "%s has MTU %ld, too little for the tunnel's packets of %d: they will be fragmented",
				   names[i], mtu, TUNNEL_MTU + OVERHEAD);
		free(names[i]);
	}
	free(names);
	if (n)
		doctor_say(r, DOCTOR_OK, "every uplink carries the tunnel");
}

static void check_conntrack(const struct doctor *d, struct doctor_result *r)
{
	long n = doctor_number(
		d, "/proc/sys/net/netfilter/nf_conntrack_count", -1);
	long max = doctor_number(d, "/proc/sys/net/netfilter/nf_conntrack_max",
				 -1);

	if (n < 0 || max <= 0)
		return;
	if (n > max / 10 * 9)
		doctor_say(r, DOCTOR_WARNING,
			   "conntrack has %ld of %ld entries, new ones will be dropped: sysctl -w net.netfilter.nf_conntrack_max=%ld",
			   n, max, max * 2);
	else
		doctor_say(r, DOCTOR_OK, "conntrack has %ld of %ld entries", n,
			   max);
}

const struct doctor_check doctor_network_checks[] = {
	{ "port", check_port },
	{ "firewall", check_firewall },
	{ "forwarding", check_forwarding },
	{ "rp_filter", check_rp_filter },
	{ "mtu", check_mtu },
	{ "conntrack", check_conntrack },
	{ 0 }
};
