/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_NETMAP_H
#define ENGINE_NETMAP_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "lib/addr.h"
#include "lib/key.h"
#include "tailrace.h"

/*
 * What control says the network is: plain data, no behaviour but applying
 * deltas. Field names and rules: spec/control.md sections 5 to 7. Strings are
 * owned by the struct that holds them and never NULL after decoding unless
 * said; lists are owned, NULL when empty. Times are Unix seconds, 0 is "none".
 */

struct derp_node {
	char *name;
	char *host_name;
	char *cert_name; /* "" none; "sha256-raw:<hex>" pins */
	char *ipv4, *ipv6; /* "" resolve; literal; anything else disables */
	int stun_port; /* 0: 3478, -1: none */
	int derp_port; /* 0: 443 */
	char *stun_test_ip;
	bool stun_only, insecure_for_tests, can_port80;
};

struct derp_region {
	int id;
	char *code, *name;
	bool avoid, no_measure_no_home;
	double score; /* HomeParams.RegionScore, 1.0 when absent */
	struct derp_node *nodes; /* in order of priority */
	size_t n_nodes;
	UT_hash_handle hh; /* by id */
};

struct derp_score {
	int region;
	double factor; /* > 0 */
};

/* One capability of a CapMap with its raw JSON values ("[...]" or ""). */
struct cap {
	char *name;
	char *values;
};

struct node {
	int64_t id;
	char *stable_id;
	char *name; /* FQDN with trailing dot; control may send it without */
	int64_t user;
	struct key key;
	struct key disco; /* zero: none */
	int64_t key_expiry;
	struct prefix *addresses;
	size_t n_addresses;
	struct prefix *allowed_ips;
	size_t n_allowed_ips;
	struct prefix *primary_routes;
	size_t n_primary_routes;
	struct endpoint *endpoints;
	size_t n_endpoints;
	int home_derp; /* 0: unknown */
	int cap_version;
	int online; /* -1 unknown, 0, 1 */
	int64_t last_seen;
	int64_t created;
	char *os, *host_name; /* from Hostinfo, "" unknown */
	char **tags;
	size_t n_tags;
	struct cap *caps;
	size_t n_caps;
	bool machine_authorized, expired, unsigned_peerapi_only;
	bool wireguard_only, jailed;
	bool masqueraded; /* has a SelfNodeV{4,6}MasqAddrForThisPeer */
	struct ip_addr masq4, masq6; /* the address that peer knows us by */
	UT_hash_handle hh; /* by id */
	UT_hash_handle hh_key; /* of netmap.by_key */
	struct node_addr *by_addr; /* n_addresses entries of netmap.by_addr */
};

/* Index entry: @node has @ip among its addresses. */
struct node_addr {
	struct ip_addr ip;
	struct node *node;
	UT_hash_handle hh;
};

struct user_profile {
	int64_t id;
	char *login_name, *display_name;
	UT_hash_handle hh;
};

/* A FilterRule in the kernel's own terms (uapi/tailrace.h). */
struct filter_rule {
	uint8_t *protos; /* NULL: the default four */
	size_t n_protos;
	bool no_proto; /* IPProto held only invalid numbers */
	struct tailrace_addr *src;
	size_t n_src;
	char **src_caps; /* names of "cap:" sources */
	size_t n_src_caps;
	struct tailrace_dst *dst;
	size_t n_dst;
};

struct filter_list {
	char *name; /* key of PacketFilters; "base" for PacketFilter */
	struct filter_rule *rules;
	size_t n_rules;
	bool invalid; /* a rule used SrcBits or Bits */
	UT_hash_handle hh;
};

struct dns_config {
	char **nameservers; /* Resolvers[].Addr */
	size_t n_nameservers;
	char **domains; /* search list */
	size_t n_domains;
	bool proxied; /* MagicDNS */
};

struct netmap {
	struct node *self; /* never NULL in a published netmap */
	struct node *peers; /* uthash by id */
	struct node *by_key; /* the same peers by key (hh_key) */
	struct node_addr *by_addr; /* addresses of the peers */
	struct derp_region *derp_regions; /* uthash by id */
	struct derp_score *derp_scores; /* HomeParams, already in the regions */
	size_t n_derp_scores;
	struct filter_list *filters; /* uthash by name, sorted by it */
	/*
	 * Block all: a rule used SrcBits or Bits, or names a source that
	 * overlaps the allowed IPs of an unsigned peer (7.1, 7.6).
	 */
	bool filter_invalid;
	struct user_profile *users;
	struct dns_config dns;
	char *domain;
	char **health;
	size_t n_health;
	int64_t clock_offset; /* control's clock minus ours, seconds */
};

/* What a message changed; the engine recomputes no more than that. */
enum netmap_change {
	NETMAP_SELF = 1 << 0,
	NETMAP_PEERS = 1 << 1, /* added, removed or replaced */
	NETMAP_PEER_PATHS = 1 << 2, /* endpoints, DERP, disco, online only */
	NETMAP_DERP = 1 << 3,
	NETMAP_FILTER = 1 << 4,
	NETMAP_DNS = 1 << 5,
	NETMAP_OTHER = 1 << 6, /* users, health, domain */
	NETMAP_ALL = (1 << 7) - 1,
};

struct json_object;

struct netmap *netmap_new(void);
void netmap_free(struct netmap *nm);

/*
 * Applies one MapResponse (already parsed) in the order of control.md 5.5 and
 * 5.6. @first: the first non-keepalive message of a stream, which must have
 * Node and replaces everything but clock_offset. @unix_now: our wall clock.
 * Returns a mask of enum netmap_change (0 for a keepalive), or -EPROTO with
 * @why naming the field; the netmap is unchanged then. Pointers into @nm do not
 * survive a call: look nodes up again.
 *
 * Done here, so that nobody else need: HomeDERP from DERP, AllowedIPs from
 * Addresses, host bits of allowed IPs cleared, our own addresses and entries
 * without a key dropped from peers.
 */
int netmap_apply(struct netmap *nm, struct json_object *msg, bool first,
		 int64_t unix_now, const char **why);

/* The netmap as one MapResponse that netmap_apply takes: the disk cache. */
struct json_object *netmap_to_json(const struct netmap *nm);

struct node *netmap_peer_by_key(const struct netmap *nm, const struct key *k);
/* The peer that has @ip among its addresses (not its routes), or NULL. */
struct node *netmap_peer_by_addr(const struct netmap *nm,
				 const struct ip_addr *ip);
const struct cap *node_cap(const struct node *n, const char *name);
/* The key expiry that counts now, against control's clock. */
bool node_is_expired(const struct netmap *nm, const struct node *n,
		     int64_t unix_now);
const struct user_profile *netmap_user(const struct netmap *nm, int64_t id);

#endif
