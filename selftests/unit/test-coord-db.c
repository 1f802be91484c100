// SPDX-License-Identifier: GPL-2.0
/* What may happen to the file: other programs that read along, and damage. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coord-model.h"
#include "coord/schema.h"
#include "lib/file.h"
#include "lib/util.h"
#include "tap.h"

#define NOW 1800000000

static char path[128], dir[64];

static char *beside(const char *suffix)
{
	static char name[160];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return name;
}

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(name, &st) ? -1 : st.st_size;
}

/* A database with a user and @n nodes. */
static struct model *populated(unsigned int n)
{
	struct model *m = test_open(path);
	struct coord_user *u;
	struct coord_node *node;
	struct registration r;
	unsigned int i;

	model_user_create(m, "alice", NULL, NULL, NULL, &u);
	for (i = 0; i < n; i++) {
		r = test_node(i, "n");
		if (model_register_user(m, &r, u, NOW, &node))
			printf("# %s\n", model_error(m));
		json_object_put(r.hostinfo);
	}
	return m;
}

static void start_anew(void)
{
	unlink(path);
	unlink(beside("-wal"));
	unlink(beside("-shm"));
}

static sqlite3 *reader(void)
{
	sqlite3 *sql;

	if (sqlite3_open_v2(path, &sql,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL))
		abort();
	sqlite3_busy_timeout(sql, 0);
	return sql;
}

/* The first column of the first row; -1 on any error, without waiting. */
static int64_t ask(sqlite3 *sql, const char *query)
{
	sqlite3_stmt *s = NULL;
	int64_t out = -1;

	if (!sqlite3_prepare_v2(sql, query, -1, &s, NULL) &&
	    sqlite3_step(s) == SQLITE_ROW)
		out = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return out;
}

static void readers(void)
{
	struct model *m = populated(3);
	struct coord_user *u = model_user_by_name(m, "alice");
	struct coord_node *n;
	struct registration r;
	sqlite3 *sql = reader();
	char command[512];
	unsigned int i;
	off_t log;

	tap_ok(size_of(beside("-wal")) > 0, "a write-ahead log");
	tap_ok(ask(sql, "SELECT count(*) FROM nodes") == 3,
	       "another process reads along");
	/* A reader that stays in its transaction, as replication does. */
	sqlite3_exec(sql, "BEGIN", NULL, NULL, NULL);
	tap_ok(ask(sql, "SELECT count(*) FROM nodes") == 3, "and stays");
	for (i = 100; i < 400; i++) {
		r = test_node(i, "n");
		if (model_register_user(m, &r, u, NOW, &n))
			break;
		json_object_put(r.hostinfo);
	}
	tap_ok(i == 400, "it hinders no change: %s", model_error(m));
	tap_ok(ask(sql, "SELECT count(*) FROM nodes") == 3,
	       "and sees what it saw");
	sqlite3_exec(sql, "COMMIT", NULL, NULL, NULL);
	tap_ok(ask(sql, "SELECT count(*) FROM nodes") == 303,
	       "then it sees the rest");
	log = size_of(beside("-wal"));
	tap_ok(log > 0 && log < 64 << 20, "the log has %lld bytes",
	       (long long)log);
	tap_ok(ask(sql, "PRAGMA wal_checkpoint(TRUNCATE)") == 0 &&
		       size_of(beside("-wal")) == 0,
	       "it may be checkpointed from outside");
	r = test_node(500, "n");
	tap_ok(!model_register_user(m, &r, u, NOW, &n), "and we go on");
	json_object_put(r.hostinfo);
	sqlite3_close(sql);

	snprintf(command, sizeof(command),
		 "sqlite3 '%s' '.timeout 5000' \".backup '%s/copy'\"", path, dir);
	tap_ok(!system(command), "sqlite3 .backup while we run");
	snprintf(command, sizeof(command),
		 "test \"$(sqlite3 '%s/copy' 'PRAGMA integrity_check;"
		 " SELECT count(*) FROM nodes' | tr '\\n' ' ')\" = 'ok 304 '",
		 dir);
	tap_ok(!system(command), "the copy is whole");
	model_close(m);
	tap_ok(size_of(beside("-wal")) <= 0, "closed: no log is left");
	start_anew();
}

/* A second writer: our change waits for it, and is not lost. */
static void writers(void)
{
	struct model *m = populated(1);
	sqlite3 *sql = reader();

	sqlite3_exec(sql, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	tap_ok(ask(sql, "SELECT count(*) FROM users") == 1, "somebody writes");
	tap_ok(model_user_create(m, "bob", NULL, NULL, NULL, NULL) == -EIO &&
		       !model_user_by_name(m, "bob"),
	       "we wait, then say no: %s", model_error(m));
	sqlite3_exec(sql, "ROLLBACK", NULL, NULL, NULL);
	tap_ok(!model_user_create(m, "bob", NULL, NULL, NULL, NULL),
	       "when it is done, it works");
	sqlite3_close(sql);
	model_close(m);
	start_anew();
}

struct bytes {
	char *data;
	size_t n;
};

static struct bytes contents(const char *name)
{
	struct bytes b;

	if (file_read(name, 64 << 20, 0, &b.data, &b.n))
		abort();
	return b;
}

/* Is it refused, with a sentence, and the file as it was? */
static void refused(const char *what)
{
	struct bytes before = contents(path), after;
	struct model_config c;
	char error[512] = "";
	struct model *m;

	model_config_default(&c);
	c.path = path;
	m = model_open(&c, error, sizeof(error));
	tap_ok(!m && strlen(error) > 20, "%s: %s", what, error);
	model_close(m);
	after = contents(path);
	tap_ok(before.n == after.n && !memcmp(before.data, after.data, before.n),
	       "%s: the file is as it was", what);
	free(before.data);
	free(after.data);
}

static void execute(const char *sql_text)
{
	sqlite3 *sql = reader();

	if (sqlite3_exec(sql, sql_text, NULL, NULL, NULL))
		printf("# %s: %s\n", sql_text, sqlite3_errmsg(sql));
	sqlite3_close(sql);
}

static void foreign(void)
{
	model_close(populated(2));
	execute("PRAGMA user_version = 99");
	refused("a newer version");
	execute("PRAGMA user_version = 0");
	refused("no version");
	execute("PRAGMA user_version = 1; PRAGMA application_id = 7");
	refused("another program's");
	start_anew();
	execute("CREATE TABLE t (a)");
	refused("some other database");
	start_anew();
	file_write(path, "", 0);
	refused("an empty file");
	start_anew();
	file_write(path, "This is not a database, but long enough for one.\n"
			 "This is not a database, but long enough for one.\n"
			 "This is not a database, but long enough for one.\n",
		   147);
	refused("a text");
	start_anew();
}

static void overwrite(size_t at, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || pwrite(fd, data, n, (off_t)at) != (ssize_t)n)
		abort();
	close(fd);
}

static void damaged(void)
{
	static const struct {
		const char *what, *sql;
	} rows[] = {
		{ "a bad key", "UPDATE nodes SET key = 'nodekey:12' WHERE id=2" },
		{ "two nodes with a key's letters changed",
		  "UPDATE nodes SET key = (SELECT 'nodekey:' ||"
		  " upper(substr(key, 9)) FROM nodes WHERE id = 1) WHERE id=2" },
		{ "a node of nobody",
		  "PRAGMA foreign_keys=OFF; UPDATE nodes SET user = 77" },
		{ "a bad address", "UPDATE nodes SET ip4 = 'x' WHERE id=1" },
		{ "an address of the wrong kind",
		  "UPDATE nodes SET ip4 = '::7' WHERE id=1" },
		{ "bad Hostinfo", "UPDATE nodes SET hostinfo = '{' WHERE id=1" },
		{ "Hostinfo that is a list",
		  "UPDATE nodes SET hostinfo = '[]' WHERE id=1" },
		{ "bad tags", "UPDATE nodes SET tags = '[\"x\"]' WHERE id=1" },
		{ "bad routes",
		  "UPDATE nodes SET approved = '[\"x\"]' WHERE id=1" },
		{ "bad endpoints",
		  "UPDATE nodes SET endpoints = '[[\"1.2.3.4:5\"]]' WHERE id=1" },
		{ "a bad name", "UPDATE nodes SET name = 'A B' WHERE id=1" },
		{ "a bad user", "UPDATE users SET name = 'a b'" },
		{ "a missing table", "DROP TABLE authkeys" },
		{ "a missing column", "ALTER TABLE nodes DROP COLUMN cap" },
	};
	uint8_t noise[4096];
	off_t size;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		model_close(populated(3));
		execute(rows[i].sql);
		refused(rows[i].what);
		start_anew();
	}
	for (i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 37 + 11);
	model_close(populated(60));
	size = size_of(path);
	overwrite((size_t)size / 2 & ~4095ul, noise, sizeof(noise));
	refused("a page of noise");
	start_anew();
	model_close(populated(60));
	if (truncate(path, size / 2 & ~4095l))
		abort();
	refused("half a file");
	start_anew();
	model_close(populated(60));
	overwrite(0, noise, 16);
	refused("a bad header");
	start_anew();
}

/* The log of a server that was killed belongs to the file. */
static void log_left(void)
{
	struct bytes file, log;
	struct model *m;

	m = populated(5);
	file = contents(path);
	log = contents(beside("-wal"));
	model_close(m);
	start_anew();
	file_write(path, file.data, file.n);
	file_write(beside("-wal"), log.data, log.n);
	m = test_open(path);
	tap_ok(m && model_n_nodes(m) == 5, "a log that was left is read");
	model_close(m);
	start_anew();
	/* Torn in the middle of its last commit: that one never was. */
	file_write(path, file.data, file.n);
	file_write(beside("-wal"), log.data, log.n - 100);
	m = test_open(path);
	tap_ok(m && model_n_nodes(m) == 4, "up to where it is whole: %zu",
	       m ? model_n_nodes(m) : 0);
	model_close(m);
	free(file.data);
	free(log.data);
	start_anew();
}

/* Steps are run in order, each as a whole. */
static void migrations(void)
{
	static const char *const one[] = { "CREATE TABLE a (x)" };
	static const char *const two[] = { "CREATE TABLE a (x)",
					   "CREATE TABLE b (y);"
					   "INSERT INTO b VALUES (42)" };
	static const char *const bad[] = { "CREATE TABLE a (x)",
					   "CREATE TABLE b (y);"
					   "INSERT INTO b VALUES (42)",
					   "CREATE TABLE c (z);"
					   "INSERT INTO nothing VALUES (1)" };
	struct db_schema s = { 1234, one, 1 };
	char error[512];
	sqlite3 *sql;
	struct db *db;

	db_close(db_open(path, &s, error, sizeof(error)));
	s.steps = two;
	s.n_steps = 2;
	db = db_open(path, &s, error, sizeof(error));
	sql = reader();
	tap_ok(db && ask(sql, "SELECT y FROM b") == 42 &&
		       ask(sql, "PRAGMA user_version") == 2,
	       "an older database is brought up to date");
	db_close(db);
	s.steps = bad;
	s.n_steps = 3;
	db = db_open(path, &s, error, sizeof(error));
	tap_ok(!db, "a step that fails: %s", error);
	tap_ok(ask(sql, "PRAGMA user_version") == 2 &&
		       ask(sql, "SELECT count(*) FROM sqlite_schema"
				" WHERE name = 'c'") == 0,
	       "leaves nothing behind");
	sqlite3_close(sql);
	start_anew();
}

static void files(void)
{
	struct model_config c;
	char error[512] = "";

	/* A crash while creating. */
	file_write(beside(".new"), "half", 4);
	model_close(populated(1));
	tap_ok(size_of(path) > 0 && size_of(beside(".new")) < 0,
	       "a half-made database is made again");
	start_anew();
	model_config_default(&c);
	c.path = "/nonexistent/coord.db";
	tap_ok(!model_open(&c, error, sizeof(error)), "%s", error);
	if (mkdir(path, 0700))
		abort();
	c.path = path;
	tap_ok(!model_open(&c, error, sizeof(error)), "%s", error);
	rmdir(path);
}

int main(void)
{
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	test_directory(dir);
	snprintf(path, sizeof(path), "%s/coord.db", dir);
	files();
	readers();
	writers();
	migrations();
	foreign();
	damaged();
	log_left();
	test_remove(dir);
	return tap_done();
}
