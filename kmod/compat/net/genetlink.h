/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_NET_GENETLINK_H
#define _TR_COMPAT_NET_GENETLINK_H

#include <linux/version.h>

#include_next <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* Another struct, but its attrs are what callers want of it. */
static inline const struct genl_dumpit_info *
genl_info_dump(struct netlink_callback *cb)
{
	return genl_dumpit_info(cb);
}
#endif

#ifndef GENL_MCAST_CAP_NET_ADMIN
/* The same check under the name of another. */
#define GENL_MCAST_CAP_NET_ADMIN GENL_UNS_ADMIN_PERM
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define genl_split_ops genl_ops
#endif

#endif
