// SPDX-License-Identifier: GPL-2.0
/*
 * A process that changes the model and says so through a pipe is killed with
 * SIGKILL at random moments, while opening, too. What it acknowledged must be
 * there afterwards; the one change that was under way may be, as a whole.
 * COORD_KILL_ROUNDS says how often.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coord-model.h"
#include "lib/util.h"
#include "tap.h"

#define ROUNDS 200
#define USERS 4
#define NODES 12
#define NOW 1800000000

enum op_kind {
	OP_USER_RENAME,
	OP_KEY, /* a new one, known by its expiry */
	OP_JOIN, /* a node by that key: made, or its node key replaced */
	OP_RENAME,
	OP_TAGS,
	OP_ROUTES,
	OP_HOSTINFO,
	OP_EXPIRY,
	OP_MOVE,
	OP_DELETE,
	OP_POLICY,
	OP_KINDS
};

struct op {
	enum op_kind kind;
	unsigned int i, value;
};

struct record {
	struct op op;
	int done; /* 0: is to be done */
};

#define KEYS_MAX 60000

/* What must be in the database. */
struct state {
	unsigned int user[USERS], policy;
	struct {
		bool exists;
		unsigned int key, user, name, tags, routes, hostinfo, expiry;
	} node[NODES];
	unsigned int n_keys, key[KEYS_MAX];
	bool used[KEYS_MAX];
};

static char path[128];

static bool possible(const struct state *s, const struct op *op)
{
	switch (op->kind) {
	case OP_USER_RENAME:
	case OP_POLICY:
		return true;
	case OP_KEY:
		return s->n_keys < KEYS_MAX;
	case OP_JOIN:
		/* Keys are user 0's: a node that was moved would be another. */
		return s->n_keys && !s->used[s->n_keys - 1] &&
		       !(s->node[op->i].exists && s->node[op->i].user);
	case OP_RENAME:
	case OP_TAGS:
	case OP_ROUTES:
	case OP_HOSTINFO:
	case OP_EXPIRY:
	case OP_MOVE:
	case OP_DELETE:
		return s->node[op->i].exists;
	case OP_KINDS:
		break;
	}
	return false;
}

/* The change as it must come out. */
static void apply(struct state *s, const struct op *op)
{
	switch (op->kind) {
	case OP_USER_RENAME:
		s->user[op->i % USERS] = op->value;
		break;
	case OP_KEY:
		s->used[s->n_keys] = false;
		s->key[s->n_keys++] = op->value;
		break;
	case OP_JOIN:
		s->used[s->n_keys - 1] = true;
		if (!s->node[op->i].exists) {
			memset(&s->node[op->i], 0, sizeof(s->node[0]));
			s->node[op->i].exists = true;
		}
		s->node[op->i].key = op->value;
		s->node[op->i].tags = 0;
		s->node[op->i].expiry = 0;
		break;
	case OP_RENAME:
		s->node[op->i].name = op->value;
		break;
	case OP_TAGS:
		s->node[op->i].tags = op->value;
		s->node[op->i].expiry = 0;
		break;
	case OP_ROUTES:
		s->node[op->i].routes = op->value;
		break;
	case OP_HOSTINFO:
		s->node[op->i].hostinfo = op->value;
		break;
	case OP_EXPIRY:
		s->node[op->i].expiry = op->value;
		break;
	case OP_MOVE:
		s->node[op->i].user = op->value % USERS;
		break;
	case OP_DELETE:
		s->node[op->i].exists = false;
		break;
	case OP_POLICY:
		s->policy = op->value;
		break;
	case OP_KINDS:
		break;
	}
}

/* The node of number @i, whatever its user. */
static struct coord_node *node_of(struct model *m, unsigned int i)
{
	struct registration r = test_node(i, "n");
	struct coord_node *n;

	json_object_put(r.hostinfo);
	for (n = model_nodes(m); n; n = n->hh_id.next)
		if (key_equal(&n->machine, &r.machine))
			return n;
	return NULL;
}

static struct coord_user *user_of(struct model *m, unsigned int i)
{
	return model_user(m, i + 1);
}

static int join(struct model *m, const struct op *op)
{
	struct authkey *k, *last = NULL;
	struct registration r = test_node(op->i, "n");
	struct coord_node *n;

	for (k = model_authkeys(m); k; k = k->hh_id.next)
		last = k;
	memcpy(r.key.b + 8, &op->value, sizeof(op->value));
	json_object_put(r.hostinfo);
	r.hostinfo = NULL;
	return model_register(m, &r, last, NOW, &n);
}

static int perform(struct model *m, const struct op *op)
{
	struct coord_node *n = node_of(m, op->i);
	char text[64], secret[AUTHKEY_SECRET_MAX];
	struct node_update u = { 0 };
	const char *tag = text;
	struct prefix p;
	int err;

	switch (op->kind) {
	case OP_USER_RENAME:
		snprintf(text, sizeof(text), "user%u-%u", op->i % USERS,
			 op->value);
		return model_user_rename(m, user_of(m, op->i % USERS), text);
	case OP_KEY:
		return model_authkey_create(m, user_of(m, 0), false, false,
					    NOW + op->value, NULL, 0, secret,
					    NULL);
	case OP_JOIN:
		return join(m, op);
	case OP_RENAME:
		snprintf(text, sizeof(text), "n%u-%u", op->i, op->value);
		return model_node_rename(m, n, text);
	case OP_TAGS:
		snprintf(text, sizeof(text), "tag:t%u", op->value);
		return model_node_set_tags(m, n, &tag, 1);
	case OP_ROUTES:
		snprintf(text, sizeof(text), "10.%u.%u.0/24",
			 op->value >> 8 & 255, op->value & 255);
		prefix_parse(&p, text);
		return model_node_approve_routes(m, n, &p, 1);
	case OP_HOSTINFO:
		u.hostinfo = json_object_new_object();
		json_object_object_add(u.hostinfo, "V",
				       json_object_new_int((int)op->value));
		err = model_node_update(m, n, &u);
		json_object_put(u.hostinfo);
		return err;
	case OP_EXPIRY:
		return model_node_set_expiry(m, n, NOW + op->value, NOW);
	case OP_MOVE:
		return model_node_move(m, n, user_of(m, op->value % USERS));
	case OP_DELETE:
		return model_node_delete(m, n);
	case OP_POLICY:
		snprintf(text, sizeof(text), "%u", op->value);
		return model_set_policy(m, text, strlen(text));
	case OP_KINDS:
		break;
	}
	return -EINVAL;
}

static unsigned int route_value(const struct coord_node *n)
{
	if (!n->n_approved)
		return 0;
	return (unsigned int)n->approved[0].ip.b[1] << 8 |
	       n->approved[0].ip.b[2];
}

/* The database as a state; false if it holds what no change made. */
static bool read_state(struct model *m, struct state *s)
{
	struct coord_node *n;
	struct authkey *k;
	unsigned int i;
	size_t len;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < USERS; i++)
		if (!user_of(m, i) ||
		    sscanf(user_of(m, i)->name, "user%*u-%u", &s->user[i]) != 1)
			return false;
	for (k = model_authkeys(m); k; k = k->hh_id.next) {
		s->key[s->n_keys] = (unsigned int)(k->expiry - NOW);
		s->used[s->n_keys++] = k->used;
	}
	for (n = model_nodes(m); n; n = n->hh_id.next) {
		memcpy(&i, n->machine.b, sizeof(i));
		if (i >= NODES || s->node[i].exists)
			return false;
		s->node[i].exists = true;
		memcpy(&s->node[i].key, n->key.b + 8, sizeof(unsigned int));
		s->node[i].user = (unsigned int)n->user->id - 1;
		if (n->renamed)
			sscanf(n->name, "n%*u-%u", &s->node[i].name);
		if (n->n_tags)
			sscanf(n->tags[0], "tag:t%u", &s->node[i].tags);
		s->node[i].routes = route_value(n);
		s->node[i].hostinfo = (unsigned int)json_object_get_int(
			json_object_object_get(n->hostinfo, "V"));
		if (n->expiry)
			s->node[i].expiry = (unsigned int)(n->expiry - NOW);
	}
	if (model_policy(m, &len))
		s->policy = (unsigned int)strtoul(model_policy(m, &len), NULL,
						  10);
	return true;
}

static bool same(const struct state *a, const struct state *b)
{
	unsigned int i;

	for (i = 0; i < NODES; i++)
		if (a->node[i].exists != b->node[i].exists ||
		    (a->node[i].exists &&
		     memcmp(&a->node[i], &b->node[i], sizeof(a->node[i])) != 0))
			return false;
	return !memcmp(a->user, b->user, sizeof(a->user)) &&
	       a->policy == b->policy && a->n_keys == b->n_keys &&
	       !memcmp(a->key, b->key, a->n_keys * sizeof(a->key[0])) &&
	       !memcmp(a->used, b->used, a->n_keys * sizeof(a->used[0]));
}

/* Does as it likes until it is killed. */
static _Noreturn void work(struct state *s, int out, unsigned int seed)
{
	struct model *m = test_open(path);
	struct record r = { 0 };

	if (!m)
		_exit(3);
	srandom(seed);
	for (;;) {
		r.op.kind = (enum op_kind)(random() % OP_KINDS);
		r.op.i = (unsigned int)random() % NODES;
		r.op.value = 1 + (unsigned int)random() % 60000;
		if (!possible(s, &r.op))
			continue;
		r.done = 0;
		if (write(out, &r, sizeof(r)) != sizeof(r))
			_exit(4);
		if (perform(m, &r.op)) {
			printf("# %d: %s\n", r.op.kind, model_error(m));
			fflush(stdout);
			_exit(5);
		}
		apply(s, &r.op);
		r.done = 1;
		if (write(out, &r, sizeof(r)) != sizeof(r))
			_exit(4);
	}
}

static struct {
	unsigned int acknowledged, opening, unfinished, survived;
} count;

/* @s as it was; as it must be then. */
static bool round_of(struct state *s, unsigned int seed)
{
	static struct state after, found;
	struct timespec pause = { 0, (long)(random() % 40000000) };
	struct record r;
	struct op under_way;
	bool unfinished = false, any = false;
	struct model *m;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds))
		return false;
	pid = fork();
	if (!pid) {
		close(fds[0]);
		work(s, fds[1], seed);
	}
	close(fds[1]);
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status)) {
		printf("# the process gave up: %d\n", WEXITSTATUS(status));
		close(fds[0]);
		return false;
	}
	while (read(fds[0], &r, sizeof(r)) == sizeof(r)) {
		any = true;
		unfinished = !r.done;
		if (unfinished) {
			under_way = r.op;
		} else {
			apply(s, &r.op);
			count.acknowledged++;
		}
	}
	close(fds[0]);
	count.opening += !any;
	m = test_open(path);
	if (!m || !read_state(m, &found)) {
		model_close(m);
		return false;
	}
	model_close(m);
	if (unfinished) {
		count.unfinished++;
		after = *s;
		apply(&after, &under_way);
		if (same(&after, &found) && !same(s, &found)) {
			count.survived++;
			*s = after;
		}
	}
	return same(s, &found);
}

int main(void)
{
	const char *text = getenv("COORD_KILL_ROUNDS");
	unsigned int rounds = text ? (unsigned int)atoi(text) : ROUNDS, i;
	unsigned int seed = (unsigned int)time(NULL);
	static struct state s;
	char dir[64], name[32];
	struct model *m;

	/* Who joined is not what is tested. */
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	test_directory(dir);
	snprintf(path, sizeof(path), "%s/coord.db", dir);
	m = test_open(path);
	for (i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "user%u-0", i);
		model_user_create(m, name, NULL, NULL, NULL, NULL);
	}
	model_close(m);
	srandom(seed);
	for (i = 0; i < rounds; i++)
		if (!round_of(&s, seed + i))
			break;
	tap_ok(i == rounds, "%u of %u rounds of kill -9 lost nothing", i, rounds);
	printf("# seed %u: %u changes acknowledged, %u killed before the first, "
	       "%u with a change under way, of which %u were there\n",
	       seed, count.acknowledged, count.opening, count.unfinished,
	       count.survived);
	if (i == rounds)
		test_remove(dir);
	else
		printf("# %s is left to look at\n", dir);
	return tap_done();
}
