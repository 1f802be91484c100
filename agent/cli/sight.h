/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_SIGHT_H
#define CLI_SIGHT_H

#include <net/if.h>

#include "kernel/module.h"
#include "kernel/policy.h"
#include "kernel/verdict.h"

/*
 * A look at one device of tailrace.ko without the agent: netlink, and what is
 * known of its policy and peers to explain verdicts with.
 */
struct sight {
	struct netlink nl;
	uint16_t family;
	uint32_t link;
	char device[IF_NAMESIZE];
	struct policy policy;
	uint32_t asked; /* the generation that @policy was last asked for */
	struct module_peers peers;
	uint64_t peers_at; /* now_ns() when they were asked for, 0: never */
};

/*
 * @device NULL: the only one. 0; or 1 after having said what is wrong and what
 * to do about it.
 */
int sight_open(struct sight *s, const char *device);
void sight_close(struct sight *s);

/* The policy that @v was judged by; NULL when it has been replaced. */
const struct policy *sight_policy(struct sight *s,
				  const struct tailrace_verdict *v);

/* NULL when there is none, or none any more. Asks once a second at most. */
const struct module_peer *sight_peer(struct sight *s, uint32_t id);
/* The one that has or routes an address, by longest prefix. */
const struct module_peer *sight_peer_of(struct sight *s,
					const struct ip_addr *ip);

#endif
