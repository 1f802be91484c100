/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_NETREPORT_H
#define ENGINE_NETREPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/netmap.h"
#include "lib/addr.h"

/*
 * What a netcheck found out (spec/nat-traversal.md section 4.1), and the home
 * region that follows from it (4.5). Plain data, no clock, no sockets.
 */

/* Bounds: a DERP map larger than this is measured in part. */
#define NETREPORT_REGIONS_MAX 256
/* Distinct mapped addresses kept per family. */
#define NETREPORT_MAPPED_MAX 16

struct net_latency {
	int region;
	uint64_t ns, v4_ns, v6_ns; /* minimum seen; 0: none. ns: of both, HTTPS */
};

struct net_mapped {
	struct endpoint ep;
	unsigned int count; /* answers that reported it */
};

struct net_report {
	uint64_t started, finished; /* now_ns() */
	bool full;
	bool udp;
	bool ipv4, ipv6;
	bool ipv4_can_send, ipv6_can_send;
	bool os_has_ipv6;
	int mapping_varies; /* -1 unknown, 0, 1 */
	int upnp, pmp, pcp; /* -1 not probed, 0, 1 */
	int preferred_derp; /* 0: none */
	struct endpoint global_v4; /* of the first IPv4 answer; family 0: none */
	struct endpoint global_v6; /* of the latest IPv6 answer */
	struct net_mapped mapped4[NETREPORT_MAPPED_MAX];
	struct net_mapped mapped6[NETREPORT_MAPPED_MAX];
	size_t n_mapped4, n_mapped6;
	struct net_latency regions[NETREPORT_REGIONS_MAX];
	size_t n_regions;
};

void net_report_init(struct net_report *r, uint64_t now);
/* One STUN answer from @region over @family (4 or 6). */
void net_report_add_stun(struct net_report *r, int region, int family,
			 uint64_t rtt_ns, const struct endpoint *mapped);
/* A latency not measured by STUN (HTTPS). */
void net_report_add_latency(struct net_report *r, int region, uint64_t rtt_ns);
/* NULL if the region was not heard from. */
const struct net_latency *net_report_latency(const struct net_report *r,
					     int region);

/* Past reports' latencies, for 5 min 5 s; at most this many, oldest out. */
#define NET_HISTORY_MAX 32
struct net_history {
	struct {
		uint64_t at;
		struct net_latency regions[NETREPORT_REGIONS_MAX];
		size_t n_regions;
	} *entry; /* NET_HISTORY_MAX of them, a ring; NULL before the first */
	size_t head, n;
	int preferred; /* of the newest report */
};

struct net_home_input {
	const struct derp_region *regions; /* for scores */
	uint64_t now;
	/* now_ns() of the last frame from a region, 0 if never. */
	uint64_t (*last_frame)(const void *ctx, int region);
	const void *ctx;
	int forced; /* 0: none */
};

/*
 * Appends @r to @h and chooses the home region: section 4.5 steps 1 to 6.
 * Sets and returns r->preferred_derp; 0 means "no idea".
 */
int net_history_choose(struct net_history *h, struct net_report *r,
		       const struct net_home_input *in);
void net_history_free(struct net_history *h);

/*
 * What the socket layer makes of it: never changes an existing home without a
 * map stream (@streaming) unless @forced; falls back to @current, then to a
 * region picked by @seed, stable for the process.
 */
int net_home_settle(int preferred, int current, bool streaming, bool forced,
		    const struct derp_region *regions, uint32_t seed);

/* The one region that can be home, without measuring; 0: there is a choice. */
int net_home_only(const struct derp_region *regions);

#endif
