// SPDX-License-Identifier: GPL-2.0
/*
 * Requests to the administration: each line of the input is one, its first
 * byte chooses the path, the rest is the JSON. Every one starts from the same
 * users, keys and nodes.
 */
#include <event2/event.h>
#include <json.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coord/admin.h"
#include "coord/coord.h"
#include "coord/model.h"
#include "lib/json.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = {
	"users",	  "users/create",  "users/rename",
	"users/destroy",  "keys",	   "keys/create",
	"keys/expire",	  "keys/delete",   "nodes",
	"nodes/pending",  "nodes/approve", "nodes/deny",
	"nodes/delete",	  "nodes/expire",  "nodes/rename",
	"nodes/tag",	  "nodes/move",	   "nodes/approve-routes",
	"routes",	  "policy",	   "policy/check",
	"derp",		  "none",
};

static struct coord *coord;
static struct coord_user *owner;
static char dir[64];

static void clean_up(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct coord_config c = {
		.server_url = "http://127.0.0.1:1",
		.base_domain = "example",
		.nameservers = "",
		.ephemeral_s = 120,
		.limits = http_limits_default,
	};

	if (sodium_init() < 0 || !freopen("/dev/null", "w", stdout))
		abort();
	/* Nothing here is to survive: no disk. */
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/fuzz-coord-XXXXXX" :
					       "/dev/shm/fuzz-coord-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	atexit(clean_up);
	prefix_parse(&c.prefix_v4, "100.64.0.0/10");
	prefix_parse(&c.prefix_v6, "fd7a:115c:a1e0::/48");
	c.state_dir = dir;
	coord = coord_new(event_base_new(), &c);
	if (!coord || model_user_create(coord_model(coord), "owner", NULL, NULL,
					NULL, &owner))
		abort();
	return 0;
}

static struct registration node(uint8_t i, struct json_object *hostinfo)
{
	struct registration r = { .cap = 116, .hostinfo = hostinfo };

	memset(&r.machine, i, sizeof(r.machine));
	memset(&r.key, i + 1, sizeof(r.key));
	return r;
}

/* "owner" and "alice", a key, nodes "a" and "b", one that waits. */
static void prepare(struct model *m)
{
	struct json_object *h = json_tokener_parse(
		"{\"Hostname\":\"a\",\"RoutableIPs\":[\"10.0.0.0/8\"]}");
	char secret[AUTHKEY_SECRET_MAX];
	struct pending_node *p;
	struct coord_node *n, *n_next;
	struct authkey *k, *k_next;
	struct coord_user *u, *u_next;
	struct registration r;

	for (n = model_nodes(m); n; n = n_next) {
		n_next = n->hh_id.next;
		if (model_node_delete(m, n))
			abort();
	}
	for (k = model_authkeys(m); k; k = k_next) {
		k_next = k->hh_id.next;
		model_authkey_delete(m, k);
	}
	while (model_pendings(m))
		model_pending_deny(m, model_pendings(m));
	for (u = model_users(m); u; u = u_next) {
		u_next = u->hh_id.next;
		if (model_user_destroy(m, u))
			abort();
	}
	if (model_user_create(m, "owner", NULL, NULL, NULL, &owner) ||
	    model_user_create(m, "alice", NULL, NULL, NULL, &u) ||
	    model_authkey_create(m, u, true, false, 0, NULL, 0, secret, &k))
		abort();
	r = node(1, h);
	if (model_register_user(m, &r, owner, 1, &n))
		abort();
	r = node(3, h);
	if (model_register(m, &r, k, 1, &n))
		abort();
	r = node(5, h);
	model_pending_add(m, &r, time(NULL), &p);
	json_object_put(h);
}

static void request(const uint8_t *line, size_t n)
{
	const char *path = paths[line[0] % (sizeof(paths) / sizeof(paths[0]))];
	struct json_object *in = NULL, *out = NULL;
	struct model *m = coord_model(coord);
	int status;

	if (n > 1)
		in = json_parse((const char *)line + 1, n - 1);
	if (in && !json_object_is_type(in, json_type_object)) {
		json_object_put(in);
		return;
	}
	/* The id of who waits cannot be guessed. */
	if (in && model_pendings(m) && json_member(in, "id"))
		json_object_object_add(
			in, "id", json_object_new_string(model_pendings(m)->id));
	status = admin_call(coord, path, in, &out);
	if (!out || (status == 200) == !!json_member(out, "error"))
		abort();
	json_object_put(in);
	json_object_put(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end;
	size_t n;
	int lines = 0;

	if (size > 4096)
		return 0;
	prepare(coord_model(coord));
	for (; size && lines < 8; lines++) {
		end = memchr(data, '\n', size);
		n = end ? (size_t)(end - data) : size;
		if (n)
			request(data, n);
		n += !!end;
		data += n;
		size -= n;
	}
	return 0;
}
