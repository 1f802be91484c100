/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_ENDPOINTS_H
#define ENGINE_ENDPOINTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/netreport.h"
#include "lib/addr.h"

/*
 * The list of addresses others may reach us at (spec/nat-traversal.md section
 * 5): a pure function over what was found out, plus a cache.
 */

/* The numbers control and peers use. */
enum endpoint_type {
	ENDPOINT_UNKNOWN = 0,
	ENDPOINT_LOCAL = 1,
	ENDPOINT_STUN = 2,
	ENDPOINT_PORTMAPPED = 3,
	ENDPOINT_STUN4_LOCAL_PORT = 4,
	ENDPOINT_EXPLICIT = 5,
};

/* Bound on the list; what comes later in the order of 5.2 is left out. */
#define ENDPOINTS_MAX 64

struct own_endpoint {
	struct endpoint ep;
	enum endpoint_type type;
};

struct interface_addr {
	char name[IFNAMSIZ];
	bool up, loopback;
	struct prefix addr; /* address with its host bits, prefix length */
};

/* Bound on interface addresses looked at. */
#define INTERFACE_ADDRS_MAX 512

/* Addresses that remain advertised for 5 min 10 s after they were last seen. */
#define ENDPOINT_CACHE_MAX 64
#define ENDPOINT_CACHE_PER_IP 6
struct endpoint_cache {
	struct {
		struct own_endpoint own;
		uint64_t expires; /* now_ns() */
	} entry[ENDPOINT_CACHE_MAX];
	size_t n;
};

struct endpoints_input {
	uint64_t now;
	const struct net_report *report; /* NULL: none yet */
	struct endpoint portmap; /* external address, family 0: none */
	uint16_t local_port; /* of the IPv4 socket; used for IPv6 too */
	bool fixed_port; /* the port was configured, not picked at random */
	const struct endpoint *explicit_eps; /* from configuration */
	size_t n_explicit;
	const struct interface_addr *interfaces;
	size_t n_interfaces;
};

/*
 * Assembles the list in the order of section 5.2 and refreshes @cache.
 * Returns how many were written to @out.
 */
size_t endpoints_assemble(const struct endpoints_input *in,
			  struct endpoint_cache *cache,
			  struct own_endpoint out[ENDPOINTS_MAX]);

/* As sets, as 5.3 wants it. */
bool endpoints_equal(const struct own_endpoint *a, size_t n_a,
		     const struct own_endpoint *b, size_t n_b);

/*
 * The host's interface addresses, but for interface @skip (the tunnel; may be
 * NULL). Returns how many, or negative errno. *@out is freed by the caller.
 */
int interface_addrs(struct interface_addr **out, const char *skip);

/* A regular (not loopback, link-local, or Tailscale) address of each family. */
void interface_families(const struct interface_addr *a, size_t n, bool *have_v4,
			bool *have_v6);

#endif
