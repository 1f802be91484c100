// SPDX-License-Identifier: GPL-2.0
/*
 * Random policies against a naive reader of the rules: flows against the
 * filters as they are sent, and who sees what. test-policy-random [rounds
 * [seed]].
 */
#include "policy-oracle.h"

#define FLOWS 120

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
		want = may(&src, &dst, proto, port, at);
		c->flows++;
		c->accepted += want;
		c->wrong_filter += want != accepts(filters[at], &src, &dst,
						   proto, (int)port);
		want = may(&src, &dst, proto, port, -1);
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
				c->wrong_views += !agrees_on_use(
					r, a, &nodes[b].routes[k]);
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
