// SPDX-License-Identifier: GPL-2.0
#include "coord/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coord/db.h"
#include "coord/model_internal.h"
#include "coord/schema.h"
#include "lib/log.h"
#include "lib/util.h"

#define EPHEMERAL_S 120
/* Rows per transaction of the batch: a commit stalls everybody else. */
#define FLUSH_ROWS 500

int model_fail(struct model *m, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->error, sizeof(m->error), fmt, ap);
	va_end(ap);
	return err;
}

int model_fail_db(struct model *m)
{
	log_error("coord: %s", db_error(m->db));
	return model_fail(m, -EIO, "nothing was changed: %s", db_error(m->db));
}

void model_emit(struct model *m, enum model_event_kind kind,
		struct coord_node *n, unsigned int aspects,
		struct pending_node *p)
{
	struct model_event e = {
		.kind = kind, .node = n, .aspects = aspects, .pending = p
	};

	if (m->listener)
		m->listener(m->ctx, &e);
}

int model_run(struct model *m, struct sqlite3_stmt *statement)
{
	return statement && !db_step(m->db, statement) ? 0 : model_fail_db(m);
}

bool text_is_clean(const char *s, size_t max)
{
	size_t i;

	for (i = 0; s[i]; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return i <= max;
}

void model_config_default(struct model_config *c)
{
	memset(c, 0, sizeof(*c));
	prefix_parse(&c->v4, "100.64.0.0/10");
	prefix_parse(&c->v6, "fd7a:115c:a1e0::/48");
	c->ephemeral_s = EPHEMERAL_S;
}

static int policy_load(struct model *m)
{
	struct sqlite3_stmt *s = db_prepare(
		m->db, "SELECT value FROM settings WHERE name = 'policy'");
	const char *text;
	int got;

	if (!s)
		return model_fail_db(m);
	got = db_step(m->db, s);
	if (got < 0)
		return model_fail_db(m);
	if (!got)
		return 0;
	text = db_column_text(s, 0);
	if (!text || strlen(text) > MODEL_POLICY_MAX) {
		db_reset(s);
		return model_fail(m, -EIO, "the policy is no text");
	}
	m->policy = xstrdup(text);
	m->policy_len = strlen(text);
	db_reset(s);
	return 0;
}

struct model *model_open(const struct model_config *c, char *error,
			 size_t error_size)
{
	struct model *m = xcalloc(1, sizeof(*m));

	m->config = *c;
	if (!m->config.ephemeral_s)
		m->config.ephemeral_s = EPHEMERAL_S;
	if (ipam_check(m)) {
		snprintf(error, error_size, "%s", m->error);
		goto err;
	}
	m->db = db_open(c->path, &coord_schema, error, error_size);
	if (!m->db)
		goto err;
	if (users_load(m) || authkeys_load(m) || nodes_load(m) ||
	    primaries_load(m) || policy_load(m)) {
		snprintf(error, error_size,
			 "%s is damaged (%s); it was left as it is: restore a backup",
			 c->path, m->error);
		db_close_untouched(m->db);
		m->db = NULL;
		goto err;
	}
	return m;
err:
	model_close(m);
	return NULL;
}

void model_close(struct model *m)
{
	struct authkey *k, *k_next;
	struct coord_user *u, *u_next;
	struct coord_node *n, *n_next;
	int64_t now = time(NULL);

	if (!m)
		return;
	m->listener = NULL;
	m->closing = true; /* all go, nobody takes over */
	for (n = m->db ? m->nodes : NULL; n; n = n->hh_id.next)
		model_node_set_online(m, n, false, now);
	if (m->db)
		model_flush(m);
	while (m->pending_list)
		pending_free(m, m->pending_list);
	routes_free(m);
	for (n = m->nodes; n; n = n_next) {
		n_next = n->hh_id.next;
		node_unlink(m, n);
		coord_node_free(n);
	}
	for (k = m->authkeys; k; k = k_next) {
		k_next = k->hh_id.next;
		authkey_free(m, k);
	}
	for (u = m->users; u; u = u_next) {
		u_next = u->hh_id.next;
		user_free(m, u);
	}
	db_close(m->db);
	free(m->policy);
	free(m);
}

void model_listen(struct model *m, model_listener fn, void *ctx)
{
	m->listener = fn;
	m->ctx = ctx;
}

const char *model_error(const struct model *m)
{
	return m->error;
}

/* At most FLUSH_ROWS of the batch. */
static int flush_some(struct model *m)
{
	struct coord_node *n;
	size_t rows = 0;

	if (db_begin(m->db))
		return model_fail_db(m);
	for (n = m->nodes; n && rows < FLUSH_ROWS; n = n->hh_id.next) {
		if (!n->dirty)
			continue;
		if (node_save_batched(m, n)) {
			db_rollback(m->db);
			return -EIO;
		}
		rows++;
	}
	if (db_commit(m->db))
		return model_fail_db(m);
	for (n = m->nodes; n && rows; n = n->hh_id.next) {
		if (!n->dirty)
			continue;
		node_set_dirty(m, n, false);
		rows--;
	}
	return 0;
}

int model_flush(struct model *m)
{
	int err = 0;

	while (m->n_dirty && !err)
		err = flush_some(m);
	if (!err && m->primaries_dirty)
		err = primaries_save(m);
	return err;
}

static bool stayed_away(const struct model *m, struct coord_node *n,
			int64_t now)
{
	if (!n->ephemeral || n->online)
		return false;
	/* It was online when the server stopped, perhaps: count from the start. */
	if (!n->offline_since)
		n->offline_since = now;
	return now - n->offline_since >= (int64_t)m->config.ephemeral_s;
}

void model_tick(struct model *m, int64_t now)
{
	struct coord_node *n, *next;

	pending_expire(m, now);
	for (n = m->nodes; n; n = next) {
		next = n->hh_id.next;
		if (stayed_away(m, n, now)) {
			log_info("coord: ephemeral node %s was away for %u s: removed",
				 n->name, m->config.ephemeral_s);
			model_node_delete(m, n);
			continue;
		}
		if (!n->expired && n->expiry && n->expiry <= now) {
			n->expired = true;
			model_emit(m, MODEL_NODE_CHANGED, n, NODE_EXPIRY, NULL);
		}
	}
	primaries_tick(m, now);
	if (m->primaries_dirty && now - m->flushed >= MODEL_FLUSH_S)
		primaries_save(m);
	/* A batch larger than one transaction goes on with the next tick. */
	if (m->n_dirty && now - m->flushed >= MODEL_FLUSH_S) {
		if (flush_some(m) || m->n_dirty < FLUSH_ROWS)
			m->flushed = now;
	}
}

const char *model_policy(struct model *m, size_t *len)
{
	*len = m->policy_len;
	return m->policy;
}

int model_set_policy(struct model *m, const char *text, size_t len)
{
	struct sqlite3_stmt *s;
	char *copy;
	int err;

	if (len > MODEL_POLICY_MAX || memchr(text, '\0', len))
		return model_fail(m, -EINVAL,
				  "a policy is text of at most %u bytes",
				  MODEL_POLICY_MAX);
	copy = xmalloc(len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	s = db_prepare(m->db, "INSERT OR REPLACE INTO settings (name, value)"
			      " VALUES ('policy', ?)");
	if (s)
		db_bind_text(s, 1, copy);
	err = model_run(m, s);
	if (err) {
		free(copy);
		return err;
	}
	free(m->policy);
	m->policy = copy;
	m->policy_len = len;
	model_emit(m, MODEL_POLICY, NULL, 0, NULL);
	return 0;
}
