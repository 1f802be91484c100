/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PING_H
#define ENGINE_PING_H

#include <stddef.h>
#include <stdint.h>

struct agent;

/* A TSMP packet came in: a pong ends the ping that waits for it. */
void ping_on_tsmp(struct agent *a, const uint8_t *data, size_t n);

#endif
