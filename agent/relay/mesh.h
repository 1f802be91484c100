/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_MESH_H
#define RELAY_MESH_H

#include "relay/server.h"

/*
 * The other nodes of our region (spec/derp.md section 9): for each a connection
 * as its client, with the mesh key. It tells which keys are there, so that
 * packets for them go that way. Lost ones are dialled again after
 * RELAYD_MESH_RETRY_MS.
 *
 * Bound: one entry for each key behind a node, at most RELAYD_MESH_KEYS_MAX; a
 * node that has more is left.
 */
#define RELAYD_MESH_RETRY_MS 5000
#define RELAYD_MESH_KEYS_MAX (1u << 20)

struct relayd_mesh;

/*
 * @with: "host[:port][/dialhost],…" as derper has it: the certificate is
 * host's, the address dialhost's. Our own name is found out and left alone.
 * The links live on the workers, which run already. 0, or -EINVAL for a
 * malformed list or without a mesh key.
 */
int relayd_mesh_start(struct relayd *server, const char *with,
		      struct relayd_mesh **out);
/* Posts the end of all links to their workers. NULL is fine. */
void relayd_mesh_stop(struct relayd_mesh *m);
/* After that, when the workers have ended. NULL is fine. */
void relayd_mesh_free(struct relayd_mesh *m);

#endif
