// SPDX-License-Identifier: GPL-2.0
#include "kernel/list.h"

#include <stdint.h>
#include <string.h>

#include "lib/util.h"

size_t list_unique(void *list, size_t n, size_t size, list_compare compare)
{
	uint8_t *at = list;
	size_t i, kept = 0;

	if (!n)
		return 0;
	qsort(list, n, size, compare);
	for (i = 1; i < n; i++)
		if (compare(at + kept * size, at + i * size))
			memmove(at + ++kept * size, at + i * size, size);
	return kept + 1;
}

void *list_copy(const void *list, size_t n, size_t size)
{
	void *to;

	if (!n)
		return NULL;
	to = xcalloc(n, size);
	memcpy(to, list, n * size);
	return to;
}

void *list_grow(void *list, size_t *n, size_t size)
{
	/* doubles at powers of two */
	if (!(*n & (*n - 1)))
		list = xrealloc(list, *n ? *n * 2 : 1, size);
	memset((uint8_t *)list + *n * size, 0, size);
	++*n;
	return list;
}

int list_compare_u32(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}
