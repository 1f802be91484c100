// SPDX-License-Identifier: GPL-2.0
#include "control/backoff.h"

#include <event2/event.h>
#include <sodium.h>
#include <sys/time.h>

#define BACKOFF_MAX_MS 30000u
#define FAILURES_MAX 100u /* the limit is reached long before */

unsigned int random_between(unsigned int low, unsigned int high)
{
	return low + randombytes_uniform(high - low);
}

void backoff_init(struct backoff *b, struct event_base *base,
		  void (*again)(int fd, short what, void *ctx), void *ctx)
{
	b->timer = evtimer_new(base, again, ctx);
	b->failures = 0;
}

void backoff_uninit(struct backoff *b)
{
	event_free(b->timer);
}

void backoff_wait_ms(struct backoff *b, unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(b->timer, &tv);
}

void backoff_fail(struct backoff *b)
{
	unsigned int ms;

	if (b->failures < FAILURES_MAX)
		b->failures++;
	ms = b->failures * b->failures * 10;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	backoff_wait_ms(b, random_between(ms / 2, ms + ms / 2));
}

bool backoff_waiting(const struct backoff *b)
{
	return evtimer_pending(b->timer, NULL);
}

void backoff_reset(struct backoff *b)
{
	b->failures = 0;
	evtimer_del(b->timer);
}
