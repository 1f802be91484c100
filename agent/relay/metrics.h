/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

/*
 * The figures as Prometheus text, under derper's names where it has them
 * (spec/derp.md section 14). Malloced, the caller's. From any thread.
 */
struct relayd;

char *relayd_metrics_text(const struct relayd *server);

#endif
