// SPDX-License-Identifier: GPL-2.0
#include "kernel/module.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <string.h>
#include <unistd.h>

#include "kernel/addrset.h"
#include "kernel/list.h"
#include "lib/util.h"

static struct nlmsghdr *begin(struct netlink *nl, uint16_t family,
			      enum tailrace_cmd cmd, uint16_t flags,
			      uint16_t link_attr, uint32_t link)
{
	struct nlmsghdr *h = netlink_begin_genl(nl, family, cmd,
						TAILRACE_FAMILY_VERSION, flags);

	mnl_attr_put_u32(h, link_attr, link);
	return h;
}

static int change(struct netlink *nl, struct nlmsghdr *h)
{
	return netlink_change(nl, h, NULL, NULL);
}

/* Asks for a dump until it is consistent; @clear empties what @cb fills. */
static int dump(struct netlink *nl, uint16_t family, enum tailrace_cmd cmd,
		uint16_t link_attr, uint32_t link, netlink_cb cb, void *ctx,
		void (*clear)(void *ctx))
{
	int err = -EAGAIN, tries;

	for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
		clear(ctx);
		err = netlink_ask(
			nl, begin(nl, family, cmd, NLM_F_DUMP, link_attr, link),
			cb, ctx);
	}
	if (err)
		clear(ctx);
	return err;
}

/* Devices. */

static void on_link(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_DEVICE_MAX + 1];
	struct module_links *links = ctx;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	*list_add(links->index, &links->n) =
		attr_u32(tb[TAILRACE_A_DEVICE_IFINDEX]);
}

const char *module_open(struct netlink *nl, uint16_t *family,
			struct module_links *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	/* asking for the family would load the module */
	if (access("/sys/module/tailrace", F_OK))
		return "tailrace.ko is not loaded: modprobe tailrace";
	if (netlink_open(nl, NETLINK_GENERIC)) {
		netlink_close(nl);
		return "cannot ask the kernel: no generic netlink";
	}
	err = netlink_family(nl, TAILRACE_FAMILY_NAME, family, NULL, NULL);
	if (!err)
		err = netlink_ask(nl,
				  netlink_begin_genl(nl, *family,
						     TAILRACE_CMD_DEV_GET,
						     TAILRACE_FAMILY_VERSION,
						     NLM_F_DUMP),
				  on_link, out);
	/* a list that changed while it was dumped is good enough for people */
	if (!err || err == -EAGAIN)
		return NULL;
	free(out->index);
	netlink_close(nl);
	return err == -EPERM ? "only root may ask tailrace.ko: use sudo" :
			       "tailrace.ko does not answer";
}

/* How a setting, all of them u32, is called and where it is. */
static const struct setting {
	enum module_setting bit;
	uint16_t attr;
	size_t offset;
	const char *name;
} settings[] = {
	{ MODULE_FLAGS, TAILRACE_A_DEVICE_FLAGS,
	  offsetof(struct kernel_settings, flags), "strict" },
	{ MODULE_MAX_STALE, TAILRACE_A_DEVICE_MAX_STALE,
	  offsetof(struct kernel_settings, max_stale), "max-stale" },
	{ MODULE_FLOWS_MAX, TAILRACE_A_DEVICE_FLOWS_MAX,
	  offsetof(struct kernel_settings, flows_max), "flow-table" },
	{ MODULE_RECORDS, TAILRACE_A_DEVICE_RECORDS,
	  offsetof(struct kernel_settings, records), "flow-records" },
};

static uint32_t *setting_of(const struct kernel_settings *s,
			    const struct setting *which)
{
	return (uint32_t *)((uintptr_t)s + which->offset);
}

unsigned int module_diff_settings(const struct kernel_settings *a,
				  const struct kernel_settings *b)
{
	unsigned int differ = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(settings); i++)
		if (*setting_of(a, &settings[i]) !=
		    *setting_of(b, &settings[i]))
			differ |= settings[i].bit;
	return differ;
}

static const struct setting *find_setting(enum module_setting which)
{
	size_t i = 0;

	while (settings[i].bit != which)
		i++;
	return &settings[i];
}

const char *module_setting_name(enum module_setting which)
{
	return find_setting(which)->name;
}

int module_set_setting(struct netlink *nl, uint16_t family, uint32_t link,
		       const struct kernel_settings *s,
		       enum module_setting which)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_DEV_SET, 0,
				   TAILRACE_A_DEVICE_IFINDEX, link);
	const struct setting *setting = find_setting(which);

	mnl_attr_put_u32(h, setting->attr, *setting_of(s, setting));
	return change(nl, h);
}

static void on_device(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_DEVICE_MAX + 1];
	struct module_device *d = ctx;
	size_t i;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	d->port = attr_u16(tb[TAILRACE_A_DEVICE_PORT]);
	d->state = attr_u32(tb[TAILRACE_A_DEVICE_STATE]);
	d->generation = attr_u32(tb[TAILRACE_A_DEVICE_GENERATION]);
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		*setting_of(&d->settings, &settings[i]) =
			attr_u32(tb[settings[i].attr]);
		if (tb[settings[i].attr])
			d->has |= settings[i].bit;
	}
}

int module_device_get(struct netlink *nl, uint16_t family, uint32_t link,
		      struct module_device *out)
{
	memset(out, 0, sizeof(*out));
	return netlink_ask(nl,
			   begin(nl, family, TAILRACE_CMD_DEV_GET, 0,
				 TAILRACE_A_DEVICE_IFINDEX, link),
			   on_device, out);
}

int module_attach(struct netlink *nl, uint16_t family, uint32_t link,
		  uint16_t port)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_DEV_ATTACH, 0,
				   TAILRACE_A_DEVICE_IFINDEX, link);

	mnl_attr_put_u16(h, TAILRACE_A_DEVICE_PORT, port);
	return change(nl, h);
}

int module_set_port(struct netlink *nl, uint16_t family, uint32_t link,
		    uint16_t port)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_DEV_SET, 0,
				   TAILRACE_A_DEVICE_IFINDEX, link);

	mnl_attr_put_u16(h, TAILRACE_A_DEVICE_PORT, port);
	return change(nl, h);
}

int module_bind(struct netlink *nl, uint16_t family, uint32_t link, int fd)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_SOCKET_BIND, 0,
				   TAILRACE_A_DEVICE_IFINDEX, link);

	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_FD, (uint32_t)fd);
	return change(nl, h);
}

/* Peers. */

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
	err = dump(nl, family, TAILRACE_CMD_PEER_GET, TAILRACE_A_PEER_IFINDEX,
		   link, on_peer, out, clear_peers);
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
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_PEER_SET, 0,
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
	err = change(nl, h);
	explicit_bzero(h, n);
	return err;
}

int module_peer_del(struct netlink *nl, uint16_t family, uint32_t link,
		    uint32_t id)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_PEER_DEL, 0,
				   TAILRACE_A_PEER_IFINDEX, link);

	mnl_attr_put_u32(h, TAILRACE_A_PEER_ID, id);
	return change(nl, h);
}

/* Aliases. */

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
	err = dump(nl, family, TAILRACE_CMD_ALIAS_GET,
		   TAILRACE_A_ALIAS_IFINDEX, link, on_alias, out,
		   clear_aliases);
	join_aliases(out);
	return err;
}

int module_alias_set(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct alias *a)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_ALIAS_SET, 0,
				   TAILRACE_A_ALIAS_IFINDEX, link);
	struct tailrace_endpoint e = to_endpoint(&a->canonical);
	struct tailrace_endpoint seen[TAILRACE_MAX_ALIASES];
	size_t i;

	mnl_attr_put_u32(h, TAILRACE_A_ALIAS_PEER, a->peer);
	mnl_attr_put(h, TAILRACE_A_ALIAS_CANONICAL, sizeof(e), &e);
	for (i = 0; i < a->n_seen && i < ARRAY_SIZE(seen); i++)
		seen[i] = to_endpoint(&a->seen[i]);
	put_list(h, TAILRACE_A_ALIAS_SEEN, seen, i, sizeof(*seen));
	return change(nl, h);
}

int module_alias_del(struct netlink *nl, uint16_t family, uint32_t link,
		     uint32_t peer)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_ALIAS_DEL, 0,
				   TAILRACE_A_ALIAS_IFINDEX, link);

	mnl_attr_put_u32(h, TAILRACE_A_ALIAS_PEER, peer);
	return change(nl, h);
}

/* TSMP and events. */

static size_t ip_size(const struct ip_addr *ip)
{
	return ip->family == 4 ? 4 : 16;
}

int module_send_tsmp(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct ip_addr *src, const struct ip_addr *dst,
		     const uint8_t *data, size_t n)
{
	struct nlmsghdr *h = begin(nl, family, TAILRACE_CMD_TSMP_SEND, 0,
				   TAILRACE_A_TSMP_IFINDEX, link);

	mnl_attr_put(h, TAILRACE_A_TSMP_SRC, ip_size(src), src->b);
	mnl_attr_put(h, TAILRACE_A_TSMP_DST, ip_size(dst), dst->b);
	mnl_attr_put(h, TAILRACE_A_TSMP_PAYLOAD, n, data);
	/* changes no state: not counted */
	return netlink_ask(nl, h, NULL, NULL);
}

static bool read_ip(const struct nlattr *a, struct ip_addr *ip)
{
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;

	if (n != 4 && n != 16)
		return false;
	ip->family = n == 4 ? 4 : 6;
	memcpy(ip->b, mnl_attr_get_payload(a), n);
	return true;
}

static bool parse_tsmp(const struct nlmsghdr *h, struct module_event *out)
{
	const struct nlattr *tb[TAILRACE_A_TSMP_MAX + 1], *payload;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	payload = tb[TAILRACE_A_TSMP_PAYLOAD];
	if (!read_ip(tb[TAILRACE_A_TSMP_SRC], &out->src) ||
	    !read_ip(tb[TAILRACE_A_TSMP_DST], &out->dst) || !payload)
		return false;
	out->link = attr_u32(tb[TAILRACE_A_TSMP_IFINDEX]);
	out->data = mnl_attr_get_payload(payload);
	out->n = mnl_attr_get_payload_len(payload);
	return out->n && out->n <= TAILRACE_MAX_TSMP;
}

bool module_event_parse(const struct nlmsghdr *h, struct module_event *out)
{
	const struct nlattr *tb[TAILRACE_A_EVENT_MAX + 1];
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(h);

	memset(out, 0, sizeof(*out));
	out->cmd = g->cmd;
	switch (g->cmd) {
	case TAILRACE_CMD_TSMP_NTF:
		return parse_tsmp(h, out);
	case TAILRACE_CMD_PEER_ACTIVE_NTF:
	case TAILRACE_CMD_PEER_IDLE_NTF:
	case TAILRACE_CMD_SOURCE_NTF:
	case TAILRACE_CMD_STATE_NTF:
	case TAILRACE_CMD_RESYNC_NTF:
		/* DEVICE_IFINDEX and EVENT_IFINDEX are both number 1 */
		netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
		out->link = attr_u32(tb[TAILRACE_A_EVENT_IFINDEX]);
		if (g->cmd != TAILRACE_CMD_STATE_NTF)
			out->peer = attr_u32(tb[TAILRACE_A_EVENT_PEER]);
		return true;
	}
	return false;
}
