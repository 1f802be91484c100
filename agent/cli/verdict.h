/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_VERDICT_H
#define CLI_VERDICT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/sight.h"

/* Verdicts of the packet filter, for people and for programs. */

struct json_object;

/*
 * One line: time, direction, verdict, packet, why, peer. @policy is the
 * verdict's and @peer its peer; either may be NULL.
 */
void verdict_print(FILE *f, const struct tailrace_verdict *v,
		   const struct policy *policy,
		   const struct module_peer *peer);

/* "tcp SYN 100.64.0.2:40000 > 10.0.0.8:22"; what it is about. */
void verdict_print_packet(FILE *f, const struct tailrace_verdict *v);
/* Why: the drop reason, the rule, or what passes without one. */
void verdict_print_cause(FILE *f, const struct tailrace_verdict *v,
			 const struct policy *policy);

/* The caller's. */
struct json_object *verdict_json(const struct tailrace_verdict *v,
				 const struct policy *policy,
				 const struct module_peer *peer);

#endif
