// SPDX-License-Identifier: GPL-2.0
#include <pthread.h>
#include <sched.h>
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
	struct tr_flow_found found;

	return tr_flow_find(t, &k, &(struct tr_flow_era){ .epoch = epoch, .verdict = verdict },
			    &found);
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
	struct tr_flow_found found;

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
	tap_ok(tr_flow_find(t, &k, &(struct tr_flow_era){ .epoch = 2, .verdict = 5 }, &found) ==
	       TR_FLOW_VERDICT && found.rule == 7, "a verdict and its rule");
	tap_ok(!find(t, 2, 2, 6), "a verdict of another era");
	tap_ok(add(t, 2, 2, 6, TR_FLOW_REPLY) == TR_FLOW_ADDED &&
	       find(t, 2, 2, 9) == TR_FLOW_REPLY, "a verdict becomes a reply");
	tap_ok(add(t, 2, 2, 6, TR_FLOW_VERDICT) == TR_FLOW_KNOWN &&
	       find(t, 2, 2, 9) == TR_FLOW_REPLY, "and never the reverse");
	tr_flow_free(t);
}

/* What is known of flow 1 at @verdict: 'p' its peer, 'v' that it was let in. */
static const char *known(struct tr_flow_table *t, u64 verdict, u32 peer)
{
	const struct tr_flow_era era = { .epoch = 1, .verdict = verdict };
	struct tr_flow_key k = key(1);
	struct tr_flow_found found;

	if (!tr_flow_find(t, &k, &era, &found))
		return "";
	if (found.peer_holds && found.peer != peer)
		return "wrong peer";
	return found.vouched ? found.peer_holds ? "pv" : "v" :
	       found.peer_holds ? "p" : "-";
}

static void test_vouch(void)
{
	struct tr_flow_table *t = tr_flow_new(8);
	struct tr_flow_era era = { .epoch = 1, .verdict = 5 };
	struct tr_flow_key k = key(1);

	tr_flow_vouch(t, &k, &era, 3, true);
	tap_ok(!*known(t, 5, 0), "vouching enters nothing");
	tr_flow_add(t, &k, &era, TR_FLOW_REPLY, 0, 3);
	tap_ok(!strcmp(known(t, 5, 3), "p") && !strcmp(known(t, 6, 0), "-") &&
	       !strcmp(known(t, 0, 0), "-"),
	       "a flow's peer holds while nothing changes");
	tr_flow_vouch(t, &k, &era, 3, true);
	tap_ok(!strcmp(known(t, 5, 3), "pv") && !strcmp(known(t, 6, 0), "-"),
	       "likewise that it was let in");
	tr_flow_vouch(t, &k, &era, 3, false);
	tap_ok(!strcmp(known(t, 5, 3), "pv"), "sending takes nothing of that");
	era.verdict = 6;
	tr_flow_vouch(t, &k, &era, 4, false);
	tap_ok(!strcmp(known(t, 6, 4), "p") && !strcmp(known(t, 5, 0), "-"),
	       "but shows only whose it is after a change");
	era.verdict = 7;
	tr_flow_vouch(t, &k, &era, 4, true);
	tap_ok(!strcmp(known(t, 7, 4), "pv"), "until it is let in again");
	era.epoch = 2;
	tr_flow_add(t, &k, &era, TR_FLOW_REPLY, 0, 4);
	era.epoch = 1;
	tap_ok(!*known(t, 7, 0), "nothing of it in another epoch");
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

/* Strict: kinds, and what is remembered of them. */
static void test_strict(void)
{
	const struct tr_flow_era era = { .epoch = 1, .strict = 1, .verdict = 5 };
	const struct tr_flow_era next = { .epoch = 1, .strict = 1,
					  .verdict = 6 };
	const struct tr_flow_era other = { .epoch = 1, .strict = 2,
					   .verdict = 5 };
	struct tr_flow_opening opening = { .kind = TR_FLOW_VERDICT, .rule = 9 };
	struct tr_flow_table *t = tr_flow_new(1024);
	struct tr_flow_key udp = key(1), tcp = key(2);
	struct tr_flow_found found;

	tcp.proto = IPPROTO_TCP;
	tap_ok(tr_flow_open(t, &udp, &era, &opening) == TR_FLOW_ADDED &&
	       tr_flow_track(t, &udp, &era, TR_FLOW_IN, &found) ==
		       TR_FLOW_VERDICT && found.rule == 9,
	       "a verdict");
	tap_ok(tr_flow_track(t, &udp, &next, TR_FLOW_IN, &found) ==
		       TR_FLOW_STALE, "of another era");
	opening.kind = TR_FLOW_REPLY;
	tap_ok(tr_flow_open(t, &udp, &next, &opening) == TR_FLOW_KNOWN &&
	       tr_flow_track(t, &udp, &next, TR_FLOW_IN, &found) ==
		       TR_FLOW_STALE, "does not become a reply");
	opening.kind = TR_FLOW_VERDICT;
	tap_ok(tr_flow_open(t, &udp, &next, &opening) == TR_FLOW_KNOWN &&
	       tr_flow_track(t, &udp, &next, TR_FLOW_IN, &found) ==
		       TR_FLOW_VERDICT, "but may be renewed");
	tr_flow_add(t, &udp, &next, TR_FLOW_REPLY, 0, 0);
	tap_ok(tr_flow_track(t, &udp, &next, TR_FLOW_IN, &found) ==
		       TR_FLOW_STALE, "nor when it was answered unstrictly");
	opening.tcp = TR_FLOW_TCP_SYN;
	tr_flow_open(t, &tcp, &era, &opening);
	tap_ok(tr_flow_track(t, &tcp, &next, TR_FLOW_IN, &found) ==
		       TR_FLOW_STALE &&
	       tr_flow_track(t, &tcp, &other, TR_FLOW_IN, &found) ==
		       TR_FLOW_FREE && tr_flow_count(t, &era) == 2,
	       "TCP is of one strict period");
	opening.kind = TR_FLOW_REPLY;
	tr_flow_open(t, &tcp, &era, &opening);
	tap_ok(tr_flow_track(t, &tcp, &next, TR_FLOW_IN, &found) ==
		       TR_FLOW_REPLY, "SYN makes it another's");
	tr_flow_free(t);
}

/*
 * Established flows of a hundred peers and of ours, and one more peer's flood
 * of new ones: how many of the former are then missing.
 */
enum flood { ONCE, TWICE, ANSWERED };

static struct tr_flow_key flood_key(u32 i)
{
	struct tr_flow_key k = key(i);

	k.src.s6_addr[12] = 1;
	return k;
}

static u32 flooded(u32 size, u32 established, bool strict, enum flood how)
{
	const struct tr_flow_era era = { .epoch = 1, .strict = strict,
					 .verdict = 1 };
	struct tr_flow_opening opening = { .kind = TR_FLOW_VERDICT,
					   .tcp = TR_FLOW_TCP_SYN };
	struct tr_flow_table *t = tr_flow_new(size);
	u32 i, known = 0, lost = 0;
	struct tr_flow_found found;
	bool *is_known = calloc(established, sizeof(*is_known));
	struct tr_flow_key k;

	for (i = 0; i < established; i++) {
		k = key(i);
		opening.peer = 1 + i % 100;
		opening.kind = i % 2 ? TR_FLOW_REPLY : TR_FLOW_VERDICT;
		k.proto = strict ? IPPROTO_TCP : IPPROTO_UDP;
		if (strict)
			tr_flow_open(t, &k, &era, &opening);
		else
			tr_flow_add(t, &k, &era, TR_FLOW_REPLY, 0,
				    opening.peer);
	}
	shim_jiffies += HZ;
	for (i = 0; i < established; i++) {
		k = key(i);
		k.proto = strict ? IPPROTO_TCP : IPPROTO_UDP;
		is_known[i] = strict ? tr_flow_track(t, &k, &era, TR_FLOW_IN,
						     &found) :
				       tr_flow_find(t, &k, &era, &found);
		known += is_known[i];
	}
	opening.peer = 999;
	opening.kind = TR_FLOW_VERDICT;
	for (i = 0; i < 1000000; i++) {
		if (i % 10000 == 0)
			shim_jiffies += HZ;
		k = flood_key(i);
		k.proto = strict ? IPPROTO_TCP : IPPROTO_UDP;
		if (strict) {
			tr_flow_open(t, &k, &era, &opening);
			if (how == TWICE)
				tr_flow_track(t, &k, &era, TR_FLOW_IN, &found);
			continue;
		}
		tr_flow_add(t, &k, &era, TR_FLOW_VERDICT, 0, 999);
		if (how == ANSWERED)
			tr_flow_add(t, &k, &era, TR_FLOW_REPLY, 0, 999);
		if (how != ONCE)
			tr_flow_find(t, &k, &era, &found);
	}
	for (i = 0; i < established; i++) {
		k = key(i);
		k.proto = strict ? IPPROTO_TCP : IPPROTO_UDP;
		if (!is_known[i])
			continue;
		lost += strict ? !tr_flow_track(t, &k, &era, TR_FLOW_ASK,
						&found) :
				 !tr_flow_peek(t, &k, &era, &found);
	}
	free(is_known);
	tr_flow_free(t);
	printf("# %u established in %u places, 1000000 new ones%s%s%s: %u lost\n",
	       known, size, strict ? ", strict" : "",
	       how == ONCE ? "" : ", two packets each",
	       how == ANSWERED ? " and an answer" : "", lost);
	return lost;
}

static void test_flood(void)
{
	tap_ok(!flooded(262144, 10000, false, ONCE) &&
	       !flooded(262144, 10000, false, TWICE) &&
	       !flooded(262144, 10000, false, ANSWERED),
	       "a flood displaces nobody else's flows");
	tap_ok(!flooded(262144, 10000, true, ONCE) &&
	       !flooded(262144, 10000, true, TWICE), "nor when strict");
	tap_ok(!flooded(16384, 10000, false, TWICE) &&
	       !flooded(16384, 10000, true, TWICE), "nor in a small table");
	/*
	 * What we send always finds a place, be it an answer to the flood. Of
	 * 2,048 buckets about 225 are full; the next answer displaces the last.
	 */
	tap_ok(flooded(16384, 10000, false, ANSWERED) < 300,
	       "answers may displace one in a bucket that is full");
}

/* Resizing: a larger table loses nothing, a smaller one what has no room. */
static void test_resize(void)
{
	const struct tr_flow_era era = { .epoch = 1 };
	struct tr_flow_table *t[3] = { tr_flow_new(65536) };
	u32 i, known = 0, lost = 0, n;

	for (i = 0; i < 60000; i++)
		add(t[0], i, 1, 0, TR_FLOW_REPLY);
	for (i = 60000; i < 70000; i++)
		add(t[0], i, 2, 0, TR_FLOW_REPLY);
	known = count(t[0], 1);
	t[1] = tr_flow_new(131072);
	tr_flow_succeed(t[1], t[0]);
	for (i = 0, n = 0; i < 60000; i++)
		n += find(t[1], i, 1, 0) == TR_FLOW_REPLY;
	tap_ok(n == known, "while it happens: all of %u are found", known);
	tap_ok(add(t[1], 80000, 1, 0, TR_FLOW_REPLY) == TR_FLOW_ADDED &&
	       find(t[1], 80000, 1, 0) && !find(t[0], 80000, 1, 0),
	       "new ones go to the new table");
	tr_flow_take_over(t[1], &era);
	tr_flow_let_go(t[1]);
	tr_flow_free(t[0]);
	for (i = 0, n = 0; i < 60000; i++)
		n += find(t[1], i, 1, 0) == TR_FLOW_REPLY;
	tap_ok(n == known && count(t[1], 1) == known + 1 && !count(t[1], 2),
	       "in a larger table: all, and none of another epoch");

	t[2] = tr_flow_new(4096);
	tr_flow_succeed(t[2], t[1]);
	tr_flow_take_over(t[2], &era);
	tr_flow_let_go(t[2]);
	tr_flow_free(t[1]);
	tap_ok(count(t[2], 1) == 4096, "in a smaller one: as many as it has");
	for (i = 0; i < 60000; i++)
		lost += !find(t[2], i, 1, 0);
	tap_ok(lost <= 60000 - 4096 + 1, "and found");
	tr_flow_free(t[2]);
}

/*
 * The same while others use it: two threads have flows of their own, which must
 * not be missed once, and enter new ones; the table changes its size meanwhile.
 * A thread that has passed its loop's head holds no older table: the grace
 * periods of the filter.
 */
#define RESIZE_FLOWS 1000

struct user {
	pthread_t thread;
	u32 base;
	u64 rounds;
	u32 missed, late;
	bool stop;
};

static struct tr_flow_table *shared;

static void *use(void *arg)
{
	struct user *u = arg;
	u32 i, next = 0;

	while (!__atomic_load_n(&u->stop, __ATOMIC_ACQUIRE)) {
		struct tr_flow_table *t =
			__atomic_load_n(&shared, __ATOMIC_ACQUIRE);

		for (i = 0; i < RESIZE_FLOWS / 10; i++)
			u->missed += !find(t, u->base + next * 100 + i, 1, 0);
		/* Entered now, found in the next round, in whatever table. */
		i = u->base + 500000 + u->rounds % 100;
		if (u->rounds >= 100)
			u->late += !find(t, i, 1, 0);
		add(t, i, 1, 0, TR_FLOW_REPLY);
		next = (next + 1) % 10;
		__atomic_add_fetch(&u->rounds, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void wait_for_grace(struct user *u)
{
	u64 was[2];
	int i;

	for (i = 0; i < 2; i++)
		was[i] = __atomic_load_n(&u[i].rounds, __ATOMIC_ACQUIRE);
	for (i = 0; i < 2; i++)
		while (__atomic_load_n(&u[i].rounds, __ATOMIC_ACQUIRE) <
		       was[i] + 2)
			sched_yield();
}

static void test_resize_race(void)
{
	static const u32 sizes[] = { 16384, 65536, 32768, 131072 };
	const struct tr_flow_era era = { .epoch = 1 };
	struct user u[2] = { { .base = 0 }, { .base = 1000000 } };
	u32 i, k;

	shared = tr_flow_new(65536);
	for (i = 0; i < 2; i++)
		for (k = 0; k < RESIZE_FLOWS; k++)
			add(shared, u[i].base + k, 1, 0, TR_FLOW_REPLY);
	for (i = 0; i < 2; i++)
		if (pthread_create(&u[i].thread, NULL, use, &u[i]))
			exit(1);
	wait_for_grace(u);
	for (i = 0; i < 40; i++) {
		struct tr_flow_table *old = shared;
		struct tr_flow_table *t = tr_flow_new(sizes[i % 4]);

		tr_flow_succeed(t, old);
		__atomic_store_n(&shared, t, __ATOMIC_RELEASE);
		wait_for_grace(u);
		tr_flow_take_over(t, &era);
		wait_for_grace(u);
		tr_flow_let_go(t);
		wait_for_grace(u);
		tr_flow_free(old);
	}
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&u[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(u[i].thread, NULL);
	}
	tap_ok(!u[0].missed && !u[1].missed && !u[0].late && !u[1].late,
	       "40 times under traffic: %u and %u of %llu lookups missed",
	       u[0].missed + u[1].missed, u[0].late + u[1].late,
	       (unsigned long long)(u[0].rounds + u[1].rounds) * 101);
	tr_flow_free(shared);
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
	struct tr_flow_found found;
	u32 i, n;

	for (n = 0, i = r->step; n < 1000000; n++, i = (i + r->step) % 16) {
		struct tr_flow_key k = key(i);

		if (r->writes) {
			tr_flow_add(r->table, &k, &era, TR_FLOW_VERDICT,
				    rule_of(i), 0);
		} else if (tr_flow_find(r->table, &k, &era, &found)) {
			r->found++;
			r->wrong += found.rule != rule_of(i);
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
	test_vouch();
	test_eviction();
	test_bound();
	test_load();
	test_race();
	test_strict();
	test_flood();
	test_resize();
	test_resize_race();
	test_memory();
	return tap_done();
}
