/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LOCALAPI_STATUS_H
#define LOCALAPI_STATUS_H

#include <stdbool.h>

#include "engine/agent.h"
#include "engine/netreport.h"

struct json_object;

/* GET status. @stats are WireGuard's counters, @n of them. Caller puts it. */
struct json_object *status_json(const struct agent *a,
				const struct kernel_peer_stats *stats, size_t n,
				const char *device_json, bool peers);
/* What is wrong, as a list of texts. Caller puts it. */
struct json_object *health_json(const struct agent *a,
				const struct netmap *nm);
/* GET netcheck: what the last measurement found; NULL report: {}. */
struct json_object *netcheck_json(const struct agent *a,
				  const struct net_report *r);

#endif
