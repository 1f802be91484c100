// SPDX-License-Identifier: GPL-2.0
/*
 * Loading a damaged database. Even first byte: bytes of a good one are changed,
 * four of the input say where and to what. Odd: the text of one column of one
 * row is replaced. Either it is refused, or it can be worked with.
 */
#include <json.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coord/model.h"
#include "lib/file.h"
#include "lib/util.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64], path[96], wal[128], shm[128];
static char *good;
static size_t good_len;

static void clean_up(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		abort();
}

static struct model *open_model(void)
{
	struct model_config c;
	char error[512];

	model_config_default(&c);
	c.path = path;
	return model_open(&c, error, sizeof(error));
}

static struct coord_node *join(struct model *m, uint8_t i, struct authkey *k)
{
	struct json_object *h = json_tokener_parse(
		"{\"Hostname\":\"n\",\"RoutableIPs\":[\"10.0.0.0/8\"],"
		"\"NetInfo\":{\"PreferredDERP\":3}}");
	struct registration r = { .cap = 116, .hostinfo = h };
	struct coord_node *n = NULL;

	memset(&r.machine, i, sizeof(r.machine));
	memset(&r.key, i + 1, sizeof(r.key));
	model_register(m, &r, k, 5, &n);
	json_object_put(h);
	return n;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const tag = "tag:web";
	char secret[AUTHKEY_SECRET_MAX];
	struct coord_node *n;
	struct coord_user *u;
	struct authkey *k;
	struct endpoint e;
	struct node_update up = { .has_endpoints = true, .endpoints = &e,
				  .n_endpoints = 1 };
	struct prefix p;
	struct model *m;

	if (sodium_init() < 0 || !freopen("/dev/null", "w", stdout))
		abort();
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/fuzz-coord-XXXXXX" :
					       "/dev/shm/fuzz-coord-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(clean_up);
	snprintf(path, sizeof(path), "%s/db", dir);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(shm, sizeof(shm), "%s-shm", path);
	m = open_model();
	model_user_create(m, "alice", "Alice", NULL, NULL, &u);
	model_user_create(m, "bob", "", "https://idp", "7", &u);
	model_authkey_create(m, u, true, true, 99, &tag, 1, secret, &k);
	model_authkey_create(m, u, true, false, 0, NULL, 0, secret, &k);
	prefix_parse(&p, "10.0.0.0/8");
	endpoint_parse(&e, "192.0.2.1:41641");
	n = join(m, 1, k);
	model_node_approve_routes(m, n, &p, 1);
	model_node_update(m, n, &up);
	n = join(m, 3, k);
	model_node_set_tags(m, n, &tag, 1);
	model_set_policy(m, "{}", 2);
	model_close(m);
	if (file_read(path, 1 << 20, 0, &good, &good_len))
		abort();
	return 0;
}

/* Reads all there is, changes a little. */
static void work(struct model *m)
{
	struct coord_node *n, *next;
	struct authkey *k;
	struct coord_user *u;
	size_t len, all = 0;

	for (u = model_users(m); u; u = u->hh_id.next)
		all += strlen(u->name) + strlen(u->display) + u->n_nodes;
	for (k = model_authkeys(m); k; k = k->hh_id.next)
		all += k->n_tags + strlen(k->user->name);
	for (n = model_nodes(m); n; n = n->hh_id.next) {
		all += strlen(n->name) + n->n_effective + n->n_primary +
		       strlen(json_object_to_json_string(n->hostinfo));
		if (model_node_by_name(m, n->name) != n ||
		    model_node_by_key(m, &n->key) != n || n->n_addresses > 2)
			abort();
	}
	if (model_policy(m, &len))
		all += len;
	for (k = model_authkeys(m); k; k = k->hh_id.next)
		join(m, (uint8_t)(77 + all % 2), k);
	model_tick(m, 100);
	for (n = model_nodes(m); n; n = next) {
		next = n->hh_id.next;
		model_node_set_online(m, n, true, 7);
		model_node_rename(m, n, "other");
		model_node_set_expiry(m, n, 9, 9);
		if (n->id % 2)
			model_node_delete(m, n);
	}
	model_flush(m);
}

static void replace_text(const uint8_t *data, size_t size)
{
	static const char *const updates[] = {
		"UPDATE nodes SET stable_id = ? WHERE id = 1",
		"UPDATE nodes SET machine = ? WHERE id = 1",
		"UPDATE nodes SET key = ? WHERE id = 1",
		"UPDATE nodes SET disco = ? WHERE id = 1",
		"UPDATE nodes SET hostname = ? WHERE id = 1",
		"UPDATE nodes SET name = ? WHERE id = 1",
		"UPDATE nodes SET ip4 = ? WHERE id = 1",
		"UPDATE nodes SET ip6 = ? WHERE id = 1",
		"UPDATE nodes SET endpoints = ? WHERE id = 1",
		"UPDATE nodes SET hostinfo = ? WHERE id = 1",
		"UPDATE nodes SET tags = ? WHERE id = 1",
		"UPDATE nodes SET approved = ? WHERE id = 1",
		"UPDATE users SET name = ? WHERE id = 1",
		"UPDATE users SET subject = ? WHERE id = 1",
		"UPDATE authkeys SET prefix = ? WHERE id = 1",
		"UPDATE authkeys SET tags = ? WHERE id = 1",
		"UPDATE settings SET value = ?",
	};
	sqlite3_stmt *s;
	sqlite3 *sql;

	if (size < 1 || sqlite3_open(path, &sql))
		return;
	if (!sqlite3_prepare_v2(sql, updates[data[0] % ARRAY_SIZE(updates)], -1,
				&s, NULL)) {
		sqlite3_bind_text(s, 1, (const char *)data + 1, (int)size - 1,
				  SQLITE_STATIC);
		sqlite3_step(s);
		sqlite3_finalize(s);
	}
	sqlite3_close(sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model *m;
	char *copy;
	size_t i;
	FILE *f;

	if (size < 1)
		return 0;
	copy = xmalloc(good_len);
	memcpy(copy, good, good_len);
	for (i = 1; !(data[0] & 1) && i + 4 <= size; i += 4)
		copy[(data[i] << 16 | data[i + 1] << 8 | data[i + 2]) %
		     good_len] = (char)data[i + 3];
	unlink(wal);
	unlink(shm);
	f = fopen(path, "w");
	if (!f || fwrite(copy, 1, good_len, f) != good_len || fclose(f))
		abort();
	free(copy);
	if (data[0] & 1)
		replace_text(data + 1, size - 1);
	m = open_model();
	if (m)
		work(m);
	model_close(m);
	return 0;
}
