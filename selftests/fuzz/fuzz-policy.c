// SPDX-License-Identifier: GPL-2.0
/*
 * Policy files: whatever is refused has an error inside the file; whatever is
 * taken compiles for a tailnet, to filters of the right form and to the same
 * ones twice, and its tests run.
 */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/policy_compile.h"
#include "coord/policy_test.h"
#include "lib/json.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const tags[] = { "tag:a", "tag:b" };
static struct ip_addr addresses[4][2];
static struct prefix routes[3];
static struct policy_node nodes[4];

static void make_nodes(void)
{
	static const char *const users[] = { "a", "b@c", "a", NULL };
	size_t i;

	for (i = 0; i < 4; i++) {
		addresses[i][0] = ip_v4(100, 64, 0, (uint8_t)(i + 1));
		ip_parse(&addresses[i][1], "fd7a:115c:a1e0::1");
		addresses[i][1].b[15] = (uint8_t)(i + 1);
		nodes[i] = (struct policy_node){ .user = users[i],
						 .addresses = addresses[i],
						 .n_addresses = 2 };
	}
	prefix_parse(&routes[0], "10.1.0.0/16");
	prefix_parse(&routes[1], "0.0.0.0/0");
	prefix_parse(&routes[2], "2001:db8::/32");
	nodes[1].routes = routes;
	nodes[1].n_routes = 3;
	nodes[2].tags = tags;
	nodes[2].n_tags = 2;
	nodes[2].routes = routes;
	nodes[2].n_routes = 2;
}

static bool has_route(size_t i, const struct prefix *route)
{
	size_t k;

	for (k = 0; k < nodes[i].n_routes; k++)
		if (prefix_equal(&nodes[i].routes[k], route))
			return true;
	return false;
}

/* Our own client's reading of the filter must find nothing to skip. */
static void check_filter(struct json_object *filter)
{
	size_t i, k;

	for (i = 0; i < json_object_array_length(filter); i++) {
		struct json_object *rule = json_object_array_get_idx(filter, i);
		struct json_object *src = json_member(rule, "SrcIPs");
		struct json_object *dst = json_member(rule, "DstPorts");

		if (!json_object_array_length(src) ||
		    !json_object_array_length(dst))
			abort();
		for (k = 0; k < json_object_array_length(dst); k++) {
			struct json_object *d = json_object_array_get_idx(dst, k);
			const char *ip = json_text(json_member(d, "IP"));
			struct prefix p, masked;

			if (!strcmp(ip, "*"))
				continue;
			if (prefix_parse(&p, ip))
				abort();
			masked = prefix_masked(&p);
			if (!prefix_equal(&p, &masked))
				abort();
		}
	}
}

/* Whoever may use a router sees it. */
static void check_use(const struct policy_result *r, size_t i,
		      const struct prefix *route)
{
	uint64_t via = 0;
	size_t k;

	if (policy_route_use(r, i, route, &via) != POLICY_USE_VIA)
		return;
	if (!policy_steers(r) || via >> 4)
		abort();
	for (k = 0; k < 4; k++)
		if (via >> k & 1 && k != i && has_route(k, route) &&
		    !policy_sees(r, i, k))
			abort();
}

static void check(const struct policy *p)
{
	struct policy_result *r = policy_compile(p, nodes, 4);
	struct policy_result *again = policy_compile(p, nodes, 4);
	size_t i, k, n;

	for (i = 0; i < 4; i++) {
		struct json_object *a = policy_filter(r, i);
		struct json_object *b = policy_filter(again, i);

		check_filter(a);
		if (strcmp(json_object_to_json_string(a),
			   json_object_to_json_string(b)))
			abort();
		json_object_put(a);
		json_object_put(b);
		for (k = 0; k < 4; k++)
			if (policy_sees(r, i, k) != policy_sees(r, k, i))
				abort();
		for (k = 0; k < 3; k++) {
			check_use(r, i, &routes[k]);
			policy_approves_route(p, &nodes[i], &routes[k]);
		}
		policy_attrs(r, i, &n);
		policy_may_tag(p, nodes[i].user, nodes[i].tags, nodes[i].n_tags,
			       "tag:a");
	}
	policy_result_free(r);
	policy_result_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_report report = { 0 };
	struct policy *p;
	size_t i;

	if (!nodes[0].n_addresses)
		make_nodes();
	p = policy_parse((const char *)data, size, &report);
	if (!p != !!report.n_errors)
		abort();
	if (p) {
		policy_test(p, nodes, 4, &report);
		check(p);
	}
	for (i = 0; i < report.n_messages; i++)
		if (!report.messages[i].line || !report.messages[i].column ||
		    !*report.messages[i].text)
			abort();
	policy_free(p);
	policy_report_clear(&report);
	return 0;
}
