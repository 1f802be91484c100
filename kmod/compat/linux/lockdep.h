/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_LINUX_LOCKDEP_H
#define _TR_COMPAT_LINUX_LOCKDEP_H

#include_next <linux/lockdep.h>

#ifndef CONFIG_LOCKDEP
/* Declared and never called, as it is without us since 5.11. */
int lockdep_is_held(const void *lock);
#endif

#endif
