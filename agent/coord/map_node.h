/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MAP_NODE_H
#define COORD_MAP_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "coord/model.h"

/* A node of the model as tailcfg's Node and PeerChange (control.md 5.7, 6.1). */

struct json_object;

/* Owner of the nodes that have tags. */
#define TAGGED_USER_ID 2147455555
#define TAGGED_USER_NAME "tagged-devices"

/* Aspects that a PeerChange can tell, or that are nothing to peers. */
#define NODE_PATCHABLE                                                     \
	(NODE_KEY | NODE_DISCO | NODE_ENDPOINTS | NODE_DERP | NODE_ONLINE | \
	 NODE_CAP)
#define NODE_PRIVATE (NODE_NETINFO | NODE_ADVERTISED | NODE_FITNESS)
/* What a node needs not be told about itself. */
#define NODE_SELF_KNOWS \
	(NODE_DISCO | NODE_ENDPOINTS | NODE_ONLINE | NODE_CAP |            \
	 NODE_NETINFO | NODE_FITNESS)

/*
 * The node for itself, whole. @domain "" if names are not to be qualified;
 * @attrs are names of capabilities.
 */
struct json_object *map_node_self(const struct coord_node *n,
				  const char *domain, const char *const *attrs,
				  size_t n_attrs);
/* What every peer is told, AllowedIPs and PrimaryRoutes excepted. */
struct json_object *map_node_peer(const struct coord_node *n,
				  const char *domain);

/*
 * A PeerChange with the given aspects; NULL if it cannot say them: some other
 * aspect, or a value that was there and is gone.
 */
struct json_object *map_node_patch(const struct coord_node *n,
				   unsigned int aspects);

int64_t map_node_user(const struct coord_node *n);

#endif
