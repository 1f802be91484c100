// SPDX-License-Identifier: GPL-2.0
#include "cli/flow.h"

#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>

#include "cli/expression.h"
#include "cli/show.h"
#include "kernel/flow.h"
#include "kernel/stats.h"
#include "kernel/verdict.h"
#include "lib/util.h"

static const char *const ends[] = {
	[TAILRACE_FLOW_END_NONE] = "goes on",
	[TAILRACE_FLOW_END_CLOSED] = "closed",
	[TAILRACE_FLOW_END_IDLE] = "idle",
	[TAILRACE_FLOW_END_EVICTED] = "evicted",
	[TAILRACE_FLOW_END_OFF] = "off",
};

static const char *end_name(const struct tailrace_flow_record *r,
			    char text[16])
{
	return show_named(r->end < ARRAY_SIZE(ends) ? ends[r->end] : NULL,
			  r->end, text);
}

static const char *proto_name(const struct tailrace_flow_record *r,
			      char text[16])
{
	if (!r->proto)
		return "malformed";
	if (r->proto == 255)
		return "fragments";
	return show_named(expression_proto_name(r->proto), r->proto, text);
}

static void print_end(FILE *f, const struct tailrace_flow_record *r,
		      const struct ip_addr *ip, uint16_t port)
{
	bool ports = verdict_has_ports(r->proto);
	char text[IP_TEXT_MAX];

	if (!ip->family) {
		fputs("?", f);
		return;
	}
	ip_format(ip, text);
	if (!ports)
		fputs(text, f);
	else
		fprintf(f, ip->family == 6 ? "[%s]:%u" : "%s:%u", text, port);
}

static void print_count(FILE *f, uint64_t packets, uint64_t bytes)
{
	fprintf(f, "%llu packets %llu bytes", (unsigned long long)packets,
		(unsigned long long)bytes);
}

void flow_print(FILE *f, const struct tailrace_flow_record *r)
{
	struct ip_addr local = flow_local(r), remote = flow_remote(r);
	bool out = r->flags & TAILRACE_FLOW_OUTBOUND;
	uint64_t lasted = r->last > r->start ? r->last - r->start : 0;
	char text[16];

	show_time(f, r->last, 3);
	fprintf(f, " %s %s %s ", out ? "out" : "in",
		r->flags & TAILRACE_FLOW_DROPPED ? "drop" : "accept",
		proto_name(r, text));
	print_end(f, r, out ? &local : &remote,
		  out ? r->local_port : r->remote_port);
	fputs(" > ", f);
	print_end(f, r, out ? &remote : &local,
		  out ? r->remote_port : r->local_port);
	fputs(": ", f);
	print_count(f, out ? r->tx_packets : r->rx_packets,
		    out ? r->tx_bytes : r->rx_bytes);
	if (!(r->flags & TAILRACE_FLOW_DROPPED)) {
		fputs(", back ", f);
		print_count(f, out ? r->rx_packets : r->tx_packets,
			    out ? r->rx_bytes : r->tx_bytes);
	}
	fprintf(f, ", %llu.%03u s", (unsigned long long)(lasted / SEC_NS),
		(unsigned int)(lasted % SEC_NS / MS_NS));
	if (r->flags & TAILRACE_FLOW_DROPPED)
		fprintf(f, ", %s",
			show_named(stats_drop_name(r->drop), r->drop, text));
	if (r->flags & TAILRACE_FLOW_BY_RULE)
		fprintf(f, ", rule %u", r->rule);
	if (r->peer)
		fprintf(f, ", peer %u", r->peer);
	fprintf(f, ", %s\n", end_name(r, text));
}

static void add_ends(struct json_object *o,
		     const struct tailrace_flow_record *r)
{
	struct ip_addr local = flow_local(r), remote = flow_remote(r);
	char text[IP_TEXT_MAX];

	if (local.family) {
		show_add_text(o, "local", ip_format(&local, text));
		show_add_text(o, "remote", ip_format(&remote, text));
	}
	if (verdict_has_ports(r->proto)) {
		show_add_number(o, "local_port", r->local_port);
		show_add_number(o, "remote_port", r->remote_port);
	}
}

struct json_object *flow_json(const struct tailrace_flow_record *r)
{
	struct json_object *o = json_object_new_object();
	bool dropped = r->flags & TAILRACE_FLOW_DROPPED;
	char text[16];

	show_add_time(o, "start", r->start);
	show_add_time(o, "last", r->last);
	show_add_text(o, "direction",
		      r->flags & TAILRACE_FLOW_OUTBOUND ? "out" : "in");
	show_add_text(o, "verdict", dropped ? "drop" : "accept");
	if (dropped)
		show_add_text(o, "reason",
			      show_named(stats_drop_name(r->drop), r->drop,
					 text));
	if (r->flags & TAILRACE_FLOW_BY_RULE)
		show_add_number(o, "rule", r->rule);
	show_add_number(o, "generation", r->generation);
	if (r->peer)
		show_add_number(o, "peer", r->peer);
	show_add_number(o, "proto", r->proto);
	if (expression_proto_name(r->proto))
		show_add_text(o, "proto_name", expression_proto_name(r->proto));
	add_ends(o, r);
	show_add_number(o, "rx_packets", r->rx_packets);
	show_add_number(o, "rx_bytes", r->rx_bytes);
	show_add_number(o, "tx_packets", r->tx_packets);
	show_add_number(o, "tx_bytes", r->tx_bytes);
	if (r->proto == IPPROTO_TCP) {
		show_add_number(o, "rx_tcp_flags", r->rx_tcp_flags);
		show_add_number(o, "tx_tcp_flags", r->tx_tcp_flags);
	}
	show_add_text(o, "end", r->end ? end_name(r, text) : "none");
	return o;
}
