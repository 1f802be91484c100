/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_RULE_H
#define KERNEL_RULE_H

#include "kernel/kernel.h"

/* Rules of the packet filter: their ids, and how people read them. */

struct json_object;

/*
 * Gives every rule an id that follows from its contents, the order of lists
 * and doubles in them aside. No two have the same.
 */
void rule_assign_ids(struct kernel_rule *rules, size_t n);

/*
 * "tcp,udp from 10.0.0.0/8, cap 0x1f to 100.64.0.1:22, *:8000-8010" on one
 * line, from xmalloc. Of a longer list of sources or destinations the first
 * @max are written, "... (310 more)" stands for the rest.
 */
char *rule_format(const struct kernel_rule *r, size_t max);

/* {"id", "protos", "src", "caps", "dst"} in whole; the caller's. */
struct json_object *rule_json(const struct kernel_rule *r);

/* "tcp", "udp", ... or the number, to @out, which it returns. */
#define RULE_PROTO_MAX 8
const char *rule_proto(uint8_t proto, char out[RULE_PROTO_MAX]);

#endif
