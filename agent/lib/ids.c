// SPDX-License-Identifier: GPL-2.0
#include "lib/ids.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const struct id *x = a, *y = b;
	int c = memcmp(x->digest, y->digest, IDS_DIGEST);

	return c ? c : (x->index > y->index) - (x->index < y->index);
}

void ids_assign(struct id *ids, size_t n)
{
	uint32_t last = UINT32_MAX - (uint32_t)n, next = 1, first;
	size_t i;

	if (n)
		qsort(ids, n, sizeof(*ids), compare);
	for (i = 0; i < n; i++) {
		first = (uint32_t)ids[i].digest[0] << 24 |
			(uint32_t)ids[i].digest[1] << 16 |
			(uint32_t)ids[i].digest[2] << 8 | ids[i].digest[3];
		/* room for all who might share the last one */
		if (first > last)
			first = last;
		ids[i].id = first > next ? first : next;
		next = ids[i].id + 1;
	}
}

void ids_digest(uint8_t out[IDS_DIGEST], const void *data, size_t n)
{
	crypto_generichash(out, IDS_DIGEST, data, n, NULL, 0);
}
