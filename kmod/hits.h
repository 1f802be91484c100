/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets that rules have let in. A rule in force has a slot here, and keeps
 * it when a policy with the same rule replaces its own: packets that are
 * judged by either meanwhile count in the same place. Writers of one struct
 * tr_hits exclude each other.
 */
#ifndef _TR_HITS_H
#define _TR_HITS_H

#include <linux/bitmap.h>
#include <linux/percpu.h>
#include <linux/u64_stats_sync.h>

#include "../uapi/tailrace.h"

struct tr_policy;

#define TR_HITS_CHUNK 512
/* Two policies at once, while one replaces the other. */
#define TR_HITS_CHUNKS (2 * TAILRACE_MAX_RULES / TR_HITS_CHUNK)

struct tr_hits_pcpu {
	u64_stats_t n[TR_HITS_CHUNK];
	struct u64_stats_sync sync;
};

/**
 * struct tr_hits_chunk - some slots
 * @pcpu: counters, which only ever grow
 * @base: what a slot's counters had in all when its rule got it
 * @id: of the rule
 * @used: slots that have a rule
 */
struct tr_hits_chunk {
	struct tr_hits_pcpu __percpu *pcpu;
	u64 base[TR_HITS_CHUNK];
	u32 id[TR_HITS_CHUNK];
	DECLARE_BITMAP(used, TR_HITS_CHUNK);
};

/**
 * struct tr_hits - the counters of one device's rules
 * @chunk: taken as rules need them, given back at the end. Each has 6 KiB and
 *	4 KiB a CPU, all 1.5 MiB and 1 MiB a CPU: twice TAILRACE_MAX_RULES.
 */
struct tr_hits {
	struct tr_hits_chunk *chunk[TR_HITS_CHUNKS];
};

/* @hits is all zero at first. No reader may be left. Process context. */
void tr_hits_free(struct tr_hits *hits);

/**
 * tr_hits_assign() - give every rule of a policy a slot
 * @hits: counters
 * @policy: compiled, not yet in force
 * @old: in force, or NULL; a rule of the same id and contents hands its slot on
 *
 * To be followed by tr_hits_settle(). Process context.
 *
 * Return: 0 or -ENOMEM.
 */
int tr_hits_assign(struct tr_hits *hits, struct tr_policy *policy,
		   const struct tr_policy *old);

/* Take slots back but those of @policy (or NULL), which alone has readers. */
void tr_hits_settle(struct tr_hits *hits, const struct tr_policy *policy);

/* What the rule that has @slot has let in. Process context. */
u64 tr_hits_read(const struct tr_hits *hits, u32 slot);

/* The id of the rule that has @slot. Any context. */
static inline u32 tr_hits_rule(const struct tr_hits *hits, u32 slot)
{
	return hits->chunk[slot / TR_HITS_CHUNK]->id[slot % TR_HITS_CHUNK];
}

/* Count @packets. BH disabled. */
static inline void tr_hits_add(struct tr_hits *hits, u32 slot, u32 packets)
{
	struct tr_hits_pcpu *pcpu =
		this_cpu_ptr(hits->chunk[slot / TR_HITS_CHUNK]->pcpu);

	u64_stats_update_begin(&pcpu->sync);
	u64_stats_add(&pcpu->n[slot % TR_HITS_CHUNK], packets);
	u64_stats_update_end(&pcpu->sync);
}

#endif
