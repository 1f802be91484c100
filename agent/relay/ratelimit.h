/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_RATELIMIT_H
#define RELAY_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* A token bucket. Times are now_ns(); a zero rate never limits. */
struct relayd_limit {
	uint64_t rate;	/* tokens a second */
	uint64_t burst; /* at most this many */
	uint64_t at;	/* when @tokens was right */
	int64_t tokens; /* below zero: borrowed by relayd_limit_borrow() */
};

/* Full. */
void relayd_limit_init(struct relayd_limit *l, uint64_t rate, uint64_t burst,
		       uint64_t now);
/* Takes @n tokens if they are there. */
bool relayd_limit_take(struct relayd_limit *l, uint64_t n, uint64_t now);
/*
 * Takes @n tokens, at most the burst, in any case, and returns how many ns to
 * wait before it is right to go on; 0: none.
 */
uint64_t relayd_limit_borrow(struct relayd_limit *l, uint64_t n, uint64_t now);

#endif
