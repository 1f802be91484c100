// SPDX-License-Identifier: GPL-2.0
#include <pthread.h>
#include <stdio.h>

#include "../../kmod/flow.h"
#include "tap.h"

static struct tr_flow_key key(u32 i)
{
	return (struct tr_flow_key){ .family = AF_INET,
				     .proto = IPPROTO_UDP,
				     .sport = i >> 16,
				     .dport = i };
}

static enum tr_flow_kind find(struct tr_flow_table *t, u32 i, u32 epoch,
			      u64 verdict)
{
	struct tr_flow_key k = key(i);
	u32 rule;

	return tr_flow_find(t, &k, &(struct tr_flow_era){ .epoch = epoch, .verdict = verdict },
			    &rule);
}

static enum tr_flow_added add(struct tr_flow_table *t, u32 i, u32 epoch,
			      u64 verdict, enum tr_flow_kind kind)
{
	struct tr_flow_key k = key(i);

	return tr_flow_add(t, &k, &(struct tr_flow_era){ .epoch = epoch, .verdict = verdict },
			   kind, 7, 0);
}

static u32 count(struct tr_flow_table *t, u32 epoch)
{
	return tr_flow_count(t, &(struct tr_flow_era){ .epoch = epoch });
}

static void test_basic(void)
{
	struct tr_flow_table *t = tr_flow_new(1000);
	struct tr_flow_key k = key(2);
	u32 rule = 0;

	tap_ok(tr_flow_max(t) == 1024, "size is rounded up");
	tap_ok(!find(t, 1, 1, 0), "empty");
	tap_ok(add(t, 1, 1, 0, TR_FLOW_REPLY) == TR_FLOW_ADDED &&
	       add(t, 1, 1, 5, TR_FLOW_REPLY) == TR_FLOW_KNOWN, "added once");
	tap_ok(find(t, 1, 1, 99) == TR_FLOW_REPLY, "a reply of any era");
	tap_ok(!find(t, 1, 2, 0) && !count(t, 2),
	       "but not of another epoch");
	tap_ok(add(t, 1, 2, 0, TR_FLOW_REPLY) == TR_FLOW_ADDED &&
	       count(t, 2) == 1 && !count(t, 1),
	       "a new epoch takes the slot over");

	add(t, 2, 2, 5, TR_FLOW_VERDICT);
	tap_ok(tr_flow_find(t, &k, &(struct tr_flow_era){ .epoch = 2, .verdict = 5 }, &rule) ==
	       TR_FLOW_VERDICT && rule == 7, "a verdict and its rule");
	tap_ok(!find(t, 2, 2, 6), "a verdict of another era");
	tap_ok(add(t, 2, 2, 6, TR_FLOW_REPLY) == TR_FLOW_ADDED &&
	       find(t, 2, 2, 9) == TR_FLOW_REPLY, "a verdict becomes a reply");
	tap_ok(add(t, 2, 2, 6, TR_FLOW_VERDICT) == TR_FLOW_KNOWN &&
	       find(t, 2, 2, 9) == TR_FLOW_REPLY, "and never the reverse");
	tr_flow_free(t);
}

/* A table of one bucket shows who has to go. */
static void test_eviction(void)
{
	struct tr_flow_table *t = tr_flow_new(8);
	u32 i;

	for (i = 0; i < 8; i++) {
		add(t, i, 1, 1, TR_FLOW_VERDICT);
		shim_jiffies += HZ;
	}
	tap_ok(count(t, 1) == 8, "full of verdicts");
	find(t, 0, 1, 1);
	tap_ok(add(t, 10, 1, 1, TR_FLOW_VERDICT) == TR_FLOW_EVICTED &&
	       !find(t, 1, 1, 1) && find(t, 0, 1, 1),
	       "the least recently used verdict goes");
	for (i = 20; i < 28; i++) {
		add(t, i, 1, 1, TR_FLOW_REPLY);
		shim_jiffies += HZ;
	}
	tap_ok(!find(t, 10, 1, 1) && find(t, 20, 1, 1) && find(t, 27, 1, 1),
	       "replies displace verdicts");
	tap_ok(add(t, 30, 1, 1, TR_FLOW_VERDICT) == TR_FLOW_REFUSED &&
	       !find(t, 30, 1, 1), "a verdict does not displace a reply");
	tap_ok(add(t, 40, 1, 1, TR_FLOW_REPLY) == TR_FLOW_EVICTED &&
	       !find(t, 21, 1, 1) && find(t, 20, 1, 1),
	       "the least recently used reply goes");
	tap_ok(add(t, 50, 2, 1, TR_FLOW_VERDICT) == TR_FLOW_ADDED,
	       "flows of an ended epoch give way");
	tr_flow_free(t);
}

static void test_bound(void)
{
	struct tr_flow_table *t = tr_flow_new(4096);
	u32 i, evicted = 0, found = 0;

	for (i = 0; i < 100000; i++)
		evicted += add(t, i, 1, 0, TR_FLOW_REPLY) == TR_FLOW_EVICTED;
	tap_ok(count(t, 1) == 4096 && evicted == 100000 - 4096,
	       "100000 flows in a table of 4096");
	for (i = 99000; i < 100000; i++)
		found += find(t, i, 1, 0) == TR_FLOW_REPLY;
	tap_ok(found > 990, "%u of the last 1000 are still there", found);
	tr_flow_free(t);
}

/* Half full, hardly any bucket overflows. */
static void test_load(void)
{
	struct tr_flow_table *t = tr_flow_new(65536);
	u32 i, evicted = 0;

	for (i = 0; i < 16384; i++)
		evicted += add(t, i, 1, 0, TR_FLOW_REPLY) == TR_FLOW_EVICTED;
	tap_ok(evicted < 16384 / 1000, "a quarter full: %u of 16384 evicted",
	       evicted);
	tr_flow_free(t);
}

static void test_memory(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		shim_allocations = i;
		if (tr_flow_new(64))
			break;
	}
	shim_allocations = -1;
	tap_ok(i == 3, "out of memory");
}

/*
 * Two threads enter flows into a table that is too small for them, two look
 * them up: what is found belongs to the key that was asked for.
 */
struct race {
	pthread_t thread;
	struct tr_flow_table *table;
	u32 step;
	bool writes;
	u32 found;
	u32 wrong;
};

static u32 rule_of(u32 i)
{
	return i * 2654435761U;
}

static void *race(void *arg)
{
	struct race *r = arg;
	const struct tr_flow_era era = { .epoch = 1, .verdict = 1 };
	u32 i, n, rule;

	for (n = 0, i = r->step; n < 1000000; n++, i = (i + r->step) % 16) {
		struct tr_flow_key k = key(i);

		if (r->writes) {
			tr_flow_add(r->table, &k, &era, TR_FLOW_VERDICT,
				    rule_of(i), 0);
		} else if (tr_flow_find(r->table, &k, &era, &rule)) {
			r->found++;
			r->wrong += rule != rule_of(i);
		}
	}
	return NULL;
}

static void test_race(void)
{
	struct race r[4] = { { .step = 7, .writes = true },
			     { .step = 13, .writes = true },
			     { .step = 11 },
			     { .step = 17 } };
	struct tr_flow_table *t = tr_flow_new(8);
	u32 i;

	/* Something to find, should the readers start first. */
	for (i = 0; i < 8; i++) {
		struct tr_flow_key k = key(i);

		tr_flow_add(t, &k, &(struct tr_flow_era){ .epoch = 1, .verdict = 1 },
			    TR_FLOW_VERDICT, rule_of(i), 0);
	}
	for (i = 0; i < 4; i++) {
		r[i].table = t;
		if (pthread_create(&r[i].thread, NULL, race, &r[i]))
			exit(1);
	}
	for (i = 0; i < 4; i++)
		pthread_join(r[i].thread, NULL);
	tap_ok(!r[2].wrong && !r[3].wrong && r[2].found && r[3].found,
	       "%u flows found while others come and go",
	       r[2].found + r[3].found);
	tr_flow_free(t);
}

int main(void)
{
	test_basic();
	test_eviction();
	test_bound();
	test_load();
	test_race();
	test_memory();
	return tap_done();
}
