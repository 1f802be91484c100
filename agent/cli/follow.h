/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include <stdbool.h>

#include "kernel/netlink.h"

/*
 * Gives every message that @nl receives to @cb, until SIGINT, SIGTERM or *@done.
 * @lost, unless NULL, is called when the socket had no room for some. 0 or a
 * negative errno.
 */
int follow(struct netlink *nl, const bool *done, netlink_cb cb, void *ctx,
	   void (*lost)(void));

#endif
