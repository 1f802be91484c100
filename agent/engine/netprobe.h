/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_NETPROBE_H
#define ENGINE_NETPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/netplan.h"
#include "proto/stun.h"

/*
 * The STUN phase of a netcheck (spec/nat-traversal.md 4.4) without sockets and
 * clock: times are passed in, datagrams handed out.
 */
#define NET_PROBE_LIMIT (3 * SEC_NS)

struct net_probe {
	uint8_t txid[STUN_TXID_LEN];
	uint64_t sent; /* 0: not yet, or given up */
};

struct net_probes {
	struct net_report *report; /* filled in */
	bool full;
	uint64_t start, stop; /* over at @stop at the latest */
	size_t n;
	struct {
		struct net_sequence plan;
		struct net_probe probe[NET_TRIES_MAX];
		size_t next; /* probe to send */
		uint64_t again; /* not before; when the address was unknown */
		bool done; /* answered, or of no more use */
	} seq[NET_PLAN_MAX];
};

/*
 * Hands a request for @node over @family to the network. 0; -EINPROGRESS if
 * the address is not known yet: asked again later; any other error means
 * lost, -EPERM that it could have been sent.
 */
typedef int (*net_probe_send)(void *ctx, const struct derp_node *node,
			      int family, const uint8_t *data, size_t n);

/* Begins with a plan; @report has been initialised. */
void net_probes_start(struct net_probes *p, const struct net_plan_input *in,
		      struct net_report *report, bool full, uint64_t now);
/* Sends what is due. */
void net_probes_run(struct net_probes *p, uint64_t now, net_probe_send send,
		    void *ctx);
/* A response with this transaction id; true if it was one of ours. */
bool net_probes_answer(struct net_probes *p, const uint8_t txid[STUN_TXID_LEN],
		       const struct endpoint *mapped, uint64_t now);
/* When to call net_probes_run() again; @now or earlier: it is over. */
uint64_t net_probes_next(const struct net_probes *p, uint64_t now);

#endif
