// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "device.h"
#include "event.h"
#include "netlink.h"

/* Takes the message. Return: false when a listener has missed it. */
static bool send(struct tr_event_queue *events, struct sk_buff *skb, void *hdr)
{
	int ret;

	genlmsg_end(skb, hdr);
	ret = genlmsg_multicast_netns(&tr_netlink_family, events->net, skb, 0,
				      0, GFP_KERNEL);
	return !ret || ret == -ESRCH;
}

static struct sk_buff *start(u8 cmd, void **hdr)
{
	struct sk_buff *skb = genlmsg_new(256, GFP_KERNEL);

	if (skb)
		*hdr = genlmsg_put(skb, 0, 0, &tr_netlink_family, 0, cmd);
	return skb;
}

static bool send_note(struct tr_event_queue *events, u8 cmd, u32 arg)
{
	struct sk_buff *skb;
	void *hdr;

	skb = start(cmd, &hdr);
	if (!skb)
		return false;
	if (cmd == TAILRACE_CMD_STATE_NTF) {
		nla_put_u32(skb, TAILRACE_A_DEVICE_IFINDEX, events->ifindex);
		nla_put_u32(skb, TAILRACE_A_DEVICE_STATE, arg);
	} else {
		nla_put_u32(skb, TAILRACE_A_EVENT_IFINDEX, events->ifindex);
		if (cmd != TAILRACE_CMD_RESYNC_NTF)
			nla_put_u32(skb, TAILRACE_A_EVENT_PEER, arg);
	}
	return send(events, skb, hdr);
}

static bool send_source(struct tr_event_queue *events,
			const struct tailrace_endpoint *source)
{
	struct sk_buff *skb;
	void *hdr;

	skb = start(TAILRACE_CMD_SOURCE_NTF, &hdr);
	if (!skb)
		return false;
	nla_put_u32(skb, TAILRACE_A_EVENT_IFINDEX, events->ifindex);
	nla_put(skb, TAILRACE_A_EVENT_ENDPOINT, sizeof(*source), source);
	return send(events, skb, hdr);
}

static void lose(struct tr_event_queue *events)
{
	spin_lock_bh(&events->lock);
	events->lost = true;
	spin_unlock_bh(&events->lock);
}

static void work(struct work_struct *work)
{
	struct tr_event_queue *events =
		container_of(work, struct tr_event_queue, work);

	for (;;) {
		struct tailrace_endpoint source;
		bool has_source, lost;
		u8 cmd = 0;
		u32 arg;

		spin_lock_bh(&events->lock);
		if (events->count) {
			cmd = events->ring[events->head].cmd;
			arg = events->ring[events->head].arg;
			events->head = (events->head + 1) % TR_EVENT_RING;
			events->count--;
		}
		has_source = events->has_source;
		source = events->source;
		events->has_source = false;
		/* After what was noted: it makes up for the rest. */
		lost = events->lost && !events->count;
		if (lost)
			events->lost = false;
		spin_unlock_bh(&events->lock);

		if (!cmd && !has_source && !lost)
			return;
		if (!genl_has_listeners(&tr_netlink_family, events->net, 0))
			continue;
		if ((cmd && !send_note(events, cmd, arg)) ||
		    (has_source && !send_source(events, &source)))
			lose(events);
		if (lost && !send_note(events, TAILRACE_CMD_RESYNC_NTF, 0)) {
			/* The next event tries again. */
			lose(events);
			return;
		}
	}
}

static void note(struct tr_event_queue *events, u8 cmd, u32 arg)
{
	unsigned int tail;

	spin_lock_bh(&events->lock);
	if (events->count < TR_EVENT_RING) {
		tail = (events->head + events->count++) % TR_EVENT_RING;
		events->ring[tail].cmd = cmd;
		events->ring[tail].arg = arg;
	} else {
		events->lost = true;
	}
	spin_unlock_bh(&events->lock);
	queue_work(tr_wq, &events->work);
}

void tr_event_peer(struct tr_event_queue *events, u32 peer, bool active)
{
	note(events,
	     active ? TAILRACE_CMD_PEER_ACTIVE_NTF : TAILRACE_CMD_PEER_IDLE_NTF,
	     peer);
}

void tr_event_state(struct tr_event_queue *events, enum tailrace_state state)
{
	note(events, TAILRACE_CMD_STATE_NTF, state);
}

void tr_event_source(struct tr_event_queue *events,
		     const struct tailrace_endpoint *source)
{
	if (time_before(jiffies, READ_ONCE(events->source_next)))
		return;
	/* Whoever has the lock is about to send one. */
	if (!spin_trylock(&events->lock))
		return;
	events->source = *source;
	events->has_source = true;
	WRITE_ONCE(events->source_next, jiffies + HZ);
	spin_unlock(&events->lock);
	queue_work(tr_wq, &events->work);
}

void tr_event_tsmp(struct tr_event_queue *events, const void *src,
		   const void *dst, int addr_len, const void *payload, int len)
{
	struct sk_buff *skb;
	void *hdr;

	if (!genl_has_listeners(&tr_netlink_family, events->net, 0))
		return;
	skb = start(TAILRACE_CMD_TSMP_NTF, &hdr);
	if (!skb)
		return;
	nla_put_u32(skb, TAILRACE_A_TSMP_IFINDEX, events->ifindex);
	nla_put(skb, TAILRACE_A_TSMP_SRC, addr_len, src);
	nla_put(skb, TAILRACE_A_TSMP_DST, addr_len, dst);
	nla_put(skb, TAILRACE_A_TSMP_PAYLOAD, len, payload);
	send(events, skb, hdr);
}

void tr_events_init(struct tr_event_queue *events, struct net *net, int ifindex)
{
	INIT_WORK(&events->work, work);
	spin_lock_init(&events->lock);
	events->source_next = jiffies;
	events->net = net;
	events->ifindex = ifindex;
}

void tr_events_uninit(struct tr_event_queue *events)
{
	cancel_work_sync(&events->work);
}
