/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The WireGuard devices the module is attached to. A device's state lives as
 * long as the attachment, whatever becomes of the agent.
 */
#ifndef _TR_DEVICE_H
#define _TR_DEVICE_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/workqueue.h>

#include "alias.h"
#include "disco.h"
#include "event.h"
#include "filter.h"
#include "peer.h"
#include "ratelimit.h"
#include "sock.h"
#include "stats.h"
#include "steer.h"
#include "tsmp.h"

struct netlink_ext_ack;

/* For everything that is put off to process context. */
extern struct workqueue_struct *tr_wq;

/**
 * struct tr_net - what a network namespace has
 * @lock: writers of everything below but what has a lock of its own; taken
 *	inside the RTNL
 * @net: back pointer
 * @devices: struct tr_device; readers RCU
 */
struct tr_net {
	struct mutex lock;
	struct net *net;
	struct list_head devices;
};

/**
 * struct tr_device - an attached device
 * @list: in tr_net.devices
 * @tn: namespace of @dev
 * @dev: held until detached
 * @serial: no two attachments have the same
 * @port: WireGuard's, on all addresses of @tn's namespace
 * @state: as last announced
 * @stale_lock: @max_stale, @orphaned_since and writers of filter.expired
 * @max_stale: seconds a policy stays in force without an agent, 0: for ever
 * @orphaned_since: seconds of CLOCK_BOOTTIME, 0: there is an agent, or no
 *	policy yet
 * @stats: counters
 * @taps: struct tr_tap, who sees verdicts; readers RCU; of one cache line with
 *	@stats, which every packet reads
 * @sock: the agent's
 * @strangers: what reaches it from nobody we know, by source
 * @strangers_all: and by enum tr_steer_kind, from all of them
 * @peers_limit: what reaches it from peers, by disco key
 * @filter: inside the tunnel
 * @peers: inside the tunnel
 * @aliases: outside of it
 * @disco: outside of it, while there is no agent
 * @events: for the agent
 * @tsmp: inside the tunnel
 * @records: NULL while flow records are off
 * @transactions: struct tr_transaction, policies under construction
 * @hooks: on @dev
 * @tick: once a second
 * @ticks: how often
 * @free: after readers are gone
 */
struct tr_device {
	struct list_head list;
	struct tr_net *tn;
	struct net_device *dev;
	u64 serial;
	__be16 port;
	enum tailrace_state state;
	spinlock_t stale_lock;
	u32 max_stale;
	time64_t orphaned_since;
	struct tr_stats __percpu *stats;
	struct hlist_head taps;
	struct tr_sock sock;
	struct tr_ratelimit strangers;
	struct tr_bucket strangers_all[TR_STEER_KINDS];
	struct tr_ratelimit peers_limit;
	struct tr_filter filter;
	struct tr_peers peers;
	struct tr_aliases aliases;
	struct tr_disco disco;
	struct tr_event_queue events;
	struct tr_tsmp tsmp;
	struct tr_records __rcu *records;
	struct list_head transactions;
	struct nf_hook_ops hooks[2];
	struct delayed_work tick;
	unsigned int ticks;
	struct work_struct free;
};

int tr_device_init(void);
/* Detaches all, in all namespaces. */
void tr_device_uninit(void);

struct tr_net *tr_device_net(struct net *net);

/**
 * tr_device_attach() - take charge of a WireGuard device
 * @tn: namespace, @tn->lock and RTNL held
 * @ifindex: of the device
 * @port: WireGuard's
 * @extack: text on error
 *
 * From here on nothing passes until a policy is committed.
 *
 * Return: 0, -ENODEV, -EOPNOTSUPP, -EEXIST, -EADDRINUSE or -ENOMEM.
 */
int tr_device_attach(struct tr_net *tn, int ifindex, __be16 port,
		     struct netlink_ext_ack *extack);

/* Restores the device. @tn->lock held. */
void tr_device_detach(struct tr_device *tdev);

/**
 * tr_device_set_port() - follow WireGuard to another port
 * @tdev: device, @tn->lock held
 * @port: new one
 * @extack: text on error
 *
 * Return: 0 or -EADDRINUSE.
 */
int tr_device_set_port(struct tr_device *tdev, __be16 port,
		       struct netlink_ext_ack *extack);

/* @tn->lock held. Return: NULL with a text in @extack when not attached. */
struct tr_device *tr_device_get(struct tr_net *tn, int ifindex,
				struct netlink_ext_ack *extack);

/* The device on a UDP port or NULL. RCU read side. */
static inline struct tr_device *tr_device_by_port(struct tr_net *tn,
						  __be16 port)
{
	struct tr_device *tdev;

	list_for_each_entry_rcu(tdev, &tn->devices, list) {
		if (READ_ONCE(tdev->port) == port)
			return tdev;
	}
	return NULL;
}

/* The attached device or NULL. RCU read side. */
static inline struct tr_device *tr_device_by_dev(struct tr_net *tn,
						 const struct net_device *dev)
{
	struct tr_device *tdev;

	list_for_each_entry_rcu(tdev, &tn->devices, list) {
		if (tdev->dev == dev)
			return tdev;
	}
	return NULL;
}

/**
 * tr_device_set_max_stale() - bound the time without an agent
 * @tdev: device
 * @seconds: after which nothing passes until there is an agent; 0: never
 *
 * Counted from when the last agent's socket went, or the policy came into
 * force without one, and not from now: what is over the new bound expires at
 * once, what is not any more revives. Time asleep counts; what comes due then
 * is noticed in the second after. Process context.
 */
void tr_device_set_max_stale(struct tr_device *tdev, u32 seconds);

/**
 * tr_device_stale() - how long a policy has been in force without an agent
 * @tdev: the device
 * @seconds: set to that time
 *
 * Return: false when there is an agent, or no policy.
 */
bool tr_device_stale(struct tr_device *tdev, u32 *seconds);

/* Any context. */
enum tailrace_state tr_device_state(struct tr_device *tdev);

/*
 * After whatever may change the state, and every second: puts it in force, and
 * tells the agent if it is another one. Process context.
 */
void tr_device_announce(struct tr_device *tdev);

#endif
