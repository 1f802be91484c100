/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_MODULE_H
#define KERNEL_MODULE_H

#include "kernel/alias.h"
#include "kernel/kernel.h"
#include "kernel/netlink.h"

/*
 * tailrace.ko: devices, sockets, peers, aliases and events. policy.h has the
 * packet filter's policy, stats.h the counters. @family is from netlink_family().
 */

/* The module's settings: bits of a set of them. */
enum module_setting {
	MODULE_FLAGS = 1 << 0,
	MODULE_MAX_STALE = 1 << 1,
	MODULE_FLOWS_MAX = 1 << 2,
	MODULE_RECORDS = 1 << 3,
};

struct module_device {
	uint16_t port;
	uint32_t state; /* enum tailrace_state */
	uint32_t generation;
	struct kernel_settings settings;
	unsigned int has; /* of settings: what this module knows */
};

/* The devices that it is attached to in this network namespace. */
struct module_links {
	uint32_t *index;
	size_t n;
};

/*
 * For a command that asks the module by itself, without the agent: opens @nl,
 * finds the family and the devices; needs CAP_NET_ADMIN. NULL, and then @nl and
 * @out->index are the caller's; else what is wrong and what to do about it.
 * Never loads the module.
 */
const char *module_open(struct netlink *nl, uint16_t *family,
			struct module_links *out);

/* -ENODEV: not attached. */
int module_device_get(struct netlink *nl, uint16_t family, uint32_t link,
		      struct module_device *out);
int module_attach(struct netlink *nl, uint16_t family, uint32_t link,
		  uint16_t port);
int module_set_port(struct netlink *nl, uint16_t family, uint32_t link,
		    uint16_t port);
/* Those in which the two differ. */
unsigned int module_diff_settings(const struct kernel_settings *a,
				  const struct kernel_settings *b);
/* The one that @which is. */
int module_set_setting(struct netlink *nl, uint16_t family, uint32_t link,
		       const struct kernel_settings *s,
		       enum module_setting which);
/* As operators know it: "max-stale". */
const char *module_setting_name(enum module_setting which);
/* The descriptor is of this process. */
int module_bind(struct netlink *nl, uint16_t family, uint32_t link, int fd);

struct module_peer {
	uint32_t id;
	uint32_t flags;
	struct tailrace_addr *addrs;
	size_t n_addrs;
	struct tailrace_addr *routes;
	size_t n_routes;
	uint32_t *caps;
	size_t n_caps;
	struct key disco; /* zero: none, and then none of the others */
	struct key disco_own;
	const struct key *disco_shared; /* of the state; NULL in a dump */
	bool active; /* of a dump */
};

/* Sorted by id, lists sorted. */
struct module_peers {
	struct module_peer *p;
	size_t n;
};

/* @state must outlive @out. */
void module_peers_from_state(struct module_peers *out,
			     const struct kernel_state *state);
int module_peers_get(struct netlink *nl, uint16_t family, uint32_t link,
		     struct module_peers *out);
void module_peers_free(struct module_peers *peers);
struct module_peer *module_peer_find(const struct module_peers *peers,
				     uint32_t id);
/*
 * Of configuration; not whether they are active. The two public keys of disco
 * stand for their secret.
 */
bool module_peer_equal(const struct module_peer *a,
		       const struct module_peer *b);
int module_peer_set(struct netlink *nl, uint16_t family, uint32_t link,
		    const struct module_peer *p);
int module_peer_del(struct netlink *nl, uint16_t family, uint32_t link,
		    uint32_t id);

int module_aliases_get(struct netlink *nl, uint16_t family, uint32_t link,
		       struct alias_list *out);
int module_alias_set(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct alias *a);
int module_alias_del(struct netlink *nl, uint16_t family, uint32_t link,
		     uint32_t peer);

int module_send_tsmp(struct netlink *nl, uint16_t family, uint32_t link,
		     const struct ip_addr *src, const struct ip_addr *dst,
		     const uint8_t *data, size_t n);

/* A message of the multicast group. */
struct module_event {
	enum tailrace_cmd cmd;
	uint32_t link;
	uint32_t peer; /* PEER_ACTIVE_NTF, PEER_IDLE_NTF */
	struct ip_addr src, dst; /* TSMP_NTF */
	const uint8_t *data; /* TSMP_NTF, within the message */
	size_t n;
};

/* False when it is none that the agent knows. */
bool module_event_parse(const struct nlmsghdr *h, struct module_event *out);

#endif
