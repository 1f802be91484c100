// SPDX-License-Identifier: GPL-2.0
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/rtnetlink.h>

#include "device.h"
#include "inside.h"
#include "present.h"
#include "record.h"
#include "steer.h"
#include "tap.h"
#include "transaction.h"

/*
 * What reaches the agent's socket from one source prefix, or from one peer:
 * enough for a busy site behind one address, too little to keep the agent from
 * its work.
 */
#define AGENT_RATE 512
#define AGENT_BURST 1024
/*
 * And from all strangers together, of one kind of packets, as source addresses
 * are to be had for nothing. All kinds at once leave most of the buffer that
 * the agent asks for to the peers, who do not come into this.
 */
#define STRANGERS_RATE 1024
#define STRANGERS_BURST 512

#define IDLE_SCAN_TICKS 4

struct workqueue_struct *tr_wq;
static unsigned int net_id __read_mostly;

/* In place while a namespace has a device. */
static const struct nf_hook_ops net_hooks[] = {
	{
		.hook = tr_steer_in,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = INT_MIN,
	},
	{
		.hook = tr_steer_in,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = INT_MIN,
	},
	{
		.hook = tr_present_in,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = INT_MAX,
	},
	{
		.hook = tr_present_in,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_IN,
		.priority = INT_MAX,
	},
#ifndef TR_HAVE_NETDEV_EGRESS
	{
		.hook = tr_inside_post_routing,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = INT_MAX,
	},
	{
		.hook = tr_inside_post_routing,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = INT_MAX,
	},
#endif
};

struct tr_net *tr_device_net(struct net *net)
{
	return net_generic(net, net_id);
}

enum tailrace_state tr_device_state(struct tr_device *tdev)
{
	if (!rcu_access_pointer(tdev->filter.policy))
		return TAILRACE_STATE_CLOSED;
	if (tr_sock_is_alive(&tdev->sock))
		return TAILRACE_STATE_ACTIVE;
	return READ_ONCE(tdev->filter.expired) ? TAILRACE_STATE_EXPIRED :
						 TAILRACE_STATE_ORPHANED;
}

/*
 * Of several at once the last one to come here decides, and that by what is
 * true then: an agent's new socket wins over a tick that did not see it yet.
 */
static void update_expired(struct tr_device *tdev)
{
	time64_t now = ktime_get_boottime_seconds();
	bool expired = false;

	spin_lock(&tdev->stale_lock);
	if (!rcu_access_pointer(tdev->filter.policy) ||
	    tr_sock_is_alive(&tdev->sock)) {
		tdev->orphaned_since = 0;
	} else {
		if (!tdev->orphaned_since)
			tdev->orphaned_since = max_t(time64_t, now, 1);
		expired = tdev->max_stale &&
			  now - tdev->orphaned_since >= tdev->max_stale;
	}
	WRITE_ONCE(tdev->filter.expired, expired);
	spin_unlock(&tdev->stale_lock);
}

void tr_device_announce(struct tr_device *tdev)
{
	enum tailrace_state state;

	update_expired(tdev);
	state = tr_device_state(tdev);
	if (xchg(&tdev->state, state) != state)
		tr_event_state(&tdev->events, state);
}

struct tr_device *tr_device_get(struct tr_net *tn, int ifindex,
				struct netlink_ext_ack *extack)
{
	struct tr_device *tdev;

	list_for_each_entry(tdev, &tn->devices, list) {
		if (tdev->dev->ifindex == ifindex)
			return tdev;
	}
	NL_SET_ERR_MSG(extack, "not attached to a device of this ifindex");
	return NULL;
}

static bool port_is_taken(struct tr_net *tn, const struct tr_device *but,
			  __be16 port, struct netlink_ext_ack *extack)
{
	struct tr_device *tdev;

	list_for_each_entry(tdev, &tn->devices, list) {
		if (tdev != but && tdev->port == port) {
			NL_SET_ERR_MSG(extack, "another device has the port");
			return true;
		}
	}
	return false;
}

int tr_device_set_port(struct tr_device *tdev, __be16 port,
		       struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&tdev->tn->lock);
	if (port_is_taken(tdev->tn, tdev, port, extack))
		return -EADDRINUSE;
	WRITE_ONCE(tdev->port, port);
	tr_sock_set_port(&tdev->sock, port);
	return 0;
}

void tr_device_set_max_stale(struct tr_device *tdev, u32 seconds)
{
	spin_lock(&tdev->stale_lock);
	tdev->max_stale = seconds;
	spin_unlock(&tdev->stale_lock);
	tr_device_announce(tdev);
}

bool tr_device_stale(struct tr_device *tdev, u32 *seconds)
{
	time64_t now = ktime_get_boottime_seconds();
	time64_t since;

	spin_lock(&tdev->stale_lock);
	since = tdev->orphaned_since;
	spin_unlock(&tdev->stale_lock);
	*seconds = clamp_t(time64_t, now - since, 0, U32_MAX);
	return since;
}

static void peer_active(struct tr_peers *peers, struct tr_peer *peer)
{
	struct tr_device *tdev = container_of(peers, struct tr_device, peers);

	tr_event_peer(&tdev->events, peer->id, true);
}

static void peer_idle(struct tr_peers *peers, struct tr_peer *peer)
{
	struct tr_device *tdev = container_of(peers, struct tr_device, peers);

	tr_event_peer(&tdev->events, peer->id, false);
}

static void tick(struct work_struct *work)
{
	struct tr_device *tdev =
		container_of(to_delayed_work(work), struct tr_device, tick);

	tr_sock_reap(&tdev->sock);
	tr_device_announce(tdev);
	if (!(++tdev->ticks % IDLE_SCAN_TICKS))
		tr_peers_scan_idle(&tdev->peers, peer_idle);
	queue_delayed_work(tr_wq, &tdev->tick, round_jiffies_relative(HZ));
}

static void destroy(struct work_struct *work)
{
	struct tr_device *tdev = container_of(work, struct tr_device, free);

	tr_disco_uninit(&tdev->disco);
	tr_aliases_uninit(&tdev->aliases);
	tr_filter_uninit(&tdev->filter);
	tr_peers_uninit(&tdev->peers);
	free_percpu(tdev->stats);
	kvfree(tdev);
}

static struct tr_device *create(struct tr_net *tn, struct net_device *dev,
				__be16 port)
{
	struct tr_device *tdev = kvzalloc(sizeof(*tdev), GFP_KERNEL);
	static u64 serial;
	int i;

	if (!tdev)
		return NULL;
	tdev->stats = tr_stats_alloc();
	if (!tdev->stats)
		goto err_free;
	if (tr_peers_init(&tdev->peers, peer_active))
		goto err_stats;
	if (tr_filter_init(&tdev->filter))
		goto err_peers;
	if (tr_aliases_init(&tdev->aliases))
		goto err_filter;
	if (tr_disco_init(&tdev->disco))
		goto err_aliases;

	tdev->tn = tn;
	tdev->dev = dev;
	tdev->serial = ++serial; /* under RTNL */
	tdev->port = port;
	tdev->state = TAILRACE_STATE_CLOSED;
	spin_lock_init(&tdev->stale_lock);
	tr_sock_init(&tdev->sock);
	tr_ratelimit_init(&tdev->strangers, AGENT_RATE, AGENT_BURST);
	for (i = 0; i < ARRAY_SIZE(tdev->strangers_all); i++)
		tr_bucket_init(&tdev->strangers_all[i], STRANGERS_RATE,
			       STRANGERS_BURST);
	tr_ratelimit_init(&tdev->peers_limit, AGENT_RATE, AGENT_BURST);
	tr_events_init(&tdev->events, tn->net, dev->ifindex);
	tr_tsmp_init(&tdev->tsmp, dev, tdev->stats, &tdev->events);
	INIT_LIST_HEAD(&tdev->transactions);
	INIT_HLIST_HEAD(&tdev->taps);
	INIT_DELAYED_WORK(&tdev->tick, tick);
	INIT_WORK(&tdev->free, destroy);
	return tdev;

err_aliases:
	tr_aliases_uninit(&tdev->aliases);
err_filter:
	tr_filter_uninit(&tdev->filter);
err_peers:
	tr_peers_uninit(&tdev->peers);
err_stats:
	free_percpu(tdev->stats);
err_free:
	kvfree(tdev);
	return NULL;
}

static int register_dev_hooks(struct tr_device *tdev)
{
	int ret;

	tdev->hooks[0] = (struct nf_hook_ops){
		.hook = tr_inside_in,
		.dev = tdev->dev,
		.priv = tdev,
		.pf = NFPROTO_NETDEV,
		.hooknum = NF_NETDEV_INGRESS,
		.priority = INT_MIN,
	};
	ret = nf_register_net_hook(tdev->tn->net, &tdev->hooks[0]);
	if (ret)
		return ret;
#ifdef TR_HAVE_NETDEV_EGRESS
	tdev->hooks[1] = tdev->hooks[0];
	tdev->hooks[1].hook = tr_inside_out;
	tdev->hooks[1].hooknum = NF_NETDEV_EGRESS;
	tdev->hooks[1].priority = INT_MAX;
	ret = nf_register_net_hook(tdev->tn->net, &tdev->hooks[1]);
	if (ret)
		nf_unregister_net_hook(tdev->tn->net, &tdev->hooks[0]);
#endif
	return ret;
}

static void unregister_dev_hooks(struct tr_device *tdev)
{
#ifdef TR_HAVE_NETDEV_EGRESS
	nf_unregister_net_hook(tdev->tn->net, &tdev->hooks[1]);
#endif
	nf_unregister_net_hook(tdev->tn->net, &tdev->hooks[0]);
}

/* The namespace's hooks come with its first device. */
static int register_hooks(struct tr_device *tdev)
{
	int ret;

	if (list_empty(&tdev->tn->devices)) {
		ret = nf_register_net_hooks(tdev->tn->net, net_hooks,
					    ARRAY_SIZE(net_hooks));
		if (ret)
			return ret;
	}
	ret = register_dev_hooks(tdev);
	if (ret && list_empty(&tdev->tn->devices))
		nf_unregister_net_hooks(tdev->tn->net, net_hooks,
					ARRAY_SIZE(net_hooks));
	return ret;
}

static void unregister_hooks(struct tr_device *tdev)
{
	unregister_dev_hooks(tdev);
	if (list_empty(&tdev->tn->devices))
		nf_unregister_net_hooks(tdev->tn->net, net_hooks,
					ARRAY_SIZE(net_hooks));
}

static bool is_wireguard(const struct net_device *dev)
{
	return dev->rtnl_link_ops &&
	       !strcmp(dev->rtnl_link_ops->kind, "wireguard");
}

int tr_device_attach(struct tr_net *tn, int ifindex, __be16 port,
		     struct netlink_ext_ack *extack)
{
	struct net_device *dev;
	struct tr_device *tdev;
	int ret;

	ASSERT_RTNL();
	lockdep_assert_held(&tn->lock);

	dev = __dev_get_by_index(tn->net, ifindex);
	if (!dev) {
		NL_SET_ERR_MSG(extack, "no device of this ifindex");
		return -ENODEV;
	}
	if (!is_wireguard(dev)) {
		NL_SET_ERR_MSG(extack, "not a WireGuard device");
		return -EOPNOTSUPP;
	}
	if (tr_device_get(tn, ifindex, NULL)) {
		NL_SET_ERR_MSG(extack, "attached already");
		return -EEXIST;
	}
	if (port_is_taken(tn, NULL, port, extack))
		return -EADDRINUSE;

	tdev = create(tn, dev, port);
	if (!tdev)
		return -ENOMEM;
	ret = register_hooks(tdev);
	if (ret) {
		NL_SET_ERR_MSG(extack, "cannot hook into the device");
		destroy(&tdev->free);
		return ret;
	}
	dev_hold(dev);
	list_add_tail_rcu(&tdev->list, &tn->devices);
	queue_delayed_work(tr_wq, &tdev->tick, HZ);
	return 0;
}

void tr_device_detach(struct tr_device *tdev)
{
	lockdep_assert_held(&tdev->tn->lock);

	list_del_rcu(&tdev->list);
	unregister_hooks(tdev);
	/* No packet is in our hands any more after this. */
	synchronize_net();
	tr_records_set(tdev, 0, NULL);
	tr_transactions_drop(tdev, 0);
	tr_taps_uninit(tdev);
	tr_sock_uninit(&tdev->sock);
	cancel_delayed_work_sync(&tdev->tick);
	tr_tsmp_uninit(&tdev->tsmp);
	tr_events_uninit(&tdev->events);
	dev_put(tdev->dev);
	/* Takes its time, which the RTNL's holder may not have. */
	queue_work(tr_wq, &tdev->free);
}

static int netdev_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct tr_net *tn = tr_device_net(dev_net(dev));
	struct tr_device *tdev;

	/* Also when it moves to another namespace. */
	if (event != NETDEV_UNREGISTER || !is_wireguard(dev))
		return NOTIFY_DONE;
	mutex_lock(&tn->lock);
	tdev = tr_device_get(tn, dev->ifindex, NULL);
	if (tdev)
		tr_device_detach(tdev);
	mutex_unlock(&tn->lock);
	return NOTIFY_DONE;
}

static struct notifier_block netdev_notifier = {
	.notifier_call = netdev_event,
};

static int __net_init net_init(struct net *net)
{
	struct tr_net *tn = tr_device_net(net);

	mutex_init(&tn->lock);
	tn->net = net;
	INIT_LIST_HEAD(&tn->devices);
	return 0;
}

/* At unload; a dying namespace has lost its devices before. */
static void __net_exit net_exit(struct net *net)
{
	struct tr_net *tn = tr_device_net(net);
	struct tr_device *tdev, *next;

	mutex_lock(&tn->lock);
	list_for_each_entry_safe(tdev, next, &tn->devices, list)
		tr_device_detach(tdev);
	mutex_unlock(&tn->lock);
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.exit = net_exit,
	.id = &net_id,
	.size = sizeof(struct tr_net),
};

int tr_device_init(void)
{
	int ret;

	tr_wq = alloc_workqueue("tailrace", WQ_UNBOUND, 0);
	if (!tr_wq)
		return -ENOMEM;
	ret = register_pernet_subsys(&net_ops);
	if (ret)
		goto err_wq;
	ret = register_netdevice_notifier(&netdev_notifier);
	if (ret)
		goto err_net;
	return 0;

err_net:
	unregister_pernet_subsys(&net_ops);
err_wq:
	destroy_workqueue(tr_wq);
	return ret;
}

void tr_device_uninit(void)
{
	unregister_netdevice_notifier(&netdev_notifier);
	unregister_pernet_subsys(&net_ops);
	/* Frees the devices; then what that left to RCU. */
	destroy_workqueue(tr_wq);
	rcu_barrier();
}
