/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_BACKOFF_H
#define CONTROL_BACKOFF_H

#include <stdbool.h>

/*
 * When a loop may try again (control.md 10.2): n^2 * 10 ms after the n-th
 * failure in a row, at most 30 s, times 0.5 to 1.5 at random.
 */

struct event;
struct event_base;

struct backoff {
	struct event *timer;
	unsigned int failures;
};

/* @again runs when a wait is over. */
void backoff_init(struct backoff *b, struct event_base *base,
		  void (*again)(int fd, short what, void *ctx), void *ctx);
void backoff_uninit(struct backoff *b);
void backoff_fail(struct backoff *b);
/* Waits for this long instead. */
void backoff_wait_ms(struct backoff *b, unsigned int ms);
bool backoff_waiting(const struct backoff *b);
/* Forgets the failures and ends a wait, without @again. */
void backoff_reset(struct backoff *b);
/* Uniform in [low, high). */
unsigned int random_between(unsigned int low, unsigned int high);

#endif
