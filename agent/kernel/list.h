/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_LIST_H
#define KERNEL_LIST_H

#include <stddef.h>

typedef int (*list_compare)(const void *, const void *);

/* Sorts and drops doubles in place; returns what remains. */
size_t list_unique(void *list, size_t n, size_t size, list_compare compare);

/* A copy from xcalloc, NULL for an empty list. */
void *list_copy(const void *list, size_t n, size_t size);

/*
 * Room for one more element at the end of a list that grew by this function
 * alone from NULL and 0; the element is zeroed, *n counted up.
 */
#define list_add(list, n) \
	((list) = list_grow(list, n, sizeof(*(list))), &(list)[*(n) - 1])
void *list_grow(void *list, size_t *n, size_t size);

/* Three-way, of uint32_t. */
int list_compare_u32(const void *a, const void *b);

#endif
