// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "engine/map_update.h"
#include "kernel/addrset.h"
#include "lib/json.h"
#include "lib/util.h"

/* FilterRule (control.md 7.1) in the kernel's terms, and back to text. */

#define CAP_PREFIX "cap:"

static int decode_sources(struct filter_rule *r, struct json_object *list)
{
	size_t i, n;

	if (!list)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return -EPROTO;
	n = json_object_array_length(list);
	r->src = xcalloc(n, sizeof(*r->src));
	r->src_caps = xcalloc(n, sizeof(*r->src_caps));
	for (i = 0; i < n; i++) {
		const char *s = json_text(json_object_array_get_idx(list, i));

		if (!s)
			return -EPROTO;
		if (!strncmp(s, CAP_PREFIX, strlen(CAP_PREFIX)))
			r->src_caps[r->n_src_caps++] =
				xstrdup(s + strlen(CAP_PREFIX));
		else if (!addrset_parse(&r->src[r->n_src], s))
			r->n_src++;
	}
	return 0;
}

static int decode_protos(struct filter_rule *r, struct json_object *list)
{
	size_t i, n;

	if (!list)
		return 0;
	if (!json_object_is_type(list, json_type_array))
		return -EPROTO;
	n = json_object_array_length(list);
	if (!n)
		return 0;
	r->protos = xcalloc(256, 1);
	for (i = 0; i < n; i++) {
		int proto;

		if (json_get_int(json_object_array_get_idx(list, i), &proto,
				 NULL))
			return -EPROTO;
		if (proto >= 0 && proto <= 255 &&
		    !memchr(r->protos, proto, r->n_protos))
			r->protos[r->n_protos++] = (uint8_t)proto;
	}
	if (!r->n_protos) {
		free(r->protos);
		r->protos = NULL;
		r->no_proto = true;
	}
	return 0;
}

static int decode_port(struct json_object *range, const char *name,
		       uint16_t *out)
{
	struct json_object *v = json_member(range, name);
	int port = 0;

	if (v && (json_get_int(v, &port, NULL) || port < 0 || port > 65535))
		return -EPROTO;
	*out = (uint16_t)port;
	return 0;
}

static int decode_dests(struct filter_list *list, struct filter_rule *r,
			struct json_object *dests)
{
	size_t i, n;

	if (!dests)
		return 0;
	if (!json_object_is_type(dests, json_type_array))
		return -EPROTO;
	n = json_object_array_length(dests);
	r->dst = xcalloc(n, sizeof(*r->dst));
	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(dests, i);
		struct tailrace_dst *d = &r->dst[r->n_dst];
		struct json_object *ip = json_member(o, "IP");
		struct json_object *ports = json_member(o, "Ports");
		const char *text = ip ? json_text(ip) : "";

		if (!json_object_is_type(o, json_type_object) || !text ||
		    decode_port(ports, "First", &d->port_first) ||
		    decode_port(ports, "Last", &d->port_last))
			return -EPROTO;
		if (json_member(o, "Bits"))
			list->invalid = true;
		if (!addrset_parse(&d->addr, text) &&
		    d->port_first <= d->port_last)
			r->n_dst++;
	}
	return 0;
}

static void rule_clear(struct filter_rule *r)
{
	free(r->protos);
	free(r->src);
	free_strings(r->src_caps, r->n_src_caps);
	free(r->dst);
}

struct filter_list *filter_list_decode(const char *name,
				       struct json_object *rules)
{
	struct filter_list *list;
	size_t i, n;

	if (!json_object_is_type(rules, json_type_array))
		return NULL;
	n = json_object_array_length(rules);
	list = xcalloc(1, sizeof(*list));
	list->name = xstrdup(name);
	list->rules = n ? xcalloc(n, sizeof(*list->rules)) : NULL;
	for (i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(rules, i);
		struct filter_rule *r = &list->rules[list->n_rules++];
		struct json_object *bits = json_member(o, "SrcBits");

		if (!json_object_is_type(o, json_type_object) ||
		    decode_protos(r, json_member(o, "IPProto")) ||
		    decode_sources(r, json_member(o, "SrcIPs")) ||
		    decode_dests(list, r, json_member(o, "DstPorts"))) {
			filter_list_free(list);
			return NULL;
		}
		if (json_object_is_type(bits, json_type_array) &&
		    json_object_array_length(bits))
			list->invalid = true;
		/* A rule that can match nothing, such as a CapGrant. */
		if (!r->n_dst || (!r->n_src && !r->n_src_caps)) {
			rule_clear(r);
			memset(r, 0, sizeof(*r));
			list->n_rules--;
		}
	}
	return list;
}

void filter_list_free(struct filter_list *list)
{
	size_t i;

	if (!list)
		return;
	for (i = 0; i < list->n_rules; i++)
		rule_clear(&list->rules[i]);
	free(list->rules);
	free(list->name);
	free(list);
}

static struct json_object *addr_text(const struct tailrace_addr *a)
{
	char text[ADDRSET_TEXT_MAX];

	return json_object_new_string(addrset_format(a, text));
}

static struct json_object *rule_encode(const struct filter_rule *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < r->n_src; i++)
		json_object_array_add(list, addr_text(&r->src[i]));
	for (i = 0; i < r->n_src_caps; i++) {
		_cleanup_free_ char *text = NULL;

		if (asprintf(&text, CAP_PREFIX "%s", r->src_caps[i]) < 0)
			abort();
		json_object_array_add(list, json_object_new_string(text));
	}
	json_object_object_add(o, "SrcIPs", list);
	list = json_object_new_array();
	for (i = 0; i < r->n_dst; i++) {
		const struct tailrace_dst *d = &r->dst[i];
		struct json_object *dst = json_object_new_object();
		struct json_object *ports = json_object_new_object();

		json_object_object_add(ports, "First",
				       json_object_new_int(d->port_first));
		json_object_object_add(ports, "Last",
				       json_object_new_int(d->port_last));
		json_object_object_add(dst, "IP", addr_text(&d->addr));
		json_object_object_add(dst, "Ports", ports);
		json_object_array_add(list, dst);
	}
	json_object_object_add(o, "DstPorts", list);
	if (r->n_protos || r->no_proto) {
		list = json_object_new_array();
		for (i = 0; i < r->n_protos; i++)
			json_object_array_add(
				list, json_object_new_int(r->protos[i]));
		if (r->no_proto) /* only invalid numbers */
			json_object_array_add(list, json_object_new_int(-1));
		json_object_object_add(o, "IPProto", list);
	}
	return o;
}

struct json_object *filter_list_encode(const struct filter_list *list)
{
	struct json_object *rules = json_object_new_array();
	size_t i;

	for (i = 0; i < list->n_rules; i++)
		json_object_array_add(rules, rule_encode(&list->rules[i]));
	if (list->invalid) {
		/* A rule that makes any reader reject the list again. */
		struct json_object *o = json_object_new_object();
		struct json_object *bits = json_object_new_array();

		json_object_array_add(bits, json_object_new_int(0));
		json_object_object_add(o, "SrcBits", bits);
		json_object_array_add(rules, o);
	}
	return rules;
}

static bool addr_overlaps(const struct tailrace_addr *a, const struct prefix *p)
{
	struct prefix low = prefix_masked(p);
	struct ip_addr high = low.ip, first = {0}, last = {0};
	struct prefix q = {.bits = a->prefix_len};
	unsigned int i, n = ip_bits(&high);

	for (i = p->bits; i < n; i++)
		high.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	switch ((enum tailrace_addr_kind)a->kind) {
	case TAILRACE_ADDR_ANY:
		return true;
	case TAILRACE_ADDR_PREFIX4:
	case TAILRACE_ADDR_PREFIX6:
		q.ip.family = a->kind == TAILRACE_ADDR_PREFIX4 ? 4 : 6;
		memcpy(q.ip.b, a->first, sizeof(q.ip.b));
		return prefix_contains(&q, &low.ip) ||
		       prefix_contains(&low, &q.ip);
	case TAILRACE_ADDR_RANGE4:
	case TAILRACE_ADDR_RANGE6:
		first.family = a->kind == TAILRACE_ADDR_RANGE4 ? 4 : 6;
		last.family = first.family;
		memcpy(first.b, a->first, sizeof(first.b));
		memcpy(last.b, a->last, sizeof(last.b));
		return first.family == low.ip.family &&
		       ip_compare(&first, &high) <= 0 &&
		       ip_compare(&low.ip, &last) <= 0;
	}
	return true;
}

bool filter_list_overlaps(const struct filter_list *list,
			  const struct prefix *p)
{
	size_t i, j;

	for (i = 0; i < list->n_rules; i++)
		for (j = 0; j < list->rules[i].n_src; j++)
			if (addr_overlaps(&list->rules[i].src[j], p))
				return true;
	return false;
}
