// SPDX-License-Identifier: GPL-2.0
#include "kernel/rule.h"

#include <json-c/json.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "kernel/addrset.h"
#include "kernel/list.h"
#include "lib/ids.h"
#include "lib/util.h"

#define PROTO_TSMP 99

/* Ids. */

static int compare_u8(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

static int compare_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_addr));
}

static int compare_dst(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_dst));
}

/* How many, then the list, sorted and without doubles; returns the end. */
static uint8_t *put_list(uint8_t *to, const void *list, size_t n, size_t size,
			 list_compare compare)
{
	uint8_t *copy = to + sizeof(uint32_t);
	uint32_t kept;

	if (n)
		memcpy(copy, list, n * size);
	kept = (uint32_t)list_unique(copy, n, size, compare);
	memcpy(to, &kept, sizeof(kept));
	return copy + kept * size;
}

static void digest(uint8_t out[IDS_DIGEST], const struct kernel_rule *r)
{
	size_t max = 5 * sizeof(uint32_t) + r->n_protos +
		     r->n_src * sizeof(*r->src) +
		     r->n_src_caps * sizeof(*r->src_caps) +
		     r->n_dst * sizeof(*r->dst);
	_cleanup_free_ uint8_t *bytes = xmalloc(max);
	/* no list stands for the default one */
	const uint32_t has_protos = r->protos != NULL;
	uint8_t *end = bytes;

	memcpy(end, &has_protos, sizeof(has_protos));
	end += sizeof(has_protos);
	end = put_list(end, r->protos, r->n_protos, 1, compare_u8);
	end = put_list(end, r->src, r->n_src, sizeof(*r->src), compare_addr);
	end = put_list(end, r->src_caps, r->n_src_caps, sizeof(*r->src_caps),
		       list_compare_u32);
	end = put_list(end, r->dst, r->n_dst, sizeof(*r->dst), compare_dst);
	ids_digest(out, bytes, (size_t)(end - bytes));
}

void rule_assign_ids(struct kernel_rule *rules, size_t n)
{
	_cleanup_free_ struct id *ids = xcalloc(n, sizeof(*ids));
	size_t i;

	for (i = 0; i < n; i++) {
		digest(ids[i].digest, &rules[i]);
		ids[i].index = i;
	}
	ids_assign(ids, n);
	for (i = 0; i < n; i++)
		rules[ids[i].index].id = ids[i].id;
}

/* Text. */

static const struct {
	uint8_t number;
	const char *name;
} protos[] = {
	{ IPPROTO_ICMP, "icmp" },     { IPPROTO_IGMP, "igmp" },
	{ IPPROTO_TCP, "tcp" },	      { IPPROTO_UDP, "udp" },
	{ IPPROTO_IPV6, "ipv6" },     { IPPROTO_GRE, "gre" },
	{ IPPROTO_ESP, "esp" },	      { IPPROTO_AH, "ah" },
	{ IPPROTO_ICMPV6, "icmpv6" }, { PROTO_TSMP, "tsmp" },
	{ IPPROTO_SCTP, "sctp" },
};

const char *rule_proto(uint8_t proto, char out[RULE_PROTO_MAX])
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].number == proto)
			return strcpy(out, protos[i].name);
	snprintf(out, RULE_PROTO_MAX, "%u", proto);
	return out;
}

/* 0 and 255 are on no packet that reaches a rule, in a list they mean nothing. */
static bool is_real(uint8_t proto)
{
	return proto && proto != 255;
}

#define DST_TEXT_MAX (ADDRSET_TEXT_MAX + 14)

static const char *format_dst(const struct tailrace_dst *d,
			      char out[DST_TEXT_MAX])
{
	char addr[ADDRSET_TEXT_MAX], ports[12];
	bool v6;

	addrset_format(&d->addr, addr);
	v6 = strchr(addr, ':');
	if (d->port_first == 0 && d->port_last == 65535)
		strcpy(ports, "*");
	else if (d->port_first == d->port_last)
		snprintf(ports, sizeof(ports), "%u", d->port_first);
	else
		snprintf(ports, sizeof(ports), "%u-%u", d->port_first,
			 d->port_last);
	snprintf(out, DST_TEXT_MAX, "%s%s%s:%s", v6 ? "[" : "", addr,
		 v6 ? "]" : "", ports);
	return out;
}

static void print_protos(FILE *f, const struct kernel_rule *r)
{
	char text[RULE_PROTO_MAX];
	size_t i, real = 0;

	if (!r->n_protos) {
		fputs("tcp,udp,icmp,icmpv6", f);
		return;
	}
	for (i = 0; i < r->n_protos; i++)
		real += is_real(r->protos[i]);
	/* as many as there are: those of a rule for all */
	if (real == 254)
		fputs("any", f);
	else if (!real)
		fputs("nothing", f);
	else
		for (i = 0, real = 0; i < r->n_protos; i++)
			if (is_real(r->protos[i]))
				fprintf(f, "%s%s", real++ ? "," : "",
					rule_proto(r->protos[i], text));
}

static void print_rest(FILE *f, size_t n, size_t max)
{
	if (n > max)
		fprintf(f, "%s... (%zu more)", max ? ", " : "", n - max);
}

static void print_sources(FILE *f, const struct kernel_rule *r, size_t max)
{
	size_t n = r->n_src + r->n_src_caps, i;
	char text[ADDRSET_TEXT_MAX];

	for (i = 0; i < n && i < max; i++) {
		if (i)
			fputs(", ", f);
		if (i < r->n_src)
			fputs(addrset_format(&r->src[i], text), f);
		else
			fprintf(f, "cap 0x%x", r->src_caps[i - r->n_src]);
	}
	print_rest(f, n, max);
}

static void print_destinations(FILE *f, const struct kernel_rule *r, size_t max)
{
	char text[DST_TEXT_MAX];
	size_t i;

	for (i = 0; i < r->n_dst && i < max; i++)
		fprintf(f, "%s%s", i ? ", " : "", format_dst(&r->dst[i], text));
	print_rest(f, r->n_dst, max);
}

char *rule_format(const struct kernel_rule *r, size_t max)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		abort();
	print_protos(f, r);
	fputs(" from ", f);
	print_sources(f, r, max);
	fputs(" to ", f);
	print_destinations(f, r, max);
	fclose(f);
	return text;
}

static struct json_object *array(struct json_object *o, const char *name)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(o, name, list);
	return list;
}

struct json_object *rule_json(const struct kernel_rule *r)
{
	struct json_object *o = json_object_new_object(), *list;
	char addr[ADDRSET_TEXT_MAX], dst[DST_TEXT_MAX];
	size_t i;

	json_object_object_add(o, "id", json_object_new_uint64(r->id));
	if (r->n_protos)
		for (i = 0, list = array(o, "protos"); i < r->n_protos; i++)
			json_object_array_add(
				list, json_object_new_int(r->protos[i]));
	for (i = 0, list = array(o, "src"); i < r->n_src; i++)
		json_object_array_add(list, json_object_new_string(
				addrset_format(&r->src[i], addr)));
	if (r->n_src_caps)
		for (i = 0, list = array(o, "caps"); i < r->n_src_caps; i++)
			json_object_array_add(
				list, json_object_new_uint64(r->src_caps[i]));
	for (i = 0, list = array(o, "dst"); i < r->n_dst; i++)
		json_object_array_add(list, json_object_new_string(
				format_dst(&r->dst[i], dst)));
	return o;
}
