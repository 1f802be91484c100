// SPDX-License-Identifier: GPL-2.0
/* Administration: nodes and routes. */
#include <errno.h>

#include "coord/admin_internal.h"
#include "coord/coord.h"
#include "lib/json.h"
#include "lib/util.h"

int admin_nodes_list(struct admin_request *r)
{
	struct coord_node *n;

	r->out = json_object_new_array();
	for (n = model_nodes(r->model); n; n = n->hh_id.next)
		json_object_array_add(r->out, admin_node_json(n));
	return 0;
}

int admin_nodes_pending(struct admin_request *r)
{
	struct pending_node *p;

	r->out = json_object_new_array();
	for (p = model_pendings(r->model); p; p = p->next)
		if (!p->node)
			json_object_array_add(r->out, admin_pending_json(p));
	return 0;
}

static int get_pending(struct admin_request *r, struct pending_node **out)
{
	const char *id;
	int err = admin_text(r, "id", &id);

	if (err)
		return err;
	*out = model_pending(r->model, id);
	return *out ? 0 :
		      admin_fail(r, -ENOENT,
				 "no registration waits under this id: it may have expired, the node shows a new one");
}

int admin_nodes_approve(struct admin_request *r)
{
	struct pending_node *p;
	struct coord_node *n;
	char why[COORD_WHY_MAX];
	struct coord_user *u;
	int err;

	err = get_pending(r, &p);
	if (!err)
		err = admin_user(r, &u);
	if (err)
		return err;
	err = coord_approve(r->coord, p, u, &n, why);
	if (err)
		return admin_fail(r, err, "%s", why);
	r->out = admin_node_json(n);
	return 0;
}

int admin_nodes_deny(struct admin_request *r)
{
	struct pending_node *p;
	int err = get_pending(r, &p);

	if (!err)
		model_pending_deny(r->model, p);
	return err;
}

/* What became of @n, unless @err. */
static int answer(struct admin_request *r, const struct coord_node *n, int err)
{
	if (!err)
		r->out = admin_node_json(n);
	return err;
}

int admin_nodes_delete(struct admin_request *r)
{
	struct coord_node *n;
	int err;

	err = admin_node(r, &n);
	return err ? err : admin_model(r, model_node_delete(r->model, n));
}

int admin_nodes_expire(struct admin_request *r)
{
	struct json_object *v = json_member(r->in, "expiry");
	int64_t expiry = r->now;
	struct coord_node *n;
	int err;

	err = admin_node(r, &n);
	if (!err && v && json_get_time(v, &expiry, NULL))
		err = admin_fail(r, -EINVAL, "expiry is a time like %s",
				 "2030-01-02T15:04:05Z");
	if (!err)
		err = admin_model(r, model_node_set_expiry(r->model, n, expiry,
							   r->now));
	return answer(r, n, err);
}

int admin_nodes_rename(struct admin_request *r)
{
	struct coord_node *n;
	const char *name;
	int err;

	err = admin_node(r, &n);
	if (!err)
		err = admin_text(r, "name", &name);
	if (!err)
		err = admin_model(r, model_node_rename(r->model, n, name));
	return answer(r, n, err);
}

int admin_nodes_tag(struct admin_request *r)
{
	const char **tags = NULL;
	struct coord_node *n;
	size_t n_tags;
	int err;

	err = admin_node(r, &n);
	if (!err)
		err = admin_strings(r, "tags", MODEL_TAGS_MAX, &tags, &n_tags);
	if (!err)
		err = admin_model(r, model_node_set_tags(r->model, n, tags,
							 n_tags));
	free(tags);
	return answer(r, n, err);
}

int admin_nodes_move(struct admin_request *r)
{
	struct coord_node *n;
	struct coord_user *u;
	int err;

	err = admin_node(r, &n);
	if (!err)
		err = admin_user(r, &u);
	if (!err)
		err = admin_model(r, model_node_move(r->model, n, u));
	return answer(r, n, err);
}

int admin_nodes_approve_routes(struct admin_request *r)
{
	struct prefix *routes = NULL;
	const char **list = NULL;
	struct coord_node *n;
	size_t i, n_routes = 0;
	int err;

	err = admin_node(r, &n);
	if (!err)
		err = admin_strings(r, "routes", MODEL_ROUTES_MAX, &list,
				    &n_routes);
	if (!err)
		routes = xcalloc(n_routes, sizeof(*routes));
	for (i = 0; !err && i < n_routes; i++)
		if (prefix_parse(&routes[i], list[i]))
			err = admin_fail(r, -EINVAL,
					 "route %zu is no prefix like 10.1.0.0/16",
					 i + 1);
	if (!err)
		err = admin_model(r, model_node_approve_routes(
					     r->model, n, routes, n_routes));
	free(routes);
	free(list);
	return answer(r, n, err);
}

int admin_routes_list(struct admin_request *r)
{
	struct coord_route *route;
	size_t i;

	r->out = json_object_new_array();
	for (route = model_routes(r->model); route; route = route->hh.next)
		for (i = 0; i < route->n_nodes; i++)
			json_object_array_add(
				r->out,
				admin_route_json(route, route->nodes[i]));
	return 0;
}
