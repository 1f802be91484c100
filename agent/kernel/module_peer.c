// SPDX-License-Identifier: GPL-2.0
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/addrset.h"
#include "kernel/list.h"
#include "kernel/module.h"
#include "kernel/module_ask.h"
#include "lib/util.h"

static int compare_addrs(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_addr));
}

static int compare_ids(const void *a, const void *b)
{
	const struct module_peer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static struct tailrace_addr *to_addrs(const struct prefix *p, size_t n)
{
	struct tailrace_addr *out = n ? xcalloc(n, sizeof(*out)) : NULL;
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = addrset_prefix(&p[i]);
	return out;
}

static void sort_peer(struct module_peer *p)
{
	p->n_addrs = list_unique(p->addrs, p->n_addrs, sizeof(*p->addrs),
				 compare_addrs);
	p->n_routes = list_unique(p->routes, p->n_routes, sizeof(*p->routes),
				  compare_addrs);
	p->n_caps = list_unique(p->caps, p->n_caps, sizeof(*p->caps),
				list_compare_u32);
}

void module_peers_from_state(struct module_peers *out,
			     const struct kernel_state *state)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < state->n_peers; i++) {
		const struct kernel_peer *from = &state->peers[i];
		struct module_peer *to = list_add(out->p, &out->n);

		to->id = from->id;
		to->flags = from->flags;
		to->addrs = to_addrs(from->addrs, from->n_addrs);
		to->n_addrs = from->n_addrs;
		to->routes = to_addrs(from->allowed_ips, from->n_allowed_ips);
		to->n_routes = from->n_allowed_ips;
		to->caps = list_copy(from->caps, from->n_caps,
				     sizeof(*from->caps));
		to->n_caps = from->n_caps;
		if (!key_is_zero(&state->disco) &&
		    !key_is_zero(&from->disco) &&
		    !key_is_zero(&from->disco_shared)) {
			to->disco = from->disco;
			to->disco_own = state->disco;
			to->disco_shared = &from->disco_shared;
		}
		sort_peer(to);
	}
	if (out->n)
		qsort(out->p, out->n, sizeof(*out->p), compare_ids);
}

/* An attribute's length has 16 bits; longer lists come and go in pieces. */
#define ADDRS_PIECE 1024

static void *read_pieces(const struct nlmsghdr *h, uint16_t type, size_t size,
			 size_t *n)
{
	const struct nlattr *a;
	uint8_t *list = NULL;
	size_t bytes = 0;

	mnl_attr_for_each(a, h, GENL_HDRLEN) {
		size_t more = mnl_attr_get_payload_len(a);

		if (mnl_attr_get_type(a) != type)
			continue;
		list = xrealloc(list, bytes + more, 1);
		memcpy(list + bytes, mnl_attr_get_payload(a), more);
		bytes += more;
	}
	*n = bytes / size;
	return list;
}

static struct key read_key(const struct nlattr *a)
{
	struct key k = { 0 };

	if (a && mnl_attr_get_payload_len(a) == KEY_LEN)
		memcpy(k.b, mnl_attr_get_payload(a), KEY_LEN);
	return k;
}

static void on_peer(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_PEER_MAX + 1];
	struct module_peers *peers = ctx;
	struct module_peer *p;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	p = list_add(peers->p, &peers->n);
	p->id = attr_u32(tb[TAILRACE_A_PEER_ID]);
	p->flags = attr_u32(tb[TAILRACE_A_PEER_FLAGS]);
	p->active = tb[TAILRACE_A_PEER_ACTIVE];
	p->addrs = read_pieces(h, TAILRACE_A_PEER_ADDRS, sizeof(*p->addrs),
			       &p->n_addrs);
	p->routes = read_pieces(h, TAILRACE_A_PEER_ROUTES, sizeof(*p->routes),
				&p->n_routes);
	p->caps = read_pieces(h, TAILRACE_A_PEER_CAPS, sizeof(*p->caps),
			      &p->n_caps);
	p->disco = read_key(tb[TAILRACE_A_PEER_DISCO]);
	p->disco_own = read_key(tb[TAILRACE_A_PEER_DISCO_OWN]);
	sort_peer(p);
}

static void clear_peers(void *ctx)
{
	module_peers_free(ctx);
}

int module_peers_get(struct netlink *nl, uint16_t family, uint32_t link,
		     struct module_peers *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = module_dump(nl, family, TAILRACE_CMD_PEER_GET,
			  TAILRACE_A_PEER_IFINDEX, link, on_peer, out,
			  clear_peers);
	if (out->n)
		qsort(out->p, out->n, sizeof(*out->p), compare_ids);
	return err;
}

void module_peers_free(struct module_peers *peers)
{
	size_t i;

	for (i = 0; i < peers->n; i++) {
		free(peers->p[i].addrs);
		free(peers->p[i].routes);
		free(peers->p[i].caps);
	}
	free(peers->p);
	memset(peers, 0, sizeof(*peers));
}

struct module_peer *module_peer_find(const struct module_peers *peers,
				     uint32_t id)
{
	struct module_peer wanted = { .id = id };

	return peers->n ? bsearch(&wanted, peers->p, peers->n, sizeof(wanted),
				  compare_ids) :
			  NULL;
}

static bool list_equal(const void *a, size_t n_a, const void *b, size_t n_b,
		       size_t size)
{
	return n_a == n_b && (!n_a || !memcmp(a, b, n_a * size));
}

bool module_peer_equal(const struct module_peer *a,
		       const struct module_peer *b)
{
	return a->id == b->id && a->flags == b->flags &&
	       key_equal(&a->disco, &b->disco) &&
	       key_equal(&a->disco_own, &b->disco_own) &&
	       list_equal(a->addrs, a->n_addrs, b->addrs, b->n_addrs,
			  sizeof(*a->addrs)) &&
	       list_equal(a->routes, a->n_routes, b->routes, b->n_routes,
			  sizeof(*a->routes)) &&
	       list_equal(a->caps, a->n_caps, b->caps, b->n_caps,
			  sizeof(*a->caps));
}

static void put_list(struct nlmsghdr *h, uint16_t type, const void *list,
		     size_t n, size_t size)
{
	if (n)
		mnl_attr_put(h, type, n * size, list);
}

static void put_addrs(struct nlmsghdr *h, uint16_t type,
		      const struct tailrace_addr *addrs, size_t n)
{
	size_t i, some;

	for (i = 0; i < n; i += some) {
		some = n - i < ADDRS_PIECE ? n - i : ADDRS_PIECE;
		put_list(h, type, addrs + i, some, sizeof(*addrs));
	}
}

int module_peer_set(struct netlink *nl, uint16_t family, uint32_t link,
		    const struct module_peer *p)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_PEER_SET, 0,
			     TAILRACE_A_PEER_IFINDEX, link);
	size_t n;
	int err;

	mnl_attr_put_u32(h, TAILRACE_A_PEER_ID, p->id);
	mnl_attr_put_u32(h, TAILRACE_A_PEER_FLAGS, p->flags);
	put_addrs(h, TAILRACE_A_PEER_ADDRS, p->addrs, p->n_addrs);
	put_addrs(h, TAILRACE_A_PEER_ROUTES, p->routes, p->n_routes);
	put_list(h, TAILRACE_A_PEER_CAPS, p->caps, p->n_caps,
		 sizeof(*p->caps));
	if (p->disco_shared) {
		mnl_attr_put(h, TAILRACE_A_PEER_DISCO, KEY_LEN, p->disco.b);
		mnl_attr_put(h, TAILRACE_A_PEER_DISCO_OWN, KEY_LEN,
			     p->disco_own.b);
		mnl_attr_put(h, TAILRACE_A_PEER_DISCO_SHARED, KEY_LEN,
			     p->disco_shared->b);
	}
	n = h->nlmsg_len;
	err = module_change(nl, h);
	explicit_bzero(h, n);
	return err;
}

int module_peer_del(struct netlink *nl, uint16_t family, uint32_t link,
		    uint32_t id)
{
	struct nlmsghdr *h =
		module_begin(nl, family, TAILRACE_CMD_PEER_DEL, 0,
			     TAILRACE_A_PEER_IFINDEX, link);

	mnl_attr_put_u32(h, TAILRACE_A_PEER_ID, id);
	return module_change(nl, h);
}
