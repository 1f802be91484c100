// SPDX-License-Identifier: GPL-2.0
/* Which routes a policy makes of use to whom, and by which routers. */
#include "policy-tailnet.h"

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
	uint64_t via;
	size_t i, k, n, m;

	prefix_parse(&elsewhere, "10.2.0.0/16");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_result *r = compile(cases[i].rules);

		for (k = n = m = 0; k < 6; k++) {
			if (policy_route_use(r, k, &routes[0], &via) ==
			    POLICY_USE_ANY)
				subnet[n++] = (char)('0' + k);
			if (policy_route_use(r, k, &routes[1], &via) ==
			    POLICY_USE_ANY)
				exit[m++] = (char)('0' + k);
		}
		subnet[n] = exit[m] = '\0';
		is_text(subnet, cases[i].subnet, "10.1.0.0/16 for", i, n);
		is_text(exit, cases[i].exit, "0.0.0.0/0 for", i, m);
		tap_ok(!policy_route_use(r, 0, &elsewhere, &via) && !via,
		       "nobody has a route that no node has");
		policy_result_free(r);
	}
}

/* By which routers, and what the routers let in. */
static void test_via(void)
{
	static const struct {
		const char *rules;
		const char *uses; /* of 10.1.0.0/16: "0a", any; "0v4", by 4 */
		const char *router, *sees;
	} cases[] = {
		/* only what carries a tag of the via, and routes it */
		{ VIA("\"ann@\"", "\"db\"", "\"tag:router\""), "0v4 1v4",
		  ANN ">10.1.2.3:*", "04 14" },
		{ VIA("\"ann@\"", "\"db\"", "\"tag:web\""), "0v3 1v3", "", "" },
		{ VIA("\"ann@\"", "\"db\"", "\"tag:web\",\"tag:router\""),
		  "0v34 1v34", ANN ">10.1.2.3:*", "04 14" },
		{ VIA("\"ann@\"", "\"db\"", "\"tag:none\""), "0v 1v", "", "" },
		/* wider than the route: as written */
		{ VIA("\"bob@example.com\"", "\"10.0.0.0/8\"", "\"tag:router\""),
		  "2v4", "100.64.0.30,fd7a:115c:a1e0::3>10.0.0.0/8:*", "24" },
		{ VIA("\"bob@example.com\"", "\"far\"", "\"tag:router\""), "", "",
		  "" },
		/* not the router itself, nor anyone else in the tailnet */
		{ VIA("\"ann@\"", "\"tag:router\",\"100.64.0.50\",\"*\"",
		      "\"tag:router\""), "", "", "" },
		{ VIA("\"ann@\"", "\"0.0.0.0/1\"", "\"tag:router\""), "0v4 1v4",
		  ANN ">0.0.0.0/1:*", "04 14" },
		/* with a rule that has none, any will do */
		{ VIA("\"ann@\"", "\"db\"", "\"tag:web\"")
		  "," ACL("\"ann@\"", "\"db:22\""), "0a 1a", ANN ">10.1.2.3:22",
		  "04 14" },
		/* what the subnet may send does not turn it round */
		{ VIA("\"ann@\"", "\"db\"", "\"tag:router\"")
		  "," ACL("\"10.1.0.0/16\"", "\"ann@:22\""), "0v4 1v4",
		  ANN ">10.1.2.3:*", "04 14" },
	};
	char have[1024];
	size_t i, a, b, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_result *r = compile(cases[i].rules);

		have[0] = '\0';
		for (a = n = 0; a < 6; a++) {
			uint64_t via;
			enum policy_use use =
				policy_route_use(r, a, &routes[0], &via);

			if (use == POLICY_USE_NONE)
				continue;
			n += (size_t)sprintf(have + n, "%s%zu%c", n ? " " : "",
					     a, use == POLICY_USE_VIA ? 'v' : 'a');
			for (b = 0; b < N; b++)
				if (via >> b & 1)
					n += (size_t)sprintf(have + n, "%zu", b);
		}
		is_text(have, cases[i].uses, "via, 10.1.0.0/16 for", i, a);
		brief(policy_filter(r, 4), have, sizeof(have));
		is_text(have, cases[i].router, "via, filter of", i, 4);
		have[0] = '\0';
		for (a = 0, n = 0; a < 6; a++)
			for (b = a + 1; b < 6; b++)
				if (policy_sees(r, a, b))
					n += (size_t)sprintf(have + n,
							     "%s%zu%zu",
							     n ? " " : "", a, b);
		is_text(have, cases[i].sees, "via, pairs of", i, N);
		policy_result_free(r);
	}
}

int main(void)
{
	make_nodes();
	test_routes();
	test_via();
	return tap_done();
}
