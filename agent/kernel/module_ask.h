/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_MODULE_ASK_H
#define KERNEL_MODULE_ASK_H

#include "kernel/netlink.h"
#include "tailrace.h"

/* What the parts of module.h have in common: requests about one device. */

/* One that names the device @link by @link_attr; in @nl's buffer. */
struct nlmsghdr *module_begin(struct netlink *nl, uint16_t family,
			      enum tailrace_cmd cmd, uint16_t flags,
			      uint16_t link_attr, uint32_t link);
/* Sends one that changes something: 0 or negative errno. */
int module_change(struct netlink *nl, struct nlmsghdr *h);
/*
 * Asks for a dump until it is consistent; @clear empties what @cb fills, also
 * after an error.
 */
int module_dump(struct netlink *nl, uint16_t family, enum tailrace_cmd cmd,
		uint16_t link_attr, uint32_t link, netlink_cb cb, void *ctx,
		void (*clear)(void *ctx));

#endif
