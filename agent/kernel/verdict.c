// SPDX-License-Identifier: GPL-2.0
#include "kernel/verdict.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/util.h"

static struct nlmsghdr *begin(struct netlink *nl, uint16_t family,
			      enum tailrace_cmd cmd)
{
	return netlink_begin_genl(nl, family, cmd, TAILRACE_FAMILY_VERSION, 0);
}

int verdict_trace(struct netlink *nl, uint16_t family, uint32_t link,
		  const struct verdict_filter *f, uint32_t rate)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_TRACE_START);

	mnl_attr_put_u32(h, TAILRACE_A_TRACE_IFINDEX, link);
	if (rate)
		mnl_attr_put_u32(h, TAILRACE_A_TRACE_RATE, rate);
#define PUT(put, attr, value)                                         \
	do {                                                          \
		if (f->given & VERDICT_GIVEN(attr))                   \
			put(h, TAILRACE_A_TRACE_##attr, value);       \
	} while (0)
#define PUT_ADDR(attr, value)                                         \
	do {                                                          \
		if (f->given & VERDICT_GIVEN(attr))                   \
			mnl_attr_put(h, TAILRACE_A_TRACE_##attr,      \
				     sizeof(value), &(value));        \
	} while (0)
	PUT(mnl_attr_put_u32, FLAGS, f->flags);
	PUT(mnl_attr_put_u8, PROTO, f->proto);
	PUT_ADDR(SRC, f->src);
	PUT_ADDR(DST, f->dst);
	PUT_ADDR(HOST, f->host);
	PUT(mnl_attr_put_u16, SPORT, f->sport);
	PUT(mnl_attr_put_u16, DPORT, f->dport);
	PUT(mnl_attr_put_u16, PORT, f->port);
	PUT(mnl_attr_put_u32, PEER, f->peer);
	PUT(mnl_attr_put_u32, REASON, f->reason);
	PUT(mnl_attr_put_u32, RULE, f->rule);
#undef PUT_ADDR
#undef PUT
	return netlink_change(nl, h, NULL, NULL);
}

bool verdict_news_parse(const struct nlmsghdr *h, struct verdict_news *out)
{
	const struct nlattr *tb[TAILRACE_A_TRACE_MAX + 1], *verdicts;
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(h);

	memset(out, 0, sizeof(*out));
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*g) ||
	    g->cmd != TAILRACE_CMD_TRACE_NTF)
		return false;
	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	out->link = attr_u32(tb[TAILRACE_A_TRACE_IFINDEX]);
	out->lost_rate = attr_u64(tb[TAILRACE_A_TRACE_LOST_RATE]);
	out->lost_ring = attr_u64(tb[TAILRACE_A_TRACE_LOST_RING]);
	out->lost_socket = attr_u64(tb[TAILRACE_A_TRACE_LOST_SOCKET]);
	out->ended = tb[TAILRACE_A_TRACE_ENDED];
	verdicts = tb[TAILRACE_A_TRACE_VERDICTS];
	if (!verdicts)
		return true;
	out->verdicts = mnl_attr_get_payload(verdicts);
	out->n = mnl_attr_get_payload_len(verdicts) /
		 sizeof(struct tailrace_verdict);
	return true;
}

struct tailrace_verdict verdict_news_at(const struct verdict_news *news,
					size_t i)
{
	struct tailrace_verdict v;

	/* attributes are aligned to four bytes, times want eight */
	memcpy(&v, news->verdicts + i * sizeof(v), sizeof(v));
	return v;
}

bool verdict_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP ||
	       proto == IPPROTO_SCTP;
}

bool verdict_is_icmp(int ip_version, uint8_t proto)
{
	return proto == (ip_version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

struct answer {
	struct tailrace_verdict *verdict;
	bool given;
};

static void on_answer(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_VERDICT_MAX + 1], *result;
	struct answer *a = ctx;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	result = tb[TAILRACE_A_VERDICT_RESULT];
	if (!result || mnl_attr_get_payload_len(result) < sizeof(*a->verdict))
		return;
	memcpy(a->verdict, mnl_attr_get_payload(result), sizeof(*a->verdict));
	a->given = true;
}

int verdict_ask(struct netlink *nl, uint16_t family, uint32_t link,
		const struct verdict_question *q, struct tailrace_verdict *out)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_VERDICT_GET);
	size_t size = q->src.family == 4 ? 4 : 16;
	struct answer a = { .verdict = out };
	int err;

	mnl_attr_put_u32(h, TAILRACE_A_VERDICT_IFINDEX, link);
	mnl_attr_put(h, TAILRACE_A_VERDICT_SRC, size, q->src.b);
	mnl_attr_put(h, TAILRACE_A_VERDICT_DST, size, q->dst.b);
	mnl_attr_put_u8(h, TAILRACE_A_VERDICT_PROTO, q->proto);
	if (verdict_has_ports(q->proto)) {
		mnl_attr_put_u16(h, TAILRACE_A_VERDICT_SPORT, q->sport);
		mnl_attr_put_u16(h, TAILRACE_A_VERDICT_DPORT, q->dport);
	}
	if (q->proto == IPPROTO_TCP)
		mnl_attr_put_u8(h, TAILRACE_A_VERDICT_TCP_FLAGS, q->tcp_flags);
	if (verdict_is_icmp(q->src.family, q->proto)) {
		mnl_attr_put_u8(h, TAILRACE_A_VERDICT_ICMP_TYPE, q->icmp_type);
		mnl_attr_put_u8(h, TAILRACE_A_VERDICT_ICMP_CODE, q->icmp_code);
	}
	if (q->out)
		mnl_attr_put(h, TAILRACE_A_VERDICT_OUT, 0, NULL);
	err = netlink_ask(nl, h, on_answer, &a);
	return err ? err : a.given ? 0 : -EPROTO;
}

static struct ip_addr ip_of(const struct tailrace_verdict *v, const __u8 *b)
{
	struct ip_addr ip = { 0 };

	if (v->family == AF_INET || v->family == AF_INET6) {
		ip.family = v->family == AF_INET ? 4 : 6;
		memcpy(ip.b, b, ip.family == 4 ? 4 : 16);
	}
	return ip;
}

struct ip_addr verdict_src(const struct tailrace_verdict *v)
{
	return ip_of(v, v->src);
}

struct ip_addr verdict_dst(const struct tailrace_verdict *v)
{
	return ip_of(v, v->dst);
}

bool verdict_by_rule(const struct tailrace_verdict *v)
{
	return v->cause == TAILRACE_CAUSE_RULE ||
	       v->cause == TAILRACE_CAUSE_CACHE;
}
