/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_ADDRSET_H
#define KERNEL_ADDRSET_H

#include <stdbool.h>

#include "lib/addr.h"
#include "tailrace.h"

/*
 * Sets of addresses as rules name them, spec/control.md 7.1: "*", a prefix
 * without host bits, "first-last" of one family, one address.
 */

#define ADDRSET_TEXT_MAX (2 * IP_TEXT_MAX + 2)

/* 0 or -EINVAL. */
int addrset_parse(struct tailrace_addr *out, const char *text);
/* A single address comes without its length. To @out, which it returns. */
const char *addrset_format(const struct tailrace_addr *a,
			   char out[ADDRSET_TEXT_MAX]);
/* @p without host bits. */
struct tailrace_addr addrset_prefix(const struct prefix *p);
bool addrset_contains(const struct tailrace_addr *a, const struct ip_addr *ip);

#endif
