// SPDX-License-Identifier: GPL-2.0
#include "hits.h"

#include <linux/errno.h>
#include <linux/jhash.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "policy.h"

/* An entry of struct index whose rule has handed its slot on. */
#define TAKEN U32_MAX

/* The rules of a policy by id: open addressing, index of the rule plus 1. */
struct index {
	u32 *entry;
	u32 mask;
};

static int make_index(struct index *index, const struct tr_policy *policy)
{
	u32 i, at, n = policy ? policy->n_rules : 0;

	index->mask = roundup_pow_of_two(max(2 * n, 2U)) - 1;
	index->entry = kvcalloc(index->mask + 1, sizeof(*index->entry),
				GFP_KERNEL);
	if (!index->entry)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		at = jhash2(&policy->rule[i]->id, 1, 0) & index->mask;
		while (index->entry[at])
			at = (at + 1) & index->mask;
		index->entry[at] = i + 1;
	}
	return 0;
}

static bool same_rule(const struct tr_rule *a, const struct tr_rule *b)
{
	return a->id == b->id && a->n_protos == b->n_protos &&
	       a->n_srcs == b->n_srcs && a->n_caps == b->n_caps &&
	       a->n_dsts == b->n_dsts &&
	       !memcmp(a->protos, b->protos, a->n_protos) &&
	       !memcmp(a->srcs, b->srcs, a->n_srcs * sizeof(*a->srcs)) &&
	       !memcmp(a->caps, b->caps, a->n_caps * sizeof(*a->caps)) &&
	       !memcmp(a->dsts, b->dsts, a->n_dsts * sizeof(*a->dsts));
}

/* Hand on the slot of a rule like @rule. Return: false when there is none. */
static bool adopt(struct index *index, const struct tr_policy *old,
		  const struct tr_rule *rule, u32 *slot)
{
	u32 i, at = jhash2(&rule->id, 1, 0) & index->mask;

	for (; (i = index->entry[at]); at = (at + 1) & index->mask) {
		if (i == TAKEN || !same_rule(old->rule[i - 1], rule))
			continue;
		*slot = old->slot[i - 1];
		index->entry[at] = TAKEN;
		return true;
	}
	return false;
}

static struct tr_hits_chunk *new_chunk(void)
{
	struct tr_hits_chunk *chunk = kvzalloc(sizeof(*chunk),
					       GFP_KERNEL_ACCOUNT);
	int cpu;

	if (!chunk)
		return NULL;
	chunk->pcpu = alloc_percpu_gfp(struct tr_hits_pcpu, GFP_KERNEL_ACCOUNT);
	if (!chunk->pcpu) {
		kvfree(chunk);
		return NULL;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(chunk->pcpu, cpu)->sync);
	return chunk;
}

static u64 total(const struct tr_hits_chunk *chunk, u32 i)
{
	u64 n, sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct tr_hits_pcpu *pcpu = per_cpu_ptr(chunk->pcpu, cpu);
		unsigned int start;

		do {
			start = u64_stats_fetch_begin(&pcpu->sync);
			n = u64_stats_read(&pcpu->n[i]);
		} while (u64_stats_fetch_retry(&pcpu->sync, start));
		sum += n;
	}
	return sum;
}

/* A free slot; *@from is where to look, and to go on. */
static int take_slot(struct tr_hits *hits, u32 *from, u32 id, u32 *slot)
{
	u32 c = *from / TR_HITS_CHUNK, i = *from % TR_HITS_CHUNK;
	struct tr_hits_chunk *chunk;

	/* Every slot of two policies can be in use, but not one more. */
	for (;; c++, i = 0) {
		if (!hits->chunk[c])
			hits->chunk[c] = new_chunk();
		chunk = hits->chunk[c];
		if (!chunk)
			return -ENOMEM;
		i = find_next_zero_bit(chunk->used, TR_HITS_CHUNK, i);
		if (i < TR_HITS_CHUNK)
			break;
	}
	__set_bit(i, chunk->used);
	chunk->id[i] = id;
	chunk->base[i] = total(chunk, i);
	*slot = c * TR_HITS_CHUNK + i;
	*from = *slot;
	return 0;
}

int tr_hits_assign(struct tr_hits *hits, struct tr_policy *policy,
		   const struct tr_policy *old)
{
	struct index index;
	u32 i, from = 0;
	int ret;

	ret = make_index(&index, old);
	for (i = 0; !ret && i < policy->n_rules; i++) {
		const struct tr_rule *rule = policy->rule[i];

		if (!adopt(&index, old, rule, &policy->slot[i]))
			ret = take_slot(hits, &from, rule->id,
					&policy->slot[i]);
	}
	kvfree(index.entry);
	return ret;
}

void tr_hits_settle(struct tr_hits *hits, const struct tr_policy *policy)
{
	u32 i, slot;

	for (i = 0; i < TR_HITS_CHUNKS && hits->chunk[i]; i++)
		bitmap_zero(hits->chunk[i]->used, TR_HITS_CHUNK);
	for (i = 0; policy && i < policy->n_rules; i++) {
		slot = policy->slot[i];
		__set_bit(slot % TR_HITS_CHUNK,
			  hits->chunk[slot / TR_HITS_CHUNK]->used);
	}
}

u64 tr_hits_read(const struct tr_hits *hits, u32 slot)
{
	const struct tr_hits_chunk *chunk = hits->chunk[slot / TR_HITS_CHUNK];

	return total(chunk, slot % TR_HITS_CHUNK) -
	       chunk->base[slot % TR_HITS_CHUNK];
}

void tr_hits_free(struct tr_hits *hits)
{
	u32 i;

	for (i = 0; i < TR_HITS_CHUNKS && hits->chunk[i]; i++) {
		free_percpu(hits->chunk[i]->pcpu);
		kvfree(hits->chunk[i]);
		hits->chunk[i] = NULL;
	}
}
