// SPDX-License-Identifier: GPL-2.0
#include "kernel/ruleid.h"

#include <string.h>

#include "kernel/list.h"
#include "lib/ids.h"
#include "lib/util.h"

static int compare_u8(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

static int compare_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_addr));
}

static int compare_dst(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tailrace_dst));
}

/* How many, then the list, sorted and without doubles; returns the end. */
static uint8_t *put_list(uint8_t *to, const void *list, size_t n, size_t size,
			 list_compare compare)
{
	uint8_t *copy = to + sizeof(uint32_t);
	uint32_t kept;

	if (n)
		memcpy(copy, list, n * size);
	kept = (uint32_t)list_unique(copy, n, size, compare);
	memcpy(to, &kept, sizeof(kept));
	return copy + kept * size;
}

static void digest(uint8_t out[IDS_DIGEST], const struct kernel_rule *r)
{
	size_t max = 5 * sizeof(uint32_t) + r->n_protos +
		     r->n_src * sizeof(*r->src) +
		     r->n_src_caps * sizeof(*r->src_caps) +
		     r->n_dst * sizeof(*r->dst);
	_cleanup_free_ uint8_t *bytes = xmalloc(max);
	/* no list stands for the default one */
	const uint32_t has_protos = r->protos != NULL;
	uint8_t *end = bytes;

	memcpy(end, &has_protos, sizeof(has_protos));
	end += sizeof(has_protos);
	end = put_list(end, r->protos, r->n_protos, 1, compare_u8);
	end = put_list(end, r->src, r->n_src, sizeof(*r->src), compare_addr);
	end = put_list(end, r->src_caps, r->n_src_caps, sizeof(*r->src_caps),
		       list_compare_u32);
	end = put_list(end, r->dst, r->n_dst, sizeof(*r->dst), compare_dst);
	ids_digest(out, bytes, (size_t)(end - bytes));
}

void ruleid_assign(struct kernel_rule *rules, size_t n)
{
	_cleanup_free_ struct id *ids = xcalloc(n, sizeof(*ids));
	size_t i;

	for (i = 0; i < n; i++) {
		digest(ids[i].digest, &rules[i]);
		ids[i].index = i;
	}
	ids_assign(ids, n);
	for (i = 0; i < n; i++)
		rules[ids[i].index].id = ids[i].id;
}
