/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_TCP_H
#define RELAY_TCP_H

#include <linux/tcp.h>

#include "relay/stats.h"

/* What a connection's socket is told, and what the kernel tells about it. */
struct relayd_config;

void relayd_tcp_options(int fd, const struct relayd_config *config);
/* All zero if it does not know. */
struct tcp_info relayd_tcp_info(int fd);
/* Counts the round-trip time (spec/derp.md section 14). */
void relayd_tcp_sample(int fd, struct relayd_stats *stats);

#endif
