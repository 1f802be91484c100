// SPDX-License-Identifier: GPL-2.0
#include "kernel/route.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/kernel.h"
#include "kernel/list.h"
#include "lib/util.h"

struct route_dump {
	uint32_t link; /* 0: any */
	struct prefix_list *out;
	size_t n;
};

static void on_route(void *ctx, const struct nlmsghdr *h)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_MAX + 1];
	struct route_dump *d = ctx;
	struct prefix p = { 0 };
	uint32_t table;
	size_t n;

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_flags & RTM_F_CLONED)
		return;
	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	table = tb[RTA_TABLE] ? attr_u32(tb[RTA_TABLE]) : m->rtm_table;
	/* kernels without strict checking dump every table */
	if (table != ROUTE_TABLE)
		return;
	d->n++;
	if (!d->link || m->rtm_type != RTN_UNICAST || tb[RTA_GATEWAY] ||
	    attr_u32(tb[RTA_OIF]) != d->link)
		return;
	n = m->rtm_family == AF_INET ? 4 : 16;
	p.ip.family = n == 4 ? 4 : 6;
	p.bits = m->rtm_dst_len;
	if (tb[RTA_DST] && mnl_attr_get_payload_len(tb[RTA_DST]) == n)
		memcpy(p.ip.b, mnl_attr_get_payload(tb[RTA_DST]), n);
	*list_add(d->out->p, &d->out->n) = p;
}

static int dump_family(struct netlink *nl, uint8_t family,
		       struct route_dump *d)
{
	struct nlmsghdr *h = netlink_begin(nl, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	int err;

	m->rtm_family = family;
	mnl_attr_put_u32(h, RTA_TABLE, ROUTE_TABLE);
	err = netlink_ask(nl, h, on_route, d);
	/* the table doesn't exist yet, or the family doesn't at all */
	return err == -ENOENT || err == -EOPNOTSUPP || err == -EAFNOSUPPORT ?
		       0 :
		       err;
}

static int dump(struct netlink *nl, struct route_dump *d)
{
	int err = -EAGAIN, tries;

	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		d->n = 0;
		if (d->out) {
			free(d->out->p);
			memset(d->out, 0, sizeof(*d->out));
		}
		err = dump_family(nl, AF_INET, d);
		if (!err)
			err = dump_family(nl, AF_INET6, d);
	}
	return err;
}

int route_list(struct netlink *nl, uint32_t link, struct prefix_list *out)
{
	struct route_dump d = { .link = link, .out = out };

	return dump(nl, &d);
}

int route_table_used(struct netlink *nl, bool *used)
{
	struct route_dump d = { 0 };
	int err = dump(nl, &d);

	*used = d.n;
	return err;
}

static int set_route(struct netlink *nl, uint32_t link, const struct prefix *p,
		     bool add)
{
	struct nlmsghdr *h =
		netlink_begin(nl, add ? RTM_NEWROUTE : RTM_DELROUTE,
			      add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	size_t n = p->ip.family == 4 ? 4 : 16;

	m->rtm_family = n == 4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = p->bits;
	m->rtm_table = ROUTE_TABLE;
	m->rtm_protocol = add ? RTPROT_STATIC : RTPROT_UNSPEC;
	/* IPv6 has no scopes; deleting with "nowhere" takes any */
	m->rtm_scope = !add ? RT_SCOPE_NOWHERE :
		       n == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	if (p->bits)
		mnl_attr_put(h, RTA_DST, n, p->ip.b);
	mnl_attr_put_u32(h, RTA_TABLE, ROUTE_TABLE);
	mnl_attr_put_u32(h, RTA_OIF, link);
	return netlink_change(nl, h, NULL, NULL);
}

int route_add(struct netlink *nl, uint32_t link, const struct prefix *p)
{
	return set_route(nl, link, p, true);
}

int route_del(struct netlink *nl, uint32_t link, const struct prefix *p)
{
	int err = set_route(nl, link, p, false);

	return err == -ESRCH ? 0 : err;
}

void rule_wanted(uint8_t family, struct rule out[RULES])
{
	const struct rule r[RULES] = {
		{ .action = FR_ACT_TO_TBL, .priority = RULE_BASE,
		  .fwmark = FWMARK_BYPASS, .fwmask = FWMARK_MASK,
		  .table = RT_TABLE_MAIN },
		{ .action = FR_ACT_TO_TBL, .priority = RULE_BASE + 20,
		  .fwmark = FWMARK_BYPASS, .fwmask = FWMARK_MASK,
		  .table = RT_TABLE_DEFAULT },
		{ .action = FR_ACT_UNREACHABLE, .priority = RULE_BASE + 40,
		  .fwmark = FWMARK_BYPASS, .fwmask = FWMARK_MASK },
		{ .action = FR_ACT_TO_TBL, .priority = RULE_BASE + 60,
		  .table = ROUTE_TABLE },
	};
	size_t i;

	memcpy(out, r, sizeof(r));
	for (i = 0; i < RULES; i++)
		out[i].family = family;
}

static bool rule_equal(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && a->action == b->action &&
	       a->strange == b->strange && a->priority == b->priority &&
	       a->fwmark == b->fwmark && a->fwmask == b->fwmask &&
	       a->table == b->table;
}

/* At one of our priorities and to the same place: ours, damaged. */
static bool rule_resembles(const struct rule *a, const struct rule *b)
{
	return a->priority == b->priority && a->action == b->action &&
	       a->table == b->table;
}

void rule_diff(const struct rule *have, size_t n_have,
	       const struct rule want[RULES], struct rule *add, size_t *n_add,
	       struct rule *del, size_t *n_del)
{
	size_t i, j;

	*n_add = *n_del = 0;
	for (i = 0; i < RULES; i++) {
		bool found = false;

		for (j = 0; j < n_have; j++) {
			if (rule_equal(&have[j], &want[i]) && !found)
				found = true;
			else if (rule_resembles(&have[j], &want[i]))
				del[(*n_del)++] = have[j];
		}
		if (!found)
			add[(*n_add)++] = want[i];
	}
}

struct rule_dump {
	struct rule *out;
	size_t *n;
};

static void on_rule(void *ctx, const struct nlmsghdr *h)
{
	const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[FRA_MAX + 1];
	struct rule_dump *d = ctx;
	struct rule r = { 0 };

	if (h->nlmsg_type != RTM_NEWRULE)
		return;
	netlink_msg_attrs(h, sizeof(*m), tb, ARRAY_SIZE(tb));
	r.family = m->family == AF_INET ? 4 : 6;
	r.action = m->action;
	r.priority = attr_u32(tb[FRA_PRIORITY]);
	r.fwmark = attr_u32(tb[FRA_FWMARK]);
	r.fwmask = attr_u32(tb[FRA_FWMASK]);
	r.table = tb[FRA_TABLE] ? attr_u32(tb[FRA_TABLE]) : m->table;
	r.strange = m->src_len || m->dst_len || tb[FRA_IIFNAME] ||
		    tb[FRA_OIFNAME] || m->flags & FIB_RULE_INVERT;
	if (r.priority < RULE_BASE || r.priority > RULE_BASE + 60 ||
	    *d->n == RULES_MAX)
		return;
	d->out[(*d->n)++] = r;
}

int rule_list(struct netlink *nl, uint8_t family, struct rule out[RULES_MAX],
	      size_t *n)
{
	struct rule_dump d = { out, n };
	int err = -EAGAIN, tries;

	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		struct nlmsghdr *h =
			netlink_begin(nl, RTM_GETRULE, NLM_F_DUMP);
		struct fib_rule_hdr *m =
			mnl_nlmsg_put_extra_header(h, sizeof(*m));

		m->family = family == 4 ? AF_INET : AF_INET6;
		*n = 0;
		err = netlink_ask(nl, h, on_rule, &d);
	}
	return err;
}

static int set_rule(struct netlink *nl, const struct rule *r, bool add)
{
	struct nlmsghdr *h =
		netlink_begin(nl, add ? RTM_NEWRULE : RTM_DELRULE,
			      add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->family = r->family == 4 ? AF_INET : AF_INET6;
	m->action = r->action;
	m->table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(h, FRA_PRIORITY, r->priority);
	if (r->table)
		mnl_attr_put_u32(h, FRA_TABLE, r->table);
	if (r->fwmark)
		mnl_attr_put_u32(h, FRA_FWMARK, r->fwmark);
	if (r->fwmask)
		mnl_attr_put_u32(h, FRA_FWMASK, r->fwmask);
	return netlink_change(nl, h, NULL, NULL);
}

int rule_add(struct netlink *nl, const struct rule *r)
{
	int err = set_rule(nl, r, true);

	return err == -EEXIST ? 0 : err;
}

int rule_del(struct netlink *nl, const struct rule *r)
{
	int err = set_rule(nl, r, false);

	return err == -ENOENT ? 0 : err;
}
