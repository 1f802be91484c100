/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LOOP_H
#define UNIT_LOOP_H

#include <event2/event.h>
#include <stdbool.h>

static inline void run_limit(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* Turns the loop until @cond; its value. The limit is for hangs only. */
#define RUN_UNTIL(base, cond)                                             \
	({                                                                \
		struct timeval tv_ = { .tv_sec = 20 };                    \
		bool over_ = false;                                       \
		struct event *ev_ = evtimer_new(base, run_limit, &over_); \
		event_add(ev_, &tv_);                                     \
		while (!over_ && !(cond))                                 \
			event_base_loop(base, EVLOOP_ONCE);               \
		event_free(ev_);                                          \
		(cond);                                                   \
	})

#endif
