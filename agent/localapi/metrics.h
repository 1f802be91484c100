/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LOCALAPI_METRICS_H
#define LOCALAPI_METRICS_H

#include "engine/agent.h"
#include "lib/metrics.h"

struct json_object;

/*
 * tailrace.ko's devices, as kernel/stats.h describes them, by their names. What
 * has a name in tailscaled's own metrics is summed up under that name, too.
 */
void metrics_devices(struct metrics *m, struct json_object *devices);

/* The engine itself. */
void metrics_agent(struct metrics *m, const struct agent *a);

#endif
