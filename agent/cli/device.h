/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_DEVICE_H
#define CLI_DEVICE_H

#include <stdio.h>

struct json_object;

/*
 * One device of tailrace.ko as kernel/stats.h describes it, for people: what
 * state it is in, its policy, flows and drops. Each line begins with @prefix;
 * @name may be NULL. Says nothing of an object without a state.
 */
void device_print(FILE *f, const char *prefix, const char *name,
		  struct json_object *device);

/*
 * The exit status of `status` when no agent answers: DEVICE_FORWARDING when a
 * device of @devices, by name, lets packets pass, else DEVICE_CLOSED.
 */
#define DEVICE_FORWARDING 3
#define DEVICE_CLOSED 4
int device_exit_status(struct json_object *devices);

#endif
