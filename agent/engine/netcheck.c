// SPDX-License-Identifier: GPL-2.0
#include "engine/netcheck.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <string.h>

#include "engine/derpmap.h"
#include "engine/derps.h"
#include "engine/nethttps.h"
#include "engine/netprobe.h"
#include "engine/portmapper.h"
#include "lib/util.h"

#define FULL_INTERVAL (300 * SEC_NS)
#define REPORT_LIMIT (5 * SEC_NS)
/* Regions probed over HTTPS at once; those beyond are not. */
#define HTTPS_MAX 64
#define STUN_PORT 3478

/* A name asked for in this run. */
struct lookup {
	struct netcheck *nc; /* NULL: cancelled, freed by its callback */
	const struct derp_node *node;
	int family;
	struct evdns_getaddrinfo_request *req;
	bool answered;
	struct ip_addr ip; /* family 0: none */
	struct lookup *next;
};

struct netcheck {
	struct event_base *base;
	struct evdns_base *dns;
	struct derps *derps;
	struct portmapper *portmapper; /* or NULL */
	const struct netcheck_ops *ops;
	void *ctx;
	struct event *timer;
	/* Of the run under way. */
	bool running, in_https;
	struct derp_region *regions;
	struct net_report *report;
	struct net_probes *probes;
	struct lookup *lookups;
	struct {
		int region;
		struct net_https *probe; /* NULL: over */
	} https[HTTPS_MAX];
	size_t n_https, https_open;
	uint64_t deadline;
	/* Between runs. */
	struct net_report *last;
	struct net_history history;
	uint64_t last_full;
};

static void arm(struct netcheck *nc, uint64_t at)
{
	uint64_t now = now_ns(), ns = at > now ? at - now : 0;
	/* Round up, or the timer fires just before it is due. */
	uint64_t us = (ns + 999) / 1000;
	struct timeval tv = { .tv_sec = (time_t)(us / 1000000),
			      .tv_usec = (suseconds_t)(us % 1000000) };

	event_add(nc->timer, &tv);
}

static void on_lookup(int result, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *l = arg;
	struct evutil_addrinfo *ai;
	struct endpoint ep;

	if (!l->nc)
		free(l);
	else {
		l->answered = true;
		l->req = NULL;
		for (ai = list; ai && !l->ip.family; ai = ai->ai_next)
			if (!endpoint_from_sockaddr(&ep, ai->ai_addr) &&
			    ep.ip.family == l->family)
				l->ip = ep.ip;
	}
	if (list)
		evutil_freeaddrinfo(list);
}

/* The address of @node by DNS: 0, -EINPROGRESS, or -EHOSTUNREACH. */
static int resolve(struct netcheck *nc, const struct derp_node *node,
		   int family, struct ip_addr *ip)
{
	struct evutil_addrinfo hints = {
		.ai_family = family == 4 ? AF_INET : AF_INET6,
		.ai_socktype = SOCK_DGRAM,
		.ai_protocol = IPPROTO_UDP,
	};
	struct evdns_getaddrinfo_request *req;
	struct lookup *l;

	if (!ip_parse(ip, node->host_name))
		return ip->family == family ? 0 : -EHOSTUNREACH;
	for (l = nc->lookups; l; l = l->next)
		if (l->node == node && l->family == family)
			break;
	if (!l) {
		if (!nc->dns)
			return -EHOSTUNREACH;
		l = xcalloc(1, sizeof(*l));
		l->nc = nc;
		l->node = node;
		l->family = family;
		l->next = nc->lookups;
		nc->lookups = l;
		req = evdns_getaddrinfo(nc->dns, node->host_name, NULL, &hints,
					on_lookup, l);
		if (!l->answered)
			l->req = req;
	}
	if (!l->answered)
		return -EINPROGRESS;
	*ip = l->ip;
	return l->ip.family ? 0 : -EHOSTUNREACH;
}

static int send_probe(void *ctx, const struct derp_node *node, int family,
		      const uint8_t *data, size_t n)
{
	struct netcheck *nc = ctx;
	struct endpoint to = { .port = node->stun_port > 0 ?
					       (uint16_t)node->stun_port :
					       STUN_PORT };
	int ret = 0;

	if (node->stun_test_ip && *node->stun_test_ip)
		ret = ip_parse(&to.ip, node->stun_test_ip);
	else if (derp_node_addr(node, family, &to.ip) == DERP_FAMILY_RESOLVE)
		ret = resolve(nc, node, family, &to.ip);
	return ret ? ret : nc->ops->send_udp(nc->ctx, &to, data, n);
}

static bool os_has_ipv6(void)
{
	_cleanup_fd_ int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct endpoint ep = { 0 };
	struct sockaddr_storage ss;
	socklen_t len;

	ip_parse(&ep.ip, "::1");
	len = endpoint_to_sockaddr(&ep, &ss);
	return fd >= 0 && !bind(fd, (struct sockaddr *)&ss, len);
}

/* Ends what is under way, with or without a result. */
static void end_run(struct netcheck *nc)
{
	struct lookup *l, *next;
	size_t i;

	nc->running = false;
	event_del(nc->timer);
	for (i = 0; i < nc->n_https; i++)
		net_https_cancel(nc->https[i].probe);
	memset(nc->https, 0, sizeof(nc->https));
	nc->n_https = nc->https_open = 0;
	for (l = nc->lookups; l; l = next) {
		next = l->next;
		if (l->req) { /* calls back still */
			l->nc = NULL;
			evdns_getaddrinfo_cancel(l->req);
		} else {
			free(l);
		}
	}
	nc->lookups = NULL;
	free(nc->probes);
	nc->probes = NULL;
}

static uint64_t last_frame(const void *ctx, int region)
{
	return derps_last_frame(ctx, region);
}

static void finish(struct netcheck *nc)
{
	struct net_home_input in = { .regions = nc->regions,
				     .now = now_ns(),
				     .last_frame = last_frame,
				     .ctx = nc->derps };
	struct net_report *r = nc->report;

	end_run(nc);
	r->finished = in.now;
	if (nc->portmapper) {
		r->pmp = portmapper_has_pmp(nc->portmapper);
		r->pcp = portmapper_has_pcp(nc->portmapper);
	}
	net_history_choose(&nc->history, r, &in);
	if (r->full)
		nc->last_full = in.now;
	derpmap_free(nc->regions);
	nc->regions = NULL;
	nc->report = NULL;
	free(nc->last);
	nc->last = r;
	nc->ops->done(nc->ctx, r);
}

static void on_https(void *ctx, int region, uint64_t ns, int family)
{
	struct netcheck *nc = ctx;
	size_t i;

	for (i = 0; i < nc->n_https; i++)
		if (nc->https[i].region == region)
			nc->https[i].probe = NULL;
	if (ns) {
		net_report_add_latency(nc->report, region, ns);
		if (family == 4)
			nc->report->ipv4 = true;
		else if (family == 6)
			nc->report->ipv6 = true;
	}
	if (!--nc->https_open)
		finish(nc);
}

/* UDP is blocked: what TCP tells. False if there is nobody to ask. */
static bool begin_https(struct netcheck *nc)
{
	const struct derp_region *r;
	size_t i;

	nc->in_https = true;
	for (r = nc->regions; r && nc->n_https < HTTPS_MAX; r = r->hh.next) {
		for (i = 0; i < r->n_nodes; i++)
			if (!r->nodes[i].stun_only)
				break;
		if (i == r->n_nodes || r->avoid || r->no_measure_no_home)
			continue;
		nc->https[nc->n_https].region = r->id;
		nc->https[nc->n_https++].probe = net_https_start(
			derps_dial_env(nc->derps), r, on_https, nc);
	}
	nc->https_open = nc->n_https;
	return nc->n_https;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct netcheck *nc = arg;
	uint64_t now = now_ns(), next;

	if (nc->in_https) {
		finish(nc);
		return;
	}
	net_probes_run(nc->probes, now, send_probe, nc);
	next = net_probes_next(nc->probes, now);
	if (next > now) {
		arm(nc, next);
		return;
	}
	if (nc->report->udp || !begin_https(nc))
		finish(nc);
	else
		arm(nc, nc->deadline);
}

struct netcheck *netcheck_new(struct event_base *base, struct evdns_base *dns,
			      struct derps *derps,
			      const struct netcheck_ops *ops, void *ctx)
{
	struct netcheck *nc = xcalloc(1, sizeof(*nc));

	nc->base = base;
	nc->dns = dns;
	nc->derps = derps;
	nc->ops = ops;
	nc->ctx = ctx;
	nc->timer = evtimer_new(base, on_timer, nc);
	return nc;
}

void netcheck_free(struct netcheck *nc)
{
	if (!nc)
		return;
	end_run(nc);
	event_free(nc->timer);
	derpmap_free(nc->regions);
	net_history_free(&nc->history);
	free(nc->report);
	free(nc->last);
	free(nc);
}

void netcheck_set_portmapper(struct netcheck *nc, struct portmapper *pm)
{
	nc->portmapper = pm;
}

int netcheck_start(struct netcheck *nc, const struct netcheck_input *in)
{
	struct net_plan_input plan = { .home = in->home,
				       .have_v4 = in->have_v4,
				       .have_v6 = in->have_v6 };
	uint64_t now = now_ns();
	bool full;

	if (nc->running)
		return -EBUSY;
	if (!in->regions)
		return -ENOENT;
	full = in->full || !nc->last || now - nc->last_full > FULL_INTERVAL;
	nc->running = true;
	nc->in_https = false;
	nc->deadline = now + REPORT_LIMIT;
	nc->regions = derpmap_copy(in->regions);
	nc->report = xcalloc(1, sizeof(*nc->report));
	net_report_init(nc->report, now);
	nc->report->full = full;
	nc->report->os_has_ipv6 = os_has_ipv6();
	plan.regions = nc->regions;
	plan.last = full ? NULL : nc->last;
	nc->probes = xmalloc(sizeof(*nc->probes));
	net_probes_start(nc->probes, &plan, nc->report, full, now);
	if (nc->portmapper)
		portmapper_probe(nc->portmapper);
	arm(nc, now);
	return 0;
}

bool netcheck_is_running(const struct netcheck *nc)
{
	return nc->running;
}

bool netcheck_on_stun(struct netcheck *nc, const struct endpoint *from,
		      const uint8_t *data, size_t n, uint64_t now)
{
	uint8_t txid[STUN_TXID_LEN];
	struct endpoint mapped;

	if (!nc->running || stun_parse_response(data, n, txid, &mapped) ||
	    !net_probes_answer(nc->probes, txid, &mapped, now))
		return false;
	arm(nc, now); /* that may have been the last one */
	return true;
}

const struct net_report *netcheck_last(const struct netcheck *nc)
{
	return nc->last;
}
