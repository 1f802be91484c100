/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

/*
 * The figures, under derper's names where it has them (spec/derp.md section
 * 14). From any thread.
 */
struct relayd;
struct relayd_stats;

/* As Prometheus text; as the JSON of /debug/vars. Malloced, the caller's. */
char *relayd_metrics_text(const struct relayd *server);
char *relayd_metrics_vars(const struct relayd *server);

/* All workers' together. */
void relayd_metrics_sum(const struct relayd *server,
			struct relayd_stats *total);

#endif
