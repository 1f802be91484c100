// SPDX-License-Identifier: GPL-2.0
/*
 * What the module does with a packet, packet by packet. Only for tests.
 *
 * Writing the name of a device of one's namespace to debugfs file
 * verdicts/device, the first time before tailrace is attached to it, puts hooks
 * behind those of tailrace there. Packets written to verdicts/packets, in one
 * piece, come from the device named last or go to it, as if from WireGuard or the
 * stack: for each a u16 direction, 0 in, 1 out, a u16 length and the packet from
 * its IP header on. Reading gives a struct outcome for each of them. Nothing
 * comes through.
 */
#include <linux/debugfs.h>
#include <linux/jhash.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>

#include "../../kmod/filter.h"
#include "../../kmod/packet.h"

#define OUTCOMES_MAX 4096
#define BATCH_MAX (1 << 20)
#define PACKET_MAX 2048

struct record {
	u16 out;
	u16 len;
	u8 data[];
};

/* Also of differ.t. */
struct outcome {
	u32 rule; /* 0: none */
	u16 proto; /* of struct tr_packet */
	s8 verdict; /* -1: accepted, or an enum tailrace_drop */
	u8 passed; /* it came to the hook behind */
};

#define NO_VERDICT (-128)

static struct dentry *dir;
static DEFINE_MUTEX(lock);
static struct tracepoint *point;

/* A device with our hooks on it. */
struct watched {
	struct list_head list;
	struct net_device *dev;
	struct nf_hook_ops hooks[2];
};

static LIST_HEAD(all_watched);
static struct net_device *device;

static struct outcome outcomes[OUTCOMES_MAX];
static unsigned int n_outcomes;

/* The packet that is under way. */
static const struct sk_buff *packet;
static struct outcome *outcome;

static void note_verdict(void *priv, const struct net_device *dev, bool in,
			 const struct tr_packet *pkt,
			 const struct tr_result *res)
{
	if (!packet || pkt->skb != packet)
		return;
	outcome->rule = res->by_rule ? res->rule : 0;
	outcome->proto = pkt->proto;
	outcome->verdict = res->accept ? -1 : res->drop;
}

static unsigned int arrive(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	if (skb == packet)
		outcome->passed = 1;
	return NF_DROP;
}

static struct watched *find(const struct net_device *dev)
{
	struct watched *w;

	list_for_each_entry(w, &all_watched, list)
		if (w->dev == dev)
			return w;
	return NULL;
}

static void let_go(struct watched *w)
{
	if (device == w->dev)
		device = NULL;
	nf_unregister_net_hooks(dev_net(w->dev), w->hooks,
				ARRAY_SIZE(w->hooks));
	list_del(&w->list);
	kfree(w);
}

static int watch(struct net_device *dev)
{
	struct watched *w = kzalloc(sizeof(*w), GFP_KERNEL);
	int i, ret;

	if (!w)
		return -ENOMEM;
	w->dev = dev;
	for (i = 0; i < ARRAY_SIZE(w->hooks); i++) {
		w->hooks[i].hook = arrive;
		w->hooks[i].dev = dev;
		w->hooks[i].pf = NFPROTO_NETDEV;
		w->hooks[i].hooknum = i ? NF_NETDEV_EGRESS : NF_NETDEV_INGRESS;
		w->hooks[i].priority = INT_MAX;
	}
	ret = nf_register_net_hooks(dev_net(dev), w->hooks,
				    ARRAY_SIZE(w->hooks));
	if (ret) {
		kfree(w);
		return ret;
	}
	list_add(&w->list, &all_watched);
	return 0;
}

static int device_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct watched *w;

	if (event != NETDEV_UNREGISTER)
		return NOTIFY_DONE;
	mutex_lock(&lock);
	w = find(netdev_notifier_info_to_dev(ptr));
	if (w)
		let_go(w);
	mutex_unlock(&lock);
	return NOTIFY_DONE;
}

static struct notifier_block device_notifier = { .notifier_call = device_event };

static ssize_t write_device(struct file *file, const char __user *from,
			    size_t size, loff_t *pos)
{
	char name[IFNAMSIZ] = {};
	ssize_t ret = size;

	if (size >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, from, size))
		return -EFAULT;
	rtnl_lock();
	mutex_lock(&lock);
	device = __dev_get_by_name(current->nsproxy->net_ns, name);
	if (!device)
		ret = -ENODEV;
	else if (!find(device))
		ret = watch(device) ?: size;
	if (ret < 0)
		device = NULL;
	mutex_unlock(&lock);
	rtnl_unlock();
	return ret;
}

/* Cut anywhere, always at the same place: linear to there, then a page. */
static struct sk_buff *make(const struct record *r)
{
	unsigned int linear = jhash(r->data, r->len, 0) % (r->len + 1);
	struct sk_buff *skb = alloc_skb(LL_MAX_HEADER + linear, GFP_KERNEL);
	struct page *page;

	if (!skb)
		return NULL;
	skb_reserve(skb, LL_MAX_HEADER);
	skb_put_data(skb, r->data, linear);
	if (linear < r->len) {
		page = alloc_page(GFP_KERNEL);
		if (!page) {
			kfree_skb(skb);
			return NULL;
		}
		memcpy(page_address(page), r->data + linear, r->len - linear);
		skb_add_rx_frag(skb, 0, page, 0, r->len - linear, PAGE_SIZE);
	}
	skb->dev = device;
	skb->protocol = r->data[0] >> 4 == 6 ? htons(ETH_P_IPV6) :
					       htons(ETH_P_IP);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_reset_transport_header(skb);
	return skb;
}

static int play(const struct record *r)
{
	struct sk_buff *skb = make(r);

	if (!skb)
		return -ENOMEM;
	outcome = &outcomes[n_outcomes++];
	*outcome = (struct outcome){ .verdict = NO_VERDICT };
	local_bh_disable();
	packet = skb;
	if (r->out)
		dev_queue_xmit(skb);
	else
		netif_receive_skb(skb);
	packet = NULL;
	local_bh_enable();
	return 0;
}

static ssize_t write_packets(struct file *file, const char __user *from,
			     size_t size, loff_t *pos)
{
	ssize_t ret = size;
	size_t off = 0;
	u8 *data;

	if (size > BATCH_MAX)
		return -E2BIG;
	data = vmemdup_user(from, size);
	if (IS_ERR(data))
		return PTR_ERR(data);
	mutex_lock(&lock);
	n_outcomes = 0;
	if (!device)
		ret = -ENODEV;
	while (ret > 0 && off < size) {
		const struct record *r = (void *)(data + off);

		if (size - off < sizeof(*r) || !r->len || r->len > PACKET_MAX ||
		    size - off - sizeof(*r) < r->len ||
		    n_outcomes == OUTCOMES_MAX) {
			ret = -EINVAL;
			break;
		}
		off += sizeof(*r) + ALIGN(r->len, 2);
		if (play(r))
			ret = -ENOMEM;
		cond_resched();
	}
	mutex_unlock(&lock);
	kvfree(data);
	return ret;
}

static ssize_t read_packets(struct file *file, char __user *to, size_t size,
			    loff_t *pos)
{
	ssize_t ret;

	mutex_lock(&lock);
	ret = simple_read_from_buffer(to, size, pos, outcomes,
				      n_outcomes * sizeof(*outcomes));
	mutex_unlock(&lock);
	return ret;
}

static const struct file_operations device_ops = {
	.owner = THIS_MODULE,
	.write = write_device,
};

static const struct file_operations packets_ops = {
	.owner = THIS_MODULE,
	.read = read_packets,
	.write = write_packets,
};

/* The tracepoint comes and goes with the module that has it. */
static int module_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct tp_module *module = ptr;
	int i;

	for (i = 0; i < module->mod->num_tracepoints; i++) {
		struct tracepoint *tp =
			tracepoint_ptr_deref(&module->mod->tracepoints_ptrs[i]);

		if (strcmp(tp->name, "tailrace_verdict"))
			continue;
		if (event == MODULE_STATE_COMING &&
		    !tracepoint_probe_register(tp, note_verdict, NULL))
			point = tp;
		if (event == MODULE_STATE_GOING && point == tp) {
			tracepoint_probe_unregister(tp, note_verdict, NULL);
			point = NULL;
		}
	}
	return NOTIFY_DONE;
}

static struct notifier_block module_notifier = { .notifier_call = module_event };

static int __init verdicts_init(void)
{
	int ret;

	ret = register_netdevice_notifier(&device_notifier);
	if (ret)
		return ret;
	ret = register_tracepoint_module_notifier(&module_notifier);
	if (ret) {
		unregister_netdevice_notifier(&device_notifier);
		return ret;
	}
	dir = debugfs_create_dir("verdicts", NULL);
	debugfs_create_file("device", 0200, dir, NULL, &device_ops);
	debugfs_create_file("packets", 0600, dir, NULL, &packets_ops);
	return 0;
}

static void __exit verdicts_exit(void)
{
	debugfs_remove(dir);
	unregister_tracepoint_module_notifier(&module_notifier);
	unregister_netdevice_notifier(&device_notifier);
	while (!list_empty(&all_watched))
		let_go(list_first_entry(&all_watched, struct watched, list));
	if (point)
		tracepoint_probe_unregister(point, note_verdict, NULL);
	tracepoint_synchronize_unregister();
}

module_init(verdicts_init);
module_exit(verdicts_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Verdicts of tailrace, for its tests");
