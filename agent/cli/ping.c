// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "lib/addr.h"
#include "lib/util.h"

struct ping_options {
	unsigned long count, timeout, size;
	bool tsmp, icmp, until_direct, verbose;
};

/* What one ping found. */
struct answer {
	double seconds;
	char via[128];
	bool direct;
	char error[160];
};

/* The kernel's own ping sockets: the echo goes through the tunnel. */
static void ping_icmp(const char *ip, const struct ping_options *o,
		      struct answer *a)
{
	struct endpoint to = { 0 };
	struct sockaddr_storage ss;
	_cleanup_fd_ int fd = -1;
	uint8_t echo[8 + 56] = { 0 }, reply[256];
	struct pollfd pfd;
	uint64_t start;
	socklen_t len;

	ip_parse(&to.ip, ip);
	len = endpoint_to_sockaddr(&to, &ss);
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC,
		    to.ip.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (fd < 0) {
		snprintf(a->error, sizeof(a->error),
			 "cannot open a ping socket: %s (see sysctl net.ipv4.ping_group_range)",
			 strerror(errno));
		return;
	}
	echo[0] = to.ip.family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	start = now_ns();
	if (sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&ss, len) <
	    0) {
		snprintf(a->error, sizeof(a->error), "%s", strerror(errno));
		return;
	}
	pfd = (struct pollfd){ .fd = fd, .events = POLLIN };
	if (poll(&pfd, 1, (int)o->timeout) <= 0 ||
	    recv(fd, reply, sizeof(reply), 0) < 8) {
		snprintf(a->error, sizeof(a->error), "no reply");
		return;
	}
	a->seconds = (double)(now_ns() - start) / (double)SEC_NS;
	a->direct = true;
	strcpy(a->via, "ICMP");
}

static int ping_agent(struct cli *c, const char *ip,
		      const struct ping_options *o, struct answer *a)
{
	struct json_object *r;
	const char *endpoint;
	char path[256];

	snprintf(path, sizeof(path), "ping?ip=%s&type=%s&size=%lu", ip,
		 o->tsmp ? "TSMP" : "disco", o->size);
	if (cli_request(c, "POST", path, NULL, &r))
		return 1;
	snprintf(a->error, sizeof(a->error), "%s", cli_text(r, "Err"));
	a->seconds = json_object_get_double(json_member(r, "LatencySeconds"));
	endpoint = cli_text(r, "Endpoint");
	a->direct = o->tsmp || *endpoint;
	if (o->tsmp)
		strcpy(a->via, "TSMP");
	else if (*endpoint)
		snprintf(a->via, sizeof(a->via), "%s", endpoint);
	else
		snprintf(a->via, sizeof(a->via), "DERP(%s)",
			 cli_text(r, "DERPRegionCode"));
	json_object_put(r);
	return 0;
}

int cmd_ping(struct cli *c, int argc, char **argv)
{
	static const struct flag_only no_peerapi = {
		"false", "there is no peer API to ask"
	};
	struct ping_options o = { .count = 10, .timeout = 5000,
				  .until_direct = true };
	struct flag flags[] = {
		{ "c", FLAG_NUMBER, &o.count, "how many at most (10), 0: no end",
		  false },
		{ "timeout", FLAG_DURATION, &o.timeout,
		  "how long to wait for one (5s)", false },
		{ "size", FLAG_NUMBER, &o.size, "bytes of a disco ping", false },
		{ "tsmp", FLAG_BOOL, &o.tsmp,
		  "through WireGuard, answered below IP", false },
		{ "icmp", FLAG_BOOL, &o.icmp,
		  "through WireGuard, answered by the host", false },
		{ "until-direct", FLAG_BOOL, &o.until_direct,
		  "stop at a direct answer (true)", false },
		{ "verbose", FLAG_BOOL, &o.verbose, "say more", false },
		{ "peerapi", FLAG_ONLY, (void *)(uintptr_t)&no_peerapi, NULL,
		  false },
		{ 0 }
	};
	bool any = false, direct = false;
	struct json_object *s, *peer;
	unsigned long i;
	const char *ip;
	int n;

	n = flags_parse(flags, "<host or IP>", argc, argv);
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (argc - n != 1)
		return cli_error("usage: tailrace ping <host or IP>") + 1;
	if (o.size > 8191)
		return cli_error("--size is at most 8191") + 1;
	s = cli_status(c, true);
	peer = s ? cli_find_peer(s, argv[n], 0, &ip) : NULL;
	if (!peer) {
		json_object_put(s);
		return 1;
	}
	for (i = 0; !o.count || i < o.count; i++) {
		struct timespec second = { 1, 0 };
		struct answer a = { 0 };

		if (i)
			nanosleep(&second, NULL);
		if (o.icmp)
			ping_icmp(ip, &o, &a);
		else if (ping_agent(c, ip, &o, &a))
			break;
		if (*a.error) {
			printf("ping \"%s\" %s\n", ip, a.error);
			continue;
		}
		any = true;
		printf("pong from %.*s (%s) via %s in %.*fms\n",
		       (int)strcspn(cli_text(peer, "DNSName"), "."),
		       cli_text(peer, "DNSName"), ip, a.via,
		       a.seconds < 0.01 ? 1 : 0, a.seconds * 1000);
		fflush(stdout);
		direct = a.direct;
		if (direct && o.until_direct)
			break;
	}
	json_object_put(s);
	if (any && !direct && o.until_direct && o.count)
		return cli_error("direct connection not established");
	return !any;
}
