/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_FLOW_H
#define CLI_FLOW_H

#include <stdio.h>

#include "tailrace.h"

/* Flow records, for people and for programs. */

struct json_object;

/*
 * One line: when it was last seen, verdict, packets from the end that began,
 * packets back, why, peer, and how it ended.
 */
void flow_print(FILE *f, const struct tailrace_flow_record *r);

/* The caller's. */
struct json_object *flow_json(const struct tailrace_flow_record *r);

#endif
