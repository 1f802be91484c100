// SPDX-License-Identifier: GPL-2.0
/* What nodes say about themselves. */
#include <errno.h>
#include <string.h>

#include "coord/model.h"
#include "coord/model_internal.h"
#include "lib/util.h"

static bool same_endpoints(const struct coord_node *n,
			   const struct node_update *u, size_t count)
{
	size_t i;

	if (n->n_endpoints != count)
		return false;
	for (i = 0; i < count; i++)
		if (!endpoint_equal(&n->endpoints[i], &u->endpoints[i]) ||
		    n->endpoint_types[i] !=
			    (u->endpoint_types ? u->endpoint_types[i] : 0))
			return false;
	return true;
}

static unsigned int set_endpoints(struct coord_node *n,
				  const struct node_update *u)
{
	size_t count = u->n_endpoints < MODEL_ENDPOINTS_MAX ?
			       u->n_endpoints :
			       MODEL_ENDPOINTS_MAX;

	if (same_endpoints(n, u, count))
		return 0;
	n->endpoints = xrealloc(n->endpoints, count, sizeof(n->endpoints[0]));
	n->endpoint_types = xrealloc(n->endpoint_types, count, 1);
	n->n_endpoints = count;
	if (count)
		memcpy(n->endpoints, u->endpoints,
		       count * sizeof(n->endpoints[0]));
	if (u->endpoint_types && count)
		memcpy(n->endpoint_types, u->endpoint_types, count);
	else
		memset(n->endpoint_types, 0, count);
	return NODE_ENDPOINTS;
}

/*
 * A Hostinfo that differs in more than NetInfo is committed, with the name that
 * follows from it; else it waits for the batch.
 */
static int set_hostinfo(struct model *m, struct coord_node *n,
			struct json_object *o, unsigned int *aspects)
{
	struct hostinfo h;
	unsigned int diff;
	int err;

	err = hostinfo_read(m, o, n, &h);
	if (err)
		return err;
	diff = hostinfo_diff(n, &h);
	if (diff & (NODE_HOSTINFO | NODE_ADVERTISED)) {
		struct coord_node draft = *n;

		draft.hostinfo = h.object;
		draft.hostname = h.hostname;
		if (!n->renamed && strcmp(n->hostname, h.hostname) != 0)
			node_pick_name(m, h.hostname, n, draft.name);
		err = node_save(m, &draft);
		if (err) {
			hostinfo_clear(&h);
			return err;
		}
		if (strcmp(n->name, draft.name) != 0) {
			HASH_DELETE(hh_name, m->by_name, n);
			strcpy(n->name, draft.name);
			HASH_ADD_KEYPTR(hh_name, m->by_name, n->name,
					strlen(n->name), n);
			diff |= NODE_NAME;
		}
	} else if (diff) {
		node_set_dirty(m, n, true);
	}
	if (diff)
		hostinfo_apply(n, &h);
	else
		hostinfo_clear(&h);
	if (diff & NODE_ADVERTISED)
		diff |= routes_refresh(m, n);
	*aspects |= diff;
	return 0;
}

int model_node_update(struct model *m, struct coord_node *n,
		      const struct node_update *u)
{
	unsigned int aspects = 0, batched = 0;
	int err;

	if (u->hostinfo) {
		err = set_hostinfo(m, n, u->hostinfo, &aspects);
		if (err)
			return err;
	}
	if (u->disco && !key_is_zero(u->disco) &&
	    key_compare(u->disco, &n->disco) != 0) {
		n->disco = *u->disco;
		batched |= NODE_DISCO;
	}
	if (u->has_endpoints)
		batched |= set_endpoints(n, u);
	if (u->cap && u->cap != n->cap) {
		n->cap = u->cap;
		batched |= NODE_CAP;
	}
	if (batched)
		node_set_dirty(m, n, true);
	aspects |= batched;
	if (aspects)
		model_emit(m, MODEL_NODE_CHANGED, n, aspects, NULL);
	return 0;
}

void model_node_set_online(struct model *m, struct coord_node *n, bool online,
			   int64_t now)
{
	if (n->online == online)
		return;
	n->awaited = false;
	n->online = online;
	n->last_seen = now;
	n->offline_since = online ? 0 : now;
	node_set_dirty(m, n, true);
	model_emit(m, MODEL_NODE_CHANGED, n, NODE_ONLINE | routes_elect(m, n),
		   NULL);
}

void model_node_set_healthy(struct model *m, struct coord_node *n,
			    bool healthy)
{
	unsigned int aspects;

	if (n->healthy == healthy)
		return;
	n->healthy = healthy;
	aspects = routes_elect(m, n);
	if (aspects)
		model_emit(m, MODEL_NODE_CHANGED, n, aspects, NULL);
}
