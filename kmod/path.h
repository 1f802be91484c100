/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_PATH_H
#define _TR_PATH_H

#include <linux/socket.h>
#include <linux/types.h>

#include "../uapi/tailrace.h"

/* An index more: where WireGuard sends to is not known here. */
#define TR_PATH_NONE __TAILRACE_PATH_MAX
#define TR_PATHS (__TAILRACE_PATH_MAX + 1)

/* The kind of path that an endpoint stands for. */
static inline enum tailrace_path
tr_path_of(const struct tailrace_endpoint *endpoint)
{
	if (endpoint->family == AF_INET6)
		return TAILRACE_PATH_DIRECT6;
	return endpoint->addr[0] == 127 ? TAILRACE_PATH_DERP :
					  TAILRACE_PATH_DIRECT4;
}

#endif
