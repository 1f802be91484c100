/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bounded table of flows: set-associative, all memory taken at creation.
 * Lookups take no lock; an insertion takes its bucket's. Who needs room in a
 * full bucket gets it from whoever has most there, see tr_flow_add().
 */
#ifndef _TR_FLOW_H
#define _TR_FLOW_H

#include <linux/in6.h>
#include <linux/types.h>

struct tr_flow_table;

#define TR_FLOW_MAX_DEFAULT 262144

/*
 * How long a flow that is idle exists, in seconds; see tr_flow_track(). UDP
 * and whatever else has no end of its own do until their place is needed.
 */
#define TR_FLOW_TCP_IDLE 86400
#define TR_FLOW_TCP_OPENING 120 /* until the opener's second packet */
#define TR_FLOW_TCP_CLOSED 120 /* both have sent FIN */
#define TR_FLOW_TCP_RESET 10
#define TR_FLOW_FRAGMENT_IDLE 30
/*
 * How long a silent flow is worth keeping in a full bucket, and is remembered
 * as the peer's when its verdict no longer holds.
 */
#define TR_FLOW_KEPT 180

/* An inbound packet's addresses and ports. Every byte counts: no padding. */
struct tr_flow_key {
	union {
		struct {
			struct in6_addr src;
			struct in6_addr dst;
			u16 sport;
			u16 dport;
			u8 proto;
			u8 family;
			u16 zero;
		};
		u64 word[5];
	};
};

enum tr_flow_kind {
	TR_FLOW_FREE,
	/* Replies to what we sent; outlives policies. */
	TR_FLOW_REPLY,
	/*
	 * A rule's verdict, valid for one stamp. Never takes the place of a
	 * reply flow that we began, so no peer can push our own flows out.
	 */
	TR_FLOW_VERDICT,
	/* Strict: the peer's flow, but what was said of it may have changed. */
	TR_FLOW_STALE,
	/* Strict: of which flow a fragmented packet is. */
	TR_FLOW_FRAGMENT,
};

/**
 * struct tr_flow_era - what is valid now
 * @epoch: of the whole table; a reply flow of another epoch does not exist
 * @strict: 0, or the epoch of strictness, of which TCP flows and fragments
 *	have to be
 * @verdict: a verdict found under another one does not hold; 0: any does
 */
struct tr_flow_era {
	u32 epoch;
	u32 strict;
	u64 verdict;
};

/**
 * tr_flow_new() - a table for up to @max flows
 * @max: rounded up to a power of two; 72 bytes of memory each
 *
 * Process context. Return: table or NULL.
 */
struct tr_flow_table *tr_flow_new(u32 max);
void tr_flow_free(struct tr_flow_table *table);

/**
 * struct tr_flow_found - what there is about a flow
 * @rule: slot (struct tr_hits) of the rule behind a TR_FLOW_VERDICT
 * @peer: id of the peer whose the flow is, 0 for none; when not strict
 * @peer_holds: nothing has changed since that was said
 * @vouched: nor since tr_flow_vouch(); always so of a TR_FLOW_VERDICT
 * @value: as given to tr_flow_open(); when strict
 */
struct tr_flow_found {
	u32 rule;
	u32 peer;
	bool peer_holds;
	bool vouched;
	u64 value;
};

/**
 * tr_flow_find() - look up an inbound packet's flow and mark it used
 * @table: table
 * @key: of the packet
 * @era: now, not strict
 * @found: filled in; without a flow nothing holds
 *
 * Lock-free; any context that tr_flow_add() may run in.
 *
 * Return: its kind, TR_FLOW_FREE when there is none.
 */
enum tr_flow_kind tr_flow_find(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       struct tr_flow_found *found);

/* As tr_flow_find(), but leaves the flow as little used as it is. */
enum tr_flow_kind tr_flow_peek(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       struct tr_flow_found *found);

/**
 * tr_flow_vouch() - spare the next packets of a reply flow some looks
 * @table: table
 * @key: of the inbound direction
 * @era: now, not strict; what is said here holds as long as its @verdict
 * @peer: id of the peer whose the flow is, 0 for none
 * @in: a packet from there was let in; else it is only known whose it is
 *
 * Context as tr_flow_add().
 */
void tr_flow_vouch(struct tr_flow_table *table, const struct tr_flow_key *key,
		   const struct tr_flow_era *era, u32 peer, bool in);

/* What tr_flow_add() did. */
enum tr_flow_added {
	TR_FLOW_KNOWN, /* it was there */
	TR_FLOW_ADDED,
	TR_FLOW_EVICTED, /* added in the place of a living one */
	TR_FLOW_REFUSED, /* there was no room */
};

/**
 * tr_flow_add() - insert a flow
 * @table: table
 * @key: of the inbound direction
 * @era: now, not strict
 * @kind: TR_FLOW_REPLY or TR_FLOW_VERDICT
 * @rule: slot (struct tr_hits) of the rule behind a verdict
 * @peer: id, 0 for none: whom the place is charged to
 *
 * In a full bucket these go first, each time of the peer that has most there
 * and then the least recently used: mere verdicts; flows of one packet and
 * those that have been silent for TR_FLOW_KEPT; @peer's own. Another's living
 * flow goes only when @peer has none in the bucket and the other has half of
 * it, and ours only for a TR_FLOW_REPLY.
 *
 * Softirq or process context. Does not allocate.
 */
enum tr_flow_added tr_flow_add(struct tr_flow_table *table,
			       const struct tr_flow_key *key,
			       const struct tr_flow_era *era,
			       enum tr_flow_kind kind, u32 rule, u32 peer);

/* For whom tr_flow_track() asks. */
enum tr_flow_use {
	TR_FLOW_ASK, /* nobody: the flow stays as little used as it is */
	TR_FLOW_OUT, /* a packet to the peer */
	TR_FLOW_IN, /* a packet from him: it proves that the flow lives */
};

/**
 * tr_flow_track() - what tr_flow_find() is when strict
 * @table: table
 * @key: of the inbound direction
 * @era: now, strict
 * @use: by what
 * @found: filled in unless there is no flow
 *
 * Knows TCP, and whose a flow is: what the peer has opened is
 * TR_FLOW_VERDICT or TR_FLOW_STALE, even when replies to it were entered
 * before it was strict. Context as tr_flow_find().
 */
enum tr_flow_kind tr_flow_track(struct tr_flow_table *table,
				const struct tr_flow_key *key,
				const struct tr_flow_era *era,
				enum tr_flow_use use,
				struct tr_flow_found *found);

/* Bits of tr_flow_opening.tcp. */
#define TR_FLOW_TCP_SYN 0x1 /* opens it anew; else it is established */
#define TR_FLOW_TCP_FIN_IN 0x2
#define TR_FLOW_TCP_FIN_OUT 0x4
#define TR_FLOW_TCP_RST 0x8

/**
 * struct tr_flow_opening - a flow to be entered
 * @kind: TR_FLOW_REPLY, TR_FLOW_VERDICT or TR_FLOW_FRAGMENT
 * @tcp: bits TR_FLOW_TCP_*
 * @rule: slot of the rule behind a verdict
 * @peer: as for tr_flow_add()
 * @value: of a TR_FLOW_FRAGMENT
 */
struct tr_flow_opening {
	enum tr_flow_kind kind;
	u8 tcp;
	u32 rule;
	u32 peer;
	u64 value;
};

/**
 * tr_flow_open() - what tr_flow_add() is when strict
 * @table: table
 * @key: of the inbound direction
 * @era: now, strict
 * @opening: what to enter
 *
 * A flow that is known stays whose it is, and a TR_FLOW_VERDICT renews it if
 * it is the peer's; TR_FLOW_TCP_SYN enters it as a new one. Room is made as
 * by tr_flow_add(), but verdicts are flows like others. Context as there.
 */
enum tr_flow_added tr_flow_open(struct tr_flow_table *table,
				const struct tr_flow_key *key,
				const struct tr_flow_era *era,
				const struct tr_flow_opening *opening);

/* Note the end of a TCP flow: @tcp are bits TR_FLOW_TCP_*. As tr_flow_add(). */
void tr_flow_close(struct tr_flow_table *table, const struct tr_flow_key *key,
		   const struct tr_flow_era *era, u8 tcp);

/*
 * Another size: the new table is prepared to succeed the old one, published,
 * has the flows carried over to it, and lets go of the old one, which may then
 * be freed; with a grace period after each of the last three steps.
 */

/**
 * tr_flow_succeed() - prepare a table to take another's place
 * @table: new, not yet used
 * @old: what is not found in @table is looked for there; gets no more flows
 *	once every user has turned to @table
 */
void tr_flow_succeed(struct tr_flow_table *table, struct tr_flow_table *old);

/**
 * tr_flow_take_over() - carry the flows over from the old table
 * @table: in use instead of the old one everywhere
 * @era: now; what does not live in it stays behind
 *
 * In a larger table all find room that nobody else has taken. Process context.
 */
void tr_flow_take_over(struct tr_flow_table *table,
		       const struct tr_flow_era *era);

/* Nobody is left who has looked for a flow before it was carried over. */
void tr_flow_let_go(struct tr_flow_table *table);

/* Flows that live in @era. Walks the table; process context. */
u32 tr_flow_count(struct tr_flow_table *table, const struct tr_flow_era *era);
u32 tr_flow_max(const struct tr_flow_table *table);

/* Seconds of an unspecified start, what flows age by. Any context. */
u32 tr_flow_now(void);

#endif
