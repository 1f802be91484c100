/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_PEERS_H
#define KERNEL_PEERS_H

#include <uthash.h>

#include "kernel/alias.h"
#include "kernel/wg.h"

/*
 * What the kernel process remembers of each peer: the engine's path, the
 * endpoint that the engine believes WireGuard has, and whether it is active.
 */

struct peer_entry {
	uint32_t id;
	struct kernel_path path; /* canonical none: no path */
	uint64_t age; /* of the path: larger is newer */
	bool dirty; /* the path isn't in the kernel yet */
	struct endpoint known; /* WireGuard's, as last set or reported */
	struct alias alias; /* the module's; canonical none: unknown */
	bool active;
	UT_hash_handle hh; /* by id */
};

struct peers {
	struct peer_entry *by_id;
	uint64_t clock;
};

void peers_free(struct peers *p);
/* Creates it when there is room (twice TAILRACE_MAX_PEERS), else NULL. */
struct peer_entry *peers_get(struct peers *p, uint32_t id);
struct peer_entry *peers_find(const struct peers *p, uint32_t id);
void peers_remove(struct peers *p, uint32_t id);

/* A path equal to the last one changes nothing. */
void peers_set_path(struct peers *p, const struct kernel_path *path);

/*
 * Endpoints for those of @want's peers that need one: the path is new, or
 * @have has no endpoint for the peer. Where WireGuard roamed by itself since
 * the path was set, it stays.
 */
void peers_put_endpoints(const struct peers *p,
			 const struct kernel_state *state,
			 const struct wg_device *have, struct wg_device *want);
/* What the module has for a peer; NULL: nothing, or not known. */
void peers_note_alias(struct peers *p, uint32_t id, const struct alias *a);
/* @want was applied: no path of a peer in @state is dirty any more. */
void peers_endpoints_set(struct peers *p, const struct kernel_state *state);

/* All paths' aliases, settled. */
void peers_want_aliases(const struct peers *p,
			const struct kernel_state *state,
			struct alias_list *out);

/*
 * Calls @roamed for what WireGuard has and the engine doesn't know; with NULL
 * it is only remembered.
 */
void peers_compare_endpoints(struct peers *p, const struct kernel_state *state,
			     const struct wg_device *have,
			     void (*roamed)(void *ctx, uint32_t peer,
					    const struct endpoint *e),
			     void *ctx);

#endif
