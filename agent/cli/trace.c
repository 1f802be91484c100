// SPDX-License-Identifier: GPL-2.0
/* `tailrace trace`: what the packet filter decides, while it does. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/cli.h"
#include "cli/expression.h"
#include "cli/flags.h"
#include "cli/follow.h"
#include "cli/sight.h"
#include "cli/verdict.h"
#include "kernel/stats.h"
#include "lib/util.h"

/* Room for some 10,000 verdicts that are not read yet. */
#define RECEIVE_BUFFER (4 << 20)

struct trace {
	struct sight sight;
	struct netlink nl; /* the one that traces */
	bool json;
	unsigned long rate, count, printed;
	uint64_t lost_rate, lost_ring, lost_socket;
	uint64_t told; /* of all three together */
	uint64_t told_at;
	bool done;
	bool ended; /* not by --count */
};

static uint64_t lost(const struct trace *t)
{
	return t->lost_rate + t->lost_ring + t->lost_socket;
}

static void tell_lost(struct trace *t)
{
	struct json_object *o;

	t->told_at = now_ns();
	if (lost(t) == t->told)
		return;
	t->told = lost(t);
	if (!t->json) {
		fprintf(stderr,
			"tailrace: lost so far: %llu over the rate, %llu in the kernel, %llu not read in time; a narrower expression or a higher --rate shows more\n",
			(unsigned long long)t->lost_rate,
			(unsigned long long)t->lost_ring,
			(unsigned long long)t->lost_socket);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "lost_rate",
			       json_object_new_uint64(t->lost_rate));
	json_object_object_add(o, "lost_ring",
			       json_object_new_uint64(t->lost_ring));
	json_object_object_add(o, "lost_socket",
			       json_object_new_uint64(t->lost_socket));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	json_object_put(o);
}

static void show(struct trace *t, const struct tailrace_verdict *v)
{
	const struct policy *policy =
		verdict_by_rule(v) ? sight_policy(&t->sight, v) : NULL;
	const struct module_peer *peer = sight_peer(&t->sight, v->peer);
	struct json_object *o;

	if (t->json) {
		o = verdict_json(v, policy, peer);
		puts(json_object_to_json_string_ext(
			o, JSON_C_TO_STRING_PLAIN |
				   JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		verdict_print(stdout, v, policy, peer);
	}
	t->done = t->count && ++t->printed == t->count;
}

static void on_news(void *ctx, const struct nlmsghdr *h)
{
	struct verdict_news news;
	struct trace *t = ctx;
	size_t i;

	if (!verdict_news_parse(h, &news))
		return;
	for (i = 0; i < news.n && !t->done; i++) {
		struct tailrace_verdict v = verdict_news_at(&news, i);

		show(t, &v);
	}
	t->lost_rate = news.lost_rate;
	t->lost_ring = news.lost_ring;
	t->lost_socket = news.lost_socket;
	if (news.ended && !t->done)
		t->ended = t->done = true;
	if (now_ns() - t->told_at > SEC_NS)
		tell_lost(t);
}

static int start(struct trace *t, const struct expression *e)
{
	int err = netlink_open(&t->nl, NETLINK_GENERIC), room = RECEIVE_BUFFER;

	if (err)
		return cli_error("cannot open a netlink socket: %s",
				 strerror(-err));
	setsockopt(mnl_socket_get_fd(t->nl.socket), SOL_SOCKET,
		   SO_RCVBUFFORCE, &room, sizeof(room));
	t->nl.stray = on_news;
	t->nl.stray_ctx = t;
	err = verdict_trace(&t->nl, t->sight.family, t->sight.link, &e->filter,
			    (uint32_t)t->rate);
	if (err)
		return cli_error("%s", t->nl.error);
	err = netlink_unblock(&t->nl);
	return err ? cli_error("%s", strerror(-err)) : 0;
}

/* Until a signal, the last of --count, or the device's end. */
static int run(struct trace *t)
{
	/* the module counts what it could not deliver */
	int err = follow(&t->nl, &t->done, on_news, t, NULL);

	tell_lost(t);
	if (t->ended)
		return cli_error("%s is gone, or tailrace.ko detached from it",
				 t->sight.device);
	return err ? cli_error("%s", strerror(-err)) : 0;
}

/* The peer that was named by an address. */
static int find_peer(struct trace *t, struct expression *e)
{
	const struct module_peer *peer;
	char text[IP_TEXT_MAX];

	if (!e->peer.family)
		return 0;
	peer = sight_peer_of(&t->sight, &e->peer);
	if (!peer)
		return cli_error("no peer has or routes %s; 'tailrace status' lists them",
				 ip_format(&e->peer, text));
	e->filter.peer = peer->id;
	return 0;
}

static void help(void)
{
	uint32_t i;

	puts("\n"
	     "Shows what the packet filter decides about each packet, as it does, with\n"
	     "the rule that let it in or the reason why not. All conditions have to hold:\n"
	     "\n"
	     "  accept, drop             the verdict\n"
	     "  in, out                  from a peer, to a peer\n"
	     "  tcp, udp, icmp, icmp6, sctp, tsmp, proto NUMBER\n"
	     "  from ADDR, to ADDR       also 'src [host|net]', 'dst [host|net]'\n"
	     "  host ADDR                either of them\n"
	     "  port PORT                either side; also 'src port', 'dst port'\n"
	     "  peer ADDR                whatever the peer sends; also its number\n"
	     "  rule ID                  let in by it\n"
	     "  reason NAME              why it was dropped:");
	for (i = 0; i < __TAILRACE_DROP_MAX; i++)
		if (stats_drop_name(i))
			printf("                             %s\n",
			       stats_drop_name(i));
	puts("\n"
	     "  tailrace trace drop in tcp port 22 from 100.64.0.2\n"
	     "\n"
	     "Each merged packet is one line. Needs root, works without tailraced.");
}

int cmd_trace(struct cli *c, int argc, char **argv)
{
	struct trace t = { .rate = TAILRACE_TRACE_RATE };
	const char *device = NULL;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &t.json, "one object a line", false },
		{ "count", FLAG_NUMBER, &t.count, "ends after so many", false },
		{ "rate", FLAG_NUMBER, &t.rate,
		  "at most so many a second (1000)", false },
		{ "device", FLAG_TEXT, &device, "of several, which", false },
		{ 0 }
	};
	char error[EXPRESSION_ERROR_MAX];
	struct expression e;
	int n = flags_parse(flags, "[condition]...", argc, argv), status;

	if (n == -2)
		help();
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (!t.rate || t.rate > TAILRACE_TRACE_RATE_MAX)
		return cli_error("--rate is 1 to %d", TAILRACE_TRACE_RATE_MAX) +
		       1;
	if (expression_parse(&e, argc - n, argv + n, error))
		return cli_error("%s", error) + 1;
	if (sight_open(&t.sight, device))
		return 1;
	/* also into a pipe */
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = find_peer(&t, &e) || start(&t, &e) || run(&t);
	netlink_close(&t.nl);
	sight_close(&t.sight);
	return status;
}
