// SPDX-License-Identifier: GPL-2.0
#include "relay/ratelimit.h"

#include "lib/util.h"

void relayd_limit_init(struct relayd_limit *l, uint64_t rate, uint64_t burst,
		       uint64_t now)
{
	l->rate = rate;
	l->burst = burst;
	l->at = now;
	l->tokens = (int64_t)burst;
}

static void refill(struct relayd_limit *l, uint64_t now)
{
	uint64_t ns = now - l->at;
	uint64_t room = (uint64_t)((int64_t)l->burst - l->tokens);
	uint64_t more;

	/* Long enough to be full: also keeps the product below from wrapping. */
	if (ns / SEC_NS > room / l->rate) {
		l->tokens = (int64_t)l->burst;
		l->at = now;
		return;
	}
	more = (uint64_t)((unsigned __int128)ns * l->rate / SEC_NS);
	if (!more)
		return;
	if (more >= room) {
		l->tokens = (int64_t)l->burst;
		l->at = now;
		return;
	}
	l->tokens += (int64_t)more;
	/* The part of a token that was not added stays on the clock. */
	l->at += (uint64_t)((unsigned __int128)more * SEC_NS / l->rate);
}

bool relayd_limit_take(struct relayd_limit *l, uint64_t n, uint64_t now)
{
	if (!l->rate)
		return true;
	refill(l, now);
	if (l->tokens < (int64_t)n)
		return false;
	l->tokens -= (int64_t)n;
	return true;
}

uint64_t relayd_limit_borrow(struct relayd_limit *l, uint64_t n, uint64_t now)
{
	if (!l->rate)
		return 0;
	refill(l, now);
	l->tokens -= (int64_t)(n < l->burst ? n : l->burst);
	if (l->tokens >= 0)
		return 0;
	return (uint64_t)((unsigned __int128)(uint64_t)-l->tokens * SEC_NS /
			  l->rate) +
	       1;
}
