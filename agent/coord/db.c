// SPDX-License-Identifier: GPL-2.0
#include "coord/db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/util.h"

#define STATEMENTS_MAX 64
/*
 * Another process may hold the write lock for as long (a checkpoint of the
 * replication's, say); everything waits meanwhile.
 */
#define BUSY_MS 2000
/* The log is cut to this after a checkpoint that emptied it. */
#define LOG_LIMIT "16777216"

struct db {
	sqlite3 *sql;
	int lock_fd;
	struct {
		const char *text;
		sqlite3_stmt *stmt;
	} statements[STATEMENTS_MAX];
	size_t n_statements;
	char error[200];
};

static int failed(struct db *db, const char *what)
{
	snprintf(db->error, sizeof(db->error), "%s: %s", what,
		 sqlite3_errmsg(db->sql));
	return -EIO;
}

static int run(struct db *db, const char *sql)
{
	if (sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return failed(db, "database");
}

/* A pragma's number, or its text to @text. */
static int pragma(struct db *db, const char *sql, int64_t *number, char *text,
		  size_t text_size)
{
	sqlite3_stmt *s = NULL;
	int err = -EIO;

	if (sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL) == SQLITE_OK &&
	    sqlite3_step(s) == SQLITE_ROW) {
		const unsigned char *value = sqlite3_column_text(s, 0);

		if (number)
			*number = sqlite3_column_int64(s, 0);
		if (text)
			snprintf(text, text_size, "%s",
				 value ? (const char *)value : "");
		err = 0;
	}
	if (err)
		failed(db, "database");
	sqlite3_finalize(s);
	return err;
}

/* Settings that are the connection's, before it reads or writes a page. */
static int set_up(struct db *db)
{
	sqlite3_extended_result_codes(db->sql, 1);
	sqlite3_busy_timeout(db->sql, BUSY_MS);
	/* A schema cannot make us run anything, nor be rewritten by SQL. */
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	/* Closing what turns out to be damaged does not write to it. */
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return run(db, "PRAGMA cell_size_check=ON;"
		       "PRAGMA foreign_keys=ON;"
		       "PRAGMA temp_store=MEMORY;"
		       "PRAGMA synchronous=FULL;"
		       "PRAGMA journal_size_limit=" LOG_LIMIT);
}

static int migrate(struct db *db, const struct db_schema *schema, int64_t from)
{
	char version[64];
	int err;

	for (; from < (int64_t)schema->n_steps; from++) {
		snprintf(version, sizeof(version), "PRAGMA user_version=%" PRId64,
			 from + 1);
		err = db_begin(db);
		if (err)
			return err;
		err = run(db, schema->steps[from]);
		if (!err)
			err = run(db, version);
		if (!err) {
			err = db_commit(db);
			if (err)
				return err;
			continue;
		}
		db_rollback(db);
		return err;
	}
	return 0;
}

/* Makes the file under another name, whole and synced, then renames it. */
static int create(const char *path, const struct db_schema *schema, char *error,
		  size_t error_size)
{
	struct db db = { .lock_fd = -1 };
	char tmp[PATH_MAX], id[64];
	int err, fd;

	if ((size_t)snprintf(tmp, sizeof(tmp), "%s.new", path) >= sizeof(tmp)) {
		snprintf(error, error_size, "%s: the name is too long", path);
		return -ENAMETOOLONG;
	}
	unlink(tmp); /* what a crash left behind */
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		snprintf(error, error_size, "cannot create %s: %s", tmp,
			 strerror(-err));
		return err;
	}
	close(fd);
	snprintf(id, sizeof(id), "PRAGMA application_id=%" PRIu32,
		 schema->application);
	err = sqlite3_open_v2(tmp, &db.sql,
			      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			      NULL) == SQLITE_OK ?
		      0 :
		      failed(&db, "open");
	if (!err)
		err = set_up(&db);
	if (!err)
		err = run(&db, id);
	if (!err)
		err = migrate(&db, schema, 0);
	sqlite3_close(db.sql);
	if (!err && rename(tmp, path)) {
		err = -errno;
		snprintf(db.error, sizeof(db.error), "rename: %s",
			 strerror(errno));
	}
	if (!err)
		err = file_sync_directory(path);
	if (err) {
		unlink(tmp);
		snprintf(error, error_size, "cannot create %s: %s", path,
			 db.error);
	}
	return err;
}

/* The lock ends with the process, whatever ends it. */
static int lock(struct db *db, const char *path, char *error, size_t error_size)
{
	char name[PATH_MAX];

	if ((size_t)snprintf(name, sizeof(name), "%s.lock", path) >=
	    sizeof(name)) {
		snprintf(error, error_size, "%s: the name is too long", path);
		return -ENAMETOOLONG;
	}
	db->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			   0600);
	if (db->lock_fd < 0) {
		snprintf(error, error_size, "cannot open %s: %s", name,
			 strerror(errno));
		return -EIO;
	}
	if (flock(db->lock_fd, LOCK_EX | LOCK_NB)) {
		snprintf(error, error_size,
			 "%s is in use: another server has locked %s", path,
			 name);
		return -EBUSY;
	}
	return 0;
}

/* Is it ours, sound, and not newer than we are? Nothing is written here. */
static int inspect(struct db *db, const struct db_schema *schema,
		   const char *path, int64_t *version, char *error,
		   size_t error_size)
{
	int64_t application;
	char check[160] = "", *p;

	/* Another program's application id is no damage, so first. */
	if (pragma(db, "PRAGMA application_id", &application, NULL, 0) ||
	    pragma(db, "PRAGMA user_version", version, NULL, 0) ||
	    pragma(db, "PRAGMA quick_check(1)", NULL, check, sizeof(check))) {
		snprintf(error, error_size,
			 "%s cannot be read (%s); it was left as it is: restore a backup",
			 path, db->error);
		return -EIO;
	}
	for (p = check; (p = strchr(p, '\n')); *p = ' ')
		;
	if ((uint32_t)application != schema->application) {
		snprintf(error, error_size,
			 "%s is not a database of this program; it was left as it is",
			 path);
		return -EINVAL;
	}
	if (*version > (int64_t)schema->n_steps) {
		snprintf(error, error_size,
			 "%s has version %" PRId64 " and this program knows %zu: it was written by a newer one; use that, or a backup from before",
			 path, *version, schema->n_steps);
		return -EINVAL;
	}
	if (strcmp(check, "ok") != 0 || *version < 1) {
		snprintf(error, error_size,
			 "%s is damaged (%s); it was left as it is: restore a backup",
			 path, *version < 1 ? "no version" : check);
		return -EIO;
	}
	return 0;
}

struct db *db_open(const char *path, const struct db_schema *schema,
		   char *error, size_t error_size)
{
	struct db *db = xcalloc(1, sizeof(*db));
	struct stat st;
	int64_t version;
	char mode[16];

	db->lock_fd = -1;
	if (lock(db, path, error, error_size))
		goto err;
	if (stat(path, &st)) {
		if (errno != ENOENT) {
			snprintf(error, error_size, "%s: %s", path,
				 strerror(errno));
			goto err;
		}
		if (create(path, schema, error, error_size))
			goto err;
	} else if (!S_ISREG(st.st_mode) || !st.st_size) {
		/* We never leave an empty one, and SQLite would fill it. */
		snprintf(error, error_size,
			 "%s is %s: restore a backup, or remove it to begin anew",
			 path, S_ISREG(st.st_mode) ? "empty" : "not a file");
		goto err;
	}
	if (sqlite3_open_v2(path, &db->sql,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK ||
	    set_up(db)) {
		int code = sqlite3_errcode(db->sql);
		bool bad = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

		snprintf(error, error_size, "cannot open %s: %s%s", path,
			 sqlite3_errmsg(db->sql),
			 bad ? "; it was left as it is: restore a backup" : "");
		goto err;
	}
	if (inspect(db, schema, path, &version, error, error_size))
		goto err;
	if (pragma(db, "PRAGMA journal_mode=WAL", NULL, mode, sizeof(mode)) ||
	    strcmp(mode, "wal") != 0 || migrate(db, schema, version)) {
		snprintf(error, error_size, "cannot prepare %s: %s", path,
			 *db->error ? db->error : "no write-ahead log");
		goto err;
	}
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	return db;
err:
	db_close(db);
	return NULL;
}

void db_close(struct db *db)
{
	size_t i;

	if (!db)
		return;
	for (i = 0; i < db->n_statements; i++)
		sqlite3_finalize(db->statements[i].stmt);
	sqlite3_close(db->sql);
	if (db->lock_fd >= 0)
		close(db->lock_fd);
	free(db);
}

void db_close_untouched(struct db *db)
{
	sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	db_close(db);
}

const char *db_error(const struct db *db)
{
	return db->error;
}

struct sqlite3_stmt *db_prepare(struct db *db, const char *sql)
{
	sqlite3_stmt *s;
	size_t i;

	for (i = 0; i < db->n_statements; i++)
		if (db->statements[i].text == sql)
			return db->statements[i].stmt;
	if (i == STATEMENTS_MAX ||
	    sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, &s,
			       NULL) != SQLITE_OK) {
		failed(db, "statement");
		return NULL;
	}
	db->statements[i].text = sql;
	db->statements[i].stmt = s;
	db->n_statements++;
	return s;
}

void db_bind_int(struct sqlite3_stmt *s, int i, int64_t v)
{
	sqlite3_bind_int64(s, i, v);
}

void db_bind_text(struct sqlite3_stmt *s, int i, const char *text)
{
	sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

void db_bind_blob(struct sqlite3_stmt *s, int i, const void *data, size_t n)
{
	sqlite3_bind_blob64(s, i, data, n, SQLITE_STATIC);
}

int db_step(struct db *db, struct sqlite3_stmt *s)
{
	int err = 0;

	switch (sqlite3_step(s)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		break;
	default:
		err = failed(db, "database");
	}
	db_reset(s);
	return err;
}

void db_reset(struct sqlite3_stmt *s)
{
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

int64_t db_column_int(struct sqlite3_stmt *s, int i)
{
	return sqlite3_column_int64(s, i);
}

const char *db_column_text(struct sqlite3_stmt *s, int i)
{
	const char *text = (const char *)sqlite3_column_text(s, i);

	if (!text || strlen(text) != (size_t)sqlite3_column_bytes(s, i))
		return NULL;
	return text;
}

const void *db_column_blob(struct sqlite3_stmt *s, int i, size_t *n)
{
	const void *data = sqlite3_column_blob(s, i);

	*n = (size_t)sqlite3_column_bytes(s, i);
	return data;
}

int64_t db_inserted(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->sql);
}

int db_begin(struct db *db)
{
	/* The write lock first: no transaction fails half way for it. */
	return run(db, "BEGIN IMMEDIATE");
}

int db_commit(struct db *db)
{
	int err = run(db, "COMMIT");

	if (err)
		db_rollback(db);
	return err;
}

void db_rollback(struct db *db)
{
	if (!sqlite3_get_autocommit(db->sql))
		sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
}
