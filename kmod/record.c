// SPDX-License-Identifier: GPL-2.0
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "device.h"
#include "netlink.h"
#include "packet.h"
#include "record.h"

#define WAYS 8
#define BUCKETS (TR_RECORDS_FLOWS / WAYS)

/* Records in a message. */
#define BATCH 64

/* Seconds of silence that end a flow. */
#define IDLE_TCP 300
#define IDLE_OTHER 30
/* What closed a connection is answered within. */
#define IDLE_CLOSED 2

#define TCP_FIN 0x01
#define TCP_RST 0x04

/* What makes a flow; the first 38 bytes as they are in its record. */
struct record_key {
	u8 local[16];
	u8 remote[16];
	u16 local_port;
	u16 remote_port;
	u8 family;
	u8 proto;
	u8 dropped;
	u8 drop;
};

#define KEY_SHARED offsetof(struct record_key, dropped)

/* @reported: seconds, when it was last sent, or began. */
struct flow {
	struct tailrace_flow_record r;
	u32 reported;
};

/* @tag is 0 for a free slot; @used is in seconds and wraps. */
struct bucket {
	spinlock_t lock; /* all of it, and its flows */
	u32 tag[WAYS];
	u16 used[WAYS];
} ____cacheline_aligned;

/**
 * struct tr_records - the flows of a device while they are on record
 * @stats: of the device
 * @net: likewise
 * @ifindex: likewise
 * @seconds: between two records of a flow
 * @secret: of the hash
 * @bucket: BUCKETS of them
 * @flow: the flows of each bucket
 * @ring_lock: of the ring; taken inside a bucket's
 * @ring: records of flows that had to make room
 * @head: oldest in @ring
 * @count: in @ring
 * @work: sends
 * @next_scan: of the table, in jiffies
 * @batch: the next message, the worker's
 * @n_batch: in @batch
 */
struct tr_records {
	struct tr_stats __percpu *stats;
	struct net *net;
	int ifindex;
	u32 seconds;
	hsiphash_key_t secret;
	struct bucket *bucket;
	struct flow (*flow)[WAYS];
	spinlock_t ring_lock;
	struct tailrace_flow_record *ring;
	u32 head;
	u32 count;
	struct delayed_work work;
	unsigned long next_scan;
	struct tailrace_flow_record batch[BATCH];
	u32 n_batch;
};

static u32 now_seconds(void)
{
	return (unsigned long)jiffies / HZ;
}

/* Sending; the worker's, or after it. */

static void lose(struct tr_records *records, u32 n)
{
	local_bh_disable();
	tr_stats_add(records->stats, TAILRACE_A_STATS_RECORDS_LOST, n);
	local_bh_enable();
}

static bool send(struct tr_records *records)
{
	size_t size = records->n_batch * sizeof(*records->batch);
	struct sk_buff *skb;
	void *hdr;

	if (!genl_has_listeners(&tr_netlink_family, records->net,
				TR_GROUP_FLOWS))
		return false;
	skb = genlmsg_new(nla_total_size(sizeof(u32)) + nla_total_size(size),
			  GFP_KERNEL);
	if (!skb)
		return false;
	hdr = genlmsg_put(skb, 0, 0, &tr_netlink_family, 0,
			  TAILRACE_CMD_FLOW_NTF);
	nla_put_u32(skb, TAILRACE_A_FLOW_IFINDEX, records->ifindex);
	nla_put(skb, TAILRACE_A_FLOW_RECORDS, size, records->batch);
	genlmsg_end(skb, hdr);
	/* A listener that asked for it makes this fail when it is too slow. */
	return !genlmsg_multicast_netns(&tr_netlink_family, records->net, skb,
					0, TR_GROUP_FLOWS, GFP_KERNEL);
}

static void send_batch(struct tr_records *records)
{
	if (records->n_batch && !send(records))
		lose(records, records->n_batch);
	records->n_batch = 0;
}

/* Put a flow's news into the batch, which has room. */
static void report(struct tr_records *records, struct flow *flow, u8 end)
{
	struct tailrace_flow_record *r = &flow->r;

	/* One that has closed has that for its end, whatever comes then. */
	if (r->end == TAILRACE_FLOW_END_NONE)
		r->end = end;
	records->batch[records->n_batch++] = *r;
	r->rx_packets = 0;
	r->rx_bytes = 0;
	r->tx_packets = 0;
	r->tx_bytes = 0;
}

/* Whether a flow has ended by now, and by what. */
static u8 end_of(const struct flow *flow, u16 idle, bool all)
{
	const struct tailrace_flow_record *r = &flow->r;
	bool dropped = r->flags & TAILRACE_FLOW_DROPPED;

	if (r->end != TAILRACE_FLOW_END_NONE)
		return idle >= IDLE_CLOSED || all ? r->end :
						    TAILRACE_FLOW_END_NONE;
	if (idle >= (r->proto == IPPROTO_TCP && !dropped ? IDLE_TCP :
							   IDLE_OTHER))
		return TAILRACE_FLOW_END_IDLE;
	return all ? TAILRACE_FLOW_END_OFF : TAILRACE_FLOW_END_NONE;
}

static bool is_due(const struct tr_records *records, const struct flow *flow,
		   u32 now)
{
	return flow->r.end == TAILRACE_FLOW_END_NONE &&
	       now - flow->reported >= READ_ONCE(records->seconds) &&
	       (flow->r.rx_packets || flow->r.tx_packets);
}

/* @all: every flow ends here. */
static void scan_bucket(struct tr_records *records, u32 index, bool all)
{
	struct bucket *b = &records->bucket[index];
	u32 now = now_seconds();
	int i;

	spin_lock_bh(&b->lock);
	for (i = 0; i < WAYS; i++) {
		struct flow *flow = &records->flow[index][i];
		u8 end;

		if (!b->tag[i])
			continue;
		end = end_of(flow, (u16)now - b->used[i], all);
		if (end != TAILRACE_FLOW_END_NONE) {
			report(records, flow, end);
			WRITE_ONCE(b->tag[i], 0);
		} else if (is_due(records, flow, now)) {
			report(records, flow, end);
			flow->reported = now;
		}
	}
	spin_unlock_bh(&b->lock);
}

static bool is_empty(const struct bucket *b)
{
	u32 any = 0;
	int i;

	for (i = 0; i < WAYS; i++)
		any |= READ_ONCE(b->tag[i]);
	return !any;
}

static void scan(struct tr_records *records, bool all)
{
	u32 i;

	for (i = 0; i < BUCKETS; i++) {
		if (is_empty(&records->bucket[i]))
			continue;
		if (records->n_batch + WAYS > BATCH)
			send_batch(records);
		scan_bucket(records, i, all);
		cond_resched();
	}
	send_batch(records);
}

static void drain(struct tr_records *records)
{
	u32 n, i, left = TR_RECORDS_RING;

	/* A flood must not keep us from the table. */
	do {
		spin_lock_bh(&records->ring_lock);
		n = min_t(u32, records->count, BATCH);
		for (i = 0; i < n; i++)
			records->batch[i] = records->ring[(records->head + i) %
							  TR_RECORDS_RING];
		records->head = (records->head + n) % TR_RECORDS_RING;
		records->count -= n;
		spin_unlock_bh(&records->ring_lock);
		records->n_batch = n;
		send_batch(records);
		cond_resched();
		left -= n;
	} while (n == BATCH && left);
}

static void work(struct work_struct *work)
{
	struct tr_records *records = container_of(
		to_delayed_work(work), struct tr_records, work);
	unsigned long now;

	drain(records);
	if (time_after_eq(jiffies, records->next_scan)) {
		scan(records, false);
		records->next_scan = jiffies + HZ;
	}
	now = jiffies;
	queue_delayed_work(tr_wq, &records->work,
			   time_after(records->next_scan, now) ?
				   records->next_scan - now : 0);
}

/* The packet path. */

static void make_key(struct record_key *key, const struct tr_packet *pkt,
		     const struct tr_result *res, bool in)
{
	*key = (struct record_key){
		.local_port = in ? pkt->dport : pkt->sport,
		.remote_port = in ? pkt->sport : pkt->dport,
		.family = pkt->family,
		.proto = pkt->proto,
		.dropped = !res->accept,
		.drop = res->accept ? 0 : res->drop,
	};
	memcpy(key->local, in ? &pkt->dst : &pkt->src, sizeof(key->local));
	memcpy(key->remote, in ? &pkt->src : &pkt->dst, sizeof(key->remote));
}

static bool is_of(const struct flow *flow, const struct record_key *key)
{
	const struct tailrace_flow_record *r = &flow->r;

	BUILD_BUG_ON(offsetof(struct tailrace_flow_record, flags) -
			     offsetof(struct tailrace_flow_record, local) !=
		     KEY_SHARED);
	return !memcmp(r->local, key, KEY_SHARED) && r->drop == key->drop &&
	       !(r->flags & TAILRACE_FLOW_DROPPED) == !key->dropped;
}

/* A flow that has to go, to the ring. BH disabled. */
static void evict(struct tr_records *records, struct flow *flow)
{
	bool half = false;

	if (flow->r.end == TAILRACE_FLOW_END_NONE)
		flow->r.end = TAILRACE_FLOW_END_EVICTED;
	spin_lock(&records->ring_lock);
	if (records->count < TR_RECORDS_RING) {
		records->ring[(records->head + records->count++) %
			      TR_RECORDS_RING] = flow->r;
		half = records->count == TR_RECORDS_RING / 2;
	} else {
		tr_stats_inc(records->stats, TAILRACE_A_STATS_RECORDS_LOST);
	}
	spin_unlock(&records->ring_lock);
	if (half)
		mod_delayed_work(tr_wq, &records->work, 0);
}

/* A free slot, else one that has closed, else the longest silent. */
static int choose_slot(const struct bucket *b, const struct flow *flow)
{
	u16 now = now_seconds(), age, oldest = 0;
	int i, slot = 0;

	for (i = 0; i < WAYS; i++) {
		if (!b->tag[i])
			return i;
		age = now - b->used[i];
		if (flow[i].r.end != TAILRACE_FLOW_END_NONE)
			age |= 0x8000;
		if (age > oldest) {
			oldest = age;
			slot = i;
		}
	}
	return slot;
}

static void begin_flow(struct flow *flow, const struct record_key *key, bool in,
		       u64 now)
{
	*flow = (struct flow){
		.r.start = now,
		.r.local_port = key->local_port,
		.r.remote_port = key->remote_port,
		.r.family = key->family,
		.r.proto = key->proto,
		.r.flags = (key->dropped ? TAILRACE_FLOW_DROPPED : 0) |
			   (in ? 0 : TAILRACE_FLOW_OUTBOUND),
		.r.drop = key->drop,
		.reported = now_seconds(),
	};
	memcpy(flow->r.local, key->local, sizeof(key->local));
	memcpy(flow->r.remote, key->remote, sizeof(key->remote));
}

static void add_packet(struct tailrace_flow_record *r,
		       const struct tr_packet *pkt, const struct tr_result *res,
		       bool in, u32 packets, u64 now)
{
	r->last = now;
	if (in) {
		r->rx_packets += packets;
		r->rx_bytes += pkt->len;
		r->rx_tcp_flags |= pkt->tcp_flags;
	} else {
		r->tx_packets += packets;
		r->tx_bytes += pkt->len;
		r->tx_tcp_flags |= pkt->tcp_flags;
	}
	if (res->by_rule) {
		r->flags |= TAILRACE_FLOW_BY_RULE;
		r->rule = res->rule;
	}
	if (res->peer)
		r->peer = res->peer->id;
	r->generation = res->generation;
	if (r->rx_tcp_flags & r->tx_tcp_flags & TCP_FIN ||
	    (r->rx_tcp_flags | r->tx_tcp_flags) & TCP_RST)
		r->end = TAILRACE_FLOW_END_CLOSED;
}

void tr_records_note(struct tr_records *records, const struct tr_packet *pkt,
		     const struct tr_result *res, bool in, u32 packets)
{
	u64 now = ktime_to_ns(ktime_get_coarse_real());
	struct bucket *b;
	struct flow *flow;
	struct record_key key;
	u32 hash, tag;
	int i;

	BUILD_BUG_ON(sizeof(key) != 40);
	make_key(&key, pkt, res, in);
	hash = hsiphash(&key, sizeof(key), &records->secret);
	tag = hash | 1U << 31;
	b = &records->bucket[hash % BUCKETS];
	flow = records->flow[hash % BUCKETS];

	spin_lock_bh(&b->lock);
	for (i = 0; i < WAYS; i++)
		if (b->tag[i] == tag && is_of(&flow[i], &key))
			break;
	if (i == WAYS) {
		i = choose_slot(b, flow);
		if (b->tag[i])
			evict(records, &flow[i]);
		WRITE_ONCE(b->tag[i], tag);
		begin_flow(&flow[i], &key, in, now);
	} else if (flow[i].r.end != TAILRACE_FLOW_END_NONE &&
		   tr_packet_is_syn(pkt)) {
		/* The next connection with the same ports. */
		evict(records, &flow[i]);
		begin_flow(&flow[i], &key, in, now);
	}
	b->used[i] = now_seconds();
	add_packet(&flow[i].r, pkt, res, in, packets, now);
	spin_unlock_bh(&b->lock);
}

/* Life and death. */

struct tr_records *tr_records_new(struct tr_device *tdev)
{
	struct tr_records *records = kvzalloc(sizeof(*records),
					      GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!records)
		return NULL;
	records->bucket = kvcalloc(BUCKETS, sizeof(*records->bucket),
				   GFP_KERNEL_ACCOUNT);
	records->flow = kvcalloc(BUCKETS, sizeof(*records->flow),
				 GFP_KERNEL_ACCOUNT);
	records->ring = kvcalloc(TR_RECORDS_RING, sizeof(*records->ring),
				 GFP_KERNEL_ACCOUNT);
	if (!records->bucket || !records->flow || !records->ring) {
		tr_records_free(records);
		return NULL;
	}
	for (i = 0; i < BUCKETS; i++)
		spin_lock_init(&records->bucket[i].lock);
	spin_lock_init(&records->ring_lock);
	INIT_DELAYED_WORK(&records->work, work);
	get_random_bytes(&records->secret, sizeof(records->secret));
	records->stats = tdev->stats;
	records->net = tdev->tn->net;
	records->ifindex = tdev->dev->ifindex;
	records->next_scan = jiffies + HZ;
	return records;
}

void tr_records_free(struct tr_records *records)
{
	if (!records)
		return;
	kvfree(records->bucket);
	kvfree(records->flow);
	kvfree(records->ring);
	kvfree(records);
}

void tr_records_set(struct tr_device *tdev, u32 seconds,
		    struct tr_records *fresh)
{
	struct tr_records *records = rcu_dereference_protected(
		tdev->records, lockdep_is_held(&tdev->tn->lock));

	if (seconds && records) {
		WRITE_ONCE(records->seconds, seconds);
	} else if (seconds) {
		fresh->seconds = seconds;
		rcu_assign_pointer(tdev->records, fresh);
		queue_delayed_work(tr_wq, &fresh->work, HZ);
	} else if (records) {
		RCU_INIT_POINTER(tdev->records, NULL);
		/* No packet is noted any more after this. */
		synchronize_net();
		cancel_delayed_work_sync(&records->work);
		drain(records);
		scan(records, true);
		tr_records_free(records);
	}
}

u32 tr_records_seconds(const struct tr_device *tdev)
{
	const struct tr_records *records = rcu_dereference_protected(
		tdev->records, lockdep_is_held(&tdev->tn->lock));

	return records ? READ_ONCE(records->seconds) : 0;
}
