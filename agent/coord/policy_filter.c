// SPDX-License-Identifier: GPL-2.0
/* Packet filters as they are sent, and what they come to. */
#include <json.h>
#include <string.h>

#include "coord/policy_result.h"
#include "lib/util.h"

/*
 * 0.0.0.0/0 and 2000::/3 less private, link-local and the tailnet's addresses,
 * as public control servers have it. In order.
 */
static const struct ip_range internet_ranges[] = {
#define V4(a, b, c, d, e, f, g, h)                                  \
	{                                                           \
		.first = { 4, { a, b, c, d } }, .last = { 4, { e, f, g, h } } \
	}
	V4(0, 0, 0, 0, 9, 255, 255, 255),
	V4(11, 0, 0, 0, 100, 63, 255, 255),
	V4(100, 128, 0, 0, 169, 253, 255, 255),
	V4(169, 255, 0, 0, 172, 15, 255, 255),
	V4(172, 32, 0, 0, 192, 167, 255, 255),
	V4(192, 169, 0, 0, 255, 255, 255, 255),
#undef V4
	{ .first = { 6, { 0x20 } },
	  .last = { 6, { 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } } },
};

static const struct ip_set internet = {
	.ranges = (struct ip_range *)internet_ranges,
	.n = ARRAY_SIZE(internet_ranges),
};

const struct ip_set *policy_internet(void)
{
	return &internet;
}

static bool covers_internet(const struct ip_set *set, unsigned int family)
{
	size_t i;

	for (i = 0; i < internet.n; i++)
		if (internet.ranges[i].first.family == family &&
		    !ip_set_covers(set, &internet.ranges[i]))
			return false;
	return true;
}

bool policy_is_internet(const struct ip_range *ranges, size_t n)
{
	struct ip_set set = { 0 };
	bool is;
	size_t i;

	for (i = 0; i < n; i++)
		ip_set_add(&set, &ranges[i]);
	ip_set_seal(&set);
	is = covers_internet(&set, 4) || covers_internet(&set, 6);
	ip_set_clear(&set);
	return is;
}

/* ── FilterRules ── */

/* An entry of DstPorts before it is text. */
struct opening {
	struct ip_range range; /* no family: "*" */
	struct policy_ports ports;
};

struct out_rule {
	const struct policy_key *key;
	struct opening *openings;
	size_t n, max;
};

static void open_range(struct out_rule *rule, const struct ip_range *range,
		       const struct policy_line *line)
{
	size_t i;

	for (i = 0; i < line->n_ports; i++) {
		if (rule->n == rule->max) {
			rule->max = rule->max ? 2 * rule->max : 8;
			rule->openings = xrealloc(rule->openings, rule->max,
						  sizeof(*rule->openings));
		}
		rule->openings[rule->n].range = *range;
		rule->openings[rule->n++].ports = line->ports[i];
	}
}

/*
 * Does a packet to @range come to this node, other nodes' addresses apart? If
 * @routed, it may be one behind it only.
 */
static bool receives(const struct policy_member *m,
		     const struct ip_range *range, bool routed)
{
	size_t i;

	for (i = 0; i < m->n_addresses && !routed; i++)
		if (ip_range_contains(range, &m->addresses[i]))
			return true;
	for (i = 0; i < m->n_subnets; i++)
		if (ip_range_overlaps(&m->subnets[i], range))
			return true;
	return m->exit && ip_set_overlaps(&internet, range);
}

static void add_line(struct out_rule *rule, const struct policy_line *line,
		     const struct policy_member *m, size_t node)
{
	static const struct ip_range everything;
	size_t i;

	if (line->any) {
		open_range(rule, &everything, line);
		return;
	}
	for (i = 0; line->nodes && bits_test(line->nodes, node) &&
		    i < m->n_addresses; i++) {
		struct ip_range one = { m->addresses[i], m->addresses[i] };

		open_range(rule, &one, line);
	}
	for (i = 0; i < line->n_ranges; i++)
		if (receives(m, &line->ranges[i], line->via))
			open_range(rule, &line->ranges[i], line);
}

static int by_range_and_ports(const void *a, const void *b)
{
	const struct opening *x = a, *y = b;
	int c = ip_range_compare(&x->range, &y->range);

	if (c)
		return c;
	if (x->ports.first != y->ports.first)
		return x->ports.first < y->ports.first ? -1 : 1;
	return (int)x->ports.last - (int)y->ports.last;
}

/* Is @o among the openings to "*", which come first? */
static bool is_open(const struct out_rule *rule, size_t n,
		    const struct opening *o)
{
	size_t i;

	for (i = 0; i < n && !rule->openings[i].range.first.family; i++)
		if (o->range.first.family &&
		    rule->openings[i].ports.first <= o->ports.first &&
		    o->ports.last <= rule->openings[i].ports.last)
			return true;
	return false;
}

/* Sorts, joins ports of one destination, drops what "*" opens already. */
static void tidy(struct out_rule *rule)
{
	size_t i, n = 0;

	qsort(rule->openings, rule->n, sizeof(*rule->openings),
	      by_range_and_ports);
	for (i = 0; i < rule->n; i++) {
		const struct opening o = rule->openings[i];
		struct opening *last = n ? &rule->openings[n - 1] : NULL;

		if (last && !ip_range_compare(&last->range, &o.range) &&
		    o.ports.first <= last->ports.last + 1) {
			if (o.ports.last > last->ports.last)
				last->ports.last = o.ports.last;
		} else if (!is_open(rule, n, &o)) {
			rule->openings[n++] = o;
		}
	}
	rule->n = n;
}

static struct json_object *ports_json(struct policy_ports p)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "First", json_object_new_int(p.first));
	json_object_object_add(o, "Last", json_object_new_int(p.last));
	return o;
}

static void put_destination(struct json_object *list, const char *ip,
			    struct policy_ports ports)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "IP", json_object_new_string(ip));
	json_object_object_add(o, "Ports", ports_json(ports));
	json_object_array_add(list, o);
}

/* Destinations are prefixes: public servers send no ranges here. */
static void put_opening(struct json_object *list, const struct opening *o)
{
	struct ip_range rest = o->range;
	char text[PREFIX_TEXT_MAX];
	struct prefix p;
	bool more;

	if (!rest.first.family) {
		put_destination(list, "*", o->ports);
		return;
	}
	do {
		more = ip_range_take_prefix(&rest, &p);
		if (p.bits == ip_bits(&p.ip))
			ip_format(&p.ip, text);
		else
			prefix_format(&p, text);
		put_destination(list, text, o->ports);
	} while (more);
}

static int print_known(struct json_object *o, struct printbuf *out, int level,
		       int flags)
{
	const char *text = json_object_get_userdata(o);

	return printbuf_memappend(out, text, (int)strlen(text)) < 0 ? -1 : 0;
}

/* Most of every filter, so its text is made only once. */
static struct json_object *source_json(struct policy_source *s)
{
	char text[IP_RANGE_TEXT_MAX];
	struct json_object *list;
	size_t i;

	if (s->json)
		return s->json;
	list = json_object_new_array();
	/* both families as a whole */
	if (s->set.n == 2 && covers_internet(&s->set, 4) &&
	    covers_internet(&s->set, 6) &&
	    !strcmp(ip_range_format(&s->set.ranges[0], text), "0.0.0.0/0") &&
	    !strcmp(ip_range_format(&s->set.ranges[1], text), "::/0"))
		json_object_array_add(list, json_object_new_string("*"));
	else
		for (i = 0; i < s->set.n; i++)
			json_object_array_add(
				list, json_object_new_string(ip_range_format(
					      &s->set.ranges[i], text)));
	json_object_set_serializer(
		list, print_known,
		xstrdup(json_object_to_json_string_ext(list,
						       JSON_C_TO_STRING_PLAIN)),
		json_object_free_userdata);
	s->json = list;
	return list;
}

static struct json_object *rule_json(const struct out_rule *rule)
{
	struct json_object *o = json_object_new_object(), *list, *protos;
	struct policy_source *source =
		(struct policy_source *)rule->key->key.source;
	size_t i;

	json_object_object_add(o, "SrcIPs",
			       json_object_get(source_json(source)));
	list = json_object_new_array();
	for (i = 0; i < rule->n; i++)
		put_opening(list, &rule->openings[i]);
	json_object_object_add(o, "DstPorts", list);
	if (rule->key->key.proto) {
		protos = json_object_new_array();
		json_object_array_add(
			protos, json_object_new_int((int)rule->key->key.proto));
		json_object_object_add(o, "IPProto", protos);
	}
	return o;
}

struct json_object *policy_filter(const struct policy_result *r, size_t node)
{
	struct json_object *filter = json_object_new_array();
	unsigned int n_keys = HASH_COUNT(r->keys), n = 0;
	_cleanup_free_ unsigned int *place = xcalloc(n_keys, sizeof(*place));
	_cleanup_free_ struct out_rule *rules = xcalloc(n_keys, sizeof(*rules));
	size_t i;

	for (i = 0; i < r->n_lines; i++) {
		const struct policy_line *line = &r->lines[i];
		unsigned int *at = &place[line->key->id];

		if (!bits_test(line->concerns, node))
			continue;
		if (!*at) {
			rules[n].key = line->key;
			*at = ++n;
		}
		add_line(&rules[*at - 1], line, &r->members[node], node);
	}
	for (i = 0; i < n; i++) {
		if (rules[i].n) {
			tidy(&rules[i]);
			json_object_array_add(filter, rule_json(&rules[i]));
		}
		free(rules[i].openings);
	}
	return filter;
}

/* ── one packet ── */

bool policy_allows(const struct policy_result *r, const struct ip_addr *src,
		   const struct ip_addr *dst, uint8_t proto, uint16_t port)
{
	ssize_t node = policy_node_at(r, dst);
	size_t i;

	for (i = 0; i < r->n_lines; i++) {
		const struct policy_line *line = &r->lines[i];

		if (policy_line_opens(line, proto, port) &&
		    policy_line_leads_to(line, dst, node) &&
		    ip_set_contains(&line->key->key.source->set, src))
			return true;
	}
	return false;
}
