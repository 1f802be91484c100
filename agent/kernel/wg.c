// SPDX-License-Identifier: GPL-2.0
#include "kernel/wg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <string.h>

#include "kernel/list.h"
#include "lib/util.h"

static int family_of(struct netlink *nl, uint16_t *id)
{
	return netlink_family(nl, WG_GENL_NAME, id, NULL, NULL);
}

static int compare_peers(const void *a, const void *b)
{
	return key_compare(&((const struct wg_peer *)a)->public_key,
			   &((const struct wg_peer *)b)->public_key);
}

static int compare_prefixes(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

void wg_sort(struct wg_device *d)
{
	size_t i;

	if (d->n_peers)
		qsort(d->peers, d->n_peers, sizeof(*d->peers), compare_peers);
	for (i = 0; i < d->n_peers; i++)
		if (d->peers[i].n_allowed_ips)
			qsort(d->peers[i].allowed_ips,
			      d->peers[i].n_allowed_ips,
			      sizeof(struct prefix), compare_prefixes);
}

struct wg_peer *wg_find(const struct wg_device *d, const struct key *k)
{
	struct wg_peer wanted = { .public_key = *k };

	return d->n_peers ? bsearch(&wanted, d->peers, d->n_peers,
				    sizeof(*d->peers), compare_peers) :
			    NULL;
}

void wg_free(struct wg_device *d)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++)
		free(d->peers[i].allowed_ips);
	free(d->peers);
	key_wipe(&d->private_key);
	memset(d, 0, sizeof(*d));
}

/* The dump. */

static bool read_key(const struct nlattr *a, struct key *k)
{
	if (!a || mnl_attr_get_payload_len(a) != KEY_LEN)
		return false;
	memcpy(k->b, mnl_attr_get_payload(a), KEY_LEN);
	return true;
}

static void read_allowed_ips(const struct nlattr *list, struct wg_peer *p)
{
	const struct nlattr *one;

	mnl_attr_for_each_nested(one, list) {
		const struct nlattr *tb[WGALLOWEDIP_A_MAX + 1], *ip;
		struct prefix *to;
		size_t n;

		netlink_nest_attrs(one, tb, ARRAY_SIZE(tb));
		ip = tb[WGALLOWEDIP_A_IPADDR];
		n = ip ? mnl_attr_get_payload_len(ip) : 0;
		if ((n != 4 && n != 16) || !tb[WGALLOWEDIP_A_CIDR_MASK])
			continue;
		to = list_add(p->allowed_ips, &p->n_allowed_ips);
		to->ip.family = n == 4 ? 4 : 6;
		memcpy(to->ip.b, mnl_attr_get_payload(ip), n);
		to->bits = mnl_attr_get_u8(tb[WGALLOWEDIP_A_CIDR_MASK]);
	}
}

static void read_endpoint(const struct nlattr *a, struct endpoint *e)
{
	struct sockaddr_storage ss = { 0 };
	size_t n = mnl_attr_get_payload_len(a);

	if (n > sizeof(ss))
		return;
	memcpy(&ss, mnl_attr_get_payload(a), n);
	if (endpoint_from_sockaddr(e, (struct sockaddr *)&ss))
		memset(e, 0, sizeof(*e));
}

static void read_peer(struct wg_device *d, const struct nlattr *nest)
{
	const struct nlattr *tb[WGPEER_A_MAX + 1];
	struct wg_peer *p;
	struct key k, psk;

	netlink_nest_attrs(nest, tb, ARRAY_SIZE(tb));
	if (!read_key(tb[WGPEER_A_PUBLIC_KEY], &k))
		return;
	/* a peer with many allowed IPs goes on in the next message */
	if (!d->n_peers ||
	    !key_equal(&d->peers[d->n_peers - 1].public_key, &k)) {
		p = list_add(d->peers, &d->n_peers);
		p->public_key = k;
	}
	p = &d->peers[d->n_peers - 1];
	if (tb[WGPEER_A_ENDPOINT])
		read_endpoint(tb[WGPEER_A_ENDPOINT], &p->endpoint);
	if (tb[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL])
		p->keepalive =
			attr_u16(tb[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL]);
	if (read_key(tb[WGPEER_A_PRESHARED_KEY], &psk)) {
		p->psk = !key_is_zero(&psk);
		key_wipe(&psk);
	}
	if (tb[WGPEER_A_RX_BYTES])
		p->rx_bytes = attr_u64(tb[WGPEER_A_RX_BYTES]);
	if (tb[WGPEER_A_TX_BYTES])
		p->tx_bytes = attr_u64(tb[WGPEER_A_TX_BYTES]);
	/* struct __kernel_timespec: 64-bit seconds first */
	if (tb[WGPEER_A_LAST_HANDSHAKE_TIME])
		p->last_handshake =
			(int64_t)attr_u64(tb[WGPEER_A_LAST_HANDSHAKE_TIME]);
	if (tb[WGPEER_A_ALLOWEDIPS])
		read_allowed_ips(tb[WGPEER_A_ALLOWEDIPS], p);
}

static void on_device(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[WGDEVICE_A_MAX + 1], *one;
	struct wg_device *d = ctx;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	if (tb[WGDEVICE_A_IFINDEX])
		d->link = attr_u32(tb[WGDEVICE_A_IFINDEX]);
	if (tb[WGDEVICE_A_LISTEN_PORT])
		d->port = attr_u16(tb[WGDEVICE_A_LISTEN_PORT]);
	if (tb[WGDEVICE_A_FWMARK])
		d->fwmark = attr_u32(tb[WGDEVICE_A_FWMARK]);
	read_key(tb[WGDEVICE_A_PRIVATE_KEY], &d->private_key);
	if (tb[WGDEVICE_A_PEERS])
		mnl_attr_for_each_nested(one, tb[WGDEVICE_A_PEERS])
			read_peer(d, one);
}

int wg_get(struct netlink *nl, uint32_t link, struct wg_device *out)
{
	uint16_t family;
	int err, tries;

	memset(out, 0, sizeof(*out));
	err = family_of(nl, &family);
	if (err)
		return err;
	for (tries = 0; tries < 10; tries++) {
		struct nlmsghdr *h = netlink_begin_genl(nl, family,
							WG_CMD_GET_DEVICE,
							WG_GENL_VERSION,
							NLM_F_DUMP);

		mnl_attr_put_u32(h, WGDEVICE_A_IFINDEX, link);
		err = netlink_ask(nl, h, on_device, out);
		if (!err)
			break;
		wg_free(out);
		if (err != -EAGAIN)
			break;
	}
	if (!err)
		wg_sort(out);
	return err;
}

/* The difference. */

unsigned int wg_diff_device(const struct wg_device *have,
			    const struct wg_device *want)
{
	unsigned int fields = 0;

	if (!key_equal(&have->private_key, &want->private_key))
		fields |= WG_PRIVATE_KEY;
	if (want->port && have->port != want->port)
		fields |= WG_PORT;
	if (have->fwmark != want->fwmark)
		fields |= WG_FWMARK;
	return fields;
}

struct wg_change *wg_plan_add(struct wg_plan *plan, const struct key *k)
{
	struct wg_change *c = list_add(plan->changes, &plan->n);

	c->public_key = *k;
	return c;
}

/*
 * What @want has and @have lacks goes to *add, the reverse to *gone. Both are
 * sorted.
 */
static void diff_prefixes(const struct wg_peer *have,
			  const struct wg_peer *want, struct prefix **add,
			  size_t *n_add, struct prefix **gone, size_t *n_gone)
{
	size_t h = 0, w = 0;

	while (h < have->n_allowed_ips || w < want->n_allowed_ips) {
		int c;

		if (h == have->n_allowed_ips)
			c = 1;
		else if (w == want->n_allowed_ips)
			c = -1;
		else
			c = prefix_compare(&have->allowed_ips[h],
					   &want->allowed_ips[w]);
		if (c > 0)
			*list_add(*add, n_add) = want->allowed_ips[w];
		if (c < 0)
			*list_add(*gone, n_gone) = have->allowed_ips[h];
		w += c >= 0;
		h += c <= 0;
	}
}

/* What a peer lost because another one takes it needs no message. */
static void dig_pit(struct wg_plan *plan, const struct key *pit,
		    struct prefix *gone, size_t n_gone)
{
	struct prefix *taken = NULL;
	size_t n_taken = 0, i, j;
	struct wg_change *c;

	for (i = 0; i < plan->n; i++)
		for (j = 0; j < plan->changes[i].n_add; j++)
			*list_add(taken, &n_taken) = plan->changes[i].add[j];
	if (n_taken)
		qsort(taken, n_taken, sizeof(*taken), compare_prefixes);
	for (i = j = 0; i < n_gone; i++)
		if (!n_taken || !bsearch(&gone[i], taken, n_taken,
					 sizeof(*taken), compare_prefixes))
			gone[j++] = gone[i];
	free(taken);
	if (!j) {
		free(gone);
		return;
	}
	c = wg_plan_add(plan, pit);
	c->create = true;
	c->add = gone;
	c->n_add = j;
	wg_plan_add(plan, pit)->remove = true;
}

static void diff_peer(struct wg_plan *plan, const struct wg_peer *have,
		      const struct wg_peer *want, struct prefix **gone,
		      size_t *n_gone)
{
	static const struct wg_peer nothing;
	struct wg_change c = { .public_key = want->public_key,
			       .create = !have };

	if (!have)
		have = &nothing;
	c.reset = have->keepalive || have->psk;
	if (want->endpoint.ip.family &&
	    !endpoint_equal(&have->endpoint, &want->endpoint))
		c.endpoint = want->endpoint;
	diff_prefixes(have, want, &c.add, &c.n_add, gone, n_gone);
	if (c.create || c.reset || c.endpoint.ip.family || c.n_add)
		*wg_plan_add(plan, &want->public_key) = c;
}

void wg_diff_peers(const struct wg_device *have, const struct wg_device *want,
		   const struct key *pit, struct wg_plan *plan)
{
	struct prefix *gone = NULL;
	size_t n_gone = 0, i;

	memset(plan, 0, sizeof(*plan));
	for (i = 0; i < want->n_peers; i++)
		diff_peer(plan, wg_find(have, &want->peers[i].public_key),
			  &want->peers[i], &gone, &n_gone);
	dig_pit(plan, pit, gone, n_gone);
	for (i = 0; i < have->n_peers; i++)
		if (!wg_find(want, &have->peers[i].public_key))
			wg_plan_add(plan, &have->peers[i].public_key)->remove =
				true;
}

void wg_plan_free(struct wg_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n; i++)
		free(plan->changes[i].add);
	free(plan->changes);
	memset(plan, 0, sizeof(*plan));
}

/* The messages. */

int wg_set_device(struct netlink *nl, const struct wg_device *want,
		  unsigned int fields)
{
	struct nlmsghdr *h;
	uint16_t family;
	int err = family_of(nl, &family);

	if (err)
		return err;
	h = netlink_begin_genl(nl, family, WG_CMD_SET_DEVICE, WG_GENL_VERSION,
			       0);
	mnl_attr_put_u32(h, WGDEVICE_A_IFINDEX, want->link);
	if (fields & WG_PRIVATE_KEY)
		mnl_attr_put(h, WGDEVICE_A_PRIVATE_KEY, KEY_LEN,
			     want->private_key.b);
	if (fields & WG_PORT)
		mnl_attr_put_u16(h, WGDEVICE_A_LISTEN_PORT, want->port);
	if (fields & WG_FWMARK)
		mnl_attr_put_u32(h, WGDEVICE_A_FWMARK, want->fwmark);
	return netlink_change(nl, h, NULL, NULL);
}

static void put_allowed_ip(struct nlmsghdr *h, const struct prefix *p)
{
	struct nlattr *nest = mnl_attr_nest_start(h, 0);
	bool v4 = p->ip.family == 4;

	mnl_attr_put_u16(h, WGALLOWEDIP_A_FAMILY, v4 ? AF_INET : AF_INET6);
	mnl_attr_put(h, WGALLOWEDIP_A_IPADDR, v4 ? 4 : 16, p->ip.b);
	mnl_attr_put_u8(h, WGALLOWEDIP_A_CIDR_MASK, p->bits);
	mnl_attr_nest_end(h, nest);
}

/* One change from allowed IP @from on; returns how many are written. */
static size_t put_change(struct nlmsghdr *h, const struct wg_change *c,
			 size_t from)
{
	struct nlattr *nest = mnl_attr_nest_start(h, 0), *list;
	static const struct key no_key;
	struct sockaddr_storage ss;
	uint32_t flags = 0;
	size_t i;

	mnl_attr_put(h, WGPEER_A_PUBLIC_KEY, KEY_LEN, c->public_key.b);
	if (c->remove)
		flags |= WGPEER_F_REMOVE_ME;
	if (!c->create && !c->remove)
		flags |= WGPEER_F_UPDATE_ONLY;
	if (flags)
		mnl_attr_put_u32(h, WGPEER_A_FLAGS, flags);
	if (c->reset) {
		mnl_attr_put(h, WGPEER_A_PRESHARED_KEY, KEY_LEN, no_key.b);
		mnl_attr_put_u16(h, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, 0);
	}
	if (c->endpoint.ip.family) {
		socklen_t n = endpoint_to_sockaddr(&c->endpoint, &ss);

		mnl_attr_put(h, WGPEER_A_ENDPOINT, n, &ss);
	}
	i = from;
	if (i < c->n_add) {
		list = mnl_attr_nest_start(h, WGPEER_A_ALLOWEDIPS);
		for (; i < c->n_add && h->nlmsg_len < NETLINK_BATCH; i++)
			put_allowed_ip(h, &c->add[i]);
		mnl_attr_nest_end(h, list);
	}
	mnl_attr_nest_end(h, nest);
	return i - from;
}

int wg_apply(struct netlink *nl, uint32_t link, const struct wg_plan *plan)
{
	size_t i = 0, done = 0; /* allowed IPs of changes[i] already sent */
	uint16_t family;
	int err;

	if (!plan->n)
		return 0;
	err = family_of(nl, &family);
	while (!err && i < plan->n) {
		struct nlmsghdr *h = netlink_begin_genl(nl, family,
							WG_CMD_SET_DEVICE,
							WG_GENL_VERSION, 0);
		struct nlattr *peers;

		mnl_attr_put_u32(h, WGDEVICE_A_IFINDEX, link);
		peers = mnl_attr_nest_start(h, WGDEVICE_A_PEERS);
		while (i < plan->n && h->nlmsg_len < NETLINK_BATCH) {
			const struct wg_change *c = &plan->changes[i];

			done += put_change(h, c, done);
			if (done == c->n_add) {
				done = 0;
				i++;
			}
		}
		mnl_attr_nest_end(h, peers);
		err = netlink_change(nl, h, NULL, NULL);
	}
	return err;
}
