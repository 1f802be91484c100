/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_PATHS_PARTS_H
#define ENGINE_PATHS_PARTS_H

#include <uthash.h>

#include "engine/paths.h"
#include "proto/disco.h"

/* Inside of paths: paths.c keeps the peers, paths_input.c takes what arrives. */

/* One disco key; several nodes may share it (disco.md 2). */
struct disco_info {
	struct key disco;
	struct disco_shared shared;
	struct peer *peers; /* utlist, by info_next */
	UT_hash_handle hh;
};

struct peer {
	struct paths *ps;
	struct key key;
	uint32_t id;
	struct path path;
	struct disco_info *info; /* NULL: no disco key known */
	struct event *timer;
	struct kernel_path published;
	bool call_pending; /* waits for fresh endpoints */
	bool seen; /* mark and sweep against the netmap */
	struct peer *info_prev, *info_next;
	UT_hash_handle hh; /* by key */
	UT_hash_handle hh_id;
};

struct paths {
	struct event_base *base;
	const struct paths_ops *ops;
	void *ctx;
	struct key node_public;
	struct key disco_private, disco_public;
	uint64_t disco_generation;
	struct peer *peers, *peers_by_id;
	struct disco_info *infos;
	struct disco_endpoints own;
	uint64_t own_time; /* when they were found; 0 never */
	uint16_t relay_port;
	struct paths_stats stats;
};

struct disco_info *paths_info_find(const struct paths *ps,
				   const struct key *k);
struct peer *paths_peer_find(const struct paths *ps, const struct key *k);
struct peer *paths_peer_find_id(const struct paths *ps, uint32_t id);
/* Something about its path has changed: the timer, too. */
void paths_peer_arm(struct peer *p);
/*
 * Seals @m for the peers of @info and sends it to @to, or over DERP @region to
 * @dst. 0 or a negative errno.
 */
int paths_disco_send(struct paths *ps, const struct disco_info *info,
		     const struct disco_msg *m, const struct endpoint *to,
		     int region, const struct key *dst);

#endif
