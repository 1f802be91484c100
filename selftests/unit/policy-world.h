/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_POLICY_WORLD_H
#define UNIT_POLICY_WORLD_H

/* A tailnet, and random policies for it: as rules and as the text of a file. */

#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/policy_compile.h"
#include "coord/policy_result.h"
#include "lib/util.h"
#include "tap.h"

#define NODES 9
#define RULES 6
#define LIST 3

static uint64_t state;

static unsigned int rnd(unsigned int n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)((state >> 16) % n);
}

#define PICK(list) ((list)[rnd(ARRAY_SIZE(list))])

/* ── the tailnet ── */

struct host {
	const char *user, *tags[2], *addresses[2], *routes[2];
};

static const struct host hosts[NODES] = {
	{ "ann", { 0 }, { "100.64.0.1", "fd7a:115c:a1e0::1" }, { 0 } },
	{ "ann", { 0 }, { "100.64.0.2", NULL }, { "10.1.0.0/16" } },
	{ "bob@x.org", { 0 }, { "100.64.0.3", "fd7a:115c:a1e0::3" }, { 0 } },
	{ "eve", { 0 }, { NULL, "fd7a:115c:a1e0::4" }, { 0 } },
	{ "ann", { "tag:a" }, { "100.64.0.5", "fd7a:115c:a1e0::5" }, { 0 } },
	{ NULL, { "tag:a", "tag:b" }, { "100.64.0.6", "fd7a:115c:a1e0::6" },
	  { "10.1.2.0/24", "2001:db8:1::/48" } },
	{ NULL, { "tag:b" }, { "100.64.0.7", "fd7a:115c:a1e0::7" },
	  { "0.0.0.0/0", "::/0" } },
	/* addresses of another pool; a subnet of public addresses */
	{ "bob@x.org", { 0 }, { "198.18.0.8", "fd00::8" }, { "203.0.113.0/24" } },
	{ NULL, { 0 }, { "100.64.0.9", NULL }, { "0.0.0.0/0" } },
};

static struct policy_node nodes[NODES];
static struct ip_addr addresses[NODES][2];
static struct prefix routes[NODES][2];

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = { 0 };

	if (ip_parse(&a, text))
		abort();
	return a;
}

/* The node whose address @a is, or -1. */
static int owner_of(const struct ip_addr *a)
{
	int i, k;

	for (i = 0; i < NODES; i++)
		for (k = 0; k < 2; k++) {
			const char *text = hosts[i].addresses[k];
			struct ip_addr have;

			if (!text)
				continue;
			have = ip(text);
			if (ip_equal(&have, a))
				return i;
		}
	return -1;
}

static bool within(const struct ip_addr *a, const char *range)
{
	const char *dash = strchr(range, '-');
	struct ip_addr first, last;
	struct prefix p;
	char low[64];

	if (!dash)
		return !prefix_parse(&p, range) && prefix_contains(&p, a);
	snprintf(low, sizeof(low), "%.*s", (int)(dash - range), range);
	first = ip(low);
	last = ip(dash + 1);
	return ip_compare(&first, a) <= 0 && ip_compare(a, &last) <= 0;
}

/* ── a policy ── */

struct opening {
	const char *dst;
	int proto; /* 0: none given */
	unsigned int first, last;
};

struct rule {
	bool grant;
	const char *src[LIST];
	unsigned int n_src;
	const char *dst[LIST];
	unsigned int n_dst;
	struct opening openings[LIST * LIST];
	unsigned int n_openings;
	const char *via[2];
	unsigned int n_via;
};

static struct rule rules[RULES];
static unsigned int n_rules;

static const char *const people[] = { "ann@", "bob@x.org", "group:ab",
				      "autogroup:member", "nobody@" };
static const char *const sources[] = {
	"*", "ann@", "eve@", "group:ab", "group:none", "tag:a", "tag:b",
	"autogroup:member", "autogroup:tagged", "autogroup:danger-all",
	"100.64.0.3", "fd7a:115c:a1e0::/125", "10.1.2.3", "10.0.0.0/8", "db",
	"2001:db8:1:2::/64", "100.64.0.2-100.64.0.5", "8.8.8.8",
};
static const char *const destinations[] = {
	"*", "ann@", "bob@x.org", "group:ab", "tag:a", "tag:b",
	"autogroup:member", "autogroup:tagged", "autogroup:internet",
	"100.64.0.1", "fd7a:115c:a1e0::/126", "10.1.2.0/25", "10.0.0.0/8", "db",
	"2001:db8::/32", "100.64.0.1-100.64.0.6", "8.8.8.0/24", "203.0.113.9",
	"198.18.0.0/15",
};
static const char *const routers[] = { "tag:a", "tag:b" };
static const unsigned int ports[] = { 1, 3, 22, 24, 80, 65535 };
static const struct {
	const char *name;
	int number;
} protos[] = { { "tcp", 6 }, { "udp", 17 },  { "icmp", 1 },
	       { "47", 47 }, { "sctp", 132 }, { NULL, 0 } };

static void random_ports(struct opening *o)
{
	o->first = PICK(ports);
	o->last = PICK(ports);
	if (o->last < o->first || !rnd(3))
		o->last = o->first;
	if (!rnd(3) || o->proto == 1 || o->proto == 47) {
		o->first = 0;
		o->last = 65535;
	}
}

static void random_rule(struct rule *r)
{
	bool self = !rnd(4);
	unsigned int i, k, n_ip = 1 + rnd(LIST);
	int proto;

	memset(r, 0, sizeof(*r));
	r->grant = rnd(2);
	r->n_src = 1 + rnd(LIST);
	for (i = 0; i < r->n_src; i++)
		r->src[i] = self ? (!r->grant && !rnd(5) ? "*" : PICK(people)) :
				   PICK(sources);
	r->n_dst = 1 + rnd(LIST);
	for (i = 0; i < r->n_dst; i++)
		r->dst[i] = self && rnd(2) ? "autogroup:self" :
					     PICK(destinations);
	for (i = r->grant && !rnd(3) ? 1 + rnd(2) : 0; i; i--)
		r->via[r->n_via++] = PICK(routers);
	proto = protos[rnd(ARRAY_SIZE(protos))].number;
	for (i = 0; i < (r->grant ? n_ip : r->n_dst); i++) {
		struct opening o = { .proto = proto };

		if (r->grant)
			o.proto = protos[rnd(ARRAY_SIZE(protos))].number;
		random_ports(&o);
		for (k = 0; k < (r->grant ? r->n_dst : 1); k++) {
			o.dst = r->dst[r->grant ? k : i];
			r->openings[r->n_openings++] = o;
		}
	}
}

static const char *ports_text(const struct opening *o)
{
	static char text[16];

	if (!o->first && o->last == 65535)
		return "*";
	snprintf(text, sizeof(text), o->first == o->last ? "%u" : "%u-%u",
		 o->first, o->last);
	return text;
}

static const char *proto_name(int number)
{
	size_t i;

	for (i = 0; protos[i].number != number; i++)
		;
	return protos[i].name;
}

static void put_rule(FILE *f, const struct rule *r)
{
	unsigned int i;

	fprintf(f, "{%s\"src\":[", r->grant ? "" : "\"action\":\"accept\",");
	for (i = 0; i < r->n_src; i++)
		fprintf(f, "\"%s\",", r->src[i]);
	fprintf(f, "],\"dst\":[");
	for (i = 0; i < r->n_dst; i++)
		if (r->grant)
			fprintf(f, "\"%s\",", r->dst[i]);
		else
			fprintf(f, "\"%s:%s\",", r->dst[i],
				ports_text(&r->openings[i]));
	fprintf(f, "],");
	if (!r->grant && r->openings[0].proto)
		fprintf(f, "\"proto\":\"%s\",", proto_name(r->openings[0].proto));
	if (r->grant) {
		fprintf(f, "\"ip\":[");
		for (i = 0; i < r->n_openings; i += r->n_dst) {
			const struct opening *o = &r->openings[i];

			fprintf(f, "\"%s%s%s\",",
				o->proto ? proto_name(o->proto) : "",
				o->proto ? ":" : "", ports_text(o));
		}
		fprintf(f, "],\"via\":[");
		for (i = 0; i < r->n_via; i++)
			fprintf(f, "\"%s\",", r->via[i]);
		fprintf(f, "],");
	}
	fprintf(f, "},\n");
}

static inline char *random_policy(void)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	unsigned int i, grant;

	n_rules = rnd(RULES + 1);
	for (i = 0; i < n_rules; i++)
		random_rule(&rules[i]);
	fprintf(f, "{\"groups\":{\"group:ab\":[\"ann@\",\"bob@x.org\"],"
		   "\"group:none\":[]},\"hosts\":{\"db\":\"10.1.2.3\"},"
		   "\"tagOwners\":{\"tag:a\":[],\"tag:b\":[]},\n");
	for (grant = 0; grant < 2; grant++) {
		fprintf(f, "\"%s\":[\n", grant ? "grants" : "acls");
		for (i = 0; i < n_rules; i++)
			if (rules[i].grant == grant)
				put_rule(f, &rules[i]);
		fprintf(f, "],\n");
	}
	fprintf(f, "}\n");
	fclose(f);
	return text;
}

static inline void make_nodes(void)
{
	int i, k;

	for (i = 0; i < NODES; i++) {
		struct policy_node *n = &nodes[i];

		n->id = i + 1;
		n->user = hosts[i].user;
		n->tags = hosts[i].tags;
		n->addresses = addresses[i];
		n->routes = routes[i];
		for (k = 0; k < 2; k++) {
			if (hosts[i].tags[k])
				n->n_tags++;
			if (hosts[i].addresses[k])
				addresses[i][n->n_addresses++] =
					ip(hosts[i].addresses[k]);
			if (hosts[i].routes[k])
				prefix_parse(&routes[i][n->n_routes++],
					     hosts[i].routes[k]);
		}
	}
}

#endif
