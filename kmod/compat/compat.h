/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before every file. Here and in the shadow headers beside it, and
 * nowhere else, does the kernel's age matter: the code reads as if written for
 * mainline. The shadow headers ask for what there is, TR_HAVE_NAME in Kbuild.
 */
#ifndef _TR_COMPAT_H
#define _TR_COMPAT_H

#include <linux/compiler.h>
#include <linux/version.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0) || \
	!IS_ENABLED(CONFIG_WIREGUARD) || !IS_ENABLED(CONFIG_NETFILTER_INGRESS)
#error "Linux 5.10 or later, CONFIG_WIREGUARD and CONFIG_NETFILTER_INGRESS"
#endif

/* 5.16, and a configuration without it since. */
#ifdef CONFIG_NETFILTER_EGRESS
#define TR_HAVE_NETDEV_EGRESS 1
#endif

/* 6.18. Spares what is filled in whole the zeroes of CONFIG_INIT_STACK_*. */
#ifndef __uninitialized
#if __has_attribute(__uninitialized__)
#define __uninitialized __attribute__((__uninitialized__))
#else
#define __uninitialized
#endif
#endif

#endif
