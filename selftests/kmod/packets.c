// SPDX-License-Identifier: GPL-2.0
/*
 * Packets from a device of our own, many and wrong. Only for tests.
 *
 * The device is "fuzz0"; move it to where it is wanted. What comes from it is
 * made of the packets written to debugfs file packets/corpus, in one piece: for
 * each of them a u8 of enum where, a u8 0, a u16 length and the packet from its
 * IP header on. Writing "SEED COUNT INSIDE" to packets/run sends COUNT of them,
 * as they are or maimed, in all the shapes that a packet has in the kernel, and
 * returns when that is done; INSIDE is the WireGuard device, in fuzz0's
 * namespace, that those of INSIDE_IN come from and those of INSIDE_OUT go to.
 * Writing to packets/unlocked ends lockdep until the next boot.
 */
#include <linux/completion.h>
#include <linux/debug_locks.h>
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/prandom.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <linux/vmalloc.h>
#include <net/checksum.h>
#include <net/ip.h>

#define CORPUS_MAX (1 << 20)
#define RECORDS_MAX 4096
#define PACKET_MAX 2048
#define MARGIN 64
#define HEADERS 256

enum where { OUTSIDE, INSIDE_IN, INSIDE_OUT, WHERE_MAX };

struct record {
	u8 where;
	u8 zero;
	u16 len;
	u8 data[];
};

static struct net_device *fuzz;
static struct net_device *inside;
static struct napi_struct napi;
static struct dentry *dir;
static DEFINE_MUTEX(lock);
static DECLARE_COMPLETION(done);

static u8 *corpus;
static const struct record *records[RECORDS_MAX];
static unsigned int n_records;

static struct rnd_state rng;
static u64 left;
static unsigned long n_sent[WHERE_MAX], n_no_memory;

/* The packet in the making, and what is left of its kind to follow it. */
static u8 packet[PACKET_MAX];
static unsigned int len;
static enum where where;
static unsigned int burst;

static u32 rnd(u32 n)
{
	return prandom_u32_state(&rng) % n;
}

static bool one_in(u32 n)
{
	return !rnd(n);
}

static const struct record *any_record(void)
{
	return records[rnd(n_records)];
}

static unsigned int header_len(void)
{
	return packet[0] >> 4 == 6 ? sizeof(struct ipv6hdr) :
				     sizeof(struct iphdr);
}

static bool is_udp(void)
{
	return len >= header_len() + sizeof(struct udphdr) &&
	       (packet[0] == 0x45 ?
			packet[offsetof(struct iphdr, protocol)] :
			packet[offsetof(struct ipv6hdr, nexthdr)]) ==
		       IPPROTO_UDP;
}

/* Lengths and sums as they ought to be: the stack drops the rest early. */
static void mend(void)
{
	struct iphdr *ip = (void *)packet;
	struct ipv6hdr *ip6 = (void *)packet;

	if (len >= sizeof(*ip6) && ip->version == 6) {
		ip6->payload_len = htons(len - sizeof(*ip6));
	} else if (len >= sizeof(*ip)) {
		ip->version = 4;
		if (ip->ihl < 5 || ip->ihl * 4 > len)
			ip->ihl = 5;
		ip->tot_len = htons(len);
		ip_send_check(ip);
	}
	if (is_udp()) {
		struct udphdr *udp = (void *)(packet + header_len());

		udp->len = htons(len - header_len());
		udp->check = 0;
	}
}

static void maim(void)
{
	static const u8 edges[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };
	const struct record *other;
	unsigned int n, at;

	for (n = 1 + rnd(3); n && len; n--) {
		switch (rnd(8)) {
		case 0:
		case 1:
			packet[rnd(min(len, 80U))] ^= 1 << rnd(8);
			break;
		case 2:
			packet[rnd(len)] = edges[rnd(sizeof(edges))];
			break;
		case 3: /* inside of what is most read */
			packet[rnd(min(len, 64U))] =
				edges[rnd(sizeof(edges))];
			break;
		case 4:
			len = rnd(one_in(2) ? len : min(len, 90U)) + 1;
			break;
		case 5:
			at = min_t(unsigned int, rnd(200), PACKET_MAX - len);
			prandom_bytes_state(&rng, packet + len, at);
			len += at;
			break;
		case 6: /* the head of one and the tail of another */
			other = any_record();
			at = rnd(min_t(unsigned int, len, other->len) + 1);
			memcpy(packet + at, other->data + at, other->len - at);
			len = max_t(unsigned int, other->len, 1);
			break;
		case 7:
			at = rnd(len);
			prandom_bytes_state(&rng, packet + at,
					    min(len - at, 1 + rnd(16)));
			break;
		}
	}
	if (rnd(8))
		mend();
}

/* Another payload behind the same headers, for GRO to bring together. */
static void follow(void)
{
	const struct record *other = any_record();
	unsigned int head = header_len() + sizeof(struct udphdr);

	if (other->where == OUTSIDE && other->data[0] == packet[0] &&
	    other->len > head && one_in(2)) {
		unsigned int size = min_t(unsigned int, other->len - head,
					  len - head);

		memcpy(packet + head, other->data + head, size);
		if (one_in(3))
			len = head + size;
	} else if (len > head + 4) {
		packet[head] = 4; /* WireGuard's data */
		memset(packet + head + 1, 0, 3);
	}
	mend();
}

static void next_packet(void)
{
	const struct record *r;

	if (burst) {
		burst--;
		follow();
		return;
	}
	r = any_record();
	where = r->where;
	len = r->len;
	memcpy(packet, r->data, len);
	if (one_in(6) && where == OUTSIDE && is_udp() && packet[0] != 0x40) {
		burst = rnd(12);
		mend();
		return;
	}
	if (rnd(5))
		maim();
	if (one_in(50))
		where = rnd(WHERE_MAX);
}

/* The packet behind the linear part, in pages; the first has @least. */
static bool add_pages(struct sk_buff *skb, const u8 *from, unsigned int size,
		      unsigned int least)
{
	while (size && skb_shinfo(skb)->nr_frags < 4) {
		unsigned int n = skb_shinfo(skb)->nr_frags == 3 ?
					 size :
					 min(size, max(least, 1 + rnd(size)));
		unsigned int off = rnd(256);
		struct page *page;

		page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
		if (!page)
			return false;
		n = min_t(unsigned int, n, PAGE_SIZE - off);
		memcpy(page_address(page) + off, from, n);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, off, n,
				PAGE_SIZE);
		from += n;
		size -= n;
	}
	return true;
}

/* The rest as packets of their own that hang on the first. */
static bool add_list(struct sk_buff *skb, const u8 *from, unsigned int size)
{
	struct sk_buff **tail = &skb_shinfo(skb)->frag_list;

	while (size) {
		unsigned int n = 1 + rnd(size);
		struct sk_buff *one = alloc_skb(n, GFP_ATOMIC | __GFP_NOWARN);

		if (!one)
			return false;
		skb_put_data(one, from, n);
		skb->len += n;
		skb->data_len += n;
		skb->truesize += one->truesize;
		*tail = one;
		tail = &one->next;
		from += n;
		size -= n;
	}
	return true;
}

/*
 * Every fourth is of kmalloc(), where KASAN sees more. It also takes more of the
 * time than all that is done with the packet: the other three are of pages.
 */
static struct sk_buff *alloc(unsigned int size)
{
	unsigned int whole = SKB_DATA_ALIGN(size) +
			     SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct sk_buff *skb;
	void *head;

	if (one_in(4))
		return alloc_skb(size, GFP_ATOMIC | __GFP_NOWARN);
	head = netdev_alloc_frag(whole);
	if (!head)
		return NULL;
	skb = build_skb(head, whole);
	if (!skb)
		skb_free_frag(head);
	return skb;
}

/*
 * The headers, of which there may be so much, are linear: GRO wants that, which
 * otherwise goes on to read a page that it has emptied and freed.
 */
static struct sk_buff *make(unsigned int headers, bool may_list)
{
	unsigned int least = min(len, headers);
	unsigned int linear = len;
	struct sk_buff *skb;
	bool good = true;

	if (one_in(3))
		linear = rnd(one_in(2) ? len + 1 : min(len, 60U) + 1);
	if (linear < least)
		linear = least;
	skb = alloc(MARGIN + ETH_HLEN + linear);
	if (!skb)
		return NULL;
	skb_reserve(skb, MARGIN + ETH_HLEN);
	skb_put_data(skb, packet, linear);
	if (linear < len)
		good = may_list && one_in(3) ?
			       add_list(skb, packet + linear, len - linear) :
			       add_pages(skb, packet + linear, len - linear,
					 least);
	if (!good) {
		kfree_skb(skb);
		return NULL;
	}
	skb->protocol = packet[0] >> 4 == 6 ? htons(ETH_P_IPV6) :
					      htons(ETH_P_IP);
	if (one_in(200))
		skb->protocol = htons(rnd(2) ? ETH_P_IPV6 : ETH_P_IP);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, header_len());
	return skb;
}

/*
 * As a hypervisor's card may give it to us, or not: the stack must not trust
 * the sizes.
 */
static void make_gso(struct sk_buff *skb)
{
	unsigned int head = header_len();

	if (!is_udp() || packet[0] == 0x40 ||
	    !pskb_may_pull(skb, head + sizeof(struct udphdr)) ||
	    !skb_partial_csum_set(skb, head, offsetof(struct udphdr, check)))
		return;
	skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4 | SKB_GSO_DODGY;
	skb_shinfo(skb)->gso_size = 1 + rnd(one_in(2) ? 200 : 1500);
	skb_shinfo(skb)->gso_segs = 0;
}

static void send_outside(bool gro)
{
	struct sk_buff *skb = make(gro ? HEADERS : 0, !gro);

	if (!skb) {
		n_no_memory++;
		return;
	}
	skb->dev = fuzz;
	skb_push(skb, ETH_HLEN);
	skb_reset_mac_header(skb);
	memset(skb->data, 0, ETH_HLEN);
	eth_hdr(skb)->h_proto = skb->protocol;
	skb_pull(skb, ETH_HLEN);
	skb_reset_network_header(skb);
	skb->ip_summed = rnd(4) ? CHECKSUM_UNNECESSARY : CHECKSUM_NONE;
	if (gro) {
		napi_gro_receive(&napi, skb);
		return;
	}
	if (one_in(16) && !skb_has_frag_list(skb))
		make_gso(skb);
	netif_receive_skb(skb);
}

static void send_inside_in(bool gro)
{
	struct sk_buff *skb = make(gro ? HEADERS : 0, !gro);

	if (!skb) {
		n_no_memory++;
		return;
	}
	skb->dev = inside;
	skb_reset_mac_header(skb);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->csum_level = ~0;
	if (gro)
		napi_gro_receive(&napi, skb);
	else
		netif_receive_skb(skb);
}

static void send_inside_out(void)
{
	struct sk_buff *skb = make(0, false);

	if (!skb) {
		n_no_memory++;
		return;
	}
	skb->dev = inside;
	skb_reset_mac_header(skb);
	dev_queue_xmit(skb);
}

static int poll(struct napi_struct *n, int budget)
{
	int i;

	for (i = 0; i < budget && left; i++, left--) {
		bool in_burst = burst;

		next_packet();
		n_sent[where]++;
		switch (where) {
		case OUTSIDE:
			send_outside(in_burst || burst || one_in(2));
			break;
		case INSIDE_IN:
			send_inside_in(one_in(2));
			break;
		case INSIDE_OUT:
			send_inside_out();
			break;
		case WHERE_MAX:
			break;
		}
	}
	if (i < budget && napi_complete_done(n, i))
		complete(&done);
	return i;
}

static ssize_t write_corpus(struct file *file, const char __user *from,
			    size_t size, loff_t *pos)
{
	size_t off = 0;
	ssize_t ret = -EINVAL;
	u8 *data;

	if (size > CORPUS_MAX)
		return -E2BIG;
	data = vmemdup_user(from, size);
	if (IS_ERR(data))
		return PTR_ERR(data);
	mutex_lock(&lock);
	kvfree(corpus);
	corpus = data;
	n_records = 0;
	while (off + sizeof(struct record) <= size && n_records < RECORDS_MAX) {
		const struct record *r = (void *)(data + off);

		off += sizeof(*r) + ALIGN(r->len, 2);
		if (r->where >= WHERE_MAX || !r->len ||
		    r->len > PACKET_MAX / 2 || off > size)
			goto out;
		records[n_records++] = r;
	}
	ret = n_records ? size : -EINVAL;
out:
	if (ret < 0)
		n_records = 0;
	mutex_unlock(&lock);
	return ret;
}

static ssize_t write_run(struct file *file, const char __user *from,
			 size_t size, loff_t *pos)
{
	char text[64] = {}, name[IFNAMSIZ];
	ssize_t ret = size;
	u64 seed, count;

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	if (sscanf(text, "%llu %llu %15s", &seed, &count, name) != 3)
		return -EINVAL;
	mutex_lock(&lock);
	inside = dev_get_by_name(dev_net(fuzz), name);
	if (!inside || !n_records || !netif_running(fuzz)) {
		ret = -ENODEV;
		goto out;
	}
	prandom_seed_state(&rng, seed);
	burst = 0;
	left = count;
	memset(n_sent, 0, sizeof(n_sent));
	n_no_memory = 0;
	reinit_completion(&done);
	local_bh_disable();
	napi_schedule(&napi);
	local_bh_enable();
	/* Longer than a task may hang. */
	while (!wait_for_completion_timeout(&done, HZ))
		;
out:
	if (inside)
		dev_put(inside);
	inside = NULL;
	mutex_unlock(&lock);
	return ret;
}

static ssize_t read_run(struct file *file, char __user *to, size_t size,
			loff_t *pos)
{
	char text[128];
	int n;

	n = scnprintf(text, sizeof(text), "%lu %lu %lu %lu\n",
		      n_sent[OUTSIDE], n_sent[INSIDE_IN], n_sent[INSIDE_OUT],
		      n_no_memory);
	return simple_read_from_buffer(to, size, pos, text, n);
}

static ssize_t write_unlocked(struct file *file, const char __user *from,
			      size_t size, loff_t *pos)
{
	if (IS_ENABLED(CONFIG_LOCKDEP))
		debug_locks_off();
	return size;
}

static const struct file_operations unlocked_ops = {
	.owner = THIS_MODULE,
	.write = write_unlocked,
};

static const struct file_operations corpus_ops = {
	.owner = THIS_MODULE,
	.write = write_corpus,
};

static const struct file_operations run_ops = {
	.owner = THIS_MODULE,
	.read = read_run,
	.write = write_run,
};

static int fuzz_open(struct net_device *dev)
{
	napi_enable(&napi);
	return 0;
}

static int fuzz_stop(struct net_device *dev)
{
	napi_disable(&napi);
	return 0;
}

static netdev_tx_t fuzz_xmit(struct sk_buff *skb, struct net_device *dev)
{
	kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops fuzz_ops = {
	.ndo_open = fuzz_open,
	.ndo_stop = fuzz_stop,
	.ndo_start_xmit = fuzz_xmit,
};

static void setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &fuzz_ops;
	dev->flags |= IFF_NOARP;
	dev->hw_features |= NETIF_F_GRO_FRAGLIST | NETIF_F_GRO_UDP_FWD;
	eth_hw_addr_random(dev);
}

static int __init packets_init(void)
{
	int ret;

	fuzz = alloc_netdev(0, "fuzz%d", NET_NAME_UNKNOWN, setup);
	if (!fuzz)
		return -ENOMEM;
	netif_napi_add(fuzz, &napi, poll);
	ret = register_netdev(fuzz);
	if (ret) {
		free_netdev(fuzz);
		return ret;
	}
	dir = debugfs_create_dir("packets", NULL);
	debugfs_create_file("corpus", 0200, dir, NULL, &corpus_ops);
	debugfs_create_file("unlocked", 0200, dir, NULL, &unlocked_ops);
	debugfs_create_file("run", 0600, dir, NULL, &run_ops);
	return 0;
}

static void __exit packets_exit(void)
{
	debugfs_remove(dir);
	unregister_netdev(fuzz);
	free_netdev(fuzz);
	kvfree(corpus);
}

module_init(packets_init);
module_exit(packets_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Packets for tests of tailrace");
