/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_RATEFILE_H
#define RELAY_RATEFILE_H

#include <stdint.h>

#include "lib/key.h"

/* Small files an operator writes. Errors: negative errno, logged. */

/*
 * {"PerClientRateLimitBytesPerSec":N,"PerClientRateBurstBytes":M}, as derper's
 * --rate-config; N missing or 0: no limit.
 */
int relayd_rate_load(const char *path, uint64_t *rate, uint64_t *burst);

/* 64 hex digits, white space around them; not readable by others. */
int relayd_mesh_key_load(const char *path, struct key *mesh_key);

#endif
