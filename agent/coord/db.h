/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_DB_H
#define COORD_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * SQLite as the model uses it: one connection of one thread, write-ahead log,
 * every commit synced. It never holds a lock longer than a transaction, so that
 * backups, streaming replication and the sqlite3 shell read along; a second
 * server is kept out by a lock file of its own.
 */

struct sqlite3_stmt;
struct db;

/* Versions of the schema: step i (from 0) makes version i + 1 of version i. */
struct db_schema {
	uint32_t application; /* application_id: whose database it is */
	const char *const *steps; /* SQL, run in one transaction each */
	size_t n_steps;
};

/*
 * Opens @path; makes it if there is no file of that name, under another name
 * first, so that a crash leaves a whole database or none. Brings an older one
 * up to date. NULL after writing a sentence to @error; a database that is
 * damaged, newer, another program's or in use has not been written to.
 */
struct db *db_open(const char *path, const struct db_schema *schema,
		   char *error, size_t error_size);
/* NULL is fine. */
void db_close(struct db *db);
/* Closes a database whose content is damaged: nothing is written to it. */
void db_close_untouched(struct db *db);
/* What the last failed call ran into. */
const char *db_error(const struct db *db);

/*
 * @sql, a string literal, prepared, without bindings; it is kept and belongs to
 * @db. NULL on error.
 */
struct sqlite3_stmt *db_prepare(struct db *db, const char *sql);

/* Bind to a parameter (from 1). A @text of NULL binds NULL. Not copied. */
void db_bind_int(struct sqlite3_stmt *s, int i, int64_t v);
void db_bind_text(struct sqlite3_stmt *s, int i, const char *text);
void db_bind_blob(struct sqlite3_stmt *s, int i, const void *data, size_t n);

/*
 * Runs a statement that gives no rows, or the next row of one that does:
 * 0 done, 1 a row is there, -EIO. After 0 or an error it is reset.
 */
int db_step(struct db *db, struct sqlite3_stmt *s);
/* For statements that were not stepped to their end. */
void db_reset(struct sqlite3_stmt *s);

int64_t db_column_int(struct sqlite3_stmt *s, int i); /* from 0 */
/* Until the next step. NULL if it is NULL or holds a NUL. */
const char *db_column_text(struct sqlite3_stmt *s, int i);
const void *db_column_blob(struct sqlite3_stmt *s, int i, size_t *n);

/* Id of the row that was inserted last. */
int64_t db_inserted(const struct db *db);

/* 0 or -EIO. A commit that fails has rolled back. */
int db_begin(struct db *db);
int db_commit(struct db *db);
void db_rollback(struct db *db);

#endif
