// SPDX-License-Identifier: GPL-2.0
/*
 * Random policies against a naive reader of the rules, which shares nothing with
 * the compiler but address parsing: flows against the filters as they are
 * sent, and who sees what. test-policy-random [rounds [seed]].
 */
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
#define FLOWS 120

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

static bool in_subnets(const struct ip_addr *a)
{
	int i, k;

	for (i = 0; i < NODES; i++)
		for (k = 0; k < 2; k++) {
			const char *r = hosts[i].routes[k];

			if (r && !strstr(r, "/0") && within(a, r))
				return true;
		}
	return false;
}

static bool in_tailnet(const struct ip_addr *a)
{
	return ip_is_tailscale(a) || owner_of(a) >= 0 || in_subnets(a);
}

static bool in_internet(const struct ip_addr *a)
{
	return a->family == 6 ? within(a, "2000::/3") :
				!ip_is_private(a) && !within(a, "100.64.0.0/10") &&
					!within(a, "169.254.0.0/16");
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
		fprintf(f, "],");
	}
	fprintf(f, "},\n");
}

static char *random_policy(void)
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

/* ── the naive reading ── */

/* Is node @i meant by name? */
static bool is_meant(const char *name, int i)
{
	const struct host *h = i < 0 ? NULL : &hosts[i];
	bool tagged = h && h->tags[0];

	if (!h)
		return false;
	if (!strcmp(name, "autogroup:member"))
		return !tagged;
	if (!strcmp(name, "autogroup:tagged"))
		return tagged;
	if (!strncmp(name, "tag:", 4))
		return (h->tags[0] && !strcmp(h->tags[0], name)) ||
		       (h->tags[1] && !strcmp(h->tags[1], name));
	if (tagged || !h->user)
		return false;
	if (!strcmp(name, "group:ab"))
		return !strcmp(h->user, "ann") || !strcmp(h->user, "bob@x.org");
	return (!strcmp(name, "ann@") && !strcmp(h->user, "ann")) ||
	       (!strcmp(name, "eve@") && !strcmp(h->user, "eve")) ||
	       (!strcmp(name, "bob@x.org") && !strcmp(h->user, "bob@x.org"));
}

static const char *literal(const char *name)
{
	return !strcmp(name, "db") ? "10.1.2.3" : name;
}

static bool is_literal(const char *name)
{
	const char *text = literal(name);

	return (*text >= '0' && *text <= '9') || *text == 'f';
}

static bool is_source(const struct rule *r, const struct ip_addr *a)
{
	int owner = owner_of(a);
	unsigned int i;

	for (i = 0; i < r->n_src; i++) {
		const char *s = r->src[i];

		if (!strcmp(s, "*") ? in_tailnet(a) :
		    !strcmp(s, "autogroup:danger-all") ? true :
		    is_literal(s) ? within(a, literal(s)) :
				    is_meant(s, owner))
			return true;
	}
	return false;
}

/* autogroup:self: both are the same user's, and the source is one of his. */
static bool is_own(const struct rule *r, int from, int to)
{
	unsigned int i;

	if (from < 0 || to < 0 || hosts[from].tags[0] || hosts[to].tags[0] ||
	    !hosts[from].user || !hosts[to].user ||
	    strcmp(hosts[from].user, hosts[to].user) != 0)
		return false;
	for (i = 0; i < r->n_src; i++)
		if (!strcmp(r->src[i], "*") || is_meant(r->src[i], from))
			return true;
	return false;
}

static bool leads_to(const struct rule *r, const char *dst,
		     const struct ip_addr *src, const struct ip_addr *a)
{
	if (!strcmp(dst, "autogroup:self"))
		return is_own(r, owner_of(src), owner_of(a));
	return !strcmp(dst, "*")		  ? true :
	       !strcmp(dst, "autogroup:internet") ? in_internet(a) :
	       is_literal(dst)			  ? within(a, literal(dst)) :
						    is_meant(dst, owner_of(a));
}

static bool has_proto(int rule, int proto)
{
	return rule ? rule == proto :
		      proto == 6 || proto == 17 || proto == 1 || proto == 58;
}

static bool may(const struct ip_addr *src, const struct ip_addr *dst,
		int proto, unsigned int port)
{
	unsigned int i, k;

	for (i = 0; i < n_rules; i++)
		for (k = 0; k < rules[i].n_openings; k++) {
			const struct opening *o = &rules[i].openings[k];

			if (is_source(&rules[i], src) &&
			    has_proto(o->proto, proto) && o->first <= port &&
			    port <= o->last &&
			    leads_to(&rules[i], o->dst, src, dst))
				return true;
		}
	return false;
}

/* ── the filter as it is sent ── */

static bool matches(const char *text, const struct ip_addr *a)
{
	return !strcmp(text, "*") || within(a, text);
}

static int member(struct json_object *o, const char *name)
{
	return json_object_get_int(json_object_object_get(o, name));
}

static bool rule_accepts(struct json_object *rule, const struct ip_addr *src,
			 const struct ip_addr *dst, int proto, int port)
{
	struct json_object *list = json_object_object_get(rule, "SrcIPs"), *d;
	bool source = false, known = false;
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++)
		source = source ||
			 matches(json_object_get_string(
					 json_object_array_get_idx(list, i)),
				 src);
	list = json_object_object_get(rule, "IPProto");
	for (i = 0; list && i < json_object_array_length(list); i++)
		known = known || json_object_get_int(json_object_array_get_idx(
					 list, i)) == proto;
	if (!list)
		known = has_proto(0, proto);
	list = json_object_object_get(rule, "DstPorts");
	for (i = 0; source && known && i < json_object_array_length(list);
	     i++) {
		struct json_object *range;

		d = json_object_array_get_idx(list, i);
		range = json_object_object_get(d, "Ports");
		if (matches(json_object_get_string(
				    json_object_object_get(d, "IP")),
			    dst) &&
		    member(range, "First") <= port &&
		    port <= member(range, "Last"))
			return true;
	}
	return false;
}

static bool accepts(struct json_object *filter, const struct ip_addr *src,
		    const struct ip_addr *dst, int proto, int port)
{
	size_t i;

	for (i = 0; i < json_object_array_length(filter); i++)
		if (rule_accepts(json_object_array_get_idx(filter, i), src, dst,
				 proto, port))
			return true;
	return false;
}

/* ── flows ── */

static struct ip_addr random_source(void)
{
	static const char *const others[] = {
		"10.1.2.3", "10.1.3.3", "10.2.0.1", "192.168.0.1", "8.8.8.8",
		"2001:db8:1:2::5", "2001:db8:1:3::5", "203.0.113.77",
		"100.64.0.4", "100.115.92.7", "100.99.1.1",
		"fd7a:115c:a1e0::77", "fd00::9",
	};
	const char *text = NULL;

	if (!rnd(3))
		return ip(PICK(others));
	while (!text)
		text = hosts[rnd(NODES)].addresses[rnd(2)];
	return ip(text);
}

/* Something that comes to node @i and to no other node first. */
static struct ip_addr random_destination(int i)
{
	static const char *const behind[] = {
		"10.1.2.3", "10.1.2.200", "10.1.99.1", "2001:db8:1:2::5",
		"203.0.113.9", "203.0.113.10",
	};
	static const char *const internet[] = { "8.8.8.8", "9.9.9.9",
						"2001:db8:9::1", "2600::1" };
	const char *text = NULL;
	struct ip_addr a;
	int tries, k;

	for (tries = 0; tries < 20; tries++) {
		text = PICK(behind);
		a = ip(text);
		for (k = 0; k < 2; k++) {
			const char *r = hosts[i].routes[k];

			if (!r)
				continue;
			if (strstr(r, "/0"))
				return ip(PICK(internet));
			if (rnd(2) && within(&a, r))
				return a;
		}
	}
	do
		text = hosts[i].addresses[rnd(2)];
	while (!text);
	return ip(text);
}

static struct policy_node nodes[NODES];
static struct ip_addr addresses[NODES][2];
static struct prefix routes[NODES][2];

static void make_nodes(void)
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

static bool is_exit(int i)
{
	return hosts[i].routes[0] && strstr(hosts[i].routes[0], "/0");
}

/* Does the name cover an address of the subnet @r? */
static bool touches(const char *name, const struct prefix *r)
{
	const char *text = literal(name);
	struct prefix p;

	if (!strcmp(name, "*") || !strcmp(name, "autogroup:danger-all"))
		return true;
	if (!strcmp(name, "autogroup:internet"))
		return in_internet(&r->ip);
	if (!is_literal(name) || prefix_parse(&p, text))
		return false; /* ranges lie within the tailnet */
	return prefix_contains(&p, &r->ip) || prefix_contains(r, &p.ip);
}

/* Node @i, or a subnet of it, is a source of the rule. */
static bool sends(const struct rule *r, int i)
{
	size_t k;
	unsigned int s;

	for (k = 0; k < nodes[i].n_addresses; k++)
		if (is_source(r, &nodes[i].addresses[k]))
			return true;
	for (k = 0; k < nodes[i].n_routes; k++)
		for (s = 0; s < r->n_src; s++)
			if (!prefix_is_default(&nodes[i].routes[k]) &&
			    touches(r->src[s], &nodes[i].routes[k]))
				return true;
	return false;
}

/* By a destination that is not autogroup:self. */
static bool receives(const struct opening *o, const struct rule *r, int i)
{
	size_t k;

	if (!strcmp(o->dst, "autogroup:self"))
		return false;
	for (k = 0; k < nodes[i].n_addresses; k++)
		if (leads_to(r, o->dst, &nodes[i].addresses[k],
			     &nodes[i].addresses[k]))
			return true;
	for (k = 0; k < nodes[i].n_routes; k++)
		if (!prefix_is_default(&nodes[i].routes[k]) &&
		    touches(o->dst, &nodes[i].routes[k]))
			return true;
	return is_exit(i) && (!strcmp(o->dst, "*") ||
			      !strcmp(o->dst, "autogroup:internet"));
}

static bool reaches(int a, int b)
{
	unsigned int i, k;

	for (i = 0; i < n_rules; i++)
		for (k = 0; k < rules[i].n_openings; k++) {
			const struct opening *o = &rules[i].openings[k];

			if (sends(&rules[i], a) && receives(o, &rules[i], b))
				return true;
			if (!strcmp(o->dst, "autogroup:self") &&
			    is_own(&rules[i], a, b))
				return true;
		}
	return false;
}

/* Is @route of use to node @i? */
static bool is_useful(int i, const struct prefix *route)
{
	bool exit = prefix_is_default(route), to, from;
	unsigned int k, m, s;

	for (k = 0; k < n_rules; k++) {
		const struct rule *r = &rules[k];

		for (m = 0; m < r->n_openings; m++) {
			const struct opening *o = &r->openings[m];

			to = exit ? !strcmp(o->dst, "*") ||
					    !strcmp(o->dst, "autogroup:internet") :
				    touches(o->dst, route);
			if (to && sends(r, i))
				return true;
			for (s = 0, from = false; s < r->n_src && !exit; s++)
				from = from || touches(r->src[s], route);
			if (from && receives(o, r, i))
				return true;
		}
	}
	return false;
}

struct count {
	size_t flows, accepted, wrong_filter, wrong_answer, pairs, wrong_pairs,
		views, wrong_views, refused;
};

static void try_flows(const struct policy_result *r, struct count *c)
{
	static const int numbers[] = { 6, 17, 1, 58, 47, 132 };
	struct json_object *filters[NODES];
	unsigned int i;

	for (i = 0; i < NODES; i++)
		filters[i] = policy_filter(r, i);
	for (i = 0; i < FLOWS; i++) {
		int at = (int)rnd(NODES), proto = PICK(numbers);
		unsigned int port = PICK(ports) - rnd(2);
		struct ip_addr src = random_source();
		struct ip_addr dst = random_destination(at);
		bool want;

		if (src.family != dst.family)
			continue;
		want = may(&src, &dst, proto, port);
		c->flows++;
		c->accepted += want;
		c->wrong_filter += want != accepts(filters[at], &src, &dst,
						   proto, (int)port);
		c->wrong_answer += want != policy_allows(r, &src, &dst,
							 (uint8_t)proto,
							 (uint16_t)port);
	}
	for (i = 0; i < NODES; i++)
		json_object_put(filters[i]);
}

static void try_views(const struct policy_result *r, struct count *c)
{
	int a, b;
	size_t k;

	for (a = 0; a < NODES; a++)
		for (b = 0; b < NODES; b++) {
			if (a != b) {
				c->pairs++;
				c->wrong_pairs +=
					policy_sees(r, (size_t)a, (size_t)b) !=
					(reaches(a, b) || reaches(b, a));
			}
			for (k = 0; k < nodes[b].n_routes; k++) {
				c->views++;
				c->wrong_views +=
					policy_route_visible(
						r, (size_t)a,
						&nodes[b].routes[k]) !=
					is_useful(a, &nodes[b].routes[k]);
			}
		}
}

static void round_of(struct count *c)
{
	struct policy_report report = { 0 };
	char *text = random_policy();
	struct policy *p = policy_parse(text, strlen(text), &report);
	struct count before = *c;
	struct policy_result *r;

	if (p) {
		r = policy_compile(p, nodes, NODES);
		try_flows(r, c);
		try_views(r, c);
		policy_result_free(r);
	} else {
		c->refused++;
		printf("# %u:%u: %s\n", report.messages[0].line,
		       report.messages[0].column, report.messages[0].text);
	}
	if (c->wrong_filter + c->wrong_answer + c->wrong_pairs +
		    c->wrong_views + c->refused >
	    before.wrong_filter + before.wrong_answer + before.wrong_pairs +
		    before.wrong_views + before.refused) {
		char *line = strtok(text, "\n");

		for (; line; line = strtok(NULL, "\n"))
			printf("# %s\n", line);
		printf("# filter %zu answer %zu pairs %zu views %zu\n",
		       c->wrong_filter, c->wrong_answer, c->wrong_pairs,
		       c->wrong_views);
	}
	policy_free(p);
	policy_report_clear(&report);
	free(text);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
	struct count c = { 0 };

	state = argc > 2 ? strtoull(argv[2], NULL, 10) : 88172645463325252ull;
	make_nodes();
	while (rounds--)
		round_of(&c);
	tap_ok(!c.refused, "random policies are all valid");
	tap_ok(c.flows >= 100000 && !c.wrong_filter,
	       "%zu flows, %zu accepted: the filters agree with the rules",
	       c.flows, c.accepted);
	tap_ok(!c.wrong_answer, "so does policy_allows()");
	tap_ok(!c.wrong_pairs, "%zu pairs of nodes see each other or not",
	       c.pairs);
	tap_ok(!c.wrong_views, "%zu routes are of use or not", c.views);
	return tap_done();
}
