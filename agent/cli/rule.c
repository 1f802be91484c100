// SPDX-License-Identifier: GPL-2.0
#include "cli/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/expression.h"
#include "kernel/addrset.h"

/* As many of a list are named. */
#define NAMED 3

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t,
						      const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, t->left, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	/* what is cut off is cut off at the end of the whole */
	if ((size_t)n >= t->left)
		n = (int)t->left - 1;
	t->at += n;
	t->left -= (size_t)n;
}

static void put_more(struct text *t, size_t n)
{
	if (n)
		put(t, " +%zu", n);
}

/* @src NULL: no matter which. */
static void put_sources(struct text *t, const struct kernel_rule *r,
			const struct ip_addr *src)
{
	size_t n = r->n_src + r->n_src_caps, i, named = 0;
	char text[ADDRSET_TEXT_MAX];

	for (i = 0; i < n; i++) {
		bool cap = i >= r->n_src;

		if (src && n > NAMED &&
		    (named || cap || !addrset_contains(&r->src[i], src)))
			continue;
		if (named == NAMED)
			break;
		if (named++)
			put(t, ",");
		if (cap)
			put(t, "cap:%u", r->src_caps[i - r->n_src]);
		else
			put(t, "%s", addrset_format(&r->src[i], text));
	}
	if (!named && n && r->n_src_caps)
		put(t, "cap:%u", r->src_caps[named++]);
	else if (!named && n)
		put(t, "%s", addrset_format(&r->src[named++], text));
	put_more(t, n - named);
}

static void put_dst(struct text *t, const struct tailrace_dst *d)
{
	bool v6 = d->addr.kind == TAILRACE_ADDR_PREFIX6 ||
		  d->addr.kind == TAILRACE_ADDR_RANGE6;
	char text[ADDRSET_TEXT_MAX];

	addrset_format(&d->addr, text);
	if (!d->port_first && d->port_last == 65535) {
		put(t, "%s", text);
		return;
	}
	put(t, v6 ? "[%s]:%u" : "%s:%u", text, d->port_first);
	if (d->port_last != d->port_first)
		put(t, "-%u", d->port_last);
}

static bool dst_has_port(const struct tailrace_dst *d,
			 const struct tailrace_verdict *v)
{
	return v->dport >= d->port_first && v->dport <= d->port_last;
}

static void put_destinations(struct text *t, const struct kernel_rule *r,
			     const struct tailrace_verdict *v)
{
	struct ip_addr dst = { 0 };
	size_t i, named = 0;

	if (v)
		dst = verdict_dst(v);
	for (i = 0; i < r->n_dst; i++) {
		if (named == NAMED)
			break;
		if (v && r->n_dst > NAMED &&
		    (named || !addrset_contains(&r->dst[i].addr, &dst) ||
		     (verdict_has_ports(v->proto) &&
		      !dst_has_port(&r->dst[i], v))))
			continue;
		if (named++)
			put(t, ",");
		put_dst(t, &r->dst[i]);
	}
	if (!named && r->n_dst)
		put_dst(t, &r->dst[named++]);
	put_more(t, r->n_dst - named);
}

static void put_protos(struct text *t, const struct kernel_rule *r)
{
	const char *name;
	size_t i;

	if (!r->n_protos)
		put(t, "tcp,udp,icmp,icmp6");
	/* 0 and 255 are on no packet that asks for a rule */
	if (r->n_protos >= 254) {
		put(t, "any");
		return;
	}
	for (i = 0; i < r->n_protos && i < 2 * NAMED; i++) {
		name = expression_proto_name(r->protos[i]);
		if (i)
			put(t, ",");
		if (name)
			put(t, "%s", name);
		else
			put(t, "%u", r->protos[i]);
	}
	put_more(t, r->n_protos - i);
}

const char *rule_excerpt(const struct kernel_rule *r,
			 const struct tailrace_verdict *v,
			 char out[RULE_TEXT_MAX])
{
	struct text t = { out, RULE_TEXT_MAX };
	struct ip_addr src;

	*out = '\0';
	if (v)
		src = verdict_src(v);
	put_sources(&t, r, v ? &src : NULL);
	put(&t, " > ");
	put_destinations(&t, r, v);
	put(&t, " ");
	put_protos(&t, r);
	return out;
}

static bool has_proto(const struct kernel_rule *r, uint8_t proto)
{
	static const uint8_t usual[] = { 6, 17, 1, 58 };

	return r->n_protos ? memchr(r->protos, proto, r->n_protos) != NULL :
			     memchr(usual, proto, sizeof(usual)) != NULL;
}

static bool has_source(const struct kernel_rule *r,
		       const struct tailrace_verdict *v)
{
	struct ip_addr src = verdict_src(v);
	size_t i;

	for (i = 0; i < r->n_src; i++)
		if (addrset_contains(&r->src[i], &src))
			return true;
	return false;
}

/* Of the destinations that have the address, the best. */
static enum rule_miss destination_miss(const struct kernel_rule *r,
				       const struct tailrace_verdict *v)
{
	enum rule_miss best = RULE_OTHER_ADDRESS;
	struct ip_addr dst = verdict_dst(v);
	bool icmp = verdict_is_icmp(dst.family, v->proto), port;
	size_t i;

	for (i = 0; i < r->n_dst; i++) {
		if (!addrset_contains(&r->dst[i].addr, &dst))
			continue;
		if (verdict_has_ports(v->proto))
			port = dst_has_port(&r->dst[i], v);
		else
			port = icmp || (!r->dst[i].port_first &&
					r->dst[i].port_last == 65535);
		if (port)
			return RULE_MATCHES;
		best = RULE_OTHER_PORT;
	}
	return best;
}

enum rule_miss rule_miss(const struct kernel_rule *r,
			 const struct tailrace_verdict *v)
{
	bool icmp = verdict_is_icmp(verdict_dst(v).family, v->proto);
	enum rule_miss miss = destination_miss(r, v);

	if (!has_source(r, v) || miss == RULE_OTHER_ADDRESS)
		return RULE_OTHER_ADDRESS;
	return icmp || has_proto(r, v->proto) ? miss : RULE_OTHER_PROTO;
}

const struct kernel_rule *rule_find(const struct policy *p, uint32_t id,
				    const struct tailrace_verdict *v)
{
	const struct kernel_rule *found = NULL;
	size_t i;

	for (i = 0; i < p->n_rules; i++) {
		if (p->rules[i].id != id)
			continue;
		if (rule_miss(&p->rules[i], v) == RULE_MATCHES)
			return &p->rules[i];
		/* by a capability: the part with the destination */
		if (!found || (p->rules[i].n_src_caps &&
			       destination_miss(&p->rules[i], v) ==
				       RULE_MATCHES))
			found = &p->rules[i];
	}
	return found;
}
