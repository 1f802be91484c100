// SPDX-License-Identifier: GPL-2.0
#include "kernel/network.h"

#include <errno.h>
#include <string.h>

#include "kernel/link.h"
#include "kernel/route.h"
#include "lib/util.h"

struct network {
	struct netlink *nl;
	uint32_t link;
	const struct kernel_state *state;
	struct fault *fault;
};

typedef int (*prefix_op)(struct netlink *nl, uint32_t link,
			 const struct prefix *p);

static void each(const struct network *net, const char *what,
		 const struct prefix_list *list, prefix_op op)
{
	char text[PREFIX_TEXT_MAX];
	size_t i;

	for (i = 0; i < list->n; i++)
		if (op(net->nl, net->link, &list->p[i]))
			fault_note(net->fault, "%s %s: %s", what,
				   prefix_format(&list->p[i], text),
				   net->nl->error);
}

/* What is missing comes before what is too much goes. */
static void apply_prefixes(const struct network *net, const char *what,
			   struct prefix_list *have, const struct prefix *p,
			   size_t n, prefix_op add_one, prefix_op del_one)
{
	struct prefix_list want = { (struct prefix *)p, n }, add, del;

	prefix_list_diff(have, &want, link_has_ipv6(net->state->ifname), &add,
			 &del);
	each(net, what, &add, add_one);
	each(net, what, &del, del_one);
	free(add.p);
	free(del.p);
}

static void apply_addrs(const struct network *net)
{
	struct prefix_list have = { 0 };

	if (link_addrs(net->nl, net->link, &have))
		fault_note(net->fault, "reading addresses: %s",
			   net->nl->error);
	else
		apply_prefixes(net, "address", &have, net->state->addrs,
			       net->state->n_addrs, link_add_addr,
			       link_del_addr);
	free(have.p);
}

static void apply_routes(const struct network *net)
{
	struct prefix_list have = { 0 };

	if (route_list(net->nl, net->link, &have))
		fault_note(net->fault, "reading routes: %s", net->nl->error);
	else
		apply_prefixes(net, "route", &have, net->state->routes,
			       net->state->n_routes, route_add, route_del);
	free(have.p);
}

static void apply_rules(const struct network *net, uint8_t family)
{
	struct rule have[RULES_MAX], want[RULES], add[RULES], del[RULES_MAX];
	size_t n_have, n_add = 0, n_del = 1, i;
	int err = 0, passes;

	rule_wanted(family, want);
	/* a deletion may take another one of the same priority: look again */
	for (passes = 0; !err && n_del && passes < RULES_MAX; passes++) {
		err = rule_list(net->nl, family, have, &n_have);
		if (err)
			break;
		rule_diff(have, n_have, want, add, &n_add, del, &n_del);
		if (n_del)
			err = rule_del(net->nl, &del[0]);
	}
	for (i = 0; !err && i < n_add; i++)
		err = rule_add(net->nl, &add[i]);
	if (err)
		fault_note(net->fault, "policy rules: %s", net->nl->error);
}

void network_apply(struct netlink *nl, uint32_t link,
		   const struct kernel_state *state, struct fault *fault)
{
	const struct network net = { nl, link, state, fault };

	apply_addrs(&net);
	apply_routes(&net);
	apply_rules(&net, 4);
	if (!access("/proc/net/if_inet6", F_OK))
		apply_rules(&net, 6);
}

static void del_routes(struct netlink *nl, uint32_t link)
{
	struct prefix_list routes = { 0 };
	size_t i;

	if (!route_list(nl, link, &routes))
		for (i = 0; i < routes.n; i++)
			route_del(nl, link, &routes.p[i]);
	free(routes.p);
}

/* The rules lead to a table that tailnets share: the last one removes them. */
static void del_rules(struct netlink *nl)
{
	struct rule want[RULES];
	bool used;
	size_t i;

	if (route_table_used(nl, &used) || used)
		return;
	for (uint8_t family = 4; family <= 6; family += 2) {
		rule_wanted(family, want);
		for (i = 0; i < RULES; i++)
			rule_del(nl, &want[i]);
	}
}

int network_remove(struct netlink *nl, const char *ifname)
{
	struct link l;
	int err = link_get(nl, ifname, &l);

	if (!err && l.wireguard) {
		del_routes(nl, l.index);
		err = link_delete(nl, l.index);
	}
	if (err && err != -ENODEV)
		return err;
	del_rules(nl);
	return 0;
}
