/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events for the agent. The packet path leaves a note in a bounded ring; a
 * work item makes messages of them. When notes were lost the listeners are
 * told to look for themselves.
 */
#ifndef _TR_EVENT_H
#define _TR_EVENT_H

#include <linux/in6.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "../uapi/tailrace.h"

#define TR_EVENT_RING 1024

/**
 * struct tr_event_queue - the events of one device
 * @work: sends what is noted
 * @lock: everything below
 * @ring: commands with the peer or the state they are about
 * @head: oldest in @ring
 * @count: in @ring
 * @lost: there was no room, or no memory
 * @has_source: @source is to be sent
 * @source: an endpoint that is nobody's
 * @source_next: jiffies; none is noted before
 * @net: of the device
 * @ifindex: of the device
 */
struct tr_event_queue {
	struct work_struct work;
	spinlock_t lock;
	struct {
		u8 cmd;
		u32 arg;
	} ring[TR_EVENT_RING];
	unsigned int head;
	unsigned int count;
	bool lost;
	bool has_source;
	struct tailrace_endpoint source;
	unsigned long source_next;
	struct net *net;
	int ifindex;
};

void tr_events_init(struct tr_event_queue *events, struct net *net,
		    int ifindex);
/* Nothing may be noted any more. Process context. */
void tr_events_uninit(struct tr_event_queue *events);

/* Any context. */
void tr_event_peer(struct tr_event_queue *events, u32 peer, bool active);
void tr_event_state(struct tr_event_queue *events, enum tailrace_state state);

/* At most one a second; cheap to call for every packet. BH disabled. */
void tr_event_source(struct tr_event_queue *events,
		     const struct tailrace_endpoint *source);

/**
 * tr_event_tsmp() - show a TSMP packet to the agent
 * @events: of the device
 * @src: 4 or 16 bytes
 * @dst: as many
 * @addr_len: 4 or 16
 * @payload: after the IP header
 * @len: of @payload, at most TAILRACE_MAX_TSMP
 *
 * Process context.
 */
void tr_event_tsmp(struct tr_event_queue *events, const void *src,
		   const void *dst, int addr_len, const void *payload, int len);

#endif
