/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_LINUX_SORT_H
#define _TR_COMPAT_LINUX_SORT_H

#include_next <linux/sort.h>

#ifndef TR_HAVE_sort_nonatomic
#include <linux/sched.h>

static inline int tr_compare_resched(const void *a, const void *b,
				     const void *compare)
{
	cond_resched();
	return (*(const cmp_func_t *)compare)(a, b);
}

/*
 * sort() of any length without keeping the processor from others. Nobody here
 * has a @swap of their own.
 */
static inline void sort_nonatomic(void *base, size_t n, size_t size,
				  cmp_func_t compare, swap_func_t swap)
{
	sort_r(base, n, size, tr_compare_resched, NULL, &compare);
}
#endif

#endif
