/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_LINUX_NETFILTER_H
#define _TR_COMPAT_LINUX_NETFILTER_H

#include <linux/version.h>

#include_next <linux/netfilter.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
#define kfree_skb_reason(skb, reason) kfree_skb(skb)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* Without the error for the sender. */
#define NF_DROP_REASON(skb, reason, err)       \
	({                                     \
		kfree_skb_reason(skb, reason); \
		NF_STOLEN;                     \
	})
#endif

#endif
