// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <string.h>

#include "kernel/list.h"
#include "kernel/module.h"
#include "kernel/module_ask.h"
#include "lib/util.h"

static struct tailrace_endpoint to_endpoint(const struct endpoint *e)
{
	struct tailrace_endpoint out = {
		.family = e->ip.family == 4 ? AF_INET : AF_INET6,
		.port = htons(e->port),
	};

	memcpy(out.addr, e->ip.b, 16);
	return out;
}

static struct endpoint from_endpoint(const struct tailrace_endpoint *e)
{
	struct endpoint out = { .port = ntohs(e->port) };

	out.ip.family = e->family == AF_INET ? 4 : 6;
	memcpy(out.ip.b, e->addr, out.ip.family == 4 ? 4 : 16);
	return out;
}

static void on_alias(void *ctx, const struct nlmsghdr *h)
{
	const struct tailrace_endpoint *canonical = NULL;
	struct alias_list *list = ctx;
	const struct nlattr *at;
	struct alias *a;
	uint32_t peer = 0;

	mnl_attr_for_each(at, h, GENL_HDRLEN) {
		if (mnl_attr_get_type(at) == TAILRACE_A_ALIAS_PEER)
			peer = attr_u32(at);
		if (mnl_attr_get_type(at) == TAILRACE_A_ALIAS_CANONICAL &&
		    mnl_attr_get_payload_len(at) == sizeof(*canonical))
			canonical = mnl_attr_get_payload(at);
	}
	if (!peer || !canonical)
		return;
	/* a peer's messages may follow each other */
	if (list->n && list->a[list->n - 1].peer == peer) {
		a = &list->a[list->n - 1];
	} else {
		a = list_add(list->a, &list->n);
		a->peer = peer;
	}
	a->canonical = from_endpoint(canonical);
	mnl_attr_for_each(at, h, GENL_HDRLEN) {
		const struct tailrace_endpoint *seen = mnl_attr_get_payload(at);
		size_t n = mnl_attr_get_payload_len(at) / sizeof(*seen), i;

		if (mnl_attr_get_type(at) != TAILRACE_A_ALIAS_SEEN)
			continue;
		for (i = 0; i < n; i++) {
			struct endpoint e = from_endpoint(&seen[i]);

			if (!endpoint_equal(&e, &a->canonical))
				*list_add(a->seen, &a->n_seen) = e;
		}
	}
}

static void clear_aliases(void *ctx)
{
	alias_free(ctx);
}

/* The messages of one peer need not be neighbours. */
static void join_aliases(struct alias_list *list)
{
	size_t i, j, kept = 0;

	alias_sort(list);
	for (i = 1; i < list->n; i++) {
		struct alias *to = &list->a[kept], *from = &list->a[i];

		if (to->peer != from->peer) {
			list->a[++kept] = *from;
			continue;
		}
		for (j = 0; j < from->n_seen; j++)
			*list_add(to->seen, &to->n_seen) = from->seen[j];
		free(from->seen);
	}
	if (list->n)
		list->n = kept + 1;
	alias_sort(list);
}

int module_aliases_get(struct netlink *nl, uint16_t family, uint32_t link,
		       struct alias_list *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = module_dump(nl, family, TAILRACE_CMD_ALIAS_GET,
			  TAILRACE_A_ALIAS_IFINDEX, link, on_alias, out,
			  clear_aliases);
	join_aliases(out);
	return err;
}

int module_alias_set(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct alias *a)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_ALIAS_SET, 0,
			     TAILRACE_A_ALIAS_IFINDEX, link);
	struct tailrace_endpoint e = to_endpoint(&a->canonical);
	struct tailrace_endpoint seen[TAILRACE_MAX_ALIASES];
	size_t i;

	mnl_attr_put_u32(h, TAILRACE_A_ALIAS_PEER, a->peer);
	mnl_attr_put(h, TAILRACE_A_ALIAS_CANONICAL, sizeof(e), &e);
	for (i = 0; i < a->n_seen && i < ARRAY_SIZE(seen); i++)
		seen[i] = to_endpoint(&a->seen[i]);
	if (i)
		mnl_attr_put(h, TAILRACE_A_ALIAS_SEEN, i * sizeof(*seen), seen);
	return module_change(nl, h);
}

int module_alias_del(struct netlink *nl, uint16_t family, uint32_t link,
		     uint32_t peer)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_ALIAS_DEL, 0,
			     TAILRACE_A_ALIAS_IFINDEX, link);

	mnl_attr_put_u32(h, TAILRACE_A_ALIAS_PEER, peer);
	return module_change(nl, h);
}
