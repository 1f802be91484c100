// SPDX-License-Identifier: GPL-2.0
/*
 * A whole coordination server in this process, and clients of it: what it says
 * to strangers, and what becomes of a stream that nobody reads.
 */
#include <json.h>
#include <sodium.h>

#include "control/map.h"
#include "coord-client.h"
#include "coord-model.h"
#include "coord/coord.h"
#include "engine/netmap.h"
#include "lib/metrics.h"
#include "tap.h"

#define CROWD 200

static struct world w;
static struct coord *coord;
static char secret[AUTHKEY_SECRET_MAX];

struct reader {
	struct client *c;
	struct key node;
	struct ts2021_stream *stream;
	struct map_reader *map;
	struct netmap *nm;
	bool first, ended;
	int status;
	unsigned int messages;
};

static bool on_message(void *ctx, struct json_object *msg)
{
	struct reader *r = ctx;
	const char *why;

	if (netmap_apply(r->nm, msg, r->first, 1000, &why) < 0)
		tap_ok(false, "a message does not apply: %s", why);
	r->first = false;
	r->messages++;
	return true;
}

static void on_headers(void *ctx, int status, unsigned int retry)
{
	((struct reader *)ctx)->status = status;
}

static void on_data(void *ctx, const uint8_t *data, size_t n)
{
	struct reader *r = ctx;
	const char *why;

	if (map_reader_feed(r->map, data, n, &why) != (ssize_t)n)
		tap_ok(false, "the stream does not parse: %s", why);
}

static void on_end(void *ctx, const char *error)
{
	((struct reader *)ctx)->ended = true;
}

static const struct ts2021_stream_ops stream_ops = {
	.headers = on_headers, .data = on_data, .end = on_end};

static struct answer *post(struct client *c, const char *path, const char *body)
{
	static struct answer a;

	ask(c, &a, "POST", path, body, strlen(body));
	if (!UNTIL(&w, a.ended))
		tap_ok(false, "%s is answered", path);
	return &a;
}

static void join(struct reader *r, const char *hostname)
{
	char body[512], key[KEY_TEXT_MAX];

	*r = (struct reader){0};
	key_generate(&r->node);
	key_public(&r->node, &r->node);
	r->c = connected(&w, NULL);
	snprintf(body, sizeof(body),
		 "{\"Version\":116,\"NodeKey\":\"%s\",\"Auth\":{\"AuthKey\":"
		 "\"%s\"},\"Hostinfo\":{\"Hostname\":\"%s\"}}",
		 key_format(key, KEY_NODE, &r->node), secret, hostname);
	tap_ok(strstr(post(r->c, "/machine/register", body)->text,
		      "\"MachineAuthorized\":true"),
	       "%s joins", hostname);
}

static void stream_free(struct reader *r)
{
	map_reader_free(r->map);
	netmap_free(r->nm);
	r->map = NULL;
	r->nm = NULL;
}

static void stream(struct reader *r, bool zstd)
{
	struct ts2021_request req = {.method = "POST", .path = "/machine/map",
				     .authority = "unused"};
	char body[512], key[KEY_TEXT_MAX];

	r->map = map_reader_new(on_message, r);
	r->nm = netmap_new();
	r->first = true;
	r->ended = false;
	req.body = body;
	req.body_len = (size_t)snprintf(
		body, sizeof(body),
		"{\"Version\":116,\"NodeKey\":\"%s\",\"Stream\":true%s}",
		key_format(key, KEY_NODE, &r->node),
		zstd ? ",\"Compress\":\"zstd\"" : "");
	r->stream = ts2021_submit(r->c->t, &req, &stream_ops, r);
}

/* Lets the server's loop run for a telling or two. */
static void turn(void)
{
	struct timeval tv = {0, 70000};

	event_base_loopexit(w.base, &tv);
	event_base_dispatch(w.base);
}

static bool metric(const char *line)
{
	struct metrics *m = metrics_new();
	bool found;
	size_t len;

	coord_metrics(coord, m);
	found = strstr(metrics_text(m, &len), line);
	metrics_free(m);
	return found;
}

static void crowd(struct coord_node **nodes)
{
	struct coord_user *u = model_user_by_name(coord_model(coord), "u");
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		struct registration r = test_node(i, "crowd");

		if (model_register_user(coord_model(coord), &r, u, 1000,
					&nodes[i]))
			abort();
		json_object_put(r.hostinfo);
	}
}

/* Everybody moves, to as many places as they may. */
static void move_all(struct coord_node **nodes, unsigned int round)
{
	struct endpoint e[MODEL_ENDPOINTS_MAX];
	struct node_update u = {.has_endpoints = true, .endpoints = e,
				.n_endpoints = MODEL_ENDPOINTS_MAX};
	unsigned int i, j;

	for (j = 0; j < MODEL_ENDPOINTS_MAX; j++)
		e[j] = (struct endpoint){
			.ip = ip_v4(198, 51, (uint8_t)round, (uint8_t)j),
			.port = (uint16_t)(50000 + round)};
	for (i = 0; i < CROWD; i++)
		model_node_update(coord_model(coord), nodes[i], &u);
}

static bool all_at(const struct netmap *nm, unsigned int round)
{
	struct node *n, *tmp;
	unsigned int there = 0;

	HASH_ITER(hh, nm->peers, n, tmp)
	there += n->n_endpoints == MODEL_ENDPOINTS_MAX &&
		 n->endpoints[0].ip.b[2] == (uint8_t)round;
	return there == CROWD;
}

static void test_strangers(struct reader *a)
{
	char body[512], key[KEY_TEXT_MAX];
	struct client *stranger = connected(&w, NULL);
	struct answer *got;

	key_format(key, KEY_NODE, &a->node);
	snprintf(body, sizeof(body),
		 "{\"Version\":116,\"NodeKey\":\"%s\",\"OmitPeers\":true}", key);
	said_forget();
	got = post(stranger, "/machine/map", body);
	tap_ok(got->status == 404, "a node key is good on its machine only");
	is_said("POST /machine/map: 404, node not found");
	got = post(a->c, "/machine/map", body);
	tap_ok(got->status == 200 && !got->len, "there, an update is taken");
	snprintf(body, sizeof(body),
		 "{\"Version\":112,\"NodeKey\":\"%s\",\"OmitPeers\":true}", key);
	got = post(a->c, "/machine/map", body);
	tap_ok(got->status == 400 && strstr(got->text, "unsupported"),
	       "not of an old version");
	is_said("unsupported client version: capability version 112");
	snprintf(body, sizeof(body), "{\"Version\":116,\"NodeKey\":\"%s\"}", key);
	got = post(a->c, "/machine/map", body);
	tap_ok(got->status == 200 && got->len > 100,
	       "who does not stream gets one map");
	client_free(stranger);
}

/* What is no request: said to the client and to the operator. */
static void test_malformed(struct reader *a)
{
	static const struct {
		const char *path, *body;
		int status;
		const char *why;
	} bad[] = {
		{"/machine/map", "{\"NodeKey\":17}", 400, "bad map request: "},
		{"/machine/map", "{\"Version\":", 400, "bad map request: "},
		{"/machine/map", "[]", 400, "bad map request: "},
		{"/machine/map", "", 400, "bad map request: "},
		{"/machine/register", "{\"NodeKey\":\"nodekey:1\"}", 400,
		 "bad register request: "},
		{"/machine/register", "\"", 400, "bad register request: "},
		{"/machine/register", "", 400, "bad register request: "},
		{"/machine/else", "{}", 404, "not found"},
	};
	struct answer *got;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		got = post(a->c, bad[i].path, bad[i].body);
		tap_ok(got->status == bad[i].status &&
			       strstr(got->text, bad[i].why),
		       "%s does not take '%s'", bad[i].path, bad[i].body);
		is_said(bad[i].why);
	}
	tap_ok(!a->ended, "and nothing else happens");
}

static void test_streams(struct reader *a)
{
	struct reader older = {0};

	stream(a, true);
	tap_ok(UNTIL(&w, a->messages), "a stream begins with a map");
	tap_ok(a->nm->self && !strcmp(a->nm->self->name, "a.example.net."),
	       "of its node");
	older = *a;
	a->messages = 0;
	/* The reader of the first one hears its end. */
	stream(a, false);
	tap_ok(UNTIL(&w, a->ended), "a newer stream ends the older one");
	a->ended = false;
	tap_ok(UNTIL(&w, a->messages), "and goes on");
	stream_free(&older);
}

static void test_behind(struct reader *a)
{
	struct coord_node *nodes[CROWD];
	unsigned int round;

	crowd(nodes);
	tap_ok(UNTIL(&w, HASH_COUNT(a->nm->peers) == CROWD),
	       "it is told of a crowd");
	move_all(nodes, 0);
	tap_ok(UNTIL(&w, all_at(a->nm, 0)), "that moves");
	tap_ok(metric("tailrace_coord_map_behind_total 0"), "and keeps up");
	ts2021_pause(a->stream, true);
	for (round = 1; round < 200; round++) {
		move_all(nodes, round);
		turn();
		if (metric("tailrace_coord_map_behind_total 1"))
			break;
	}
	tap_ok(round < 200, "who does not read falls behind, after %u moves",
	       round);
	move_all(nodes, ++round);
	turn();
	move_all(nodes, ++round);
	turn();
	ts2021_pause(a->stream, false);
	tap_ok(UNTIL(&w, all_at(a->nm, round)),
	       "and reading again, gets what is so now");
	tap_ok(!a->ended, "in the same stream");
	move_all(nodes, ++round);
	tap_ok(UNTIL(&w, all_at(a->nm, round)), "which goes on as ever");
}

int main(void)
{
	struct coord_config config = {
		.server_url = "http://c", .base_domain = "example.net",
		.nameservers = "", .limits = http_limits_default};
	struct endpoint at = loopback(0);
	char dir[64], path[96], text[KEY_TEXT_MAX] = "";
	struct coord_user *u;
	struct authkey *k;
	struct reader a;
	FILE *f;

	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0)
		return 1;
	log_init("test", false);
	said_begin();
	test_directory(dir);
	config.state_dir = dir;
	config.limits.backlog = 64 << 10;
	prefix_parse(&config.prefix_v4, "100.64.0.0/10");
	w.base = event_base_new();
	coord = coord_new(w.base, &config);
	if (!coord ||
	    model_user_create(coord_model(coord), "u", NULL, NULL, NULL, &u) ||
	    model_authkey_create(coord_model(coord), u, true, false, 0, NULL, 0,
				 secret, &k))
		return 1;
	w.port = (uint16_t)coord_listen(coord, &at, false);
	snprintf(path, sizeof(path), "%s/noise.key", dir);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f) ||
	    key_parse(&w.private, KEY_PRIVATE, text))
		return 1;
	fclose(f);
	key_public(&w.public, &w.private);
	join(&a, "a");
	test_strangers(&a);
	test_malformed(&a);
	test_streams(&a);
	test_behind(&a);
	client_free(a.c);
	stream_free(&a);
	coord_free(coord);
	event_base_free(w.base);
	test_remove(dir);
	return tap_done();
}
