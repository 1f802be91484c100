/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_RULEID_H
#define KERNEL_RULEID_H

#include "kernel/kernel.h"

/*
 * Gives every rule an id that follows from its contents, the order of lists
 * and doubles in them aside. No two have the same.
 */
void ruleid_assign(struct kernel_rule *rules, size_t n);

#endif
