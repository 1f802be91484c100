// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "coord-model.h"
#include "lib/json.h"
#include "lib/util.h"
#include "tap.h"

#define NOW 1800000000

static char path[128];

/* What the listener saw since it was asked last. */
static struct {
	unsigned int added, removed, users, policy, approved, gone;
	unsigned int aspects;
	int64_t node, primary_node;
} seen;

static void on_event(void *ctx, const struct model_event *e)
{
	switch (e->kind) {
	case MODEL_NODE_ADDED:
		seen.added++;
		seen.node = e->node->id;
		break;
	case MODEL_NODE_CHANGED:
		seen.aspects |= e->aspects;
		seen.node = e->node->id;
		if (e->aspects & NODE_PRIMARY && e->node->n_primary)
			seen.primary_node = e->node->id;
		break;
	case MODEL_NODE_REMOVED:
		seen.removed++;
		seen.node = e->node->id;
		break;
	case MODEL_USERS:
		seen.users++;
		break;
	case MODEL_POLICY:
		seen.policy++;
		break;
	case MODEL_PENDING_APPROVED:
		seen.approved++;
		break;
	case MODEL_PENDING_GONE:
		seen.gone++;
		break;
	}
}

static void forget(void)
{
	memset(&seen, 0, sizeof(seen));
}

static struct model *reopen(struct model *m)
{
	model_close(m);
	m = test_open(path);
	if (!m) {
		tap_ok(false, "the database opens again");
		exit(tap_done());
	}
	model_listen(m, on_event, NULL);
	return m;
}

static struct coord_node *join(struct model *m, unsigned int i,
			       const char *hostname, struct coord_user *u)
{
	struct registration r = test_node(i, hostname);
	struct coord_node *n = NULL;

	if (model_register_user(m, &r, u, NOW, &n))
		printf("# %s\n", model_error(m));
	json_object_put(r.hostinfo);
	return n;
}

static void names(void)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "box1", "box1" },
		{ "Anna's MacBook Pro.local", "annas-macbook-pro" },
		{ "web_1.example.com", "web-1-example-com" },
		{ "--x--", "x" },
		{ "", "node" },
		{ "\xc3\xa9\xc3\xa9", "node" },
		{ "host.lan", "host" },
		{ "lan", "lan" },
		{ "a.localdomain", "a" },
		{ "0123456789012345678901234567890123456789012345678901234567890-34567",
		  "0123456789012345678901234567890123456789012345678901234567890-3" },
		{ "012345678901234567890123456789012345678901234567890123456789--3",
		  "012345678901234567890123456789012345678901234567890123456789--3" },
		{ "0123456789012345678901234567890123456789012345678901234567890---x",
		  "0123456789012345678901234567890123456789012345678901234567890" },
	};
	char out[MODEL_NAME_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		model_sanitize_name(out, t[i].in);
		tap_ok(!strcmp(out, t[i].out), "name %zu: %s", i, out);
	}
}

/* Many hosts of one name, holes among them. */
static void namesakes(struct model **m)
{
	struct coord_user *u = model_user_by_name(*m, "alice");
	struct coord_node *n, *first;
	unsigned int i, wrong = 0;
	char name[MODEL_NAME_MAX];

	first = join(*m, 5000, "localhost", u);
	for (i = 1; i < 100; i++) {
		n = join(*m, 5000 + i, "localhost", u);
		wrong += !n || (unsigned int)atoi(n->name + 10) != i;
	}
	tap_ok(!wrong && !strcmp(first->name, "localhost"),
	       "hosts of one name are counted");
	for (i = 30; i < 90; i += 3) {
		snprintf(name, sizeof(name), "localhost-%u", i);
		model_node_delete(*m, model_node_by_name(*m, name));
	}
	for (i = 0; i < 40; i++)
		if (!join(*m, 6000 + i, "localhost", u))
			wrong++;
	tap_ok(!wrong, "holes or not, there is always another");
	for (i = 0; i < 1100; i++) {
		struct registration r = test_node(5000 + i, "n");

		json_object_put(r.hostinfo);
		n = model_node_by_key(*m, &r.key);
		if (n)
			model_node_delete(*m, n);
	}
}

static void users(struct model **m)
{
	static const char *const bad[] = { "", "12", "a b", "a@b@c", "@a", "a:b",
					   "-x", "a\"", "x/y", "\xc3\xa9" };
	struct coord_user *u = NULL, *v;
	size_t i;

	forget();
	tap_ok(!model_user_create(*m, "alice", "Alice", NULL, NULL, &u) &&
		       seen.users == 1,
	       "a user");
	tap_ok(model_user_create(*m, "alice", NULL, NULL, NULL, &v) == -EEXIST,
	       "not twice: %s", model_error(*m));
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_ok(model_user_create(*m, bad[i], NULL, NULL, NULL, &v) ==
			       -EINVAL,
		       "user name '%s' is refused", bad[i]);
	model_user_create(*m, "bob@example.com", "Bob", "https://idp", "17", &v);
	tap_ok(model_user_by_subject(*m, "https://idp", "17") == v,
	       "found by what the provider calls it");
	tap_ok(!model_user_rename(*m, v, "robert@example.com") &&
		       model_user_by_name(*m, "robert@example.com") == v &&
		       !model_user_by_name(*m, "bob@example.com"),
	       "renamed");
	*m = reopen(*m);
	u = model_user_by_name(*m, "alice");
	v = model_user_by_subject(*m, "https://idp", "17");
	tap_ok(u && v && !strcmp(u->display, "Alice") &&
		       !strcmp(v->name, "robert@example.com"),
	       "users survive");
	tap_ok(!model_user_destroy(*m, v) &&
		       !model_user_by_name(*m, "robert@example.com"),
	       "destroyed");
}

static void authkeys(struct model **m)
{
	static const char *const tags[] = { "tag:web", "tag:db", "tag:web" };
	static const char *const bad[] = { "web" };
	struct coord_user *u = model_user_by_name(*m, "alice");
	char once[AUTHKEY_SECRET_MAX], often[AUTHKEY_SECRET_MAX];
	struct registration r = test_node(1, "one");
	struct coord_node *n, *again;
	struct authkey *k;
	int64_t id;

	tap_ok(!model_authkey_create(*m, u, false, true, NOW + 100, tags, 3,
				     once, &k),
	       "a pre-auth key");
	tap_ok(k->n_tags == 2 && !strcmp(k->tags[0], "tag:db"),
	       "its tags are sorted");
	tap_ok(model_authkey_create(*m, u, false, false, 0, bad, 1, often,
				    NULL) == -EINVAL,
	       "a bad tag: %s", model_error(*m));
	tap_ok(model_authkey_find(*m, once) == k, "found by its secret");
	once[strlen(once) - 1] ^= 1;
	tap_ok(!model_authkey_find(*m, once), "not by another");
	once[strlen(once) - 1] ^= 1;
	tap_ok(!model_authkey_find(*m, "") &&
		       !model_authkey_find(*m, "trkey-auth-"),
	       "nor by nothing");
	*m = reopen(*m);
	k = model_authkey_find(*m, once);
	u = model_user_by_name(*m, "alice");
	tap_ok(k && k->ephemeral && !k->reusable && k->expiry == NOW + 100 &&
		       k->n_tags == 2,
	       "it survives");
	tap_ok(model_register(*m, &r, k, NOW + 100, &n) == -EPERM,
	       "expired: %s", model_error(*m));
	forget();
	tap_ok(!model_register(*m, &r, k, NOW, &n) && seen.added == 1,
	       "a node joins");
	tap_ok(n->ephemeral && n->n_tags == 2 && k->used, "as the key says");
	id = n->id;
	*m = reopen(*m);
	k = model_authkey_find(*m, once);
	tap_ok(k && k->used && model_node(*m, id), "both survive");
	tap_ok(!model_register(*m, &r, k, NOW + 200, &again) &&
		       again == model_node(*m, id),
	       "the same node may come again with it");
	r.key.b[5] ^= 1;
	tap_ok(model_register(*m, &r, k, NOW, &again) == -EPERM,
	       "but not with another node key: %s", model_error(*m));
	r.machine.b[5] ^= 1;
	tap_ok(model_register(*m, &r, k, NOW, &again) == -EPERM,
	       "nor another machine");
	u = model_user_by_name(*m, "alice");
	model_authkey_create(*m, u, true, false, 0, NULL, 0, often, &k);
	tap_ok(!model_register(*m, &r, k, NOW, &n), "a reusable key");
	r.machine.b[6] ^= 1;
	tap_ok(model_register(*m, &r, k, NOW, &again) == -EPERM,
	       "a node key belongs to one machine: %s", model_error(*m));
	r.key.b[6] ^= 1;
	tap_ok(!model_register(*m, &r, k, NOW, &again) && again != n,
	       "again");
	tap_ok(!model_authkey_expire(*m, k, NOW + 5) && k->expiry == NOW + 5,
	       "expired by hand");
	tap_ok(!model_node_delete(*m, n) && !model_node_delete(*m, again) &&
		       !model_node_delete(*m, model_node(*m, id)),
	       "nodes are deleted");
	tap_ok(!model_authkey_delete(*m, k) && !model_authkey_find(*m, often),
	       "and a key");
	json_object_put(r.hostinfo);
}

static void nodes(struct model **m)
{
	static const char *const tags[] = { "tag:web" };
	struct coord_user *u = model_user_by_name(*m, "alice"), *v;
	struct coord_node *a, *b;
	struct registration r;
	char stable[sizeof(a->stable_id)];
	struct ip_addr ip;
	struct key old;

	forget();
	a = join(*m, 10, "Box", u);
	b = join(*m, 11, "box", u);
	tap_ok(a && b && !strcmp(a->name, "box") && !strcmp(b->name, "box-1"),
	       "names are unique");
	tap_ok(seen.added == 2 && a->n_addresses == 2 &&
		       a->addresses[0].family == 4 &&
		       a->addresses[1].family == 6 &&
		       !ip_equal(&a->addresses[0], &b->addresses[0]),
	       "addresses of both kinds");
	ip = b->addresses[1];
	tap_ok(model_node_by_ip(*m, &ip) == b &&
		       model_node_by_key(*m, &a->key) == a &&
		       model_node_by_machine(*m, &b->machine, u) == b &&
		       model_node_named(*m, "box-1") == b &&
		       model_node_named(*m, "100.64.0.1") ==
			       model_node_by_ip(*m, &(struct ip_addr){
							    .family = 4,
							    .b = { 100, 64, 0,
								   1 } }),
	       "found by all that names them");
	tap_ok(model_user_destroy(*m, u) == -EBUSY, "%s", model_error(*m));

	strcpy(stable, a->stable_id);
	old = a->key;
	r = test_node(10, "Box");
	r.key.b[9] ^= 1;
	r.old_key = old;
	forget();
	tap_ok(!model_node_refresh(*m, a, &r) && seen.aspects == NODE_KEY &&
		       key_equal(&a->key, &r.key) &&
		       key_equal(&a->old_key, &old) &&
		       !model_node_by_key(*m, &old),
	       "the node key rotates");
	forget();
	tap_ok(!model_node_refresh(*m, a, &r) && !seen.aspects,
	       "nothing new, nothing said");
	*m = reopen(*m);
	a = model_node_by_key(*m, &r.key);
	b = model_node_named(*m, "box-1");
	tap_ok(a && key_equal(&a->old_key, &old) &&
		       !strcmp(a->stable_id, stable) &&
		       ip_equal(&b->addresses[1], &ip),
	       "it survives");
	tap_ok(model_node_rename(*m, b, "BOX") == -EEXIST, "%s",
	       model_error(*m));
	tap_ok(!model_node_rename(*m, b, "Other One") &&
		       model_node_by_name(*m, "other-one") == b,
	       "renamed");
	model_user_create(*m, "carol", NULL, NULL, NULL, &v);
	u = model_user_by_name(*m, "alice");
	tap_ok(!model_node_move(*m, b, v) && v->n_nodes == 1 &&
		       model_node_by_machine(*m, &b->machine, v) == b &&
		       !model_node_by_machine(*m, &b->machine, u),
	       "moved to another user");
	model_node_set_expiry(*m, b, NOW + 50, NOW);
	forget();
	model_tick(*m, NOW + 49);
	tap_ok(!b->expired && !seen.aspects, "not expired yet");
	model_tick(*m, NOW + 50);
	tap_ok(b->expired && seen.aspects == NODE_EXPIRY, "expired");
	tap_ok(!model_node_set_tags(*m, b, tags, 1) && !b->expiry &&
		       !b->expired,
	       "a tagged node does not expire");
	*m = reopen(*m);
	b = model_node_named(*m, "other-one");
	tap_ok(b && b->renamed && !strcmp(b->user->name, "carol") &&
		       b->n_tags == 1 && !b->expiry,
	       "all that survives");
	forget();
	tap_ok(!model_node_delete(*m, b) && seen.removed == 1, "deleted");
	*m = reopen(*m);
	tap_ok(!model_node_named(*m, "other-one") &&
		       model_n_nodes(*m) == 1,
	       "for good");
	json_object_put(r.hostinfo);
}

static void updates(struct model **m)
{
	struct coord_node *n = model_nodes(*m);
	struct json_object *h = json_object_get(n->hostinfo), *h2, *net;
	struct endpoint e[2];
	struct node_update u = { .hostinfo = h };
	struct key disco = { { 7 } };
	uint8_t types[2] = { 1, 2 };
	int64_t id = n->id;

	endpoint_parse(&e[0], "192.0.2.1:41641");
	endpoint_parse(&e[1], "[2001:db8::1]:41641");
	forget();
	tap_ok(!model_node_update(*m, n, &u) && !seen.aspects && !n->dirty,
	       "the same again is nothing");
	u.has_endpoints = true;
	u.endpoints = e;
	u.endpoint_types = types;
	u.n_endpoints = 2;
	u.disco = &disco;
	u.cap = 130;
	tap_ok(!model_node_update(*m, n, &u) &&
		       seen.aspects ==
			       (NODE_ENDPOINTS | NODE_DISCO | NODE_CAP) &&
		       n->dirty,
	       "endpoints, disco key, version");
	h2 = json_tokener_parse(
		"{\"Hostname\":\"Box\",\"OS\":\"linux\",\"NetInfo\":"
		"{\"PreferredDERP\":7,\"DERPLatency\":{\"7-v4\":0.0123}}}");
	u = (struct node_update){ .hostinfo = h2 };
	forget();
	tap_ok(!model_node_update(*m, n, &u) &&
		       seen.aspects == (NODE_DERP | NODE_NETINFO) &&
		       n->home_derp == 7,
	       "home DERP");
	u.hostinfo = h;
	forget();
	tap_ok(!model_node_update(*m, n, &u) && !seen.aspects &&
		       n->home_derp == 7,
	       "NetInfo is kept when it is missing");
	net = json_member(n->hostinfo, "NetInfo");
	tap_ok(net && json_member(net, "DERPLatency"), "all of it");
	*m = reopen(*m);
	n = model_node(*m, id);
	tap_ok(n->n_endpoints == 2 && endpoint_equal(&n->endpoints[1], &e[1]) &&
		       n->endpoint_types[1] == 2 && n->cap == 130 &&
		       key_equal(&n->disco, &disco) && n->home_derp == 7,
	       "the batch is written when we close");
	json_object_put(h2);
	h2 = json_tokener_parse("{\"Hostname\":\"Crate\",\"OS\":\"linux\"}");
	u = (struct node_update){ .hostinfo = h2 };
	forget();
	tap_ok(!model_node_update(*m, n, &u) &&
		       seen.aspects == (NODE_HOSTINFO | NODE_NAME) &&
		       model_node_by_name(*m, "crate") == n,
	       "the name follows the host's");
	json_object_put(h2);
	h2 = json_tokener_parse("{\"Hostname\":17}");
	u.hostinfo = h2;
	tap_ok(model_node_update(*m, n, &u) == -EINVAL, "%s", model_error(*m));
	json_object_put(h2);
	h2 = json_object_new_object();
	json_object_object_add(h2, "Pad", json_object_new_string_len(
						  path, 1));
	{
		char *big = xmalloc(MODEL_HOSTINFO_MAX + 1);

		memset(big, 'x', MODEL_HOSTINFO_MAX);
		big[MODEL_HOSTINFO_MAX] = '\0';
		json_object_object_add(h2, "Pad", json_object_new_string(big));
		free(big);
	}
	u.hostinfo = h2;
	tap_ok(model_node_update(*m, n, &u) == -EINVAL, "%s", model_error(*m));
	json_object_put(h2);
	json_object_put(h);
}

static struct json_object *routing(const char *hostname, const char *routes)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"Hostname\":\"%s\",\"RoutableIPs\":%s}", hostname, routes);
	return json_tokener_parse(text);
}

static void routes(struct model **m)
{
	struct coord_user *u = model_user_by_name(*m, "alice");
	struct coord_node *a = join(*m, 20, "ra", u), *b = join(*m, 21, "rb", u);
	struct json_object *ha = routing("ra", "[\"10.1.0.0/16\",\"0.0.0.0/0\"]");
	struct json_object *hb = routing("rb", "[\"10.1.0.0/16\"]");
	struct node_update ua = { .hostinfo = ha }, ub = { .hostinfo = hb };
	struct prefix p[2];
	int64_t id;

	prefix_parse(&p[0], "10.1.2.3/16");
	prefix_parse(&p[1], "0.0.0.0/0");
	forget();
	model_node_update(*m, a, &ua);
	tap_ok(seen.aspects & NODE_ADVERTISED && a->n_advertised == 2 &&
		       !a->n_effective && !model_routes(*m),
	       "advertised is not approved");
	forget();
	tap_ok(!model_node_approve_routes(*m, a, p, 2) && a->n_effective == 2 &&
		       a->n_primary == 1 &&
		       seen.aspects == (NODE_APPROVED | NODE_PRIMARY),
	       "approved: primary, but not for an exit route");
	model_node_approve_routes(*m, b, p, 1);
	tap_ok(!b->n_effective && b->n_approved == 1, "approved in advance");
	forget();
	model_node_update(*m, b, &ub);
	tap_ok(b->n_effective == 1 && !b->n_primary &&
		       model_routes(*m)->n_nodes == 2,
	       "a second router stands by");
	forget();
	model_node_set_online(*m, b, true, NOW);
	tap_ok(b->n_primary == 1 && !a->n_primary &&
		       model_routes(*m)->primary == b,
	       "who is online takes over");
	model_node_set_online(*m, a, true, NOW);
	tap_ok(b->n_primary == 1, "and stays when another comes");
	forget();
	model_node_set_healthy(*m, b, false);
	tap_ok(a->n_primary == 1 && !b->n_primary &&
		       seen.aspects == (NODE_PRIMARY | NODE_FITNESS) &&
		       seen.primary_node == a->id,
	       "an unhealthy router loses it");
	model_node_set_online(*m, a, false, NOW);
	tap_ok(b->n_primary == 1, "but is better than none online");
	model_node_set_online(*m, b, false, NOW);
	tap_ok(b->n_primary == 1, "nobody online: it stays");
	id = b->id;
	*m = reopen(*m);
	a = model_node_named(*m, "ra");
	b = model_node(*m, id);
	tap_ok(a->n_effective == 2 && b->n_effective == 1 &&
		       a->n_primary + b->n_primary == 1,
	       "routes survive");
	model_node_set_online(*m, b, true, NOW);
	forget();
	model_node_delete(*m, b);
	tap_ok(a->n_primary == 1 && seen.removed == 1, "a router is deleted");
	tap_ok(!model_node_approve_routes(*m, a, NULL, 0) && !a->n_effective &&
		       !a->n_primary && !model_routes(*m),
	       "consent is withdrawn");
	json_object_put(ha);
	json_object_put(hb);
}

static void pendings(struct model **m)
{
	struct coord_user *u = model_user_by_name(*m, "alice");
	struct registration r = test_node(30, "waits");
	struct pending_node *p, *q;
	struct coord_node *n = NULL;
	unsigned int i;

	model_pending_add(*m, &r, NOW, &p);
	model_pending_add(*m, &r, NOW + 1, &q);
	tap_ok(p == q && model_pending(*m, p->id) == p && strlen(p->id) == 24,
	       "a registration waits");
	forget();
	tap_ok(!model_pending_approve(*m, p, u, NULL, 0, NOW + 1000, NOW,
				      &n) &&
		       seen.approved == 1 && seen.added == 1 &&
		       p->node == n->id && n->expiry == NOW + 1000,
	       "approved");
	tap_ok(model_pending_approve(*m, p, u, NULL, 0, 0, NOW, &n) ==
		       -EEXIST, "%s",
	       model_error(*m));
	forget();
	model_tick(*m, NOW + MODEL_PENDING_S);
	tap_ok(seen.gone == 1 && !model_pendings(*m), "it expires");
	json_object_put(r.hostinfo);
	forget();
	for (i = 0; i < MODEL_PENDING_MAX + 3; i++) {
		r = test_node(1000 + i, "flood");
		model_pending_add(*m, &r, NOW, &p);
		json_object_put(r.hostinfo);
	}
	tap_ok(seen.gone == 3, "a flood pushes the oldest out");
	model_pending_deny(*m, p);
	tap_ok(seen.gone == 4, "denied");
}

static void ephemerals(struct model **m)
{
	struct coord_user *u = model_user_by_name(*m, "alice");
	struct registration r = test_node(40, "short");
	struct coord_node *n;

	r.ephemeral = true;
	model_register_user(*m, &r, u, NOW, &n);
	model_node_set_online(*m, n, true, NOW);
	*m = reopen(*m);
	n = model_node_by_key(*m, &r.key);
	forget();
	model_tick(*m, NOW + 100000);
	model_tick(*m, NOW + 100119);
	tap_ok(!seen.removed, "counted from the start of the server");
	model_node_set_online(*m, n, true, NOW + 100119);
	model_tick(*m, NOW + 200000);
	tap_ok(!seen.removed, "an online one stays");
	model_node_set_online(*m, n, false, NOW + 200000);
	model_tick(*m, NOW + 200120);
	tap_ok(seen.removed == 1 && !model_node_by_key(*m, &r.key),
	       "an ephemeral node that stays away is removed");
	json_object_put(r.hostinfo);
}

static void policies(struct model **m)
{
	size_t len;

	tap_ok(!model_policy(*m, &len), "no policy");
	forget();
	tap_ok(!model_set_policy(*m, "{ }\n", 4) && seen.policy == 1, "one");
	tap_ok(model_set_policy(*m, "a\0b", 3) == -EINVAL, "not with a NUL");
	*m = reopen(*m);
	tap_ok(!strcmp(model_policy(*m, &len), "{ }\n") && len == 4,
	       "it survives");
}

/* Every address of a small pool, at random and in turn. */
static void pools(const char *dir, bool at_random)
{
	struct coord_node *n, *first = NULL;
	struct model_config c = { .random = at_random };
	char error[256], small[128];
	struct coord_user *u;
	unsigned int i, got = 0;
	struct registration r;
	struct model *m;

	snprintf(small, sizeof(small), "%s/small-%d", dir, at_random);
	c.path = small;
	prefix_parse(&c.v4, "10.9.8.0/28");
	m = model_open(&c, error, sizeof(error));
	model_user_create(m, "u", NULL, NULL, NULL, &u);
	for (i = 0; i < 20; i++) {
		r = test_node(i, "n");
		got += !model_register_user(m, &r, u, NOW, &n);
		if (!first)
			first = n;
		json_object_put(r.hostinfo);
	}
	tap_ok(got == 14, "%u of 14 addresses: %s", got, model_error(m));
	n = model_nodes(m)->hh_id.next;
	model_node_delete(m, n);
	r = test_node(99, "n");
	tap_ok(!model_register_user(m, &r, u, NOW, &n), "a freed one is found");
	json_object_put(r.hostinfo);
	model_close(m);
	prefix_parse(&c.v4, "10.9.8.1/28");
	tap_ok(!model_open(&c, error, sizeof(error)), "no pool: %s", error);
}

int main(void)
{
	struct model *m;
	struct stat st;
	char dir[64];

	test_directory(dir);
	snprintf(path, sizeof(path), "%s/coord.db", dir);
	m = test_open(path);
	if (!tap_ok(m, "a database is made"))
		return tap_done();
	model_listen(m, on_event, NULL);
	tap_ok(!stat(path, &st) && (st.st_mode & 0777) == 0600, "for us alone");
	tap_ok(!test_open(path), "not for two servers");
	names();
	users(&m);
	authkeys(&m);
	namesakes(&m);
	nodes(&m);
	updates(&m);
	routes(&m);
	pendings(&m);
	ephemerals(&m);
	policies(&m);
	pools(dir, false);
	pools(dir, true);
	model_close(m);
	test_remove(dir);
	return tap_done();
}
