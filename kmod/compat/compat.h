/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before every file. Here and in the shadow headers beside it, and
 * nowhere else, does the kernel's version appear: the code reads as if
 * written for mainline.
 */
#ifndef _TR_COMPAT_H
#define _TR_COMPAT_H

#include <linux/version.h>
#include <linux/kconfig.h>
#include <linux/types.h>

/* 5.16, and a configuration without it since. */
#ifdef CONFIG_NETFILTER_EGRESS
#define TR_HAVE_NETDEV_EGRESS 1
#endif

#endif
