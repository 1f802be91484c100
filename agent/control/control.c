// SPDX-License-Identifier: GPL-2.0
#include "control/internal.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <json.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/hostinfo.h"
#include "control/register.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define KEY_FETCH_LIMIT_MS 10000
#define LOGOUT_LIMIT_S 10
/* A middlebox may kill plain connections after the upgrade: control.md 3.4. */
#define RECENT_DIAL (120 * SEC_NS)

void control_kick(struct control *c)
{
	event_active(c->kick, EV_TIMEOUT, 0);
}

void control_event(evutil_socket_t fd, short what, void *arg)
{
	control_kick(arg);
}

void control_fail(struct control *c, const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	for (p = c->error; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	control_kick(c);
}

void control_well(struct control *c)
{
	c->error[0] = '\0';
	control_kick(c);
}

static enum control_state state_now(const struct control *c)
{
	if (c->want != WANT_UP)
		return CONTROL_STOPPED;
	if (*c->auth.url || c->auth.refused || c->expired)
		return CONTROL_NEEDS_LOGIN;
	if (!c->poll.full)
		return CONTROL_CONNECTING;
	return c->nm->self->machine_authorized ? CONTROL_STREAMING
					       : CONTROL_NEEDS_APPROVAL;
}

void control_tell(struct control *c)
{
	enum control_state s = state_now(c);

	if (s == c->state && !strcmp(c->error, c->told))
		return;
	c->state = s;
	memcpy(c->told, c->error, sizeof(c->told));
	c->ops->state(c->ctx, s, c->told);
}

/* The connection's streams vanish with it, without their callbacks. */
static void drop_connection(struct control *c)
{
	c->drop = false;
	if (c->conn)
		ts2021_free(c->conn);
	c->conn = NULL;
	noise_dial_cancel(c->dialing);
	c->dialing = NULL;
	https_cancel(c->key_fetch);
	c->key_fetch = NULL;
	auth_lost(c);
	update_lost(c);
	ping_lost(c);
	c->logout.stream = NULL;
	c->poll.stream = NULL;
	poll_stop(c);
}

static void on_closed(void *ctx, const char *why)
{
	struct control *c = ctx;

	/* Each stream has ended with its own error and backs off by itself. */
	if (!*c->error)
		control_fail(c, "%s", why);
	backoff_fail(&c->connect);
	drop_connection(c);
	control_kick(c);
}

static void on_dialed(void *ctx, struct bufferevent *stream,
		      const struct noise_session *s, bool refused,
		      const char *why)
{
	struct control *c = ctx;

	c->dialing = NULL;
	if (!stream) {
		/* It may have got a new key since we asked. */
		if (refused)
			c->have_server_key = false;
		backoff_fail(&c->connect);
		control_fail(c, "%s", why);
		return;
	}
	c->last_dial = now_ns();
	c->conn = ts2021_new(c->base, stream, s, on_closed, c);
	control_kick(c);
}

static void on_key(void *ctx, int status, const char *body, size_t len,
		   const char *why)
{
	struct control *c = ctx;
	struct json_object *o, *v;
	struct key key = {0};
	const char *text;

	c->key_fetch = NULL;
	if (status != 200) {
		backoff_fail(&c->connect);
		if (status)
			control_fail(c, "%s/key: HTTP status %d", c->authority,
				     status);
		else
			control_fail(c, "%s", why);
		return;
	}
	o = json_parse(body, len);
	v = json_member(o, "publicKey");
	text = v ? json_text(v) : NULL;
	if (!text || key_parse(&key, KEY_MACHINE, text) || key_is_zero(&key)) {
		backoff_fail(&c->connect);
		control_fail(c, "%s/key: no server key, the server is too old",
			     c->authority);
	} else {
		c->server_key = key;
		c->have_server_key = true;
		control_kick(c);
	}
	json_object_put(o);
}

static void fetch_key(struct control *c)
{
	struct url url = c->url;
	size_t n = strlen(url.path);

	snprintf(url.path + n, sizeof(url.path) - n, "/key?v=%d",
		 CONTROL_CAPABILITY_VERSION);
	c->key_fetch = https_start(c->base, c->dialer, "GET", &url,
				   KEY_FETCH_LIMIT_MS, on_key, c);
}

static void connect_step(struct control *c)
{
	struct noise_dial_spec spec = {
		.server = &c->url,
		.version = CONTROL_CAPABILITY_VERSION,
		.machine_private = &c->machine,
		.server_public = &c->server_key,
		.tls_first =
			c->last_dial && now_ns() - c->last_dial < RECENT_DIAL,
	};

	if (c->key_fetch || c->dialing || backoff_waiting(&c->connect))
		return;
	if (!c->have_server_key)
		fetch_key(c);
	else
		c->dialing = noise_dial_start(c->base, c->dialer, &spec,
					      on_dialed, c);
}

static void logout_done(struct control *c)
{
	struct key zero = {0};

	evtimer_del(c->logout_timer);
	exchange_cancel(&c->logout);
	drop_connection(c);
	key_wipe(&c->node);
	key_wipe(&c->old_node);
	key_wipe(&c->trying);
	netmap_free(c->nm);
	c->nm = netmap_new();
	auth_set_key(c, NULL);
	c->registered = c->expired = false;
	c->want = WANT_STOPPED;
	c->error[0] = '\0';
	c->ops->node_key(c->ctx, &zero, &zero);
	control_tell(c);
	c->ops->logged_out(c->ctx);
}

static void on_logout_timer(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	if (c->logout.status != 200)
		log_warn("control: the logout was not heard (%d): the node "
			 "stays listed there until it is removed by hand",
			 c->logout.status);
	logout_done(c);
}

static void logout_headers(void *ctx, int status, unsigned int retry_after)
{
	struct control *c = ctx;

	exchange_headers(&c->logout, status, retry_after);
}

static void logout_end(void *ctx, const char *error)
{
	struct control *c = ctx;

	c->logout.stream = NULL;
	if (error) /* the step sends it again */
		control_kick(c);
	else /* from the loop, not from inside of the connection */
		evtimer_add(c->logout_timer, &(struct timeval){0});
	c->logout.status = error ? 0 : c->logout.status;
}

static void logout_step(struct control *c)
{
	static const struct ts2021_stream_ops ops = {
		.headers = logout_headers,
		.end = logout_end,
	};
	struct register_request req = {
		.logout = true, .followup = "", .self = &c->self};
	_cleanup_free_ char *body = NULL;
	struct key node, zero = {0};

	if (key_is_zero(&c->node)) {
		logout_done(c);
		return;
	}
	if (c->logout.stream || c->logout.status)
		return;
	key_public(&node, &c->node);
	req.node_public = &node;
	req.old_node_public = &zero;
	body = register_encode(&req);
	exchange_start(c, &c->logout, "/machine/register", body, &node, NULL,
		       &ops, 0);
}

static void step(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	if (c->drop)
		drop_connection(c);
	if (c->want == WANT_LOGOUT && key_is_zero(&c->node)) {
		logout_done(c);
		return;
	}
	if (c->want != WANT_STOPPED) {
		if (!c->conn) {
			connect_step(c);
		} else if (c->want == WANT_LOGOUT) {
			logout_step(c);
		} else {
			auth_step(c);
			poll_step(c);
			update_step(c);
		}
	}
	control_tell(c);
}

void exchange_init(struct exchange *x, struct control *c,
		   event_callback_fn timeout)
{
	x->reply = evbuffer_new();
	if (timeout)
		x->timer = evtimer_new(c->base, timeout, c);
}

void exchange_uninit(struct exchange *x)
{
	evbuffer_free(x->reply);
	if (x->timer)
		event_free(x->timer);
}

void exchange_cancel(struct exchange *x)
{
	ts2021_cancel(x->stream);
	x->stream = NULL;
	if (x->timer)
		evtimer_del(x->timer);
}

bool exchange_start(struct control *c, struct exchange *x, const char *path,
		    const char *body, const struct key *node_public,
		    const struct key *old_node_public,
		    const struct ts2021_stream_ops *ops, unsigned int seconds)
{
	struct ts2021_request req = {
		.method = "POST",
		.path = path,
		.authority = c->authority,
		.node_key = node_public,
		.old_node_key = old_node_public,
		.content_type = "application/json",
		.body = body,
		.body_len = strlen(body),
	};
	struct timeval limit = {.tv_sec = seconds};

	evbuffer_drain(x->reply, evbuffer_get_length(x->reply));
	x->status = 0;
	x->retry_after = 0;
	x->stream = ts2021_submit(c->conn, &req, ops, c);
	if (x->stream && seconds)
		evtimer_add(x->timer, &limit);
	return x->stream;
}

void exchange_headers(struct exchange *x, int status, unsigned int retry)
{
	x->status = status;
	x->retry_after = retry;
}

void exchange_data(struct exchange *x, const uint8_t *data, size_t n)
{
	/* One byte more than allowed shows that it was too long. */
	size_t room = REPLY_MAX + 1 - evbuffer_get_length(x->reply);

	evbuffer_add(x->reply, data, n < room ? n : room);
}

const char *exchange_reply(struct exchange *x, size_t *len)
{
	*len = evbuffer_get_length(x->reply);
	if (*len > REPLY_MAX)
		return NULL;
	evbuffer_add(x->reply, "", 1);
	return (const char *)evbuffer_pullup(x->reply, -1);
}

struct control *control_new(struct event_base *base, struct evdns_base *dns,
			    const struct control_config *config,
			    const struct control_ops *ops, void *ctx)
{
	struct control *c;
	struct url url;
	size_t n;

	if (url_parse(&url, config->server_url)) {
		log_error("control: %s is not an http or https URL",
			  config->server_url);
		return NULL;
	}
	if (!url.https && !url_is_private(&url))
		log_warn("control: the key of %s comes over plain HTTP",
			 url.host);
	for (n = strlen(url.path); n && url.path[n - 1] == '/'; n--)
		url.path[n - 1] = '\0';
	c = xcalloc(1, sizeof(*c));
	c->dialer =
		dialer_new(base, dns, config->ca_file, ops->tcp_socket, ctx);
	if (!c->dialer) {
		free(c);
		return NULL;
	}
	c->base = base;
	c->ops = ops;
	c->ctx = ctx;
	c->url = url;
	url_authority(&url, c->authority);
	c->machine = config->machine_private;
	c->node = config->node_private;
	c->old_node = config->old_node_private;
	c->ephemeral = config->ephemeral;
	control_self_clear(&c->self);
	c->nm = netmap_new();
	c->kick = evtimer_new(base, step, c);
	c->logout_timer = evtimer_new(base, on_logout_timer, c);
	backoff_init(&c->connect, base, control_event, c);
	exchange_init(&c->logout, c, NULL);
	auth_init(c);
	poll_init(c);
	auth_set_key(c, config->auth_key);
	return c;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	drop_connection(c);
	ping_uninit(c);
	poll_uninit(c);
	auth_uninit(c);
	exchange_uninit(&c->logout);
	backoff_uninit(&c->connect);
	event_free(c->logout_timer);
	event_free(c->kick);
	dialer_free(c->dialer);
	netmap_free(c->nm);
	control_self_clear(&c->self);
	key_wipe(&c->machine);
	key_wipe(&c->node);
	key_wipe(&c->old_node);
	key_wipe(&c->trying);
	free(c);
}

void control_start(struct control *c)
{
	if (c->want == WANT_UP)
		return;
	c->want = WANT_UP;
	auth_begin(c, false);
}

void control_login(struct control *c, const char *auth_key, bool force)
{
	c->want = WANT_UP;
	evtimer_del(c->logout_timer);
	exchange_cancel(&c->logout);
	auth_set_key(c, auth_key);
	backoff_reset(&c->connect);
	auth_begin(c, force);
}

void control_logout(struct control *c)
{
	static const struct timeval limit = {.tv_sec = LOGOUT_LIMIT_S};

	if (c->want == WANT_LOGOUT)
		return;
	c->want = WANT_LOGOUT;
	auth_abandon(c);
	poll_stop(c);
	backoff_reset(&c->connect);
	c->logout.status = 0;
	evtimer_add(c->logout_timer, &limit);
	control_kick(c);
}

void control_set_self(struct control *c, const struct control_self *self)
{
	control_self_copy(&c->self, self);
	update_self_changed(c);
}

void control_link_changed(struct control *c)
{
	c->drop = true;
	c->last_dial = 0;
	backoff_reset(&c->connect);
	backoff_reset(&c->auth.backoff);
	backoff_reset(&c->poll.backoff);
	backoff_reset(&c->update.backoff);
	control_kick(c);
}

enum control_state control_get_state(const struct control *c)
{
	return c->state;
}

const struct netmap *control_netmap(const struct control *c)
{
	return c->nm->self ? c->nm : NULL;
}
