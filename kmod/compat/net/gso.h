/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_NET_GSO_H
#define _TR_COMPAT_NET_GSO_H

#ifdef TR_HAVE___skb_gso_segment
#include_next <net/gso.h>
#else
#include <linux/netdevice.h>
#endif

#endif
