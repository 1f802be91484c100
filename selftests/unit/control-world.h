/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_CONTROL_WORLD_H
#define UNIT_CONTROL_WORLD_H

/* A control session and a control server in one process. */

#include <errno.h>
#include <sys/socket.h>

#include "control/control.h"
#include "fake-control.h"
#include "loop.h"
#include "tap.h"

#define UNTIL(w, cond) RUN_UNTIL((w)->base, cond)

struct world {
	struct event_base *base;
	struct fake fake;
	struct control *c;
	struct control_self self;
	char url[64];
	/* What the client told. */
	enum control_state state;
	char error[256], auth_url[256];
	int urls, node_keys, netmaps, logouts;
	unsigned int changed;
	struct key node, old;
	int node_key_result;
	void (*inside)(struct world *w); /* run once by the next netmap */
	/* What the server was asked: the last of each kind, and how many. */
	int registers, streams, updates, others;
	char *last_register, *last_stream, *last_update, *last_other;
	char last_path[272];
	struct fake_req *stream, *held; /* the open map stream, a held answer */
	/* How it answers. */
	const char *register_answer;
	int register_status, map_status;
	const char *retry_after;
	bool hold_followup, hold_updates, silent_stream;
	char first[2048]; /* message of a stream */
};

static void keep(char **to, struct fake_req *r, int *count)
{
	free(*to);
	*to = xstrdup(fake_body(r));
	++*count;
}

static void handle(void *ctx, struct fake_req *r)
{
	struct world *w = ctx;
	const char *body = fake_body(r);

	if (!strcmp(r->path, "/machine/register")) {
		keep(&w->last_register, r, &w->registers);
		if (w->hold_followup && !strstr(body, "\"Followup\":\"\"")) {
			w->held = r;
			return;
		}
		fake_status(r, w->register_status, w->retry_after);
		evbuffer_add_printf(r->out, "%s", w->register_answer);
		fake_end(r);
	} else if (!strcmp(r->path, "/machine/map") &&
		   strstr(body, "\"Stream\":true")) {
		keep(&w->last_stream, r, &w->streams);
		if (w->map_status != 200) {
			fake_answer(r, w->map_status, "node not found");
			return;
		}
		w->stream = r;
		fake_status(r, 200, NULL);
		if (!w->silent_stream)
			fake_map(r, w->first);
	} else if (!strcmp(r->path, "/machine/map")) {
		keep(&w->last_update, r, &w->updates);
		if (w->hold_updates)
			w->held = r;
		else
			fake_answer(r, 200, "");
	} else {
		keep(&w->last_other, r, &w->others);
		snprintf(w->last_path, sizeof(w->last_path), "%s %s", r->method,
			 r->path);
		fake_answer(r, 204, "");
	}
}

static void on_state(void *ctx, enum control_state s, const char *error)
{
	struct world *w = ctx;

	w->state = s;
	if (*error)
		snprintf(w->error, sizeof(w->error), "%s", error);
}

static void on_url(void *ctx, const char *url)
{
	struct world *w = ctx;

	snprintf(w->auth_url, sizeof(w->auth_url), "%s", url);
	w->urls++;
}

static int on_node_key(void *ctx, const struct key *node, const struct key *old)
{
	struct world *w = ctx;

	w->node = *node;
	w->old = *old;
	w->node_keys++;
	return w->node_key_result;
}

static void on_netmap(void *ctx, const struct netmap *nm, unsigned int changed)
{
	struct world *w = ctx;

	void (*inside)(struct world *w) = w->inside;

	w->netmaps++;
	w->changed = changed;
	w->inside = NULL;
	if (inside)
		inside(w);
}

static void on_logged_out(void *ctx)
{
	((struct world *)ctx)->logouts++;
}

static int on_socket(void *ctx, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static const struct control_ops ops = {
	.state = on_state,
	.auth_url = on_url,
	.node_key = on_node_key,
	.netmap = on_netmap,
	.logged_out = on_logged_out,
	.tcp_socket = on_socket,
};

static inline void first_message(struct world *w, const char *more)
{
	char key[KEY_TEXT_MAX];
	struct key node;

	key_public(&node, &w->node);
	snprintf(w->first, sizeof(w->first),
		 "{\"Node\":{\"ID\":1,\"Name\":\"me.\",\"Key\":\"%s\","
		 "\"Addresses\":[\"100.64.0.1/32\"],\"MachineAuthorized\":true"
		 "%s}}",
		 key_format(key, KEY_NODE, &node), more);
}

#define REGISTERED "{\"MachineAuthorized\":true}"

/* @tls: its certificate is in @ca_file, or in no file that we know of. */
static inline struct world *world_make(const char *auth_key, SSL_CTX *tls,
				       const char *ca_file)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct control_config config = {.auth_key = auth_key,
					.ca_file = ca_file};

	w->base = event_base_new();
	w->fake.handle = handle;
	w->fake.ctx = w;
	w->fake.early = true;
	w->fake.tls = tls;
	fake_start(&w->fake, w->base);
	w->register_answer = REGISTERED;
	w->register_status = w->map_status = 200;
	key_generate(&w->node); /* any key will do for the first message */
	first_message(w, "");
	key_generate(&config.machine_private);
	snprintf(w->url, sizeof(w->url), "http%s://127.0.0.1:%u/",
		 tls ? "s" : "", w->fake.port);
	config.server_url = w->url;
	w->c = control_new(w->base, NULL, &config, &ops, w);
	w->self.hostname = (char *)"box";
	w->self.preferred_derp = 1;
	control_set_self(w->c, &w->self);
	return w;
}

static inline struct world *world_new(const char *auth_key)
{
	return world_make(auth_key, NULL, NULL);
}

static inline void world_free(struct world *w)
{
	control_free(w->c);
	fake_stop(&w->fake);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	event_base_free(w->base);
	free(w->last_register);
	free(w->last_stream);
	free(w->last_update);
	free(w->last_other);
	free(w);
}

/* Lets whatever is in flight arrive: a lite update is the last of a login. */
static inline struct world *streaming(void)
{
	struct world *w = world_new("key-1");

	control_start(w->c);
	if (!UNTIL(w, w->state == CONTROL_STREAMING && w->updates == 1))
		tap_ok(false, "a usual login: %s", w->error);
	return w;
}

/*
 * Two round trips by way of the map stream: whatever the client had in mind to
 * send by now has arrived.
 */
static inline void settle(struct world *w)
{
	static int id;
	char text[160];
	int i, want;

	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text),
			 "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
			 "\"http://x/settle/%d\",\"URLIsNoise\":true}}",
			 ++id);
		want = w->others + 1;
		fake_map(w->stream, text);
		if (!UNTIL(w, w->others >= want))
			tap_ok(false, "a round trip");
	}
}

static inline bool has(const char *text, const char *what)
{
	return text && strstr(text, what);
}

#endif
