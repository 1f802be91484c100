// SPDX-License-Identifier: GPL-2.0
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/rtnetlink.h>

#include "device.h"

static unsigned int net_id __read_mostly;
static struct workqueue_struct *wq;

struct tr_net *tr_device_net(struct net *net)
{
	return net_generic(net, net_id);
}

enum tailrace_state tr_device_state(struct tr_device *tdev)
{
	return TAILRACE_STATE_CLOSED;
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

static void tick(struct work_struct *work)
{
	struct tr_device *tdev =
		container_of(to_delayed_work(work), struct tr_device, tick);

	tr_sock_reap(&tdev->sock);
	queue_delayed_work(wq, &tdev->tick, round_jiffies_relative(HZ));
}

static void destroy(struct tr_device *tdev)
{
	free_percpu(tdev->stats);
	kfree(tdev);
}

static void destroy_work(struct work_struct *work)
{
	destroy(container_of(to_rcu_work(work), struct tr_device, free));
}

static struct tr_device *create(void)
{
	struct tr_device *tdev = kzalloc(sizeof(*tdev), GFP_KERNEL);

	if (!tdev)
		return NULL;
	tdev->stats = tr_stats_alloc();
	if (!tdev->stats) {
		kfree(tdev);
		return NULL;
	}
	tr_sock_init(&tdev->sock);
	INIT_DELAYED_WORK(&tdev->tick, tick);
	INIT_RCU_WORK(&tdev->free, destroy_work);
	return tdev;
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

	tdev = create();
	if (!tdev)
		return -ENOMEM;
	tdev->tn = tn;
	tdev->dev = dev;
	tdev->port = port;
	dev_hold(dev);
	list_add_tail_rcu(&tdev->list, &tn->devices);
	queue_delayed_work(wq, &tdev->tick, HZ);
	return 0;
}

void tr_device_detach(struct tr_device *tdev)
{
	lockdep_assert_held(&tdev->tn->lock);

	list_del_rcu(&tdev->list);
	tr_sock_uninit(&tdev->sock);
	cancel_delayed_work_sync(&tdev->tick);
	/*
	 * Packets may still be under way in @tdev and look at @dev: it outlives
	 * them, as unregistering a device waits for a grace period after this.
	 */
	dev_put(tdev->dev);
	queue_rcu_work(wq, &tdev->free);
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

	wq = alloc_workqueue("tailrace", WQ_UNBOUND, 0);
	if (!wq)
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
	destroy_workqueue(wq);
	return ret;
}

void tr_device_uninit(void)
{
	unregister_netdevice_notifier(&netdev_notifier);
	unregister_pernet_subsys(&net_ops);
	/* Waits for tr_device.free to be queued, then for it to have run. */
	rcu_barrier();
	destroy_workqueue(wq);
}
