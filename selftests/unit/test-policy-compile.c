// SPDX-License-Identifier: GPL-2.0
/* What a policy comes to: filters, who sees whom, routes, attributes. */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/ipset.h"
#include "coord/policy_compile.h"
#include "coord/policy_test.h"
#include "lib/util.h"
#include "tap.h"

/*
 *   0 ann's laptop   1 ann's phone   2 bob's laptop   3 tag:web
 *   4 tag:router: 10.1.0.0/16        5 tag:exit: 0.0.0.0/0, ::/0
 *   6 nothing yet: neither user nor tags nor addresses
 */
#define N 7

static struct ip_addr addresses[N][2];
static struct prefix routes[3];
static const char *const tags[] = { "tag:web", "tag:router", "tag:exit" };
static struct policy_node nodes[N];

static void make_nodes(void)
{
	static const char *const users[N] = { "ann", "ann@", "bob@example.com" };
	char text[32];
	size_t i;

	for (i = 0; i < 6; i++) {
		addresses[i][0] = ip_v4(100, 64, 0, (uint8_t)(10 * (i + 1)));
		snprintf(text, sizeof(text), "fd7a:115c:a1e0::%zu", i + 1);
		ip_parse(&addresses[i][1], text);
		nodes[i].id = (int64_t)i + 1;
		nodes[i].user = users[i];
		nodes[i].addresses = addresses[i];
		nodes[i].n_addresses = 2;
	}
	for (i = 3; i < 6; i++) {
		nodes[i].user = "ann"; /* who made it: means nothing */
		nodes[i].tags = &tags[i - 3];
		nodes[i].n_tags = 1;
	}
	prefix_parse(&routes[0], "10.1.0.0/16");
	prefix_parse(&routes[1], "0.0.0.0/0");
	prefix_parse(&routes[2], "::/0");
	nodes[4].routes = routes;
	nodes[4].n_routes = 1;
	nodes[5].routes = routes + 1;
	nodes[5].n_routes = 2;
}

static struct policy *parse(const char *rules)
{
	struct policy_report report = { 0 };
	char *text;
	struct policy *p;

	if (asprintf(&text,
		     "{\"groups\":{\"group:all\":[\"ann@\",\"bob@example.com\"]},"
		     "\"hosts\":{\"db\":\"10.1.2.3\",\"far\":\"10.99.0.0/16\"},"
		     "\"tagOwners\":{\"tag:web\":[],\"tag:router\":[],"
		     "\"tag:exit\":[],\"tag:none\":[]},%s}",
		     rules) < 0)
		abort();
	p = policy_parse(text, strlen(text), &report);
	if (!p)
		printf("# %s: %s\n", rules, report.messages[0].text);
	policy_report_clear(&report);
	free(text);
	return p;
}

static struct policy_result *compile(const char *rules)
{
	struct policy *p = parse(rules);
	struct policy_result *r = p ? policy_compile(p, nodes, N) : NULL;

	policy_free(p);
	return r;
}

/* A filter in few words: "SRC,SRC>IP:PORTS,IP:PORTS(PROTO) ...". */
static void brief(struct json_object *filter, char *out, size_t max)
{
	size_t i, k, n = 0;

	out[0] = '\0';
	for (i = 0; i < json_object_array_length(filter); i++) {
		struct json_object *rule = json_object_array_get_idx(filter, i);
		struct json_object *src, *dst, *proto;

		src = json_object_object_get(rule, "SrcIPs");
		dst = json_object_object_get(rule, "DstPorts");
		proto = json_object_object_get(rule, "IPProto");
		n += (size_t)snprintf(out + n, max - n, "%s", i ? " " : "");
		for (k = 0; k < json_object_array_length(src); k++)
			n += (size_t)snprintf(
				out + n, max - n, "%s%s", k ? "," : "",
				json_object_get_string(
					json_object_array_get_idx(src, k)));
		for (k = 0; k < json_object_array_length(dst); k++) {
			struct json_object *d =
				json_object_array_get_idx(dst, k);
			struct json_object *p =
				json_object_object_get(d, "Ports");
			int first = json_object_get_int(
				json_object_object_get(p, "First"));
			int last = json_object_get_int(
				json_object_object_get(p, "Last"));

			n += (size_t)snprintf(
				out + n, max - n, "%s%s:", k ? "," : ">",
				json_object_get_string(
					json_object_object_get(d, "IP")));
			if (!first && last == 65535)
				n += (size_t)snprintf(out + n, max - n, "*");
			else if (first == last)
				n += (size_t)snprintf(out + n, max - n, "%d",
						      first);
			else
				n += (size_t)snprintf(out + n, max - n, "%d-%d",
						      first, last);
		}
		if (proto)
			n += (size_t)snprintf(
				out + n, max - n, "(%s)",
				json_object_to_json_string_ext(
					proto, JSON_C_TO_STRING_PLAIN));
	}
	json_object_put(filter);
}

#define TAILNET                                                            \
	"10.1.0.0/16,100.64.0.0-100.115.91.255,100.115.94.0-100.127.255.255," \
	"fd7a:115c:a1e0::/48"
#define ANN "100.64.0.10,100.64.0.20,fd7a:115c:a1e0::1-fd7a:115c:a1e0::2"
#define PEOPLE                                                       \
	"100.64.0.10,100.64.0.20,100.64.0.30,"                       \
	"fd7a:115c:a1e0::1-fd7a:115c:a1e0::3"

#define ACL(src, dst)                                                  \
	"\"acls\":[{\"action\":\"accept\",\"src\":[" src "],\"dst\":[" dst \
	"]}]"

static const struct {
	const char *rules;
	const char *filters[N];
	const char *sees; /* pairs */
} table[] = {
	/* a document without rules: all of the tailnet */
	{ "\"acls\":null",
	  { TAILNET ">*:*", TAILNET ">*:*", TAILNET ">*:*", TAILNET ">*:*",
	    TAILNET ">*:*", TAILNET ">*:*", TAILNET ">*:*" },
	  "01 02 03 04 05 12 13 14 15 23 24 25 34 35 45" },
	/* rules, but none */
	{ "\"acls\":[]", { "", "", "", "", "", "", "" }, "" },
	{ ACL("\"*\"", "\"*:*\""),
	  { TAILNET ">*:*", TAILNET ">*:*", TAILNET ">*:*", TAILNET ">*:*",
	    TAILNET ">*:*", TAILNET ">*:*", TAILNET ">*:*" },
	  "01 02 03 04 05 12 13 14 15 23 24 25 34 35 45" },
	{ ACL("\"autogroup:danger-all\"", "\"tag:web:443\""),
	  { "", "", "", "*>100.64.0.40:443,fd7a:115c:a1e0::4:443", "", "", "" },
	  "03 13 23 34 35" },
	/* users, groups, tags; a tagged node is nobody's */
	{ ACL("\"ann@\"", "\"tag:web:80,443\", \"bob@example.com:22\""),
	  { "", "",
	    ANN ">100.64.0.30:22,fd7a:115c:a1e0::3:22",
	    ANN ">100.64.0.40:80,100.64.0.40:443,fd7a:115c:a1e0::4:80,fd7a:115c:a1e0::4:443",
	    "", "", "" },
	  "02 03 12 13" },
	{ ACL("\"group:all\"", "\"group:all:1\", \"tag:none:1\""),
	  { PEOPLE ">100.64.0.10:1,fd7a:115c:a1e0::1:1",
	    PEOPLE ">100.64.0.20:1,fd7a:115c:a1e0::2:1",
	    PEOPLE ">100.64.0.30:1,fd7a:115c:a1e0::3:1", "", "", "", "" },
	  "01 02 12" },
	{ ACL("\"autogroup:member\"", "\"autogroup:tagged:53\""),
	  { "", "", "",
	    PEOPLE ">100.64.0.40:53,fd7a:115c:a1e0::4:53",
	    PEOPLE ">100.64.0.50:53,fd7a:115c:a1e0::5:53",
	    PEOPLE ">100.64.0.60:53,fd7a:115c:a1e0::6:53", "" },
	  "03 04 05 13 14 15 23 24 25" },
	/* each his own, from any of his own only */
	{ ACL("\"autogroup:member\"", "\"autogroup:self:*\""),
	  { ANN ">100.64.0.10:*,fd7a:115c:a1e0::1:*",
	    ANN ">100.64.0.20:*,fd7a:115c:a1e0::2:*",
	    "100.64.0.30,fd7a:115c:a1e0::3>100.64.0.30:*,fd7a:115c:a1e0::3:*",
	    "", "", "", "" },
	  "01" },
	{ ACL("\"bob@example.com\"", "\"autogroup:self:22\", \"tag:web:22\""),
	  { "", "",
	    "100.64.0.30,fd7a:115c:a1e0::3>100.64.0.30:22,fd7a:115c:a1e0::3:22",
	    "100.64.0.30,fd7a:115c:a1e0::3>100.64.0.40:22,fd7a:115c:a1e0::4:22",
	    "", "", "" },
	  "23" },
	/* addresses: a node's, one behind a router, one behind none */
	{ ACL("\"100.64.0.30\"", "\"100.64.0.10:22\", \"db:5432\", \"far:1\""),
	  { "100.64.0.30>100.64.0.10:22", "", "", "",
	    "100.64.0.30>10.1.2.3:5432", "", "" },
	  "02 24" },
	{ ACL("\"10.1.0.0/24\"", "\"ann@:7\", \"10.0.0.0/8:9\""),
	  { "10.1.0.0/24>100.64.0.10:7,fd7a:115c:a1e0::1:7",
	    "10.1.0.0/24>100.64.0.20:7,fd7a:115c:a1e0::2:7", "", "",
	    "10.1.0.0/24>10.0.0.0/8:9", "", "" },
	  "04 14" },
	{ ACL("\"100.64.0.5-100.64.0.25\"", "\"100.64.0.38-100.64.0.43:1\""),
	  { "", "", "",
	    "100.64.0.5-100.64.0.25>100.64.0.38/31:1,100.64.0.40/30:1",
	    "", "", "" },
	  "03 13" },
	/* the internet is behind exit nodes */
	{ ACL("\"bob@example.com\"", "\"autogroup:internet:443\""),
	  { "", "", "", "", "",
	    "100.64.0.30,fd7a:115c:a1e0::3>"
	    "0.0.0.0/5:443,8.0.0.0/7:443,11.0.0.0/8:443,12.0.0.0/6:443,"
	    "16.0.0.0/4:443,32.0.0.0/3:443,64.0.0.0/3:443,96.0.0.0/6:443,"
	    "100.0.0.0/10:443,100.128.0.0/9:443,101.0.0.0/8:443,"
	    "102.0.0.0/7:443,104.0.0.0/5:443,112.0.0.0/4:443,"
	    "128.0.0.0/3:443,160.0.0.0/5:443,168.0.0.0/8:443,"
	    "169.0.0.0/9:443,169.128.0.0/10:443,169.192.0.0/11:443,"
	    "169.224.0.0/12:443,169.240.0.0/13:443,169.248.0.0/14:443,"
	    "169.252.0.0/15:443,169.255.0.0/16:443,170.0.0.0/7:443,"
	    "172.0.0.0/12:443,172.32.0.0/11:443,172.64.0.0/10:443,"
	    "172.128.0.0/9:443,173.0.0.0/8:443,174.0.0.0/7:443,"
	    "176.0.0.0/4:443,192.0.0.0/9:443,192.128.0.0/11:443,"
	    "192.160.0.0/13:443,192.169.0.0/16:443,192.170.0.0/15:443,"
	    "192.172.0.0/14:443,192.176.0.0/12:443,192.192.0.0/10:443,"
	    "193.0.0.0/8:443,194.0.0.0/7:443,196.0.0.0/6:443,"
	    "200.0.0.0/5:443,208.0.0.0/4:443,224.0.0.0/3:443,2000::/3:443",
	    "" },
	  "25" },
	/* what an exit node must let through does not make it visible */
	{ ACL("\"bob@example.com\"", "\"203.0.113.0/24:*\""),
	  { "", "", "", "", "",
	    "100.64.0.30,fd7a:115c:a1e0::3>203.0.113.0/24:*", "" },
	  "" },
	/* one rule for one source and protocol; ports join; "*" says it all */
	{ "\"acls\":["
	  "{\"action\":\"accept\",\"proto\":\"tcp\",\"src\":[\"ann@\"],\"dst\":[\"tag:web:90-99,80\"]},"
	  "{\"action\":\"accept\",\"src\":[\"ann@\"],\"dst\":[\"tag:web:1\"]},"
	  "{\"action\":\"accept\",\"proto\":\"6\",\"src\":[\"ann@\",\"100.64.0.10\"],"
	  "\"dst\":[\"100.64.0.40:81,85-95\",\"tag:web:80\"]}]",
	  { "", "", "",
	    ANN ">100.64.0.40:80-81,100.64.0.40:85-99,"
	    "fd7a:115c:a1e0::4:80,fd7a:115c:a1e0::4:90-99([6]) "
	    ANN ">100.64.0.40:1,fd7a:115c:a1e0::4:1",
	    "", "", "" },
	  "03 13" },
	{ ACL("\"ann@\"", "\"tag:web:22\", \"*:20-30\", \"db:25,99\""),
	  { ANN ">*:20-30", ANN ">*:20-30", ANN ">*:20-30", ANN ">*:20-30",
	    ANN ">*:20-30,10.1.2.3:99", ANN ">*:20-30", ANN ">*:20-30" },
	  "01 02 03 04 05 12 13 14 15" },
	{ ACL("\"ann@\"", "\"100.64.0.40:5,7,8,6-6,10-12,11-20\""),
	  { "", "", "", ANN ">100.64.0.40:5-8,100.64.0.40:10-20", "", "", "" },
	  "03 13" },
	/* a grant's services are for all its destinations */
	{ "\"grants\":[{\"src\":[\"tag:exit\"],\"dst\":[\"tag:web\",\"db\"],"
	  "\"ip\":[\"tcp:443\",\"icmp:*\",\"8080\"]}]",
	  { "", "", "",
	    "100.64.0.60,fd7a:115c:a1e0::6>100.64.0.40:443,fd7a:115c:a1e0::4:443([6]) "
	    "100.64.0.60,fd7a:115c:a1e0::6>100.64.0.40:*,fd7a:115c:a1e0::4:*([1]) "
	    "100.64.0.60,fd7a:115c:a1e0::6>100.64.0.40:8080,fd7a:115c:a1e0::4:8080",
	    "100.64.0.60,fd7a:115c:a1e0::6>10.1.2.3:443([6]) "
	    "100.64.0.60,fd7a:115c:a1e0::6>10.1.2.3:*([1]) "
	    "100.64.0.60,fd7a:115c:a1e0::6>10.1.2.3:8080",
	    "", "" },
	  "35 45" },
};

static void is_text(const char *have, const char *want, const char *what,
		    size_t i, size_t k)
{
	if (!tap_ok(!strcmp(have, want), "policy %zu: %s %zu", i, what, k))
		printf("# have %s\n# want %s\n", have, want);
}

static void test_table(void)
{
	char have[8192];
	size_t i, a, b, n;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct policy_result *r = compile(table[i].rules);

		if (!r) {
			tap_ok(false, "policy %zu parses", i);
			continue;
		}
		for (a = 0; a < N; a++) {
			brief(policy_filter(r, a), have, sizeof(have));
			is_text(have, table[i].filters[a], "filter of", i, a);
		}
		have[0] = '\0';
		for (a = 0, n = 0; a < 6; a++)
			for (b = 0; b < 6; b++) {
				if (policy_sees(r, a, b) != policy_sees(r, b, a))
					n += (size_t)sprintf(have + n, "?");
				if (a < b && policy_sees(r, a, b))
					n += (size_t)sprintf(have + n,
							     "%s%zu%zu",
							     n ? " " : "", a, b);
			}
		is_text(have, table[i].sees, "pairs of", i, (size_t)N);
		policy_result_free(r);
	}
}

static void test_form(void)
{
	struct policy_result *r = policy_compile(NULL, nodes, N), *again;
	struct json_object *filter = policy_filter(r, 0), *other;
	size_t i;

	is_text(json_object_to_json_string_ext(filter, JSON_C_TO_STRING_PLAIN),
		"[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":"
		"{\"First\":0,\"Last\":65535}}]}]",
		"no policy, filter of", 0, 0);
	json_object_put(filter);
	tap_ok(policy_sees(r, 0, 5) && !policy_sees(r, 0, 0),
	       "without a policy all see all but themselves");
	policy_result_free(r);

	r = compile("\"grants\":[{\"src\":[\"ann@\"],\"dst\":[\"tag:web\"],"
		    "\"ip\":[\"udp:53\"]}]");
	filter = policy_filter(r, 3);
	is_text(json_object_to_json_string_ext(filter, JSON_C_TO_STRING_PLAIN),
		"[{\"SrcIPs\":[\"100.64.0.10\",\"100.64.0.20\","
		"\"fd7a:115c:a1e0::1-fd7a:115c:a1e0::2\"],"
		"\"DstPorts\":[{\"IP\":\"100.64.0.40\",\"Ports\":{\"First\":53,"
		"\"Last\":53}},{\"IP\":\"fd7a:115c:a1e0::4\",\"Ports\":"
		"{\"First\":53,\"Last\":53}}],\"IPProto\":[17]}]",
		"form, filter of", 0, 3);
	json_object_put(filter);
	filter = policy_filter(r, 0);
	is_text(json_object_to_json_string_ext(filter, JSON_C_TO_STRING_PLAIN),
		"[]", "nothing is a list, filter of", 0, 0);
	json_object_put(filter);
	policy_result_free(r);

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		r = compile(table[i].rules);
		again = compile(table[i].rules);
		filter = policy_filter(r, 4);
		other = policy_filter(again, 4);
		is_text(json_object_to_json_string(filter),
			json_object_to_json_string(other),
			"the same twice, filter of", i, 4);
		json_object_put(filter);
		json_object_put(other);
		policy_result_free(r);
		policy_result_free(again);
	}
	r = policy_compile(NULL, NULL, 0);
	tap_ok(r, "no nodes at all");
	policy_result_free(r);
}

static void test_routes(void)
{
	static const struct {
		const char *rules;
		const char *subnet, *exit; /* who has a use for it, by node */
	} cases[] = {
		{ "\"acls\":[]", "", "" },
		{ ACL("\"*\"", "\"*:*\""), "012345", "012345" },
		{ ACL("\"ann@\"", "\"db:22\""), "01", "" },
		{ ACL("\"10.1.0.0/24\"", "\"bob@example.com:22\""), "2", "" },
		{ ACL("\"bob@example.com\"", "\"autogroup:internet:*\""), "",
		  "2" },
		{ ACL("\"bob@example.com\"", "\"8.8.8.8:53\""), "", "" },
		{ ACL("\"bob@example.com\"", "\"tag:router:22\""), "", "" },
		{ ACL("\"ann@\"", "\"0.0.0.0/0:*\""), "01", "01" },
	};
	char subnet[N + 1], exit[N + 1];
	struct prefix elsewhere;
	size_t i, k, n, m;

	prefix_parse(&elsewhere, "10.2.0.0/16");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_result *r = compile(cases[i].rules);

		for (k = n = m = 0; k < 6; k++) {
			if (policy_route_visible(r, k, &routes[0]))
				subnet[n++] = (char)('0' + k);
			if (policy_route_visible(r, k, &routes[1]))
				exit[m++] = (char)('0' + k);
		}
		subnet[n] = exit[m] = '\0';
		is_text(subnet, cases[i].subnet, "10.1.0.0/16 for", i, n);
		is_text(exit, cases[i].exit, "0.0.0.0/0 for", i, m);
		tap_ok(!policy_route_visible(r, 0, &elsewhere),
		       "nobody has a route that no node has");
		policy_result_free(r);
	}
}

static void test_attrs(void)
{
	static const char *const want[N] = {
		"a b c randomize-client-port ", "a b randomize-client-port ",
		"b randomize-client-port ", "randomize-client-port ",
		"randomize-client-port ", "d randomize-client-port ",
		"b randomize-client-port ",
	};
	struct policy_result *r = compile(
		"\"nodeAttrs\":[{\"target\":[\"autogroup:member\"],\"attr\":[\"b\"]},"
		"{\"target\":[\"ann@\",\"ann@\"],\"attr\":[\"b\",\"a\"]},"
		"{\"target\":[\"100.64.0.8/29\"],\"attr\":[\"c\"]},"
		"{\"target\":[\"tag:exit\"],\"attr\":[\"d\",\"d\"]}],"
		"\"randomizeClientPort\":true");
	char have[256];
	size_t i, k, n, len;

	for (i = 0; i < N; i++) {
		const char *const *names = policy_attrs(r, i, &n);

		for (k = len = 0, have[0] = '\0'; k < n; k++)
			len += (size_t)sprintf(have + len, "%s ", names[k]);
		is_text(have, want[i], "attributes of", 0, i);
	}
	policy_result_free(r);
}

/* Tests on real nodes: whoever has a node is not imagined. */
static void test_real(void)
{
	static const struct {
		const char *rules;
		size_t failed;
	} cases[] = {
		/* by an address that is ann's laptop */
		{ ACL("\"100.64.0.10\", \"fd7a:115c:a1e0::1\"", "\"db:22\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"deny\":[\"db:22\"]}]", 1 },
		{ ACL("\"100.64.0.10\"", "\"db:22\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"accept\":[\"db:22\"]}]", 1 },
		{ ACL("\"100.64.0.10\", \"100.64.0.20\"", "\"db:22\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"accept\":[\"db:22\"]}]", 0 },
		{ ACL("\"tag:web\"", "\"100.64.0.30:22\"")
		  ",\"tests\":[{\"src\":\"100.64.0.40\",\"accept\":[\"100.64.0.30:22\"]}]", 0 },
		/* no packet goes from one family to the other */
		{ ACL("\"ann@\"", "\"fd7a:115c:a1e0::3:22\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"accept\":[\"bob@example.com:22\"]}]", 1 },
		{ ACL("\"ann@\"", "\"fd7a:115c:a1e0::3:22\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"accept\":[\"fd7a:115c:a1e0::3:22\"]}]", 0 },
		{ ACL("\"100.64.0.10\"", "\"fd7a:115c:a1e0::3:22\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"deny\":[\"bob@example.com:22\"]}]", 0 },
		/* denied is what reaches none of several */
		{ ACL("\"bob@example.com\"", "\"100.64.0.10:22\"")
		  ",\"tests\":[{\"src\":\"bob@example.com\",\"deny\":[\"ann@:22\"]}]", 1 },
		/* without a protocol it is TCP or UDP, and no ping */
		{ "\"acls\":[{\"action\":\"accept\",\"proto\":\"icmp\",\"src\":[\"ann@\"],\"dst\":[\"db:*\"]}]"
		  ",\"tests\":[{\"src\":\"ann@\",\"deny\":[\"db:22\"]}]", 0 },
		{ "\"acls\":[{\"action\":\"accept\",\"proto\":\"udp\",\"src\":[\"ann@\"],\"dst\":[\"db:*\"]}]"
		  ",\"tests\":[{\"src\":\"ann@\",\"deny\":[\"db:22\"]}]", 1 },
		/* users and tags without nodes, and a stranger */
		{ ACL("\"tag:none\", \"eve@\"", "\"tag:none:22\"")
		  ",\"tests\":[{\"src\":\"eve@\",\"accept\":[\"tag:none:22\"]},"
		  "{\"src\":\"tag:none\",\"accept\":[\"tag:none:22\"],\"deny\":[\"eve@:22\"]},"
		  "{\"src\":\"mallory@\",\"deny\":[\"tag:none:22\"]}]", 0 },
		{ "\"tests\":[{\"src\":\"ann@\",\"accept\":[\"db:1\"]}]", 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_report report = { 0 };
		struct policy *p = parse(cases[i].rules);
		size_t failed = policy_test(p, nodes, N, &report);

		if (!tap_ok(failed == cases[i].failed &&
				    failed == report.n_errors,
			    "%zu of the tests %zu fail", cases[i].failed, i))
			printf("# %zu: %s\n", failed,
			       failed ? report.messages[0].text : "");
		policy_report_clear(&report);
		policy_free(p);
	}
}

static void test_ipset(void)
{
	static const char *const ranges[][2] = {
		{ "10.0.0.0", "10.0.0.0/32 " },
		{ "10.0.0.1-10.0.0.6", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32 " },
		{ "0.0.0.0-255.255.255.255", "0.0.0.0/0 " },
		{ "255.255.255.254-255.255.255.255", "255.255.255.254/31 " },
		{ "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0 " },
		{ "::1-::3", "::1/128 ::2/127 " },
		{ "fd7a::ffff-fd7a::1:0", "fd7a::ffff/128 fd7a::1:0/128 " },
	};
	struct ip_range r, a, b;
	struct ip_set set = { 0 };
	char have[256], text[IP_RANGE_TEXT_MAX];
	struct prefix p;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		char first[IP_RANGE_TEXT_MAX];
		char *dash;
		bool more;

		snprintf(first, sizeof(first), "%s", ranges[i][0]);
		dash = strchr(first, '-');
		if (dash)
			*dash++ = '\0';
		ip_parse(&r.first, first);
		ip_parse(&r.last, dash ? dash : first);
		n = 0;
		do {
			more = ip_range_take_prefix(&r, &p);
			n += (size_t)snprintf(have + n, sizeof(have) - n, "%s ",
					      prefix_format(&p, text));
		} while (more);
		is_text(have, ranges[i][1], "prefixes of range", i, n);
	}
	ip_parse(&a.first, "10.0.0.4");
	ip_parse(&a.last, "10.0.0.9");
	ip_parse(&b.first, "10.0.0.1");
	ip_parse(&b.last, "10.0.0.3");
	ip_set_add(&set, &a);
	ip_set_add(&set, &b);
	ip_set_add_ip(&set, &a.last);
	ip_parse(&r.first, "255.255.255.255");
	ip_set_add_ip(&set, &r.first);
	ip_parse(&r.last, "::");
	ip_set_add_ip(&set, &r.last);
	ip_set_seal(&set);
	tap_ok(set.n == 3, "neighbours join, families do not");
	is_text(ip_range_format(&set.ranges[0], text), "10.0.0.1-10.0.0.9",
		"joined", 0, 0);
	ip_parse(&a.first, "10.0.0.2");
	tap_ok(ip_set_covers(&set, &a) && ip_set_contains(&set, &a.first) &&
		       ip_set_overlaps(&set, &b),
	       "covered, contained, overlapped");
	ip_parse(&a.last, "10.0.0.10");
	tap_ok(!ip_set_covers(&set, &a) && ip_set_overlaps(&set, &a) &&
		       !ip_set_contains(&set, &a.last),
	       "one beyond the end");
	ip_set_clear(&set);
}

int main(void)
{
	make_nodes();
	test_ipset();
	test_table();
	test_form();
	test_routes();
	test_attrs();
	test_real();
	return tap_done();
}
