// SPDX-License-Identifier: GPL-2.0
#include "engine/netplan.h"

#include <stdlib.h>
#include <string.h>

#include "engine/derpmap.h"
#include "lib/util.h"

#define FULL_TRIES 3
#define FULL_SPACING (100 * MS_NS)
#define UNKNOWN_LATENCY (200 * MS_NS)
#define LATE_TRY (50 * MS_NS)
/* Regions of an incremental plan, home apart. */
#define NEAREST 3
#define HOME_TRIES 4
#define NEAR_TRIES 2

struct plan {
	const struct net_plan_input *in;
	struct net_sequence *out;
	size_t n;
};

static bool node_wants(const struct net_plan_input *in,
		       const struct derp_node *n, int family)
{
	struct ip_addr ip;

	if (n->stun_port < 0 || n->stun_port > 65535)
		return false;
	if (n->stun_test_ip && *n->stun_test_ip)
		return !ip_parse(&ip, n->stun_test_ip) && ip.family == family;
	if (family == 4 && n->ipv4 && !strcmp(n->ipv4, "127.0.0.1"))
		return true;
	return (family == 4 ? in->have_v4 : in->have_v6) &&
	       derp_node_addr(n, family, &ip) != DERP_FAMILY_OFF;
}

static void add_probe(struct net_sequence *s, const struct net_plan_input *in,
		      const struct derp_region *r, size_t try, uint64_t delay)
{
	const struct derp_node *n = &r->nodes[try % r->n_nodes];

	if (!node_wants(in, n, s->family))
		return;
	s->probe[s->n].node = n;
	s->probe[s->n++].delay = delay;
}

static void add_sequence(struct plan *p, const struct net_sequence *s)
{
	if (s->n && p->n < NET_PLAN_MAX)
		p->out[p->n++] = *s;
}

static void plan_full(struct plan *p)
{
	const struct derp_region *r;
	size_t try;
	int family;

	for (r = p->in->regions; r; r = r->hh.next) {
		if (r->no_measure_no_home || !r->n_nodes)
			continue;
		for (family = 4; family <= 6; family += 2) {
			struct net_sequence s = { .region = r->id,
						  .family = family };

			for (try = 0; try < FULL_TRIES; try++)
				add_probe(&s, p->in, r, try,
					  try * FULL_SPACING);
			add_sequence(p, &s);
		}
	}
}

struct ranked {
	const struct derp_region *region;
	uint64_t latency; /* of the last report; 0: unknown */
};

static int by_latency(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->latency != y->latency) {
		if (!x->latency || !y->latency)
			return x->latency ? -1 : 1;
		return x->latency < y->latency ? -1 : 1;
	}
	return x->region->id < y->region->id ? -1 : 1;
}

static void plan_region(struct plan *p, const struct ranked *r, size_t index)
{
	const struct net_report *last = p->in->last;
	bool home = r->region->id == p->in->home;
	uint64_t latency = r->latency ? r->latency : UNKNOWN_LATENCY;
	size_t tries = home ? HOME_TRIES : index < 2 ? NEAR_TRIES : 1, try;
	int family;

	for (family = 4; family <= 6; family += 2) {
		struct net_sequence s = { .region = r->region->id,
					  .family = family };

		if (!home && index >= 2) {
			if (last->ipv4 && last->ipv6) {
				if (family != (index % 2 ? 6 : 4))
					continue;
			} else if (family == 6 && !last->ipv6) {
				continue;
			}
		}
		for (try = 0; try < tries; try++) {
			if (try && family == 6 && !last->ipv6)
				break;
			add_probe(&s, p->in, r->region, try,
				  try * latency / 5 * 6 +
					  (try > 1 ? try * LATE_TRY : 0));
		}
		add_sequence(p, &s);
	}
}

static void plan_incremental(struct plan *p)
{
	struct ranked list[NETREPORT_REGIONS_MAX];
	const struct derp_region *r;
	size_t i, n = 0;

	for (r = p->in->regions; r && n < NETREPORT_REGIONS_MAX;
	     r = r->hh.next) {
		const struct net_latency *l =
			net_report_latency(p->in->last, r->id);

		if (r->no_measure_no_home || !r->n_nodes ||
		    (r->avoid && r->id != p->in->home))
			continue;
		list[n].region = r;
		list[n++].latency = l ? l->ns : 0;
	}
	qsort(list, n, sizeof(list[0]), by_latency);
	for (i = 0; i < n; i++)
		if (i < NEAREST || list[i].region->id == p->in->home)
			plan_region(p, &list[i], i);
}

size_t net_plan(const struct net_plan_input *in,
		struct net_sequence out[NET_PLAN_MAX])
{
	struct plan p = { .in = in, .out = out };

	if (in->last && in->last->n_regions)
		plan_incremental(&p);
	else
		plan_full(&p);
	return p.n;
}
