// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "device.h"
#include "netlink.h"

/* An attribute's length has 16 bits; longer arrays come and go in pieces. */
#define ADDRS_CHUNK 1024

#define PEER_ID_MAX 0xffffff

static struct netlink_range_validation peer_ids = {
	.min = 1,
	.max = PEER_ID_MAX,
};

const struct nla_policy tr_netlink_alias_attrs[] = {
	[TAILRACE_A_ALIAS_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_ALIAS_PEER] = NLA_POLICY_FULL_RANGE(NLA_U32, &peer_ids),
	[TAILRACE_A_ALIAS_CANONICAL] =
		NLA_POLICY_EXACT_LEN(sizeof(struct tailrace_endpoint)),
	[TAILRACE_A_ALIAS_SEEN] = { .type = NLA_BINARY },
};

const struct nla_policy tr_netlink_peer_attrs[] = {
	[TAILRACE_A_PEER_IFINDEX] = NLA_POLICY_MIN(NLA_U32, 1),
	[TAILRACE_A_PEER_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &peer_ids),
	[TAILRACE_A_PEER_FLAGS] = { .type = NLA_U32 },
	[TAILRACE_A_PEER_ADDRS] = { .type = NLA_BINARY },
	[TAILRACE_A_PEER_ROUTES] = { .type = NLA_BINARY },
	[TAILRACE_A_PEER_CAPS] = { .type = NLA_BINARY },
	[TAILRACE_A_PEER_DISCO] = NLA_POLICY_EXACT_LEN(TR_DISCO_KEY),
	[TAILRACE_A_PEER_DISCO_OWN] = NLA_POLICY_EXACT_LEN(TR_DISCO_KEY),
	[TAILRACE_A_PEER_DISCO_SHARED] = NLA_POLICY_EXACT_LEN(TR_DISCO_KEY),
};

/* The peer or its canonical endpoint has changed. */
static void follow_path(struct tr_device *tdev, u32 id)
{
	tr_peers_set_path(&tdev->peers, id,
			  tr_aliases_path(&tdev->aliases, id));
}

int tr_netlink_alias_set(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	const struct nlattr *seen = info->attrs[TAILRACE_A_ALIAS_SEEN];
	const size_t size = sizeof(struct tailrace_endpoint);
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_ALIAS_IFINDEX);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_ALIAS_PEER);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_ALIAS_CANONICAL);
	if (seen && nla_len(seen) % size) {
		NL_SET_ERR_MSG_ATTR(info->extack, seen,
				    "array with a broken entry");
		return -EINVAL;
	}
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_ALIAS_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_aliases_set(&tdev->aliases,
			     nla_get_u32(info->attrs[TAILRACE_A_ALIAS_PEER]),
			     nla_data(info->attrs[TAILRACE_A_ALIAS_CANONICAL]),
			     seen ? nla_data(seen) : NULL,
			     seen ? nla_len(seen) / size : 0, info->extack);
	if (!ret)
		follow_path(tdev, nla_get_u32(
					  info->attrs[TAILRACE_A_ALIAS_PEER]));
	mutex_unlock(&tn->lock);
	return ret;
}

int tr_netlink_alias_del(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_ALIAS_IFINDEX);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_ALIAS_PEER);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_ALIAS_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_aliases_del(&tdev->aliases,
			     nla_get_u32(info->attrs[TAILRACE_A_ALIAS_PEER]));
	if (ret)
		NL_SET_ERR_MSG(info->extack, "the peer has no endpoints");
	else
		follow_path(tdev, nla_get_u32(
					  info->attrs[TAILRACE_A_ALIAS_PEER]));
	mutex_unlock(&tn->lock);
	return ret;
}

/* What tr_aliases_walk() hands through. */
struct alias_dump {
	struct sk_buff *skb;
	struct netlink_callback *cb;
	struct tr_device *tdev;
};

static int fill_alias(struct tr_alias *alias, void *data)
{
	struct alias_dump *dump = data;
	struct sk_buff *skb = dump->skb;
	const struct tr_alias *canonical;
	u64 packets, bytes;
	void *hdr;

	hdr = genlmsg_put(skb, NETLINK_CB(dump->cb->skb).portid,
			  dump->cb->nlh->nlmsg_seq, &tr_netlink_family,
			  NLM_F_MULTI, TAILRACE_CMD_ALIAS_GET);
	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(dump->cb, hdr);
	tr_alias_counters(alias, &packets, &bytes);
	canonical = rcu_dereference_protected(alias->canonical, true);
	if (nla_put_u32(skb, TAILRACE_A_ALIAS_IFINDEX,
			dump->tdev->dev->ifindex) ||
	    nla_put_u32(skb, TAILRACE_A_ALIAS_PEER, alias->peer) ||
	    nla_put(skb, TAILRACE_A_ALIAS_CANONICAL, sizeof(canonical->key),
		    &canonical->key) ||
	    nla_put(skb, TAILRACE_A_ALIAS_SEEN, sizeof(alias->key),
		    &alias->key) ||
	    nla_put_u32(skb, TAILRACE_A_ALIAS_GENERATION, dump->cb->seq) ||
	    nla_put_u64_64bit(skb, TAILRACE_A_ALIAS_RX_PACKETS, packets,
			      TAILRACE_A_ALIAS_PAD) ||
	    nla_put_u64_64bit(skb, TAILRACE_A_ALIAS_RX_BYTES, bytes,
			      TAILRACE_A_ALIAS_PAD)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int tr_netlink_alias_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct tr_net *tn = tr_device_net(sock_net(skb->sk));
	struct alias_dump dump = { .skb = skb, .cb = cb };

	TR_REQUIRE(attrs, cb->extack, TAILRACE_A_ALIAS_IFINDEX);
	dump.tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_ALIAS_IFINDEX],
				    cb->extack);
	if (!dump.tdev)
		return -ENODEV;
	cb->seq = atomic64_read(&dump.tdev->aliases.generation);
	tr_aliases_walk(&dump.tdev->aliases, (unsigned long *)&cb->args[0],
			(unsigned long *)&cb->args[1], fill_alias, &dump);
	mutex_unlock(&tn->lock);
	return skb->len;
}

/* An array that may be spread over several attributes of one type. */
struct spread {
	const void *data;
	void *copy;
	u32 n;
};

static int gather(struct genl_info *info, int type, size_t size, u32 max,
		  struct spread *spread)
{
	const struct nlattr *attr;
	size_t total = 0, done = 0;
	int rem;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != type)
			continue;
		if (nla_len(attr) % size) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr,
					    "array with a broken entry");
			return -EINVAL;
		}
		total += nla_len(attr);
	}
	spread->n = total / size;
	if (spread->n > max) {
		NL_SET_ERR_MSG(info->extack, "too many addresses of one peer");
		return -E2BIG;
	}
	if (info->attrs[type] && nla_len(info->attrs[type]) == total) {
		spread->data = nla_data(info->attrs[type]);
		return 0;
	}
	if (!total)
		return 0;
	spread->copy = kvmalloc(total, GFP_KERNEL);
	if (!spread->copy)
		return -ENOMEM;
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != type)
			continue;
		memcpy(spread->copy + done, nla_data(attr), nla_len(attr));
		done += nla_len(attr);
	}
	spread->data = spread->copy;
	return 0;
}

static int check_disco(struct genl_info *info)
{
	int n = !!info->attrs[TAILRACE_A_PEER_DISCO] +
		!!info->attrs[TAILRACE_A_PEER_DISCO_OWN] +
		!!info->attrs[TAILRACE_A_PEER_DISCO_SHARED];

	if (n == 0 || n == 3)
		return 0;
	NL_SET_ERR_MSG(info->extack, "disco keys come in threes");
	return -EINVAL;
}

/* The peer and its keys, or neither. */
static int set_peer(struct tr_device *tdev, const struct tr_peer_config *config,
		    struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct tr_disco_change change;
	int ret;

	if (!attrs[TAILRACE_A_PEER_DISCO]) {
		ret = tr_peers_set(&tdev->peers, config, info->extack);
		if (!ret)
			tr_disco_del(&tdev->disco, config->id);
		return ret;
	}
	ret = tr_disco_prepare(&tdev->disco, &change, config->id,
			       nla_data(attrs[TAILRACE_A_PEER_DISCO]),
			       nla_data(attrs[TAILRACE_A_PEER_DISCO_OWN]),
			       nla_data(attrs[TAILRACE_A_PEER_DISCO_SHARED]),
			       info->extack);
	if (ret)
		return ret;
	ret = tr_peers_set(&tdev->peers, config, info->extack);
	if (!ret)
		tr_disco_commit(&tdev->disco, &change);
	else
		tr_disco_cancel(&tdev->disco, &change);
	return ret;
}

/* The request lives on in memory that is not wiped when freed. */
static void wipe_disco(struct genl_info *info)
{
	struct nlattr *secret = info->attrs[TAILRACE_A_PEER_DISCO_SHARED];

	if (secret)
		memzero_explicit(nla_data(secret), nla_len(secret));
}

int tr_netlink_peer_set(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct spread addrs = {}, routes = {}, caps = {};
	struct tr_peer_config config = {};
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_PEER_IFINDEX);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_PEER_ID);
	ret = gather(info, TAILRACE_A_PEER_ADDRS, sizeof(struct tailrace_addr),
		     TAILRACE_MAX_PEER_ADDRS, &addrs);
	if (ret)
		goto out;
	ret = gather(info, TAILRACE_A_PEER_ROUTES, sizeof(struct tailrace_addr),
		     TAILRACE_MAX_PEER_ADDRS, &routes);
	if (ret)
		goto out;
	ret = gather(info, TAILRACE_A_PEER_CAPS, sizeof(u32), TAILRACE_MAX_CAPS,
		     &caps);
	if (!ret)
		ret = check_disco(info);
	if (ret)
		goto out;

	config.id = nla_get_u32(info->attrs[TAILRACE_A_PEER_ID]);
	if (info->attrs[TAILRACE_A_PEER_FLAGS])
		config.flags = nla_get_u32(info->attrs[TAILRACE_A_PEER_FLAGS]);
	config.addrs = addrs.data;
	config.n_addrs = addrs.n;
	config.routes = routes.data;
	config.n_routes = routes.n;
	config.caps = caps.data;
	config.n_caps = caps.n;

	ret = -ENODEV;
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_PEER_IFINDEX],
			       info->extack);
	if (tdev) {
		ret = set_peer(tdev, &config, info);
		if (!ret)
			follow_path(tdev, config.id);
		mutex_unlock(&tn->lock);
	}
out:
	kvfree(addrs.copy);
	kvfree(routes.copy);
	kvfree(caps.copy);
	wipe_disco(info);
	return ret;
}

int tr_netlink_peer_del(struct sk_buff *skb, struct genl_info *info)
{
	struct tr_net *tn = tr_device_net(genl_info_net(info));
	struct tr_device *tdev;
	int ret;

	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_PEER_IFINDEX);
	TR_REQUIRE(info->attrs, info->extack, TAILRACE_A_PEER_ID);
	tdev = tr_netlink_lock(tn, info->attrs[TAILRACE_A_PEER_IFINDEX],
			       info->extack);
	if (!tdev)
		return -ENODEV;
	ret = tr_peers_del(&tdev->peers,
			   nla_get_u32(info->attrs[TAILRACE_A_PEER_ID]));
	if (ret)
		NL_SET_ERR_MSG(info->extack, "no peer of this id");
	else
		tr_disco_del(&tdev->disco,
			     nla_get_u32(info->attrs[TAILRACE_A_PEER_ID]));
	mutex_unlock(&tn->lock);
	return ret;
}

static size_t peer_size(const struct tr_peer_config *config)
{
	return (config->n_addrs + config->n_routes) *
		       sizeof(struct tailrace_addr) +
	       config->n_caps * sizeof(u32);
}

/* Makes room for the largest peer in every message. */
int tr_netlink_peer_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct tr_net *tn = tr_device_net(sock_net(cb->skb->sk));
	struct tr_device *tdev;
	struct tr_peer *peer;
	size_t size = 0;
	u32 id = 0;

	TR_REQUIRE(attrs, cb->extack, TAILRACE_A_PEER_IFINDEX);
	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_PEER_IFINDEX], cb->extack);
	if (!tdev)
		return -ENODEV;
	rcu_read_lock();
	for (; (peer = tr_peers_next(&tdev->peers, &id)); id++)
		size = max(size, peer_size(rcu_dereference(peer->config)));
	rcu_read_unlock();
	mutex_unlock(&tn->lock);
	cb->min_dump_alloc = tr_netlink_min_dump(size);
	return 0;
}

static int put_addrs(struct sk_buff *skb, int type,
		     const struct tailrace_addr *addrs, u32 n)
{
	u32 i, some;

	for (i = 0; i < n; i += some) {
		some = min_t(u32, n - i, ADDRS_CHUNK);
		if (nla_put(skb, type, some * sizeof(*addrs), &addrs[i]))
			return -EMSGSIZE;
	}
	return 0;
}

static int put_counters(struct sk_buff *skb, struct tr_device *tdev,
			const struct tr_peer *peer)
{
	struct tailrace_path_counters paths[__TAILRACE_PATH_MAX] = {};
	struct tr_peer_count tx = {};
	struct tr_peer_counters n;
	int i;

	tr_aliases_paths(&tdev->aliases, peer->id, paths);
	tr_peer_counters(peer, &n);
	for (i = 0; i < __TAILRACE_PATH_MAX; i++) {
		paths[i].tx_packets = n.tx[i].packets;
		paths[i].tx_bytes = n.tx[i].bytes;
	}
	for (i = 0; i < TR_PATHS; i++) {
		tx.packets += n.tx[i].packets;
		tx.bytes += n.tx[i].bytes;
	}
	if (nla_put_u64_64bit(skb, TAILRACE_A_PEER_RX_PACKETS, n.rx.packets,
			      TAILRACE_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, TAILRACE_A_PEER_RX_BYTES, n.rx.bytes,
			      TAILRACE_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, TAILRACE_A_PEER_TX_PACKETS, tx.packets,
			      TAILRACE_A_PEER_PAD) ||
	    nla_put_u64_64bit(skb, TAILRACE_A_PEER_TX_BYTES, tx.bytes,
			      TAILRACE_A_PEER_PAD) ||
	    nla_put_64bit(skb, TAILRACE_A_PEER_PATHS, sizeof(paths), paths,
			  TAILRACE_A_PEER_PAD))
		return -EMSGSIZE;
	return 0;
}

static int put_activity(struct sk_buff *skb, const struct tr_peer *peer)
{
	u64 ms;

	if ((tr_peer_rx_age(peer, &ms) &&
	     nla_put_u64_64bit(skb, TAILRACE_A_PEER_RX_AGE, ms,
			       TAILRACE_A_PEER_PAD)) ||
	    (tr_peer_tx_age(peer, &ms) &&
	     nla_put_u64_64bit(skb, TAILRACE_A_PEER_TX_AGE, ms,
			       TAILRACE_A_PEER_PAD)) ||
	    (tr_peer_is_active(peer) &&
	     nla_put_flag(skb, TAILRACE_A_PEER_ACTIVE)))
		return -EMSGSIZE;
	return 0;
}

static int put_disco(struct sk_buff *skb, struct tr_device *tdev, u32 id)
{
	u8 theirs[TR_DISCO_KEY], own[TR_DISCO_KEY];

	if (!tr_disco_get(&tdev->disco, id, theirs, own))
		return 0;
	if (nla_put(skb, TAILRACE_A_PEER_DISCO, sizeof(theirs), theirs) ||
	    nla_put(skb, TAILRACE_A_PEER_DISCO_OWN, sizeof(own), own))
		return -EMSGSIZE;
	return 0;
}

static int fill_peer(struct sk_buff *skb, struct netlink_callback *cb,
		     struct tr_device *tdev, const struct tr_peer *peer)
{
	const struct tr_peer_config *config = rcu_dereference(peer->config);
	void *hdr;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &tr_netlink_family, NLM_F_MULTI,
			  TAILRACE_CMD_PEER_GET);
	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, hdr);
	if (nla_put_u32(skb, TAILRACE_A_PEER_IFINDEX, tdev->dev->ifindex) ||
	    nla_put_u32(skb, TAILRACE_A_PEER_ID, peer->id) ||
	    nla_put_u32(skb, TAILRACE_A_PEER_FLAGS, config->flags) ||
	    nla_put_u32(skb, TAILRACE_A_PEER_GENERATION, cb->seq) ||
	    put_addrs(skb, TAILRACE_A_PEER_ADDRS, config->addrs,
		      config->n_addrs) ||
	    put_addrs(skb, TAILRACE_A_PEER_ROUTES, config->routes,
		      config->n_routes) ||
	    (config->n_caps &&
	     nla_put(skb, TAILRACE_A_PEER_CAPS,
		     config->n_caps * sizeof(*config->caps), config->caps)) ||
	    put_disco(skb, tdev, peer->id) || put_counters(skb, tdev, peer) ||
	    put_activity(skb, peer)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int tr_netlink_peer_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct tr_net *tn = tr_device_net(sock_net(skb->sk));
	struct tr_device *tdev;
	struct tr_peer *peer;
	u32 id = cb->args[0];

	tdev = tr_netlink_lock(tn, attrs[TAILRACE_A_PEER_IFINDEX], cb->extack);
	if (!tdev)
		return -ENODEV;
	cb->seq = tr_peers_generation(&tdev->peers);
	rcu_read_lock();
	for (; (peer = tr_peers_next(&tdev->peers, &id)); id++) {
		if (fill_peer(skb, cb, tdev, peer))
			break;
	}
	rcu_read_unlock();
	cb->args[0] = peer ? id : PEER_ID_MAX + 1;
	mutex_unlock(&tn->lock);
	/* It has grown since tr_netlink_peer_start(). */
	if (peer && !skb->len)
		return -EMSGSIZE;
	return skb->len;
}
