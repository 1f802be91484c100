// SPDX-License-Identifier: GPL-2.0
/* The session: logins of every kind, their end, what the engine may do. */
#include <signal.h>

#include "control-world.h"

static void login(void)
{
	struct world *w = world_new("key-1");
	char key[KEY_TEXT_MAX];
	struct key node;

	control_start(w->c);
	tap_ok(UNTIL(w, w->registers), "it registers");
	tap_ok(w->node_keys == 1 && key_is_zero(&w->old),
	       "the key was told before");
	key_public(&node, &w->node);
	tap_ok(has(w->last_register, key_format(key, KEY_NODE, &node)) &&
		       has(w->last_register, "\"AuthKey\":\"key-1\"") &&
		       has(w->last_register, "\"Hostname\":\"box\""),
	       "with this key, the auth key and Hostinfo");
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "then it streams");
	tap_ok(UNTIL(w, w->updates == 1), "and makes itself known");
	tap_ok(w->streams == 1 && has(w->last_stream, "\"Hostname\":\"box\"") &&
		       has(w->last_update, "\"Hostname\":\"box\""),
	       "both times in full");
	tap_ok(w->netmaps == 1 && w->changed == NETMAP_ALL &&
		       control_netmap(w->c)->self->id == 1,
	       "there is a netmap");
	fake_map(w->stream, "{\"KeepAlive\":true}");
	fake_map(w->stream, "{\"Domain\":\"d\"}");
	tap_ok(UNTIL(w, w->netmaps == 2) && w->changed == NETMAP_OTHER,
	       "a delta, a keepalive is none");
	tap_ok(w->fake.key_fetches == 1 && w->fake.upgrades == 1,
	       "all that on one connection");
	world_free(w);
}

static void updates(void)
{
	struct world *w = streaming();

	settle(w);
	tap_ok(w->updates == 1, "a login makes one update");
	w->hold_updates = true;
	w->self.preferred_derp = 2;
	control_set_self(w->c, &w->self);
	tap_ok(UNTIL(w, w->updates == 2), "a change goes out");
	w->self.preferred_derp = 3;
	control_set_self(w->c, &w->self);
	w->self.preferred_derp = 4;
	control_set_self(w->c, &w->self);
	settle(w);
	tap_ok(w->updates == 2, "one in flight at a time");
	w->hold_updates = false;
	fake_answer(w->held, 200, "");
	tap_ok(UNTIL(w, w->updates == 3) &&
		       has(w->last_update, "\"PreferredDERP\":4"),
	       "then the newest state");
	w->self.n_derp_latency = 1;
	strcpy(w->self.derp_latency[0].name, "1-v4");
	w->self.derp_latency[0].seconds = 0.1;
	control_set_self(w->c, &w->self);
	settle(w);
	tap_ok(w->updates == 3, "latencies are no reason for one");
	w->hold_updates = true;
	w->self.preferred_derp = 5;
	control_set_self(w->c, &w->self);
	UNTIL(w, w->updates == 4);
	fake_answer(w->held, 500, "");
	tap_ok(UNTIL(w, w->updates == 5) &&
		       has(w->last_update, "\"PreferredDERP\":5"),
	       "a refused one is repeated");
	world_free(w);
}

static void forgotten(void)
{
	struct world *w = streaming();
	struct key node = w->node;

	w->map_status = 404;
	fake_end(w->stream);
	tap_ok(UNTIL(w, w->registers == 2) && has(w->error, "node not found"),
	       "refused twice, it registers again: %s", w->error);
	tap_ok(w->streams == 3 && key_equal(&node, &w->node) &&
		       !has(w->last_register, "AuthKey"),
	       "with its key, the auth key is gone");
	w->map_status = 200;
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) && !w->logouts,
	       "and streams when control relents");
	world_free(w);
}

static void refused(void)
{
	struct world *w = world_new("bad");

	w->register_answer = "{\"Error\":\"invalid\\nkey\"}";
	control_start(w->c);
	tap_ok(UNTIL(w, w->state == CONTROL_NEEDS_LOGIN) &&
		       has(w->error, "invalid key"),
	       "a refused auth key: %s", w->error);
	w->register_answer = REGISTERED;
	control_login(w->c, "good", false);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) &&
		       has(w->last_register, "\"AuthKey\":\"good\"") &&
		       w->node_keys == 1,
	       "another one, for the same node key");
	world_free(w);

	w = world_new(NULL);
	w->register_status = 500;
	w->register_answer = "out of order";
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "500: out of order")) &&
		       w->state == CONTROL_CONNECTING,
	       "a server error: %s", w->error);
	w->register_status = 429;
	w->retry_after = "1";
	UNTIL(w, has(w->error, "later"));
	w->register_status = 200;
	w->register_answer = "{\"AuthURL\":\"javascript:x\"}";
	tap_ok(UNTIL(w, has(w->error, "AuthURL")) && !w->urls,
	       "a URL that is none: %s", w->error);
	w->register_answer = "no JSON";
	tap_ok(UNTIL(w, has(w->error, "does not parse")), "%s", w->error);
	w->register_answer = REGISTERED;
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "and then it works");
	world_free(w);

	w = world_new(NULL);
	w->node_key_result = -ENOSPC;
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "No space")) && !w->registers,
	       "a key that cannot be saved is not used: %s", w->error);
	world_free(w);
}

static void interactive(void)
{
	struct world *w = world_new("weak");

	w->register_answer = "{\"AuthURL\":\"https://x/register/1\"}";
	w->hold_followup = true;
	control_start(w->c);
	tap_ok(UNTIL(w, w->registers == 2) && w->state == CONTROL_NEEDS_LOGIN &&
		       !strcmp(w->auth_url, "https://x/register/1"),
	       "a login URL");
	tap_ok(has(w->last_register, "\"Followup\":\"https://x/register/1\"") &&
		       !has(w->last_register, "AuthKey") && w->node_keys == 1,
	       "is waited on with the same key, without Auth");
	fake_drop(&w->fake);
	tap_ok(UNTIL(w, w->registers == 3) &&
		       has(w->last_register, "/register/1\""),
	       "also over a lost connection");
	fake_answer(w->held, 200, "{\"AuthURL\":\"https://x/register/2\"}");
	tap_ok(UNTIL(w, w->registers == 4) &&
		       !strcmp(w->auth_url, "https://x/register/2"),
	       "a newer URL takes its place");
	fake_answer(w->held, 200, REGISTERED);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) && !*w->auth_url,
	       "the user is done");
	world_free(w);
}

static void rotation(void)
{
	struct world *w = streaming();
	struct key first = w->node, old;
	char key[KEY_TEXT_MAX];

	w->hold_followup = true;
	w->register_answer = "{\"AuthURL\":\"https://x/register/1\"}";
	fake_map(w->stream,
		 "{\"Node\":{\"ID\":1,\"Key\":\"nodekey:1111111111111111111111"
		 "111111111111111111111111111111111111111111\",\"KeyExpiry\":"
		 "\"2024-01-01T00:00:00Z\"}}");
	tap_ok(UNTIL(w, w->registers == 3), "an expired key asks for a login");
	key_public(&old, &first);
	snprintf(key, sizeof(key), "%s", "");
	key_format(key, KEY_NODE, &old);
	tap_ok(w->state == CONTROL_NEEDS_LOGIN && w->node_keys == 2 &&
		       key_equal(&w->old, &first) && has(w->last_register, key),
	       "with a new key that names the old one");
	fake_map(w->stream, w->first);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) && !*w->auth_url &&
		       key_equal(&w->node, &first),
	       "the expiry is extended: the old key is good again");
	world_free(w);

	w = streaming();
	first = w->node;
	w->register_answer = "{\"NodeKeyExpired\":true}";
	control_login(w->c, "key-2", false);
	tap_ok(UNTIL(w, has(w->error, "new node key expired")) &&
		       w->registers == 3 && key_equal(&w->old, &first),
	       "an expired node key is replaced once");
	w->register_answer = REGISTERED;
	tap_ok(UNTIL(w, w->registers == 4 && w->streams == 2) &&
		       w->node_keys == 2,
	       "and then registered");
	first = w->node;
	control_login(w->c, "key-3", true);
	tap_ok(UNTIL(w, w->streams == 3) && key_equal(&w->old, &first),
	       "a forced login rotates");
	world_free(w);
}

static void logout(void)
{
	struct world *w = streaming();

	control_logout(w->c);
	tap_ok(UNTIL(w, w->logouts == 1) &&
		       has(w->last_register, "\"1970-01-01T00:02:03Z\""),
	       "logout is told to control");
	tap_ok(key_is_zero(&w->node) && w->state == CONTROL_STOPPED &&
		       !control_netmap(w->c),
	       "key and netmap are forgotten");
	control_login(w->c, "key-2", false);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) &&
		       !key_is_zero(&w->node) && key_is_zero(&w->old),
	       "a new login starts from nothing");
	world_free(w);
}

static void link_inside(struct world *w)
{
	control_link_changed(w->c);
}

static void login_inside(struct world *w)
{
	control_login(w->c, "inside", true);
}

static void logout_inside(struct world *w)
{
	control_logout(w->c);
}

/* The engine may call back in from a callback, deep in control's stack. */
static void reentrance(void)
{
	struct world *w = streaming();

	w->inside = link_inside;
	fake_map(w->stream, "{\"Domain\":\"a\"}");
	tap_ok(UNTIL(w, w->fake.upgrades == 2 && w->netmaps == 3),
	       "the link changes inside of a callback");
	w->inside = login_inside;
	fake_map(w->stream, "{\"Domain\":\"b\"}");
	tap_ok(UNTIL(w, w->streams == 3 && w->netmaps == 5) &&
		       has(w->last_register, "inside"),
	       "a login");
	w->inside = logout_inside;
	fake_map(w->stream, "{\"Domain\":\"c\"}");
	/* In the same write: it must not be read any more. */
	fake_map(w->stream, "{\"Domain\":\"d\"}");
	tap_ok(UNTIL(w, w->logouts == 1) && w->netmaps == 6, "a logout");
	world_free(w);
}

static void endings(void)
{
	struct world *w = world_new("k");
	int i;

	/* Freed at every step of a login: the sanitizer looks for leaks. */
	world_free(w);
	for (i = 1; i < 24; i += 2) {
		int n = i;

		w = world_new("k");
		control_start(w->c);
		while (n-- && w->updates == 0)
			event_base_loop(w->base, EVLOOP_ONCE);
		world_free(w);
	}
	tap_ok(true, "control can be freed at any step");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the agent does */
	login();
	updates();
	forgotten();
	refused();
	interactive();
	rotation();
	logout();
	reentrance();
	endings();
	return tap_done();
}
