/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_POLICYRULES_H
#define CLI_POLICYRULES_H

#include "kernel/kernel.h"

struct json_object;

/* `tailrace policy rules`; returns the exit status. */
int policyrules_run(int argc, char **argv);

/* A rule in whole, with its hits; the caller's. */
struct json_object *policyrules_json(const struct kernel_rule *r);

#endif
