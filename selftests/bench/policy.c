// SPDX-License-Identifier: GPL-2.0
/*
 * What a policy costs coord, by nodes and rules, in ms of CPU time:
 *
 *   parse    the file
 *   compile  who sees whom, what each filter is made of
 *   filters  of all nodes, as JSON text
 *
 * and the filters' size in KiB a node, the peers each sees, and the result's
 * memory in MiB. A fifth of the nodes is tagged, one in twenty has a subnet;
 * rules are between groups, users, tags and hosts, one in fifty from everyone.
 */
#include <json.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coord/policy_compile.h"
#include "lib/util.h"

static uint64_t state = 88172645463325252ull;

static unsigned int rnd(unsigned int n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)((state >> 16) % n);
}

#define USERS(n) ((n) / 3 + 1)
#define GROUPS 40
#define TAGS 60
#define HOSTS 50

static char *make_policy(unsigned int n, unsigned int n_rules, size_t *len)
{
	char *text;
	FILE *f = open_memstream(&text, len);
	unsigned int i, k;

	fprintf(f, "{\"groups\":{");
	for (i = 0; i < GROUPS; i++) {
		fprintf(f, "\"group:g%u\":[", i);
		for (k = 0; k < USERS(n) / 10; k++)
			fprintf(f, "\"u%u@\",", rnd(USERS(n)));
		fprintf(f, "],");
	}
	fprintf(f, "},\"tagOwners\":{");
	for (i = 0; i < TAGS; i++)
		fprintf(f, "\"tag:t%u\":[],", i);
	fprintf(f, "},\"hosts\":{");
	for (i = 0; i < HOSTS; i++)
		fprintf(f, "\"h%u\":\"10.%u.0.%u\",", i, i, i + 1);
	fprintf(f, "},\"acls\":[\n");
	for (i = 0; i < n_rules; i++) {
		fprintf(f, "{\"action\":\"accept\",\"src\":[");
		for (k = rnd(3) + 1; k; k--) {
			unsigned int what = rnd(50);

			if (!what)
				fprintf(f, "\"*\",");
			else if (what < 20)
				fprintf(f, "\"group:g%u\",", rnd(GROUPS));
			else if (what < 35)
				fprintf(f, "\"tag:t%u\",", rnd(TAGS));
			else
				fprintf(f, "\"u%u@\",", rnd(USERS(n)));
		}
		fprintf(f, "],\"dst\":[");
		for (k = rnd(3) + 1; k; k--) {
			unsigned int port = 1 + rnd(1000);

			if (rnd(2))
				fprintf(f, "\"tag:t%u:%u\",", rnd(TAGS), port);
			else if (rnd(2))
				fprintf(f, "\"h%u:%u,8000-8999\",", rnd(HOSTS),
					port);
			else
				fprintf(f, "\"group:g%u:%u\",", rnd(GROUPS),
					port);
		}
		fprintf(f, "]},\n");
	}
	fprintf(f, "]}");
	fclose(f);
	return text;
}

struct tailnet {
	struct policy_node *nodes;
	struct ip_addr (*addresses)[2];
	struct prefix *routes;
	char (*names)[16];
	const char **tags;
};

static void make_tailnet(struct tailnet *t, unsigned int n)
{
	unsigned int i;

	t->nodes = xcalloc(n, sizeof(*t->nodes));
	t->addresses = xcalloc(n, sizeof(*t->addresses));
	t->routes = xcalloc(n, sizeof(*t->routes));
	t->names = xcalloc(n, sizeof(*t->names));
	t->tags = xcalloc(n, sizeof(*t->tags));
	for (i = 0; i < n; i++) {
		struct policy_node *node = &t->nodes[i];

		t->addresses[i][0] = ip_v4(100, (uint8_t)(64 | rnd(50)),
					   (uint8_t)(i >> 8), (uint8_t)i);
		ip_parse(&t->addresses[i][1], "fd7a:115c:a1e0::");
		put_be32(t->addresses[i][1].b + 12, i + 1);
		node->id = i + 1;
		node->addresses = t->addresses[i];
		node->n_addresses = 2;
		if (i % 5) {
			snprintf(t->names[i], sizeof(t->names[i]), "u%u",
				 rnd(USERS(n)));
			node->user = t->names[i];
		} else {
			snprintf(t->names[i], sizeof(t->names[i]), "tag:t%u",
				 rnd(TAGS));
			t->tags[i] = t->names[i];
			node->tags = &t->tags[i];
			node->n_tags = 1;
		}
		if (i % 20 == 0) {
			t->routes[i].ip = ip_v4(10, (uint8_t)(i / 20), 0, 0);
			t->routes[i].bits = 16;
			node->routes = &t->routes[i];
			node->n_routes = 1;
		}
	}
}

/* Of this process: others share the machine. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * SEC_NS + (uint64_t)ts.tv_nsec;
}

static double ms_since(uint64_t start)
{
	return (double)(cpu_ns() - start) / 1e6;
}

static void measure(unsigned int n, unsigned int n_rules)
{
	double parse = 0, compile = 0, filters = 0;
	struct policy_report report = { 0 };
	struct policy_result *r = NULL;
	struct policy *p = NULL;
	struct tailnet t;
	size_t len, bytes = 0, peers = 0, used = 0, round, i, k;
	char *text = make_policy(n, n_rules, &len);
	uint64_t start;

	make_tailnet(&t, n);
	for (round = 0; round < 3; round++) { /* the best one counts */
		double once;

		policy_free(p);
		policy_result_free(r);
		start = cpu_ns();
		p = policy_parse(text, len, &report);
		once = ms_since(start);
		parse = round && parse < once ? parse : once;
		if (!p) {
			printf("%s\n", report.messages[0].text);
			exit(1);
		}
		used = mallinfo2().uordblks;
		start = cpu_ns();
		r = policy_compile(p, t.nodes, n);
		once = ms_since(start);
		compile = round && compile < once ? compile : once;
		used = mallinfo2().uordblks - used;
	}
	start = cpu_ns();
	for (i = 0; i < n; i++) {
		struct json_object *filter = policy_filter(r, i);

		bytes += strlen(json_object_to_json_string_ext(
			filter, JSON_C_TO_STRING_PLAIN));
		json_object_put(filter);
		for (k = 0; k < n; k++)
			peers += policy_sees(r, i, k);
	}
	filters = ms_since(start);
	printf("%6u %6u %8.1f %8.1f %8.1f %8.1f %6zu %6.1f\n", n, n_rules,
	       parse, compile, filters, (double)bytes / n / 1024, peers / n,
	       (double)used / (1 << 20));
	policy_free(p);
	policy_result_free(r);
	free(t.nodes);
	free(t.addresses);
	free(t.routes);
	free(t.names);
	free(t.tags);
	free(text);
}

int main(void)
{
	printf("%6s %6s %8s %8s %8s %8s %6s %6s\n", "nodes", "rules", "parse",
	       "compile", "filters", "KiB", "peers", "MiB");
	measure(100, 100);
	measure(1000, 10);
	measure(1000, 100);
	measure(1000, 1000);
	measure(5000, 1000);
	return 0;
}
