// SPDX-License-Identifier: GPL-2.0
#include "control/internal.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <sodium.h>
#include <string.h>

#include "control/register.h"
#include "lib/log.h"
#include "lib/util.h"

/* Registration (control.md 4.3): who are we, and may we. */

#define REGISTER_LIMIT_S 60
#define RETRY_AFTER_MAX 3600
#define SHOWN_MAX 200 /* of a refusal's text */

void auth_set_key(struct control *c, const char *auth_key)
{
	struct auth *a = &c->auth;

	if (a->key)
		sodium_memzero(a->key, strlen(a->key));
	free(a->key);
	a->key = auth_key && *auth_key ? xstrdup(auth_key) : NULL;
}

static void set_url(struct control *c, const char *url)
{
	struct auth *a = &c->auth;

	if (!strcmp(a->url, url))
		return;
	free(a->url);
	a->url = xstrdup(url);
	c->ops->auth_url(c->ctx, a->url);
}

/* Makes the key to register, once an attempt; tells before it is used. */
static int new_key(struct control *c)
{
	int err;

	key_generate(&c->trying);
	c->auth.fresh = true;
	err = c->ops->node_key(c->ctx, &c->trying, &c->node);
	if (err) {
		key_wipe(&c->trying);
		control_fail(c, "cannot save the new node key: %s",
			     strerror(-err));
	}
	return err;
}

void auth_begin(struct control *c, bool rotate)
{
	struct auth *a = &c->auth;

	exchange_cancel(&a->x);
	set_url(c, "");
	a->needed = true;
	a->refused = false;
	a->rotate = rotate;
	backoff_reset(&a->backoff);
	control_kick(c);
}

void auth_abandon(struct control *c)
{
	struct auth *a = &c->auth;

	exchange_cancel(&a->x);
	set_url(c, "");
	a->needed = a->rotate = a->refused = false;
	if (!key_is_zero(&c->trying) && !key_is_zero(&c->node)) {
		key_wipe(&c->trying);
		c->ops->node_key(c->ctx, &c->node, &c->old_node);
	}
	control_kick(c);
}

static void registered(struct control *c, const struct register_response *r)
{
	struct auth *a = &c->auth;

	if (!key_is_zero(&c->trying)) {
		c->old_node = c->node;
		c->node = c->trying;
		key_wipe(&c->trying);
	}
	auth_set_key(c, NULL);
	a->needed = a->rotate = a->refused = a->fresh = false;
	backoff_reset(&a->backoff);
	backoff_reset(&c->connect);
	backoff_reset(&c->poll.backoff);
	c->expired = false;
	c->registered = true;
	c->poll.missing = 0;
	/*
	 * A stream from before may belong to a node that control has deleted,
	 * and would stay silent for ever.
	 */
	poll_stop(c);
	/* Only a lite update makes us known to every kind of server. */
	free(c->update.acked);
	c->update.acked = NULL;
	update_self_changed(c);
	if (!r->machine_authorized)
		log_info("control: this node waits for an admin's approval");
	control_well(c);
	set_url(c, "");
}

static void failed(struct control *c, const char *text)
{
	control_fail(c, "%s", text);
	backoff_fail(&c->auth.backoff);
}

static void evaluate(struct control *c, const struct register_response *r)
{
	struct auth *a = &c->auth;
	bool waited = *a->url;

	if (*r->error) {
		a->refused = a->key && !waited;
		set_url(c, "");
		control_fail(c, "registration refused: %.*s", SHOWN_MAX,
			     r->error);
		backoff_fail(&a->backoff);
	} else if (r->wants_signature) {
		failed(c,
		       "control wants this node's key signed for its tailnet "
		       "lock, which is not supported: sign it with another "
		       "node");
	} else if (r->node_key_expired) {
		if (a->fresh) {
			failed(c, "control calls a new node key expired");
		} else {
			/* Once more, at once, with a new one. */
			a->rotate = true;
			control_kick(c);
		}
	} else if (*r->auth_url) {
		/* The same again: somebody answers without waiting. */
		if (!strcmp(a->url, r->auth_url))
			backoff_fail(&a->backoff);
		else
			backoff_reset(&a->backoff);
		control_well(c);
		set_url(c, r->auth_url);
	} else {
		registered(c, r);
	}
}

static void on_answer(struct control *c)
{
	struct exchange *x = &c->auth.x;
	struct register_response r;
	const char *text, *why;
	unsigned int wait;
	size_t len;

	text = exchange_reply(x, &len);
	if (x->status == 429) {
		wait = x->retry_after;
		backoff_wait_ms(&c->auth.backoff,
				wait && wait <= RETRY_AFTER_MAX
					? wait * 1000
					: random_between(5000, 10000));
		control_fail(c, "control asks to register later");
		return;
	}
	if (x->status != 200 || !text) {
		control_fail(c, "register: HTTP status %d: %.*s", x->status,
			     SHOWN_MAX, text ? text : "");
		backoff_fail(&c->auth.backoff);
		return;
	}
	if (register_decode(&r, text, len, &why)) {
		control_fail(c, "register: the answer does not parse (%s)",
			     why);
		backoff_fail(&c->auth.backoff);
	} else {
		evaluate(c, &r);
	}
	register_response_clear(&r);
}

static void auth_headers(void *ctx, int status, unsigned int retry_after)
{
	struct control *c = ctx;

	exchange_headers(&c->auth.x, status, retry_after);
}

static void auth_data(void *ctx, const uint8_t *data, size_t n)
{
	struct control *c = ctx;

	exchange_data(&c->auth.x, data, n);
}

static void auth_end(void *ctx, const char *error)
{
	struct control *c = ctx;
	struct exchange *x = &c->auth.x;

	x->stream = NULL;
	evtimer_del(x->timer);
	if (error)
		failed(c, error);
	else
		on_answer(c);
	control_kick(c);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	exchange_cancel(&c->auth.x);
	failed(c, "control does not answer the registration");
	c->drop = true;
}

void auth_step(struct control *c)
{
	static const struct ts2021_stream_ops ops = {
		.headers = auth_headers,
		.data = auth_data,
		.end = auth_end,
	};
	struct auth *a = &c->auth;
	struct register_request req = {.followup = a->url,
				       .ephemeral = c->ephemeral,
				       .self = &c->self};
	struct key node, old = {0};
	char *body;

	if (!a->needed || a->x.stream || backoff_waiting(&a->backoff))
		return;
	if (key_is_zero(&c->trying) && (a->rotate || key_is_zero(&c->node)) &&
	    new_key(c)) {
		backoff_fail(&a->backoff);
		return;
	}
	if (key_is_zero(&c->trying)) {
		key_public(&node, &c->node);
		if (!key_is_zero(&c->old_node))
			key_public(&old, &c->old_node);
	} else {
		key_public(&node, &c->trying);
		if (!key_is_zero(&c->node))
			key_public(&old, &c->node);
	}
	req.node_public = &node;
	req.old_node_public = &old;
	/* A follow-up with Auth would only yield a new URL. */
	req.auth_key = *a->url ? NULL : a->key;
	body = register_encode(&req);
	exchange_start(c, &a->x, "/machine/register", body, &node, &old, &ops,
		       *a->url ? 0 : REGISTER_LIMIT_S);
	sodium_memzero(body, strlen(body));
	free(body);
}

void auth_lost(struct control *c)
{
	c->auth.x.stream = NULL;
	evtimer_del(c->auth.x.timer);
}

void auth_init(struct control *c)
{
	c->auth.url = xstrdup("");
	exchange_init(&c->auth.x, c, on_timeout);
	backoff_init(&c->auth.backoff, c->base, control_event, c);
}

void auth_uninit(struct control *c)
{
	auth_set_key(c, NULL);
	free(c->auth.url);
	exchange_uninit(&c->auth.x);
	backoff_uninit(&c->auth.backoff);
}
