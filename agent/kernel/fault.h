/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <stdbool.h>

/* What went wrong in one reconciliation, and what was said of an earlier one. */
struct fault {
	char text[1024]; /* one behind the other, cut off; "" none */
	char told[1024];
};

void fault_note(struct fault *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Starts anew. */
void fault_clear(struct fault *f);
/*
 * Whether it is something else than the last time this was asked; then it is
 * logged, and the engine should hear it. What is tried again and fails again is
 * no news.
 */
bool fault_is_news(struct fault *f);

#endif
