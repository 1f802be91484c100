// SPDX-License-Identifier: GPL-2.0
/*
 * Maps that the coordination server makes, read by the agent's own netmap:
 * after any sequence of changes, whoever was told the differences knows the
 * same as whoever is told everything.
 */
#include "map-world.h"

#define STREAMS 8

static struct stream streams[STREAMS];

static const char *const policies[] = {
	"{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": "
	"[\"*:*\"]}]}",
	"{\"acls\": [{\"action\": \"accept\", \"src\": [\"alice@\"], \"dst\": "
	"[\"bob@:22\"]}]}",
	"{\"tagOwners\": {\"tag:web\": [\"alice@\"]}, \"acls\": [{\"action\": "
	"\"accept\", \"src\": [\"carol@\", \"alice@\"], \"dst\": "
	"[\"tag:web:80\", \"10.1.0.0/16:*\"]}]}",
	"{\"acls\": []}",
	"{\"tagOwners\": {\"tag:web\": [], \"tag:db\": []}, \"grants\": ["
	"{\"src\": [\"alice@\"], \"dst\": [\"10.0.0.0/8\"], \"ip\": [\"*\"], "
	"\"via\": [\"tag:web\"]}, "
	"{\"src\": [\"bob@\"], \"dst\": [\"10.1.0.0/16\", "
	"\"autogroup:internet\"], \"ip\": [\"*\"], \"via\": [\"tag:db\"]}, "
	"{\"src\": [\"carol@\"], \"dst\": [\"*\"], \"ip\": [\"*\"]}]}",
};

static struct coord_node *random_node(void)
{
	size_t n = model_n_nodes(model), i;
	struct coord_node *node = model_nodes(model);

	if (!n)
		return NULL;
	for (i = (size_t)rand() % n; i; i--)
		node = node->hh_id.next;
	return node;
}

/* What on_tell() does. */
static void tell(void)
{
	const struct text *msg;
	size_t i;

	for (i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];

		if (!s->node)
			continue;
		if (!member_of(s->node)) {
			stream_close(s);
			continue;
		}
		msg = map_encode_delta(encoder, member_of(s->node), &s->view,
				       s->zstd);
		if (msg)
			receive(s, msg);
	}
	map_encode_end(encoder);
	tailnet_told(tailnet);
}

/* ── Comparing ── */

static int by_id(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a;
	struct json_object *y = *(struct json_object *const *)b;
	int64_t i = json_object_get_int64(json_member(x, "ID"));
	int64_t j = json_object_get_int64(json_member(y, "ID"));

	return (i > j) - (i < j);
}

/* Without what a node knows of itself, and users that have gone. */
static char *normal_form(const struct netmap *nm)
{
	static const char *const own[] = {"Endpoints", "DiscoKey", "Cap"};
	struct json_object *o = netmap_to_json(nm);
	struct json_object *self = json_member(o, "Node");
	char *text;
	size_t i;

	json_object_array_sort(json_member(o, "Peers"), by_id);
	for (i = 0; i < ARRAY_SIZE(own); i++)
		json_object_object_del(self, own[i]);
	json_object_object_del(o, "UserProfiles");
	text = xstrdup(json_object_to_json_string(o));
	json_object_put(o);
	return text;
}

static bool users_known(const struct netmap *nm)
{
	struct node *n, *tmp;

	HASH_ITER(hh, nm->peers, n, tmp)
	{
		const struct user_profile *u = netmap_user(nm, n->user);
		struct coord_user *owner = model_user(model, n->user);

		if (!u || (owner && strcmp(u->login_name, owner->name) != 0))
			return false;
	}
	return netmap_user(nm, nm->self->user);
}

static bool same(struct stream *s)
{
	_cleanup_free_ char *told = normal_form(s->nm), *whole = NULL;
	struct stream fresh;
	bool good;

	stream_open(&fresh, s->node, false);
	whole = normal_form(fresh.nm);
	good = !s->failed && !fresh.failed && !strcmp(told, whole) &&
	       users_known(s->nm) && users_known(fresh.nm);
	if (!good)
		printf("# told: %s\n# whole: %s\n", told, whole);
	stream_close(&fresh);
	return good;
}

/* ── Changes ── */

static void change_update(struct coord_node *n)
{
	struct key disco = random_key();
	struct endpoint e[3];
	struct node_update u = {.cap = 116 + rand() % 3};
	char text[256];
	size_t i;

	for (i = 0; i < 3; i++)
		e[i] = (struct endpoint){
			.ip = ip_v4(192, 0, 2, (uint8_t)(rand() % 250)),
			.port = (uint16_t)(1 + rand() % 60000)};
	if (rand() % 2) {
		u.has_endpoints = true;
		u.endpoints = e;
		u.n_endpoints = (size_t)rand() % 4;
	}
	if (rand() % 3 == 0)
		u.disco = &disco;
	if (rand() % 2) {
		snprintf(text, sizeof(text),
			 "{\"OS\":\"linux\",\"Hostname\":\"h%d\","
			 "\"RoutableIPs\":[\"10.%d.0.0/16\"%s],"
			 "\"NetInfo\":{\"PreferredDERP\":%d}}",
			 rand() % 40, rand() % 3,
			 rand() % 3 ? "" : ",\"0.0.0.0/0\",\"::/0\"",
			 rand() % 4);
		u.hostinfo = json_parse(text, strlen(text));
	}
	model_node_update(model, n, &u);
	json_object_put(u.hostinfo);
}

static void change_routes(struct coord_node *n)
{
	struct prefix p[4];

	prefix_parse(&p[0], "10.0.0.0/16");
	prefix_parse(&p[1], "10.1.0.0/16");
	prefix_parse(&p[2], "0.0.0.0/0");
	prefix_parse(&p[3], "::/0");
	model_node_approve_routes(model, n, p, (size_t)rand() % 5);
}

static void change_key(struct coord_node *n)
{
	struct registration r = {
		.machine = n->machine,
		.key = random_key(),
		.old_key = n->key,
		.hostinfo = n->hostinfo,
		.cap = 116,
	};

	model_node_refresh(model, n, &r);
}

static void change_tags(struct coord_node *n)
{
	static const char *const tags[] = {"tag:web", "tag:db"};

	model_node_set_tags(model, n, tags, (size_t)rand() % 3);
}

static void change_derp_map(void)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "{\"Regions\":{\"%d\":{\"RegionID\":%d,\"Nodes\":[{\"Name\":"
		 "\"a\",\"HostName\":\"h\"}]}}}",
		 1 + rand() % 3, 1);
	tailnet_set_derp_map(tailnet, text);
}

static void change_policy(void)
{
	const char *text = policies[(size_t)rand() % ARRAY_SIZE(policies)];

	model_set_policy(model, text, strlen(text));
}

static void change(void)
{
	struct coord_node *n = random_node();
	char name[32];

	switch (n ? rand() % 16 : 0) {
	case 0:
	case 1:
		if (model_n_nodes(model) < 90)
			add_node((unsigned int)rand() % 3);
		break;
	case 2:
		model_node_delete(model, n);
		break;
	case 3:
	case 4:
	case 5:
		change_update(n);
		break;
	case 6:
	case 7:
		model_node_set_online(model, n, rand() % 2, NOW + rand() % 99);
		break;
	case 8:
		change_routes(n);
		break;
	case 9:
		change_tags(n);
		break;
	case 10:
		model_node_set_expiry(model, n,
				      rand() % 3 ? NOW + rand() % 9999
						 : rand() % 2, NOW);
		break;
	case 11:
		snprintf(name, sizeof(name), "name%d", rand() % 50);
		model_node_rename(model, n, name);
		break;
	case 12:
		change_key(n);
		break;
	case 13:
		model_node_set_healthy(model, n, rand() % 2);
		break;
	case 14:
		model_node_move(model, n, users[rand() % 3]);
		break;
	case 15:
		if (rand() % 2)
			change_policy();
		else
			change_derp_map();
		break;
	}
}

/* A stream for every place that has none. */
static void fill_streams(void)
{
	size_t i;

	for (i = 0; i < STREAMS; i++) {
		struct coord_node *n = random_node();

		if (!streams[i].node && n)
			stream_open(&streams[i], n->id, rand() % 2);
	}
}

static void test_random(unsigned int rounds)
{
	unsigned int round;
	bool good = true;
	size_t i;

	for (i = 0; i < 20; i++)
		add_node((unsigned int)i % 3);
	for (round = 0; good && round < rounds; round++) {
		int n = 1 + rand() % 4;

		if (rand() % 2)
			fill_streams();
		while (n--)
			change();
		/* One that comes between a change and its telling. */
		if (rand() % 4 == 0) {
			i = (size_t)rand() % STREAMS;
			if (streams[i].node)
				stream_close(&streams[i]);
			fill_streams();
		}
		tell();
		for (i = 0; i < STREAMS; i++)
			if (streams[i].node && !same(&streams[i]))
				good = false;
	}
	for (i = 0; i < STREAMS; i++)
		stream_close(&streams[i]);
	tap_ok(good, "after %u rounds of changes, the told know what is so",
	       round);
	tap_ok(messages > rounds, "in %u messages", messages);
}

/* ── What is said how ── */

static char *last_json(struct stream *s)
{
	const struct text *msg =
		map_encode_delta(encoder, member_of(s->node), &s->view, false);
	char *text = msg ? xstrdup(msg->s + 4) : xstrdup("");

	if (msg)
		receive(s, msg);
	return text;
}

static void test_forms(void)
{
	struct endpoint e = {.ip = ip_v4(192, 0, 2, 77), .port = 41641};
	struct node_update u = {.has_endpoints = true, .endpoints = &e,
				.n_endpoints = 1};
	struct map_encoder_stats before, after;
	_cleanup_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL;
	struct stream s[2];
	int64_t x, y, z;

	model_set_policy(model, policies[0], strlen(policies[0]));
	x = add_node(0);
	y = add_node(1);
	z = add_node(2);
	stream_open(&s[0], x, false);
	stream_open(&s[1], y, false);
	tell();
	model_node_update(model, model_node(model, z), &u);
	before = map_encoder_stats(encoder);
	a = last_json(&s[0]);
	b = last_json(&s[1]);
	after = map_encoder_stats(encoder);
	tap_ok(strstr(a, "{\"PeersChangedPatch\":[{\"NodeID\":") == a &&
		       strstr(a, "\"Endpoints\":[\"192.0.2.77:41641\"]}]}"),
	       "new endpoints are a patch and nothing else: %s", a);
	tap_ok(!strcmp(a, b) && after.delta == before.delta + 1 &&
		       after.shared == before.shared + 1,
	       "which is made once for everybody");
	tell();
	model_node_set_online(model, model_node(model, z), true, NOW);
	c = last_json(&s[0]);
	tap_ok(strstr(c, "\"Online\":true"), "so is who comes online: %s", c);
	tell();
	model_node_delete(model, model_node(model, z));
	d = last_json(&s[0]);
	tap_ok(!strncmp(d, "{\"PeersRemoved\":[", 17), "who leaves: %s", d);
	tell();
	stream_close(&s[0]);
	stream_close(&s[1]);
}

int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	if (sodium_init() < 0)
		return 1;
	log_init("test", false);
	srand(seed);
	set_up();
	test_forms();
	test_random(argc > 2 ? (unsigned int)atoi(argv[2]) : 200);
	tear_down();
	return tap_done();
}
