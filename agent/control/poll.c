// SPDX-License-Identifier: GPL-2.0
#include "control/internal.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

/* The map stream, lite updates (control.md 5), and expiry (6.3). */

#define WATCHDOG_S 120
#define UPDATE_LIMIT_S 30
#define SLEEP_MAX_S 300
/* A node that control does not know so often in a row registers again. */
#define MISSING_MAX 2
/* Wall clocks jump, and timers are limited: look again after this. */
#define EXPIRY_CHECK_MAX 86400
#define SHOWN_MAX 200

static void watch(struct control *c)
{
	static const struct timeval limit = {.tv_sec = WATCHDOG_S};

	evtimer_add(c->poll.watchdog, &limit);
}

void poll_stop(struct control *c)
{
	struct poll *p = &c->poll;

	ts2021_cancel(p->stream);
	p->stream = NULL;
	p->full = false;
	evtimer_del(p->watchdog);
	evtimer_del(p->sleep);
	json_object_put(p->held);
	p->held = NULL;
	evbuffer_drain(p->pending, evbuffer_get_length(p->pending));
	if (p->feeding) {
		p->abandoned = true;
		return;
	}
	map_reader_free(p->reader);
	p->reader = NULL;
}

static void poll_failed(struct control *c, const char *why)
{
	poll_stop(c);
	control_fail(c, "%s", why);
	backoff_fail(&c->poll.backoff);
}

/* Sets the timer for the next key to expire, ours or a peer's. */
static void watch_expiry(struct control *c)
{
	const struct netmap *nm = c->nm;
	int64_t now = time(NULL) + nm->clock_offset;
	int64_t next = now + EXPIRY_CHECK_MAX;
	struct timeval tv = {0};
	struct node *n, *tmp;

	if (nm->self->key_expiry > now && nm->self->key_expiry < next)
		next = nm->self->key_expiry;
	HASH_ITER(hh, nm->peers, n, tmp)
	if (n->key_expiry > now && n->key_expiry < next)
		next = n->key_expiry;
	tv.tv_sec = next - now + 1;
	evtimer_add(c->poll.expiry, &tv);
}

/* Whether our own key has just expired, or has been extended. */
static void check_self(struct control *c)
{
	bool expired = node_is_expired(c->nm, c->nm->self, time(NULL));

	if (expired == c->expired)
		return;
	c->expired = expired;
	if (expired) {
		log_warn("control: this node's key has expired");
		auth_begin(c, true);
	} else {
		auth_abandon(c);
	}
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	if (!c->nm->self)
		return;
	watch_expiry(c);
	check_self(c);
	control_kick(c);
	c->ops->netmap(c->ctx, c->nm, NETMAP_SELF | NETMAP_PEERS);
}

static void apply(struct control *c, struct json_object *msg)
{
	struct poll *p = &c->poll;
	char text[ERROR_MAX];
	const char *why = "";
	int changed;

	changed = netmap_apply(c->nm, msg, !p->full, time(NULL), &why);
	if (changed < 0) {
		snprintf(text, sizeof(text), "map: malformed %s", why);
		poll_failed(c, text);
		return;
	}
	if (!p->full) {
		p->full = true;
		p->missing = 0;
		backoff_reset(&p->backoff);
		backoff_reset(&c->connect);
		control_well(c);
	}
	watch_expiry(c);
	check_self(c);
	if (changed)
		c->ops->netmap(c->ctx, c->nm, (unsigned int)changed);
}

static void pop_browser(struct poll *p, struct json_object *msg)
{
	struct json_object *v = json_member(msg, "PopBrowserURL");
	const char *text = v ? json_text(v) : NULL;
	struct url url;

	if (!text || (p->popped && !strcmp(p->popped, text)) ||
	    url_parse(&url, text))
		return;
	free(p->popped);
	p->popped = xstrdup(text);
	log_info("control asks you to visit %s", text);
}

/* Seconds to wait before this message counts, 0 for none. */
static unsigned int sleep_seconds(struct json_object *msg)
{
	struct json_object *debug = json_member(msg, "Debug");
	struct json_object *v =
		debug ? json_member(debug, "SleepSeconds") : NULL;
	double s = v ? json_object_get_double(v) : 0;

	return s >= 1 ? (unsigned int)(s < SLEEP_MAX_S ? s : SLEEP_MAX_S) : 0;
}

static bool on_message(void *ctx, struct json_object *msg)
{
	struct control *c = ctx;
	struct poll *p = &c->poll;
	struct json_object *v;
	struct timeval tv = {0};
	const char *why = "";
	bool keep_alive = false;

	watch(c);
	v = json_member(msg, "PingRequest");
	if (v)
		ping_request(c, v);
	v = json_member(msg, "KeepAlive");
	if (v)
		json_get_bool(v, &keep_alive, NULL);
	if (keep_alive) {
		/* Only the clock, which needs no first message. */
		if (netmap_apply(c->nm, msg, false, time(NULL), &why) < 0)
			log_debug("control: keepalive: malformed %s", why);
		return true;
	}
	pop_browser(p, msg);
	tv.tv_sec = sleep_seconds(msg);
	if (tv.tv_sec) {
		evtimer_del(p->watchdog);
		p->held = json_object_get(msg);
		ts2021_pause(p->stream, true);
		evtimer_add(p->sleep, &tv);
		return false;
	}
	apply(c, msg);
	return !p->abandoned;
}

/* Gives the reader what it can take; the rest waits in pending. */
static void feed(struct control *c, const uint8_t *data, size_t n)
{
	struct poll *p = &c->poll;
	const char *why = "";
	ssize_t taken;

	p->feeding = true;
	taken = map_reader_feed(p->reader, data, n, &why);
	p->feeding = false;
	if (p->abandoned) {
		p->abandoned = false;
		map_reader_free(p->reader);
		p->reader = NULL;
		return;
	}
	if (taken < 0)
		poll_failed(c, why);
	else if ((size_t)taken < n)
		evbuffer_add(p->pending, data + taken, n - (size_t)taken);
}

static void on_sleep(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;
	struct poll *p = &c->poll;
	struct json_object *msg = p->held;
	struct evbuffer *in;

	p->held = NULL;
	watch(c);
	ts2021_pause(p->stream, false);
	apply(c, msg);
	json_object_put(msg);
	if (!p->reader)
		return;
	in = p->pending;
	p->pending = evbuffer_new();
	feed(c, evbuffer_pullup(in, -1), evbuffer_get_length(in));
	evbuffer_free(in);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	/* The path below is probably dead: not only the stream ends. */
	poll_failed(c, "control has been silent for two minutes");
	c->drop = true;
}

static void poll_headers(void *ctx, int status, unsigned int retry_after)
{
	struct control *c = ctx;

	c->poll.status = status;
}

static void poll_data(void *ctx, const uint8_t *data, size_t n)
{
	struct control *c = ctx;
	struct poll *p = &c->poll;
	size_t have;

	if (p->status != 200) {
		have = strlen(p->error);
		n = n < SHOWN_MAX - have ? n : SHOWN_MAX - have;
		memcpy(p->error + have, data, n);
		p->error[have + n] = '\0';
		return;
	}
	if (p->held)
		evbuffer_add(p->pending, data, n);
	else if (p->reader)
		feed(c, data, n);
}

static void poll_end(void *ctx, const char *error)
{
	struct control *c = ctx;
	struct poll *p = &c->poll;
	char text[ERROR_MAX + 64];
	int status = p->status;

	p->stream = NULL;
	if (error || status == 200) {
		poll_failed(c, error ? error : "control ended the map stream");
		return;
	}
	snprintf(text, sizeof(text), "map: HTTP status %d: %s", status,
		 p->error);
	poll_failed(c, text);
	if (status != 404 && status != 400)
		return;
	if (++p->missing >= MISSING_MAX && !c->auth.needed) {
		p->missing = 0;
		c->registered = false;
		auth_begin(c, false);
	}
}

void poll_step(struct control *c)
{
	static const struct ts2021_stream_ops ops = {
		.headers = poll_headers,
		.data = poll_data,
		.end = poll_end,
	};
	struct ts2021_request req = {.method = "POST",
				     .path = "/machine/map",
				     .authority = c->authority,
				     .content_type = "application/json"};
	struct poll *p = &c->poll;
	struct key node;
	_cleanup_free_ char *body = NULL;

	if (!c->registered || p->stream || backoff_waiting(&p->backoff))
		return;
	key_public(&node, &c->node);
	body = map_encode(MAP_STREAM, &node, &c->self);
	req.node_key = &node;
	req.body = body;
	req.body_len = strlen(body);
	p->status = 0;
	p->error[0] = '\0';
	p->full = false;
	p->stream = ts2021_submit(c->conn, &req, &ops, c);
	if (!p->stream)
		return;
	p->reader = map_reader_new(on_message, c);
	watch(c);
}

static void update_headers(void *ctx, int status, unsigned int retry_after)
{
	struct control *c = ctx;

	c->update.x.status = status;
}

static void update_end(void *ctx, const char *error)
{
	struct control *c = ctx;
	struct update *u = &c->update;

	u->x.stream = NULL;
	evtimer_del(u->x.timer);
	if (!error && u->x.status == 200) {
		backoff_reset(&u->backoff);
		free(u->acked);
		u->acked = u->sent;
		u->sent = NULL;
	} else {
		log_debug("control: update: %s (%d)", error ? error : "refused",
			  u->x.status);
		backoff_fail(&u->backoff);
	}
	control_kick(c);
}

static void on_update_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	exchange_cancel(&c->update.x);
	backoff_fail(&c->update.backoff);
}

void update_step(struct control *c)
{
	static const struct ts2021_stream_ops ops = {
		.headers = update_headers,
		.end = update_end,
	};
	struct update *u = &c->update;
	_cleanup_free_ char *body = NULL;
	struct key node;

	if (!c->registered || u->x.stream || backoff_waiting(&u->backoff))
		return;
	key_public(&node, &c->node);
	if (!u->current)
		u->current = map_encode(MAP_COMPARE, &node, &c->self);
	if (u->acked && !strcmp(u->acked, u->current))
		return;
	body = map_encode(MAP_UPDATE, &node, &c->self);
	free(u->sent);
	u->sent = xstrdup(u->current);
	exchange_start(c, &u->x, "/machine/map", body, &node, NULL, &ops,
		       UPDATE_LIMIT_S);
}

void update_self_changed(struct control *c)
{
	free(c->update.current);
	c->update.current = NULL;
	control_kick(c);
}

void update_lost(struct control *c)
{
	c->update.x.stream = NULL;
	evtimer_del(c->update.x.timer);
}

void poll_init(struct control *c)
{
	struct poll *p = &c->poll;

	p->pending = evbuffer_new();
	p->watchdog = evtimer_new(c->base, on_watchdog, c);
	p->sleep = evtimer_new(c->base, on_sleep, c);
	p->expiry = evtimer_new(c->base, on_expiry, c);
	backoff_init(&p->backoff, c->base, control_event, c);
	exchange_init(&c->update.x, c, on_update_timeout);
	backoff_init(&c->update.backoff, c->base, control_event, c);
}

void poll_uninit(struct control *c)
{
	struct poll *p = &c->poll;
	struct update *u = &c->update;

	free(p->popped);
	evbuffer_free(p->pending);
	event_free(p->watchdog);
	event_free(p->sleep);
	event_free(p->expiry);
	backoff_uninit(&p->backoff);
	exchange_uninit(&u->x);
	backoff_uninit(&u->backoff);
	free(u->current);
	free(u->sent);
	free(u->acked);
}
