/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_LINUX_LOCKDEP_H
#define _TR_COMPAT_LINUX_LOCKDEP_H

#include <linux/version.h>

#include_next <linux/lockdep.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0) && !defined(CONFIG_LOCKDEP)
/* Declared and never called, as in later kernels. */
extern int lockdep_is_held(const void *lock);
#endif

#endif
