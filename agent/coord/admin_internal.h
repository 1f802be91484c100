/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_ADMIN_INTERNAL_H
#define COORD_ADMIN_INTERNAL_H

#include <json.h>

#include "coord/model.h"

/* Shared among the administration's files only. */

struct coord;

/* One request. Handlers return 0 or a negative errno with @error. */
struct admin_request {
	struct coord *coord;
	struct model *model;
	struct json_object *in; /* never NULL; an object */
	struct json_object *out; /* the answer; NULL: {} */
	int64_t now; /* Unix seconds */
	char error[512];
};

int admin_fail(struct admin_request *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* @err of the model, with its sentence. */
int admin_model(struct admin_request *r, int err);

/* Members; -EINVAL when missing or of another type, -ENOENT for no such thing. */
int admin_text(struct admin_request *r, const char *name, const char **out);
int admin_user(struct admin_request *r, struct coord_user **out);
int admin_node(struct admin_request *r, struct coord_node **out);
int admin_key(struct admin_request *r, struct authkey **out);
/* May be missing: false. */
int admin_flag(struct admin_request *r, const char *name, bool *out);
/* A list of strings that are @r's, the array the caller's; missing: none. */
int admin_strings(struct admin_request *r, const char *name, size_t max,
		  const char ***out, size_t *n);

struct json_object *admin_user_json(const struct coord_user *u);
struct json_object *admin_key_json(const struct authkey *k);
struct json_object *admin_node_json(const struct coord_node *n);
struct json_object *admin_pending_json(const struct pending_node *p);
struct json_object *admin_route_json(const struct coord_route *r,
				     const struct coord_node *n);

/* admin_users.c */
int admin_users_list(struct admin_request *r);
int admin_users_create(struct admin_request *r);
int admin_users_rename(struct admin_request *r);
int admin_users_destroy(struct admin_request *r);
int admin_keys_list(struct admin_request *r);
int admin_keys_create(struct admin_request *r);
int admin_keys_expire(struct admin_request *r);
int admin_keys_delete(struct admin_request *r);

/* admin_nodes.c */
int admin_nodes_list(struct admin_request *r);
int admin_nodes_pending(struct admin_request *r);
int admin_nodes_approve(struct admin_request *r);
int admin_nodes_deny(struct admin_request *r);
int admin_nodes_delete(struct admin_request *r);
int admin_nodes_expire(struct admin_request *r);
int admin_nodes_rename(struct admin_request *r);
int admin_nodes_tag(struct admin_request *r);
int admin_nodes_move(struct admin_request *r);
int admin_nodes_approve_routes(struct admin_request *r);
int admin_routes_list(struct admin_request *r);

/* admin_policy.c */
int admin_policy_get(struct admin_request *r);
int admin_policy_put(struct admin_request *r);
int admin_policy_check(struct admin_request *r);
int admin_derp_get(struct admin_request *r);

#endif
