// SPDX-License-Identifier: GPL-2.0
#include "coord/schema.h"

#include "lib/util.h"

/*
 * Keys and addresses in their text forms, lists as JSON: made for people with a
 * sqlite3 shell. Ids are never used again (AUTOINCREMENT).
 */
static const char *const steps[] = {
	/* 1 */
	"CREATE TABLE users ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	name TEXT NOT NULL UNIQUE,"
	"	display TEXT NOT NULL,"
	"	provider TEXT NOT NULL,"
	"	subject TEXT NOT NULL,"
	"	created INTEGER NOT NULL"
	") STRICT;"
	"CREATE UNIQUE INDEX users_subject ON users (provider, subject)"
	"	WHERE provider <> '';"
	"CREATE TABLE authkeys ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	prefix TEXT NOT NULL UNIQUE,"
	"	hash BLOB NOT NULL,"
	"	user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
	"	reusable INTEGER NOT NULL,"
	"	ephemeral INTEGER NOT NULL,"
	"	used INTEGER NOT NULL,"
	"	tags TEXT NOT NULL,"
	"	created INTEGER NOT NULL,"
	"	expiry INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE nodes ("
	"	id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"	stable_id TEXT NOT NULL UNIQUE,"
	"	machine TEXT NOT NULL,"
	"	key TEXT NOT NULL UNIQUE,"
	"	old_key TEXT NOT NULL,"
	"	disco TEXT NOT NULL,"
	"	user INTEGER NOT NULL REFERENCES users ON DELETE RESTRICT,"
	"	hostname TEXT NOT NULL,"
	"	name TEXT NOT NULL UNIQUE,"
	"	renamed INTEGER NOT NULL,"
	"	ip4 TEXT UNIQUE,"
	"	ip6 TEXT UNIQUE,"
	"	endpoints TEXT NOT NULL,"
	"	hostinfo TEXT NOT NULL,"
	"	cap INTEGER NOT NULL,"
	"	tags TEXT NOT NULL,"
	"	approved TEXT NOT NULL,"
	"	ephemeral INTEGER NOT NULL,"
	"	authkey INTEGER NOT NULL,"
	"	created INTEGER NOT NULL,"
	"	last_seen INTEGER NOT NULL,"
	"	expiry INTEGER NOT NULL,"
	"	UNIQUE (machine, user)"
	") STRICT;"
	"CREATE TABLE settings ("
	"	name TEXT PRIMARY KEY,"
	"	value TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;",
};

const struct db_schema coord_schema = {
	.application = 0x74726363, /* "trcc" */
	.steps = steps,
	.n_steps = ARRAY_SIZE(steps),
};
