// SPDX-License-Identifier: GPL-2.0
#include "engine/netprobe.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "lib/util.h"

/* Once this many regions have answered, the others get little more time. */
#define ENOUGH_REGIONS 3
#define ADDRESS_RETRY (20 * MS_NS)

void net_probes_start(struct net_probes *p, const struct net_plan_input *in,
		      struct net_report *report, bool full, uint64_t now)
{
	struct net_sequence *plan = xcalloc(NET_PLAN_MAX, sizeof(*plan));
	size_t i;

	memset(p, 0, sizeof(*p));
	p->report = report;
	p->full = full;
	p->start = now;
	p->stop = now + NET_PROBE_LIMIT;
	p->n = net_plan(in, plan);
	for (i = 0; i < p->n; i++)
		p->seq[i].plan = plan[i];
	free(plan);
}

/* Whether another answer from this region and family would tell anything. */
static bool is_useful(const struct net_probes *p, size_t i)
{
	const struct net_report *r = p->report;

	return !net_report_latency(r, p->seq[i].plan.region) ||
	       (p->seq[i].plan.family == 6 && !r->ipv6) ||
	       (p->seq[i].plan.family == 4 && r->mapping_varies < 0);
}

static uint64_t due(const struct net_probes *p, size_t i)
{
	uint64_t at = p->start + p->seq[i].plan.probe[p->seq[i].next].delay;

	return at > p->seq[i].again ? at : p->seq[i].again;
}

/* Sends the next probe of sequence @i. */
static void send_probe(struct net_probes *p, size_t i, uint64_t now,
		       net_probe_send send, void *ctx)
{
	struct net_probe *probe = &p->seq[i].probe[p->seq[i].next];
	const struct net_sequence *plan = &p->seq[i].plan;
	uint8_t request[STUN_REQUEST_LEN];
	int ret;

	if (!is_useful(p, i)) {
		p->seq[i].done = true;
		return;
	}
	randombytes_buf(probe->txid, sizeof(probe->txid));
	stun_request(request, probe->txid);
	ret = send(ctx, plan->probe[p->seq[i].next].node, plan->family, request,
		   sizeof(request));
	if (ret == -EINPROGRESS) {
		p->seq[i].again = now + ADDRESS_RETRY;
		return;
	}
	if (!ret || ret == -EPERM) {
		if (plan->family == 4)
			p->report->ipv4_can_send = true;
		else
			p->report->ipv6_can_send = true;
		probe->sent = now;
	}
	p->seq[i].next++;
}

void net_probes_run(struct net_probes *p, uint64_t now, net_probe_send send,
		    void *ctx)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		while (!p->seq[i].done &&
		       p->seq[i].next < p->seq[i].plan.n && due(p, i) <= now)
			send_probe(p, i, now, send, ctx);
}

/* Enough regions have answered: the slowest of them sets the limit. */
static void limit(struct net_probes *p, uint64_t now)
{
	uint64_t worst = 0, stop;
	size_t i;

	if (p->report->n_regions != ENOUGH_REGIONS)
		return;
	for (i = 0; i < p->report->n_regions; i++)
		if (p->report->regions[i].ns > worst)
			worst = p->report->regions[i].ns;
	stop = now + (p->full ? 2 * worst : worst);
	if (stop < p->stop)
		p->stop = stop;
}

bool net_probes_answer(struct net_probes *p, const uint8_t txid[STUN_TXID_LEN],
		       const struct endpoint *mapped, uint64_t now)
{
	size_t i, k, before = p->report->n_regions;

	for (i = 0; i < p->n; i++) {
		for (k = 0; k < p->seq[i].next; k++) {
			struct net_probe *probe = &p->seq[i].probe[k];

			if (!probe->sent ||
			    memcmp(probe->txid, txid, STUN_TXID_LEN))
				continue;
			net_report_add_stun(p->report, p->seq[i].plan.region,
					    p->seq[i].plan.family,
					    now - probe->sent, mapped);
			probe->sent = 0;
			p->seq[i].done = true;
			if (p->report->n_regions != before)
				limit(p, now);
			return true;
		}
	}
	return false;
}

uint64_t net_probes_next(const struct net_probes *p, uint64_t now)
{
	uint64_t next = p->stop;
	bool open = false;
	size_t i;

	for (i = 0; i < p->n; i++) {
		size_t k;

		if (p->seq[i].done)
			continue;
		if (p->seq[i].next < p->seq[i].plan.n) {
			open = true;
			if (due(p, i) < next)
				next = due(p, i);
		}
		for (k = 0; k < p->seq[i].next; k++)
			open = open || p->seq[i].probe[k].sent;
	}
	return open ? next : now;
}
