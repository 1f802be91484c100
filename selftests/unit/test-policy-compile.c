// SPDX-License-Identifier: GPL-2.0
/* What a policy comes to: filters, who sees whom, attributes, its tests. */
#include "coord/policy_test.h"
#include "policy-tailnet.h"

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
		/* by a router, but not to it */
		{ VIA("\"ann@\"", "\"db\",\"100.64.0.50\"", "\"tag:router\"")
		  ",\"tests\":[{\"src\":\"ann@\",\"accept\":[\"db:1\"],"
		  "\"deny\":[\"tag:router:1\",\"10.1.2.4:1\"]}]", 0 },
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

int main(void)
{
	make_nodes();
	test_table();
	test_form();
	test_attrs();
	test_real();
	return tap_done();
}
