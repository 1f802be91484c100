/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_LINUX_NETFILTER_H
#define _TR_COMPAT_LINUX_NETFILTER_H

#include_next <linux/netfilter.h>

#ifndef TR_HAVE_kfree_skb_reason
#define kfree_skb_reason(skb, reason) kfree_skb(skb)
#endif

#ifndef TR_HAVE_NF_DROP_REASON
/* Without the error for the sender. */
#define NF_DROP_REASON(skb, reason, err)       \
	({                                     \
		kfree_skb_reason(skb, reason); \
		NF_STOLEN;                     \
	})
#endif

#endif
