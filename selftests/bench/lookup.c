// SPDX-License-Identifier: GPL-2.0
/*
 * A test module: what a device's ingress hook costs a packet. Whatever filter
 * is there (tailrace's on a WireGuard device, a chain of nftables, or nothing
 * but the one of this module) is called as the receive path calls it, with
 * packets that were laid ready before the clock started.
 *
 * In /sys/kernel/debug/lookup:
 *
 *   packets   write: records of 64 bytes: length, packet from its IP header on
 *   empty     write: name of a device that gets a hook that accepts
 *   run       write: DEVICE FIRST N PASSES SALT COLD
 *             read: ns of the median batch of the last one, its accepted packets
 *
 * A run sends the packets FIRST to FIRST + N - 1, PASSES times over, in batches
 * of 64, of which N is a multiple. SALT is added to all source ports: another
 * salt, other flows. With COLD that many KiB of other memory are read before each
 * batch, outside of the clock. The median is not moved by what else the host does
 * now and then.
 */
#include <linux/bottom_half.h>
#include <linux/debugfs.h>
#include <linux/if_ether.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/netfilter_netdev.h>
#include <linux/nsproxy.h>
#include <linux/skbuff.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>

#define BATCH 64
#define RECORDS_MAX 65536
#define RECORD 64
#define COLD_MAX (64 << 10) /* KiB */
#define BATCHES_MAX 8192

static DEFINE_MUTEX(lock);
static struct dentry *dir;
static u8 (*records)[RECORD];
static unsigned int n_records;
static u8 *cold;
static struct sk_buff *skbs[BATCH];

/* The hook of "empty", and the device it is on. */
static unsigned int accept_all(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static struct nf_hook_ops empty_ops = {
	.hook = accept_all,
	.pf = NFPROTO_NETDEV,
	.hooknum = NF_NETDEV_INGRESS,
};
static struct net *empty_net;

/* The last run's. */
static u64 *took_ns;
static unsigned int n_batches;
static u64 accepted;

static ssize_t packets_write(struct file *file, const char __user *from,
			     size_t len, loff_t *pos)
{
	ssize_t ret;

	mutex_lock(&lock);
	ret = simple_write_to_buffer(records, RECORDS_MAX * RECORD, pos, from,
				     len);
	if (ret > 0)
		n_records = *pos / RECORD;
	mutex_unlock(&lock);
	return ret;
}

static const struct file_operations packets_ops = {
	.owner = THIS_MODULE,
	.write = packets_write,
};

static void drop_empty(void)
{
	if (!empty_ops.dev)
		return;
	nf_unregister_net_hook(empty_net, &empty_ops);
	put_net(empty_net);
	dev_put(empty_ops.dev);
	empty_ops.dev = NULL;
}

static int take_words(char *buf, size_t size, const char __user *from,
		      size_t len)
{
	if (len >= size)
		return -EINVAL;
	if (copy_from_user(buf, from, len))
		return -EFAULT;
	buf[len] = '\0';
	return 0;
}

static ssize_t empty_write(struct file *file, const char __user *from,
			   size_t len, loff_t *pos)
{
	char name[IFNAMSIZ];
	int ret;

	ret = take_words(name, sizeof(name), from, len);
	if (ret)
		return ret;
	mutex_lock(&lock);
	drop_empty();
	empty_net = get_net(current->nsproxy->net_ns);
	empty_ops.dev = dev_get_by_name(empty_net, name);
	ret = empty_ops.dev ? nf_register_net_hook(empty_net, &empty_ops) :
			      -ENODEV;
	if (ret) {
		put_net(empty_net);
		dev_put(empty_ops.dev);
		empty_ops.dev = NULL;
	}
	mutex_unlock(&lock);
	return ret ? ret : len;
}

static const struct file_operations empty_fops = {
	.owner = THIS_MODULE,
	.write = empty_write,
};

/* As a packet of @record looks that @dev has received. */
static void lay_ready(struct sk_buff *skb, struct net_device *dev,
		      const u8 *record, u16 salt)
{
	bool v4 = record[1] >> 4 == 4;
	u8 *sport;

	skb->data = skb->head + NET_SKB_PAD;
	skb_reset_tail_pointer(skb);
	skb->len = 0;
	skb_put_data(skb, record + 1, min_t(u8, record[0], RECORD - 1));
	skb->dev = dev;
	skb->protocol = v4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	sport = skb->data + (v4 ? 20 : 40);
	salt += sport[0] << 8 | sport[1];
	sport[0] = salt >> 8;
	sport[1] = salt;
	/* One for whoever drops it. */
	refcount_set(&skb->users, 2);
}

/* The reads are what matters, the sum keeps them. */
static u8 chill(unsigned int kib)
{
	unsigned int i;
	u8 sum = 0;

	for (i = 0; i < kib << 10; i += SMP_CACHE_BYTES)
		sum += READ_ONCE(cold[i]);
	return sum;
}

static void run_batch(struct net_device *dev, const u8 (*record)[RECORD],
		      u16 salt, unsigned int kib)
{
	unsigned int i, ok = 0;
	u64 start;

	for (i = 0; i < BATCH; i++)
		lay_ready(skbs[i], dev, record[i], salt);
	chill(kib);

	local_bh_disable();
	rcu_read_lock();
	start = ktime_get_ns();
	for (i = 0; i < BATCH; i++)
		ok += nf_hook_ingress(skbs[i]) == 1;
	took_ns[n_batches++] = ktime_get_ns() - start;
	rcu_read_unlock();
	local_bh_enable();

	accepted += ok;
	cond_resched();
}

static int compare_times(const void *va, const void *vb)
{
	const u64 *a = va, *b = vb;

	return *a < *b ? -1 : *a > *b;
}

static ssize_t run_write(struct file *file, const char __user *from, size_t len,
			 loff_t *pos)
{
	unsigned int first, n, passes, salt, kib, i, k;
	struct net_device *dev;
	char words[96], name[IFNAMSIZ];
	int ret;

	ret = take_words(words, sizeof(words), from, len);
	if (ret)
		return ret;
	if (sscanf(words, "%15s %u %u %u %u %u", name, &first, &n, &passes,
		   &salt, &kib) != 6 ||
	    kib > COLD_MAX || !n || n % BATCH || !passes ||
	    passes > BATCHES_MAX / (n / BATCH))
		return -EINVAL;
	dev = dev_get_by_name(current->nsproxy->net_ns, name);
	if (!dev)
		return -ENODEV;
	mutex_lock(&lock);
	n_batches = 0;
	accepted = 0;
	ret = -EINVAL;
	if (first > n_records || n > n_records - first)
		goto out;
	for (i = 0; i < passes; i++)
		for (k = 0; k < n; k += BATCH)
			run_batch(dev, records + first + k, salt, kib);
	sort(took_ns, n_batches, sizeof(*took_ns), compare_times, NULL);
	ret = len;
out:
	mutex_unlock(&lock);
	dev_put(dev);
	return ret;
}

static ssize_t run_read(struct file *file, char __user *to, size_t len,
			loff_t *pos)
{
	char text[48];
	int n;

	mutex_lock(&lock);
	n = scnprintf(text, sizeof(text), "%llu %llu\n",
		      n_batches ? took_ns[n_batches / 2] : 0, accepted);
	mutex_unlock(&lock);
	return simple_read_from_buffer(to, len, pos, text, n);
}

static const struct file_operations run_ops = {
	.owner = THIS_MODULE,
	.read = run_read,
	.write = run_write,
};

static void lookup_free(void)
{
	unsigned int i;

	drop_empty();
	for (i = 0; i < BATCH; i++) {
		if (!skbs[i])
			continue;
		refcount_set(&skbs[i]->users, 1);
		kfree_skb(skbs[i]);
	}
	vfree(records);
	vfree(cold);
	vfree(took_ns);
}

static int __init lookup_init(void)
{
	unsigned int i;

	records = vzalloc(RECORDS_MAX * RECORD);
	cold = vmalloc(COLD_MAX << 10);
	took_ns = vmalloc_array(BATCHES_MAX, sizeof(*took_ns));
	if (!records || !cold || !took_ns)
		goto err_free;
	for (i = 0; i < BATCH; i++) {
		skbs[i] = alloc_skb(NET_SKB_PAD + RECORD, GFP_KERNEL);
		if (!skbs[i])
			goto err_free;
	}
	dir = debugfs_create_dir("lookup", NULL);
	debugfs_create_file("packets", 0200, dir, NULL, &packets_ops);
	debugfs_create_file("empty", 0200, dir, NULL, &empty_fops);
	debugfs_create_file("run", 0600, dir, NULL, &run_ops);
	return 0;

err_free:
	lookup_free();
	return -ENOMEM;
}

static void __exit lookup_exit(void)
{
	debugfs_remove(dir);
	lookup_free();
}

module_init(lookup_init);
module_exit(lookup_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Times the ingress hooks of devices, for tests");
