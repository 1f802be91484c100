/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_NETWORK_H
#define KERNEL_NETWORK_H

#include "kernel/fault.h"
#include "kernel/kernel.h"
#include "kernel/netlink.h"

/* The interface's surroundings: its addresses, table 52, the policy rules. */

/* Makes them be what @state says; what fails is noted and the rest is done. */
void network_apply(struct netlink *nl, uint32_t link,
		   const struct kernel_state *state, struct fault *fault);

/*
 * Removes the interface with its routes, and the rules when no other tailnet
 * uses the table. 0, also when there was none, or negative errno.
 */
int network_remove(struct netlink *nl, const char *ifname);

#endif
