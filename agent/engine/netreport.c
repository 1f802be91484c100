// SPDX-License-Identifier: GPL-2.0
#include "engine/netreport.h"

#include <string.h>

#include "engine/derpmap.h"
#include "lib/util.h"

#define HISTORY_AGE (305 * SEC_NS)
/* Frames this young prove a region accessible. */
#define RECENT_FRAME (8 * SEC_NS)
/* Twice the DERP keep-alive interval. */
#define KEEP_FRAME (120 * SEC_NS)
#define STICKY_NS (10 * MS_NS)

void net_report_init(struct net_report *r, uint64_t now)
{
	memset(r, 0, sizeof(*r));
	r->started = now;
	r->mapping_varies = -1;
	r->upnp = r->pmp = r->pcp = -1;
}

static void keep_min(uint64_t *min, uint64_t ns)
{
	if (!ns)
		ns = 1; /* 0 is "none" */
	if (!*min || ns < *min)
		*min = ns;
}

static struct net_latency *latency_get(struct net_report *r, int region)
{
	size_t i;

	for (i = 0; i < r->n_regions; i++)
		if (r->regions[i].region == region)
			return &r->regions[i];
	if (r->n_regions == NETREPORT_REGIONS_MAX)
		return NULL;
	r->regions[r->n_regions] = (struct net_latency){ .region = region };
	return &r->regions[r->n_regions++];
}

const struct net_latency *net_report_latency(const struct net_report *r,
					     int region)
{
	size_t i;

	for (i = 0; i < r->n_regions; i++)
		if (r->regions[i].region == region)
			return &r->regions[i];
	return NULL;
}

static void count_mapped(struct net_mapped *list, size_t *n,
			 const struct endpoint *ep)
{
	size_t i;

	for (i = 0; i < *n; i++) {
		if (endpoint_equal(&list[i].ep, ep)) {
			list[i].count++;
			return;
		}
	}
	if (*n < NETREPORT_MAPPED_MAX)
		list[(*n)++] = (struct net_mapped){ .ep = *ep, .count = 1 };
}

void net_report_add_stun(struct net_report *r, int region, int family,
			 uint64_t rtt_ns, const struct endpoint *mapped)
{
	struct net_latency *l = latency_get(r, region);

	r->udp = true;
	if (l) {
		keep_min(&l->ns, rtt_ns);
		keep_min(family == 4 ? &l->v4_ns : &l->v6_ns, rtt_ns);
	}
	if (family == 6) {
		r->ipv6 = true;
		if (mapped->ip.family == 6) {
			r->global_v6 = *mapped;
			count_mapped(r->mapped6, &r->n_mapped6, mapped);
		}
		return;
	}
	r->ipv4 = true;
	if (mapped->ip.family != 4)
		return;
	count_mapped(r->mapped4, &r->n_mapped4, mapped);
	if (!r->global_v4.ip.family)
		r->global_v4 = *mapped;
	else if (!endpoint_equal(&r->global_v4, mapped))
		r->mapping_varies = 1;
	else if (r->mapping_varies < 0)
		r->mapping_varies = 0;
}

void net_report_add_latency(struct net_report *r, int region, uint64_t rtt_ns)
{
	struct net_latency *l = latency_get(r, region);

	if (l)
		keep_min(&l->ns, rtt_ns);
}

static void history_add(struct net_history *h, const struct net_report *r,
			uint64_t now)
{
	size_t i;

	if (!h->entry)
		h->entry = xcalloc(NET_HISTORY_MAX, sizeof(*h->entry));
	while (h->n && (h->n == NET_HISTORY_MAX ||
			now - h->entry[h->head].at > HISTORY_AGE)) {
		h->head = (h->head + 1) % NET_HISTORY_MAX;
		h->n--;
	}
	i = (h->head + h->n++) % NET_HISTORY_MAX;
	h->entry[i].at = now;
	h->entry[i].n_regions = r->n_regions;
	memcpy(h->entry[i].regions, r->regions, sizeof(r->regions));
}

void net_history_free(struct net_history *h)
{
	free(h->entry);
	memset(h, 0, sizeof(*h));
}

static uint64_t scored(const struct net_home_input *in, int region, uint64_t ns)
{
	const struct derp_region *r = derpmap_find(in->regions, region);

	return r && r->score > 0 ? (uint64_t)((double)ns * r->score) : ns;
}

/* The least latency of @region over the history, scored; 0: none. */
static uint64_t best_of(const struct net_history *h,
			const struct net_home_input *in, int region)
{
	uint64_t best = 0;
	size_t i, k;

	for (i = 0; i < h->n; i++) {
		size_t e = (h->head + i) % NET_HISTORY_MAX;

		for (k = 0; k < h->entry[e].n_regions; k++)
			if (h->entry[e].regions[k].region == region &&
			    h->entry[e].regions[k].ns)
				keep_min(&best, h->entry[e].regions[k].ns);
	}
	return best ? scored(in, region, best) : 0;
}

static bool heard_within(const struct net_home_input *in, int region,
			 uint64_t age)
{
	uint64_t at = in->last_frame ? in->last_frame(in->ctx, region) : 0;

	return at && (at >= in->now || in->now - at <= age);
}

/* Step 4: whether to stay with @prev although @best_any is better. */
static bool sticks(const struct net_report *r, const struct net_home_input *in,
		   int prev, uint64_t best_any)
{
	const struct net_latency *l = net_report_latency(r, prev);
	uint64_t old = l && l->ns ? scored(in, prev, l->ns) : 0;
	uint64_t run = in->now - r->started;

	if (!old &&
	    !heard_within(in, prev, run > RECENT_FRAME ? run : RECENT_FRAME))
		return false;
	return old < best_any + STICKY_NS || best_any > old / 3 * 2;
}

int net_history_choose(struct net_history *h, struct net_report *r,
		       const struct net_home_input *in)
{
	int prev = h->preferred, chosen = 0;
	uint64_t best_any = 0;
	size_t i;

	history_add(h, r, in->now);
	for (i = 0; i < r->n_regions; i++) {
		uint64_t best = best_of(h, in, r->regions[i].region);

		if (best && (!chosen || best < best_any)) {
			chosen = r->regions[i].region;
			best_any = best;
		}
	}
	if (prev && chosen != prev && sticks(r, in, prev, best_any))
		chosen = prev;
	if (in->forced && (net_report_latency(r, in->forced) ||
			   heard_within(in, in->forced, RECENT_FRAME)))
		chosen = in->forced;
	if (!chosen && prev && heard_within(in, prev, KEEP_FRAME))
		chosen = prev;
	h->preferred = r->preferred_derp = chosen;
	return chosen;
}

int net_home_settle(int preferred, int current, bool streaming, bool forced,
		    const struct derp_region *regions, uint32_t seed)
{
	const struct derp_region *r;
	uint32_t n = 0;

	if (!regions)
		return 0;
	if (current && !derpmap_find(regions, current))
		current = 0;
	if (!streaming && !forced && current)
		return current;
	if (preferred)
		return preferred;
	if (current)
		return current;
	for (r = regions; r; r = r->hh.next)
		n += !r->no_measure_no_home;
	if (!n)
		return 0;
	seed %= n;
	for (r = regions; r; r = r->hh.next)
		if (!r->no_measure_no_home && !seed--)
			return r->id;
	return 0;
}

int net_home_only(const struct derp_region *regions)
{
	const struct derp_region *r;
	int only = 0;

	for (r = regions; r; r = r->hh.next) {
		if (r->no_measure_no_home)
			continue;
		if (only)
			return 0;
		only = r->id;
	}
	return only;
}
