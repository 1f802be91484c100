// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "coord/model.h"
#include "coord/model_internal.h"
#include "lib/util.h"

#define TEXT_MAX 256

static void link_user(struct model *m, struct coord_user *u)
{
	HASH_ADD(hh_id, m->users, id, sizeof(u->id), u);
	HASH_ADD_KEYPTR(hh_name, m->users_by_name, u->name, strlen(u->name), u);
}

static void release(struct coord_user *u)
{
	free(u->display);
	free(u->provider);
	free(u->subject);
	free(u);
}

void user_free(struct model *m, struct coord_user *u)
{
	HASH_DELETE(hh_id, m->users, u);
	HASH_DELETE(hh_name, m->users_by_name, u);
	release(u);
}

/* As the policy can name it, and not to be taken for an id. */
static bool name_is_valid(const char *name)
{
	size_t n = strlen(name), at = 0, i;

	if (!n || n >= MODEL_USER_NAME_MAX || strspn(name, "0123456789") == n)
		return false;
	for (i = 0; i < n; i++) {
		if (name[i] <= ' ' || name[i] > '~' ||
		    strchr("\"'`,:;/\\<>()[]{}*", name[i]))
			return false;
		at += name[i] == '@';
	}
	return at <= 1 && name[0] != '-' && name[0] != '@';
}

static int check_name(struct model *m, const char *name)
{
	if (!name_is_valid(name))
		return model_fail(
			m, -EINVAL,
			"'%.80s' is not a user name: letters, digits, . _ - + and one @, not digits alone, at most %d",
			text_is_clean(name, 80) ? name : "(this)",
			MODEL_USER_NAME_MAX - 1);
	if (model_user_by_name(m, name))
		return model_fail(m, -EEXIST, "there is a user '%s' already",
				  name);
	return 0;
}

int users_load(struct model *m)
{
	struct sqlite3_stmt *s = db_prepare(
		m->db, "SELECT id, name, display, provider, subject, created"
		       " FROM users ORDER BY id");
	int got;

	if (!s)
		return model_fail_db(m);
	while ((got = db_step(m->db, s)) > 0) {
		const char *name = db_column_text(s, 1);
		const char *display = db_column_text(s, 2);
		const char *provider = db_column_text(s, 3);
		const char *subject = db_column_text(s, 4);
		struct coord_user *u;

		if (!name || !display || !provider || !subject ||
		    !name_is_valid(name) || model_user_by_name(m, name)) {
			int64_t id = db_column_int(s, 0);

			db_reset(s);
			return model_fail(m, -EIO, "user %" PRId64, id);
		}
		u = xcalloc(1, sizeof(*u));
		u->id = db_column_int(s, 0);
		strcpy(u->name, name);
		u->display = xstrdup(display);
		u->provider = xstrdup(provider);
		u->subject = xstrdup(subject);
		u->created = db_column_int(s, 5);
		link_user(m, u);
	}
	return got < 0 ? model_fail_db(m) : 0;
}

struct coord_user *model_users(struct model *m)
{
	return m->users;
}

struct coord_user *model_user(struct model *m, int64_t id)
{
	struct coord_user *u;

	HASH_FIND(hh_id, m->users, &id, sizeof(id), u);
	return u;
}

struct coord_user *model_user_by_name(struct model *m, const char *name)
{
	struct coord_user *u;

	HASH_FIND(hh_name, m->users_by_name, name, strlen(name), u);
	return u;
}

struct coord_user *model_user_by_subject(struct model *m, const char *provider,
					 const char *subject)
{
	struct coord_user *u;

	for (u = *provider ? m->users : NULL; u; u = u->hh_id.next)
		if (!strcmp(u->provider, provider) &&
		    !strcmp(u->subject, subject))
			return u;
	return NULL;
}

int model_user_create(struct model *m, const char *name, const char *display,
		      const char *provider, const char *subject,
		      struct coord_user **out)
{
	struct coord_user *u;
	struct sqlite3_stmt *s;
	int err = check_name(m, name);

	if (err)
		return err;
	display = display ? display : "";
	provider = provider ? provider : "";
	subject = subject ? subject : "";
	if (!text_is_clean(display, TEXT_MAX) ||
	    !text_is_clean(provider, TEXT_MAX) ||
	    !text_is_clean(subject, TEXT_MAX))
		return model_fail(m, -EINVAL,
				  "a display name is a line of at most %d bytes",
				  TEXT_MAX);
	if (model_user_by_subject(m, provider, subject))
		return model_fail(m, -EEXIST, "this login has a user already");
	if (HASH_CNT(hh_id, m->users) >= MODEL_USERS_MAX)
		return model_fail(m, -ENOSPC, "there are %d users, no more go in",
				  MODEL_USERS_MAX);
	u = xcalloc(1, sizeof(*u));
	strcpy(u->name, name);
	u->display = xstrdup(display);
	u->provider = xstrdup(provider);
	u->subject = xstrdup(subject);
	u->created = time(NULL);
	s = db_prepare(m->db, "INSERT INTO users (name, display, provider,"
			      " subject, created) VALUES (?, ?, ?, ?, ?)");
	if (s) {
		db_bind_text(s, 1, u->name);
		db_bind_text(s, 2, u->display);
		db_bind_text(s, 3, u->provider);
		db_bind_text(s, 4, u->subject);
		db_bind_int(s, 5, u->created);
	}
	err = model_run(m, s);
	if (err) {
		release(u);
		return err;
	}
	u->id = db_inserted(m->db);
	link_user(m, u);
	model_emit(m, MODEL_USERS, NULL, 0, NULL);
	if (out)
		*out = u;
	return 0;
}

int model_user_rename(struct model *m, struct coord_user *u, const char *name)
{
	struct sqlite3_stmt *s;
	int err;

	if (!strcmp(u->name, name))
		return 0;
	err = check_name(m, name);
	if (err)
		return err;
	s = db_prepare(m->db, "UPDATE users SET name = ? WHERE id = ?");
	if (s) {
		db_bind_text(s, 1, name);
		db_bind_int(s, 2, u->id);
	}
	err = model_run(m, s);
	if (err)
		return err;
	HASH_DELETE(hh_name, m->users_by_name, u);
	strcpy(u->name, name);
	HASH_ADD_KEYPTR(hh_name, m->users_by_name, u->name, strlen(u->name), u);
	model_emit(m, MODEL_USERS, NULL, 0, NULL);
	return 0;
}

int model_user_destroy(struct model *m, struct coord_user *u)
{
	struct authkey *k, *next;
	struct sqlite3_stmt *s;
	int err;

	if (u->n_nodes)
		return model_fail(
			m, -EBUSY,
			"user '%s' has %zu nodes: delete them or move them to another user first",
			u->name, u->n_nodes);
	s = db_prepare(m->db, "DELETE FROM users WHERE id = ?");
	if (s)
		db_bind_int(s, 1, u->id);
	err = model_run(m, s);
	if (err)
		return err;
	for (k = m->authkeys; k; k = next) {
		next = k->hh_id.next;
		if (k->user == u)
			authkey_free(m, k);
	}
	model_emit(m, MODEL_USERS, NULL, 0, NULL);
	user_free(m, u);
	return 0;
}
