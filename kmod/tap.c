// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/netlink.h>
#include <linux/rculist.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "device.h"
#include "netlink.h"
#include "packet.h"
#include "tap.h"
#include "verdict.h"

/* Verdicts in one message. */
#define BATCH 64
/* How long the first of them waits for company. */
#define DELAY (HZ / 50)

/**
 * struct lost - verdicts that did not reach their reader
 * @rate: over the rate
 * @ring: no room in the ring
 * @socket: no room in its receive buffer, or no memory for the message
 */
struct lost {
	u64 rate;
	u64 ring;
	u64 socket;
};

/**
 * struct tr_tap - what a netlink socket wants to see
 * @node: in tr_device.taps; readers RCU
 * @net: of the device
 * @ifindex: of the device
 * @portid: of the socket
 * @filter: what is of interest
 * @work: sends
 * @told: @lost as the reader knows it; the work's
 * @batch: on its way from @ring into a message; the work's
 * @lock: everything below
 * @rate: verdicts a second
 * @credit: HZ of it allow one verdict
 * @refilled: when @credit grew last, jiffies
 * @queued: @work is to come and has not begun
 * @lost: so far
 * @head: oldest in @ring
 * @count: in @ring
 * @ring: to be sent
 */
struct tr_tap {
	struct hlist_node node;
	struct net *net;
	int ifindex;
	u32 portid;
	struct tr_verdict_filter filter;
	struct delayed_work work;
	struct lost told;
	struct tailrace_verdict batch[BATCH];
	spinlock_t lock;
	u32 rate;
	u64 credit;
	unsigned long refilled;
	bool queued;
	struct lost lost;
	unsigned int head;
	unsigned int count;
	struct tailrace_verdict ring[TR_TAP_RING];
};

/* A quarter of a second's worth at once. */
static u64 credit_max(const struct tr_tap *tap)
{
	return (u64)max(tap->rate / 4, 1U) * HZ;
}

static bool take_credit(struct tr_tap *tap)
{
	unsigned long now = jiffies;

	tap->credit = min(tap->credit + (u64)(now - tap->refilled) * tap->rate,
			  credit_max(tap));
	tap->refilled = now;
	if (tap->credit < HZ)
		return false;
	tap->credit -= HZ;
	return true;
}

static void note(struct tr_tap *tap, const struct tailrace_verdict *verdict)
{
	bool first, half = false;

	spin_lock_bh(&tap->lock);
	if (!take_credit(tap)) {
		tap->lost.rate++;
	} else if (tap->count == TR_TAP_RING) {
		tap->lost.ring++;
	} else {
		tap->ring[(tap->head + tap->count++) % TR_TAP_RING] = *verdict;
		half = tap->count == TR_TAP_RING / 2;
	}
	first = !tap->queued;
	tap->queued = true;
	spin_unlock_bh(&tap->lock);
	if (half)
		mod_delayed_work(tr_wq, &tap->work, 0);
	else if (first)
		queue_delayed_work(tr_wq, &tap->work, DELAY);
}

void tr_taps_show(struct hlist_head *taps, const struct sk_buff *skb,
		  const struct tr_packet *pkt, const struct tr_result *res,
		  enum tailrace_trace_flags direction)
{
	struct tailrace_verdict verdict;
	struct tr_tap *tap;
	const u8 *icmp;
	u8 buf[2];

	tr_verdict_fill(&verdict, pkt, res, direction);
	verdict.time = ktime_get_real_ns();
	verdict.packets = max_t(u16, skb_shinfo(skb)->gso_segs, 1);
	if (pkt->family && tr_packet_is_icmp(pkt)) {
		icmp = skb_header_pointer(skb, pkt->l4_off, sizeof(buf), buf);
		if (icmp) {
			verdict.icmp_type = icmp[0];
			verdict.icmp_code = icmp[1];
		}
	}
	hlist_for_each_entry_rcu(tap, taps, node) {
		if (tr_verdict_matches(&tap->filter, &verdict, pkt))
			note(tap, &verdict);
	}
}

/* Moves the oldest to the batch. Return: how many. */
static unsigned int take(struct tr_tap *tap)
{
	unsigned int n, i;

	spin_lock_bh(&tap->lock);
	n = min_t(unsigned int, tap->count, BATCH);
	for (i = 0; i < n; i++)
		tap->batch[i] = tap->ring[(tap->head + i) % TR_TAP_RING];
	tap->head = (tap->head + n) % TR_TAP_RING;
	tap->count -= n;
	spin_unlock_bh(&tap->lock);
	return n;
}

/* Sends the batch of @n. */
static int send(struct tr_tap *tap, unsigned int n, const struct lost *lost,
		bool ended)
{
	size_t size = n * sizeof(tap->batch[0]);
	struct sk_buff *skb;
	void *hdr;

	skb = genlmsg_new(nla_total_size(size) + nla_total_size(sizeof(u32)) +
				  3 * nla_total_size_64bit(sizeof(u64)) +
				  nla_total_size(0),
			  GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put(skb, tap->portid, 0, &tr_netlink_family, 0,
			  TAILRACE_CMD_TRACE_NTF);
	nla_put_u32(skb, TAILRACE_A_TRACE_IFINDEX, tap->ifindex);
	if (n)
		nla_put(skb, TAILRACE_A_TRACE_VERDICTS, size, tap->batch);
	nla_put_u64_64bit(skb, TAILRACE_A_TRACE_LOST_RATE, lost->rate,
			  TAILRACE_A_TRACE_PAD);
	nla_put_u64_64bit(skb, TAILRACE_A_TRACE_LOST_RING, lost->ring,
			  TAILRACE_A_TRACE_PAD);
	nla_put_u64_64bit(skb, TAILRACE_A_TRACE_LOST_SOCKET, lost->socket,
			  TAILRACE_A_TRACE_PAD);
	if (ended)
		nla_put_flag(skb, TAILRACE_A_TRACE_ENDED);
	genlmsg_end(skb, hdr);
	return genlmsg_unicast(tap->net, skb, tap->portid);
}

/* Sends the oldest verdicts. Return: false when there are no more. */
static bool send_some(struct tr_tap *tap, bool ended)
{
	unsigned int n = take(tap);
	struct lost lost;

	spin_lock_bh(&tap->lock);
	lost = tap->lost;
	spin_unlock_bh(&tap->lock);
	if (!n && !ended && !memcmp(&lost, &tap->told, sizeof(lost)))
		return false;
	if (!send(tap, n, &lost, ended)) {
		tap->told = lost;
	} else {
		spin_lock_bh(&tap->lock);
		tap->lost.socket += n;
		spin_unlock_bh(&tap->lock);
	}
	return n;
}

static void work(struct work_struct *work)
{
	struct tr_tap *tap =
		container_of(to_delayed_work(work), struct tr_tap, work);
	unsigned int i;

	spin_lock_bh(&tap->lock);
	tap->queued = false;
	spin_unlock_bh(&tap->lock);
	/*
	 * What comes in the meantime has queued the work anew, so one ring's
	 * worth is enough, and an empty batch, which tells what was lost, is
	 * the last.
	 */
	for (i = 0; i <= TR_TAP_RING / BATCH; i++) {
		if (!send_some(tap, false))
			break;
	}
}

static struct tr_tap *find(struct tr_device *tdev, u32 portid)
{
	struct tr_tap *tap;

	lockdep_assert_held(&tdev->tn->lock);
	hlist_for_each_entry(tap, &tdev->taps, node) {
		if (tap->portid == portid)
			return tap;
	}
	return NULL;
}

int tr_tap_start(struct tr_device *tdev, u32 portid,
		 const struct tr_verdict_filter *filter, u32 rate,
		 struct netlink_ext_ack *extack)
{
	struct tr_tap *tap;
	unsigned int n = 0;

	if (find(tdev, portid)) {
		NL_SET_ERR_MSG(extack, "this socket traces the device already");
		return -EEXIST;
	}
	hlist_for_each_entry(tap, &tdev->taps, node)
		n++;
	if (n >= TAILRACE_MAX_TRACES) {
		NL_SET_ERR_MSG(extack, "too many traces of the device");
		return -EBUSY;
	}
	tap = kvzalloc(sizeof(*tap), GFP_KERNEL_ACCOUNT);
	if (!tap)
		return -ENOMEM;
	tap->net = tdev->tn->net;
	tap->ifindex = tdev->dev->ifindex;
	tap->portid = portid;
	tap->filter = *filter;
	INIT_DELAYED_WORK(&tap->work, work);
	spin_lock_init(&tap->lock);
	tap->rate = rate;
	tap->credit = credit_max(tap);
	tap->refilled = jiffies;
	hlist_add_head_rcu(&tap->node, &tdev->taps);
	return 0;
}

/* The packet path has let go of it when this returns. */
static void unlink_tap(struct tr_tap *tap)
{
	hlist_del_rcu(&tap->node);
	synchronize_rcu();
	cancel_delayed_work_sync(&tap->work);
}

int tr_tap_stop(struct tr_device *tdev, u32 portid,
		struct netlink_ext_ack *extack)
{
	struct tr_tap *tap = find(tdev, portid);

	if (!tap) {
		NL_SET_ERR_MSG(extack, "this socket does not trace the device");
		return -ENOENT;
	}
	unlink_tap(tap);
	while (send_some(tap, false))
		;
	kvfree(tap);
	return 0;
}

void tr_taps_release(struct tr_device *tdev, u32 portid)
{
	struct tr_tap *tap = find(tdev, portid);

	if (!tap)
		return;
	unlink_tap(tap);
	kvfree(tap);
}

void tr_taps_uninit(struct tr_device *tdev)
{
	struct hlist_node *next;
	struct tr_tap *tap;

	lockdep_assert_held(&tdev->tn->lock);
	hlist_for_each_entry_safe(tap, next, &tdev->taps, node) {
		unlink_tap(tap);
		while (tap->count > BATCH)
			send_some(tap, false);
		send_some(tap, true);
		kvfree(tap);
	}
}
