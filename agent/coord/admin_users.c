// SPDX-License-Identifier: GPL-2.0
/* Administration: users and pre-auth keys. */
#include <errno.h>
#include <sodium.h>

#include "coord/admin_internal.h"
#include "lib/json.h"
#include "lib/util.h"

int admin_users_list(struct admin_request *r)
{
	struct coord_user *u;

	r->out = json_object_new_array();
	for (u = model_users(r->model); u; u = u->hh_id.next)
		json_object_array_add(r->out, admin_user_json(u));
	return 0;
}

int admin_users_create(struct admin_request *r)
{
	const char *name, *display = NULL;
	struct coord_user *u;
	int err;

	err = admin_text(r, "name", &name);
	if (!err && json_member(r->in, "display_name"))
		err = admin_text(r, "display_name", &display);
	if (!err)
		err = admin_model(r, model_user_create(r->model, name, display,
						       NULL, NULL, &u));
	if (!err)
		r->out = admin_user_json(u);
	return err;
}

int admin_users_rename(struct admin_request *r)
{
	struct coord_user *u;
	const char *name;
	int err;

	err = admin_user(r, &u);
	if (!err)
		err = admin_text(r, "name", &name);
	if (!err)
		err = admin_model(r, model_user_rename(r->model, u, name));
	if (!err)
		r->out = admin_user_json(u);
	return err;
}

int admin_users_destroy(struct admin_request *r)
{
	struct coord_user *u;
	int err;

	err = admin_user(r, &u);
	return err ? err : admin_model(r, model_user_destroy(r->model, u));
}

int admin_keys_list(struct admin_request *r)
{
	struct authkey *k;

	r->out = json_object_new_array();
	for (k = model_authkeys(r->model); k; k = k->hh_id.next)
		json_object_array_add(r->out, admin_key_json(k));
	return 0;
}

int admin_keys_create(struct admin_request *r)
{
	struct json_object *v = json_member(r->in, "expiration");
	char secret[AUTHKEY_SECRET_MAX];
	bool reusable, ephemeral;
	const char **tags = NULL;
	struct coord_user *u;
	int64_t life = 0;
	struct authkey *k;
	size_t n;
	int err;

	err = admin_user(r, &u);
	if (!err)
		err = admin_flag(r, "reusable", &reusable);
	if (!err)
		err = admin_flag(r, "ephemeral", &ephemeral);
	if (!err && v && (json_get_int64(v, &life, NULL) || life < 0 ||
			  life > INT32_MAX * 2ll))
		err = admin_fail(r, -EINVAL,
				 "expiration is a number of seconds");
	if (!err)
		err = admin_strings(r, "tags", MODEL_TAGS_MAX, &tags, &n);
	if (!err)
		err = admin_model(r, model_authkey_create(
					     r->model, u, reusable, ephemeral,
					     life ? r->now + life : 0, tags, n,
					     secret, &k));
	free(tags);
	if (err)
		return err;
	r->out = admin_key_json(k);
	json_object_object_add(r->out, "key", json_object_new_string(secret));
	sodium_memzero(secret, sizeof(secret));
	return 0;
}

int admin_keys_expire(struct admin_request *r)
{
	struct authkey *k;
	int err;

	err = admin_key(r, &k);
	if (!err)
		err = admin_model(r, model_authkey_expire(r->model, k, r->now));
	if (!err)
		r->out = admin_key_json(k);
	return err;
}

int admin_keys_delete(struct admin_request *r)
{
	struct authkey *k;
	int err;

	err = admin_key(r, &k);
	return err ? err : admin_model(r, model_authkey_delete(r->model, k));
}
