/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_STATE_H
#define KERNEL_STATE_H

#include "kernel/kernel.h"
#include "kernel/wg.h"

/*
 * Brings a state from the engine into the one form that is compared with the
 * kernel's: peers sorted by id, without bad or double ids and keys; prefixes
 * masked; each address, and each allowed IP, with one peer only (the lowest
 * id). @state's lists were decoded by kernel/wire.h and are changed in place.
 */
void state_normalize(struct kernel_state *state);

/* NULL when there is none. Of a normalized state. */
struct kernel_peer *state_peer(const struct kernel_state *state, uint32_t id);

/* What WireGuard shall have; endpoints are not filled in. wg_free. */
void state_to_wg(const struct kernel_state *state, struct wg_device *out);

#endif
