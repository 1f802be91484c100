/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_MAP_WORLD_H
#define UNIT_MAP_WORLD_H

/*
 * The coordination server's model, tailnet and map encoder without a network,
 * and streams that are read by the agent's own netmap.
 */

#include <json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/map.h"
#include "coord/map_response.h"
#include "coord/map_node.h"
#include "engine/netmap.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"
#include "tap.h"

#define NOW 1800000000

/* One node that listens. */
struct stream {
	int64_t node; /* 0: none */
	struct map_view view;
	struct netmap *nm;
	bool first, zstd, failed;
};

static char dir[] = "/tmp/map-world.XXXXXX";
static struct model *model;
static struct tailnet *tailnet;
static struct map_encoder *encoder;
static struct coord_user *users[3];
static struct authkey *keys[3];
static unsigned int messages;

static void on_model(void *ctx, const struct model_event *e)
{
	struct policy_report report = {0};

	tailnet_event(tailnet, e);
	if (e->kind == MODEL_POLICY && tailnet_load_policy(tailnet, &report)) {
		printf("Bail out! %s\n", report.messages[0].text);
		exit(1);
	}
	policy_report_clear(&report);
}

static inline struct key random_key(void)
{
	struct key private, public;

	key_generate(&private);
	key_public(&public, &private);
	return public;
}

static inline int64_t add_node(unsigned int user)
{
	static unsigned int count;
	struct registration r = {.machine = random_key(), .cap = 116};
	struct coord_node *n = NULL;
	char text[128];

	snprintf(text, sizeof(text), "{\"OS\":\"linux\",\"Hostname\":\"n%u\"}",
		 count++);
	r.key = random_key();
	r.hostinfo = json_parse(text, strlen(text));
	if (model_register(model, &r, keys[user], NOW, &n))
		printf("# %s\n", model_error(model));
	json_object_put(r.hostinfo);
	return n ? n->id : 0;
}

/* ── The receiving side ── */

struct receiver {
	struct stream *s;
	unsigned int n;
};

static bool on_message(void *ctx, struct json_object *msg)
{
	struct receiver *r = ctx;
	const char *why = "";
	int changed;

	changed = netmap_apply(r->s->nm, msg, r->s->first, NOW, &why);
	if (changed < 0) {
		printf("# refused (%s): %.300s\n", why,
		       json_object_to_json_string(msg));
		r->s->failed = true;
	}
	r->s->first = false;
	r->n++;
	return true;
}

static inline void receive(struct stream *s, const struct text *frame)
{
	struct receiver r = {s, 0};
	struct map_reader *reader = map_reader_new(on_message, &r);
	const char *why = "";

	if (map_reader_feed(reader, (uint8_t *)frame->s, frame->len, &why) !=
		    (ssize_t)frame->len ||
	    r.n != 1) {
		printf("# not one message: %s\n", why);
		s->failed = true;
	}
	messages++;
	map_reader_free(reader);
}

static inline struct member *member_of(int64_t node)
{
	struct coord_node *n = model_node(model, node);

	return n ? n->session : NULL;
}

static inline void stream_close(struct stream *s)
{
	map_view_clear(&s->view);
	netmap_free(s->nm);
	*s = (struct stream){0};
}

static inline void stream_open(struct stream *s, int64_t node, bool zstd)
{
	*s = (struct stream){.node = node, .first = true, .zstd = zstd};
	s->nm = netmap_new();
	receive(s, map_encode_full(encoder, member_of(node), &s->view, true,
				   zstd));
}

static inline void set_up(void)
{
	static const char *const names[] = {"alice", "bob", "carol"};
	struct tailnet_config tc = {
		.domain = "example.net", .magic_dns = true,
		.nameservers = "192.0.2.53"};
	char secret[AUTHKEY_SECRET_MAX], error[256], path[128];
	struct model_config c;
	size_t i;

	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/db", dir);
	model_config_default(&c);
	c.path = path;
	tc.v4 = c.v4;
	tc.v6 = c.v6;
	model = model_open(&c, error, sizeof(error));
	if (!model) {
		printf("Bail out! %s\n", error);
		exit(1);
	}
	for (i = 0; i < 3; i++)
		if (model_user_create(model, names[i], NULL, NULL, NULL,
				      &users[i]) ||
		    model_authkey_create(model, users[i], true, false, 0, NULL,
					 0, secret, &keys[i]))
			abort();
	tailnet = tailnet_new(model, &tc);
	encoder = map_encoder_new(tailnet);
	model_listen(model, on_model, NULL);
}

static inline void tear_down(void)
{
	char command[128];

	map_encoder_free(encoder);
	tailnet_free(tailnet);
	model_close(model);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		printf("# %s stays\n", dir);
}

#endif
