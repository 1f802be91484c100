/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <stdbool.h>

/*
 * What went wrong in one reconciliation: the first fault is what the engine
 * hears. All are logged, but not again while the engine's one is the same.
 */
struct fault {
	char text[512]; /* "" none */
	char told[512]; /* of an earlier time */
};

void fault_note(struct fault *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Starts anew. */
void fault_clear(struct fault *f);
/* Whether the engine has heard something else; it has not after this. */
bool fault_is_news(struct fault *f);

#endif
