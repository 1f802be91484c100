/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_POLICY_TAILNET_H
#define UNIT_POLICY_TAILNET_H

/* A few nodes, and policies compiled for them. */

#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/policy_compile.h"
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

static inline void make_nodes(void)
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

static inline struct policy *parse(const char *rules)
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

static inline struct policy_result *compile(const char *rules)
{
	struct policy *p = parse(rules);
	struct policy_result *r = p ? policy_compile(p, nodes, N) : NULL;

	policy_free(p);
	return r;
}

/* A filter in few words: "SRC,SRC>IP:PORTS,IP:PORTS(PROTO) ...". */
static inline void brief(struct json_object *filter, char *out, size_t max)
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

#define VIA(src, dst, via)                                              \
	"\"grants\":[{\"src\":[" src "],\"dst\":[" dst "],\"ip\":[\"*\"]," \
	"\"via\":[" via "]}]"

static inline void is_text(const char *have, const char *want, const char *what,
		    size_t i, size_t k)
{
	if (!tap_ok(!strcmp(have, want), "policy %zu: %s %zu", i, what, k))
		printf("# have %s\n# want %s\n", have, want);
}

#endif
