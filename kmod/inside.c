// SPDX-License-Identifier: GPL-2.0
#include <linux/netfilter.h>
#include <linux/skbuff.h>

#include "device.h"
#include "inside.h"
#include "packet.h"
#include "record.h"
#include "tap.h"
#include "trace.h"

static void count_flow(struct tr_device *tdev, const struct tr_result *res)
{
	if (res->flow & TR_RESULT_FLOW_HIT)
		tr_stats_inc(tdev->stats, TAILRACE_A_STATS_FLOW_HITS);
	if (res->flow & TR_RESULT_FLOW_NEW)
		tr_stats_inc(tdev->stats, TAILRACE_A_STATS_FLOW_NEW);
	if (res->flow & TR_RESULT_FLOW_EVICTED)
		tr_stats_inc(tdev->stats, TAILRACE_A_STATS_FLOW_EVICTED);
}

/* GRO and GSO make one of many. */
static unsigned int packets(const struct sk_buff *skb)
{
	return max_t(unsigned int, skb_shinfo(skb)->gso_segs, 1);
}

static void note_record(struct tr_device *tdev, const struct sk_buff *skb,
			const struct tr_packet *pkt,
			const struct tr_result *res, bool in)
{
	struct tr_records *records = rcu_dereference(tdev->records);

	if (unlikely(records))
		tr_records_note(records, pkt, res, in, packets(skb));
}

unsigned int tr_inside_in(void *priv, struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	struct tr_device *tdev = priv;
	struct tr_result res __uninitialized;
	struct tr_packet pkt __uninitialized;

	tr_packet_parse(skb, &pkt);
	if (tr_filter_in(&tdev->filter, &tdev->peers, &pkt, &res)) {
		tr_stats_add(tdev->stats, TAILRACE_A_STATS_FILTER_IN,
			     packets(skb));
		if (res.by_rule)
			tr_hits_add(&tdev->filter.hits, res.slot, packets(skb));
	} else {
		tr_stats_drop(tdev->stats, res.drop, packets(skb));
	}
	count_flow(tdev, &res);
	/* What a peer sends shows that it is there, let in or not. */
	if (res.peer)
		tr_peer_rx(&tdev->peers, res.peer, packets(skb), pkt.len);
	trace_tailrace_verdict(tdev->dev, true, &pkt, &res);
	tr_taps_note(&tdev->taps, skb, &pkt, &res, TAILRACE_TRACE_IN);
	note_record(tdev, skb, &pkt, &res, true);

	if (!res.accept) {
		if (tr_tsmp_reject(&tdev->tsmp, skb, &pkt, res.drop))
			return NF_STOLEN;
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NETFILTER_DROP, 0);
	}
	if (pkt.proto == TR_PROTO_TSMP) {
		tr_tsmp_receive(&tdev->tsmp, skb);
		return NF_STOLEN;
	}
	return NF_ACCEPT;
}

unsigned int tr_inside_out(void *priv, struct sk_buff *skb,
			   const struct nf_hook_state *state)
{
	struct tr_device *tdev = priv;
	struct tr_result res __uninitialized;
	struct tr_packet pkt __uninitialized;

	tr_packet_parse(skb, &pkt);
	if (tr_filter_out(&tdev->filter, &tdev->peers, &pkt, &res) &&
	    tr_sock_owns(&tdev->sock, skb->sk)) {
		/* A path through the tunnel to the tunnel's own peer. */
		res.accept = false;
		res.cause = TAILRACE_CAUSE_DROPPED;
		res.drop = TAILRACE_DROP_DISCO_INSIDE;
	}
	count_flow(tdev, &res);
	trace_tailrace_verdict(tdev->dev, false, &pkt, &res);
	tr_taps_note(&tdev->taps, skb, &pkt, &res, TAILRACE_TRACE_OUT);
	note_record(tdev, skb, &pkt, &res, false);
	if (!res.accept) {
		tr_stats_drop(tdev->stats, res.drop, packets(skb));
		return NF_DROP_REASON(skb, SKB_DROP_REASON_NETFILTER_DROP,
				      EPERM);
	}
	tr_stats_add(tdev->stats, TAILRACE_A_STATS_FILTER_OUT, packets(skb));
	if (res.peer) {
		tr_stats_path_tx(tdev->stats, READ_ONCE(res.peer->path),
				 packets(skb), pkt.len);
		tr_peer_tx(&tdev->peers, res.peer, packets(skb), pkt.len);
	}
	return NF_ACCEPT;
}

unsigned int tr_inside_post_routing(void *priv, struct sk_buff *skb,
				    const struct nf_hook_state *state)
{
	struct tr_device *tdev =
		tr_device_by_dev(tr_device_net(state->net), state->out);
	unsigned int ret;

	if (!tdev)
		return NF_ACCEPT;
	/* Local packets come here in process context. */
	local_bh_disable();
	ret = tr_inside_out(tdev, skb, state);
	local_bh_enable();
	return ret;
}
