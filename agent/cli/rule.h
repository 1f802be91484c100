/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_RULE_H
#define CLI_RULE_H

#include <stddef.h>

#include "kernel/policy.h"
#include "kernel/verdict.h"

/* Rules of the packet filter, for people. */

#define RULE_TEXT_MAX 512

/*
 * "100.64.0.0/10 > 10.0.0.0/8:22 tcp". Of a list of more than three only what
 * concerns @v is named, or the first three when @v is NULL, and how many more
 * there are. To @out, which it returns.
 */
const char *rule_excerpt(const struct kernel_rule *r,
			 const struct tailrace_verdict *v,
			 char out[RULE_TEXT_MAX]);

/*
 * A rule may be in several parts of one id: the one that concerns @v. NULL when
 * the policy has none of that id.
 */
const struct kernel_rule *rule_find(const struct policy *p, uint32_t id,
				    const struct tailrace_verdict *v);

/* Why a rule does not match; what comes first in this order. */
enum rule_miss {
	RULE_MATCHES,
	RULE_OTHER_PORT,
	RULE_OTHER_PROTO,
	RULE_OTHER_ADDRESS, /* or a capability that only the module knows of */
};

enum rule_miss rule_miss(const struct kernel_rule *r,
			 const struct tailrace_verdict *v);

#endif
