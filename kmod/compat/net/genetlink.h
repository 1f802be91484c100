/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_NET_GENETLINK_H
#define _TR_COMPAT_NET_GENETLINK_H

#include_next <net/genetlink.h>

#ifndef TR_HAVE_genl_info_dump
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

#ifndef TR_HAVE_genl_split_ops
#define genl_split_ops genl_ops
#endif

#endif
