/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_NETLINK_H
#define _TR_NETLINK_H

#include <net/genetlink.h>

extern struct genl_family tr_netlink_family;

int tr_netlink_init(void);
void tr_netlink_uninit(void);

#endif
