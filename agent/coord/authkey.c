// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coord/columns.h"
#include "coord/model.h"
#include "coord/model_internal.h"
#include "lib/json.h"
#include "lib/util.h"

/*
 * "trkey-auth-" 12 hex digits, "-", 48 hex digits. The first part finds the
 * key, the second proves it: 192 random bits, so that a plain hash of the whole
 * is as good as a slow one.
 */
#define SECRET_TAG "trkey-auth-"
#define PREFIX_LEN 12
#define PROOF_LEN 48

static void link_key(struct model *m, struct authkey *k)
{
	HASH_ADD(hh_id, m->authkeys, id, sizeof(k->id), k);
	HASH_ADD_KEYPTR(hh_prefix, m->authkeys_by_prefix, k->prefix,
			strlen(k->prefix), k);
}

static void release(struct authkey *k)
{
	free_strings(k->tags, k->n_tags);
	sodium_memzero(k, sizeof(*k));
	free(k);
}

void authkey_free(struct model *m, struct authkey *k)
{
	HASH_DELETE(hh_id, m->authkeys, k);
	HASH_DELETE(hh_prefix, m->authkeys_by_prefix, k);
	release(k);
}

static bool prefix_is_valid(const char *prefix)
{
	return strlen(prefix) == PREFIX_LEN &&
	       strspn(prefix, "0123456789abcdef") == PREFIX_LEN;
}

/* A row as a key that is in no table yet; NULL if it makes none. */
static struct authkey *from_row(struct model *m, struct sqlite3_stmt *s)
{
	const char *prefix = db_column_text(s, 1);
	size_t n;
	const void *hash = db_column_blob(s, 2, &n);
	struct coord_user *u = model_user(m, db_column_int(s, 3));
	struct authkey *k;

	if (!prefix || !prefix_is_valid(prefix) || !hash ||
	    n != sizeof(k->hash) || !u || model_authkey_by_prefix(m, prefix))
		return NULL;
	k = xcalloc(1, sizeof(*k));
	if (strings_from_text(db_column_text(s, 7), MODEL_TAGS_MAX, tag_is_valid,
			      &k->tags, &k->n_tags)) {
		release(k);
		return NULL;
	}
	k->id = db_column_int(s, 0);
	strcpy(k->prefix, prefix);
	memcpy(k->hash, hash, n);
	k->user = u;
	k->reusable = db_column_int(s, 4);
	k->ephemeral = db_column_int(s, 5);
	k->used = db_column_int(s, 6);
	k->created = db_column_int(s, 8);
	k->expiry = db_column_int(s, 9);
	return k;
}

int authkeys_load(struct model *m)
{
	struct sqlite3_stmt *s = db_prepare(
		m->db, "SELECT id, prefix, hash, user, reusable, ephemeral,"
		       " used, tags, created, expiry FROM authkeys ORDER BY id");
	struct authkey *k;
	int got;

	if (!s)
		return model_fail_db(m);
	while ((got = db_step(m->db, s)) > 0) {
		k = from_row(m, s);
		if (!k) {
			int64_t id = db_column_int(s, 0);

			db_reset(s);
			return model_fail(m, -EIO, "pre-auth key %" PRId64, id);
		}
		link_key(m, k);
	}
	return got < 0 ? model_fail_db(m) : 0;
}

struct authkey *model_authkeys(struct model *m)
{
	return m->authkeys;
}

struct authkey *model_authkey(struct model *m, int64_t id)
{
	struct authkey *k;

	HASH_FIND(hh_id, m->authkeys, &id, sizeof(id), k);
	return k;
}

struct authkey *model_authkey_by_prefix(struct model *m, const char *prefix)
{
	struct authkey *k;

	HASH_FIND(hh_prefix, m->authkeys_by_prefix, prefix, strlen(prefix), k);
	return k;
}

static int insert(struct model *m, struct authkey *k)
{
	char *tags = strings_to_text(k->tags, k->n_tags);
	struct sqlite3_stmt *s;
	int err;

	s = db_prepare(m->db,
		       "INSERT INTO authkeys (prefix, hash, user, reusable,"
		       " ephemeral, used, tags, created, expiry)"
		       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
	if (s) {
		db_bind_text(s, 1, k->prefix);
		db_bind_blob(s, 2, k->hash, sizeof(k->hash));
		db_bind_int(s, 3, k->user->id);
		db_bind_int(s, 4, k->reusable);
		db_bind_int(s, 5, k->ephemeral);
		db_bind_int(s, 6, k->used);
		db_bind_text(s, 7, tags);
		db_bind_int(s, 8, k->created);
		db_bind_int(s, 9, k->expiry);
	}
	err = model_run(m, s);
	if (!err)
		k->id = db_inserted(m->db);
	free(tags);
	return err;
}

static void make_secret(struct model *m, struct authkey *k,
			char secret[AUTHKEY_SECRET_MAX])
{
	uint8_t random[PROOF_LEN / 2];
	char proof[PROOF_LEN + 1];

	do {
		randombytes_buf(random, PREFIX_LEN / 2);
		sodium_bin2hex(k->prefix, sizeof(k->prefix), random,
			       PREFIX_LEN / 2);
	} while (model_authkey_by_prefix(m, k->prefix));
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(proof, sizeof(proof), random, sizeof(random));
	snprintf(secret, AUTHKEY_SECRET_MAX, SECRET_TAG "%s-%s", k->prefix,
		 proof);
	crypto_hash_sha256(k->hash, (const uint8_t *)secret, strlen(secret));
	sodium_memzero(random, sizeof(random));
	sodium_memzero(proof, sizeof(proof));
}

int model_authkey_create(struct model *m, struct coord_user *u, bool reusable,
			 bool ephemeral, int64_t expiry,
			 const char *const *tags, size_t n_tags,
			 char secret[AUTHKEY_SECRET_MAX], struct authkey **out)
{
	struct authkey *k;
	int err;

	if (HASH_CNT(hh_id, m->authkeys) >= MODEL_AUTHKEYS_MAX)
		return model_fail(
			m, -ENOSPC,
			"there are %d pre-auth keys, no more go in: delete old ones",
			MODEL_AUTHKEYS_MAX);
	k = xcalloc(1, sizeof(*k));
	err = tags_copy(m, tags, n_tags, &k->tags, &k->n_tags);
	if (err) {
		release(k);
		return err;
	}
	make_secret(m, k, secret);
	k->user = u;
	k->reusable = reusable;
	k->ephemeral = ephemeral;
	k->created = time(NULL);
	k->expiry = expiry;
	err = insert(m, k);
	if (err) {
		sodium_memzero(secret, AUTHKEY_SECRET_MAX);
		release(k);
		return err;
	}
	link_key(m, k);
	if (out)
		*out = k;
	return 0;
}

int model_authkey_expire(struct model *m, struct authkey *k, int64_t now)
{
	struct sqlite3_stmt *s;
	int err;

	if (k->expiry && k->expiry <= now)
		return 0;
	s = db_prepare(m->db, "UPDATE authkeys SET expiry = ? WHERE id = ?");
	if (s) {
		db_bind_int(s, 1, now);
		db_bind_int(s, 2, k->id);
	}
	err = model_run(m, s);
	if (!err)
		k->expiry = now;
	return err;
}

int model_authkey_delete(struct model *m, struct authkey *k)
{
	struct sqlite3_stmt *s;
	int err;

	s = db_prepare(m->db, "DELETE FROM authkeys WHERE id = ?");
	if (s)
		db_bind_int(s, 1, k->id);
	err = model_run(m, s);
	if (!err)
		authkey_free(m, k);
	return err;
}

int authkey_save_used(struct model *m, const struct authkey *k)
{
	struct sqlite3_stmt *s;

	s = db_prepare(m->db, "UPDATE authkeys SET used = 1 WHERE id = ?");
	if (s)
		db_bind_int(s, 1, k->id);
	return model_run(m, s);
}

struct authkey *model_authkey_find(struct model *m, const char *secret)
{
	uint8_t hash[sizeof(((struct authkey *)NULL)->hash)];
	char prefix[PREFIX_LEN + 1];
	struct authkey *k;

	if (strlen(secret) != strlen(SECRET_TAG) + PREFIX_LEN + 1 + PROOF_LEN ||
	    strncmp(secret, SECRET_TAG, strlen(SECRET_TAG)) != 0)
		return NULL;
	memcpy(prefix, secret + strlen(SECRET_TAG), PREFIX_LEN);
	prefix[PREFIX_LEN] = '\0';
	k = model_authkey_by_prefix(m, prefix);
	if (!k)
		return NULL;
	crypto_hash_sha256(hash, (const uint8_t *)secret, strlen(secret));
	return sodium_memcmp(hash, k->hash, sizeof(hash)) == 0 ? k : NULL;
}
