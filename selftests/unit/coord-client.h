/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_COORD_CLIENT_H
#define UNIT_COORD_CLIENT_H

/* The agent's own control client, without its mind: channels and requests. */

#include "control/dial.h"
#include "control/noisedial.h"
#include "control/ts2021.h"
#include "coord-world.h"

struct client {
	struct world *w;
	struct dialer *dialer;
	struct noise_dial *dial;
	struct ts2021 *t;
	struct key machine;
	uint16_t version;
	bool done, refused, closed;
	char why[256];
};

struct answer {
	struct ts2021_stream *stream;
	int status, ended;
	bool cut; /* the end had an error */
	size_t len;
	char text[256];
};

static int client_socket(void *ctx, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static void client_closed(void *ctx, const char *why)
{
	struct client *c = ctx;

	snprintf(c->why, sizeof(c->why), "%s", why);
	c->closed = true;
	ts2021_free(c->t);
	c->t = NULL;
}

static void client_dialed(void *ctx, struct bufferevent *stream,
			  const struct noise_session *s, bool refused,
			  const char *why)
{
	struct client *c = ctx;

	c->dial = NULL;
	c->done = true;
	c->refused = refused;
	if (stream)
		c->t = ts2021_new(c->w->base, stream, s, client_closed, c);
	else
		snprintf(c->why, sizeof(c->why), "%s", why);
}

static void client_dial(struct client *c, const struct key *server)
{
	struct url url;
	struct noise_dial_spec spec = {
		.server = &url,
		.version = c->version,
		.machine_private = &c->machine,
		.server_public = server,
		.tls_first = c->w->tls,
	};
	char text[64];

	c->done = false;
	snprintf(text, sizeof(text), "http%s://127.0.0.1:%u",
		 c->w->tls ? "s" : "", c->w->tls ? c->w->tls : c->w->port);
	url_parse(&url, text);
	c->dial = noise_dial_start(c->w->base, c->dialer, &spec, client_dialed,
				   c);
}

static struct client *client_new(struct world *w, const struct key *machine)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->w = w;
	c->dialer = dialer_new(w->base, NULL, NULL, client_socket, NULL);
	c->version = 116;
	if (machine)
		c->machine = *machine;
	else
		key_generate(&c->machine);
	return c;
}

static inline void client_free(struct client *c)
{
	noise_dial_cancel(c->dial);
	ts2021_free(c->t);
	dialer_free(c->dialer);
	free(c);
}

static void got_headers(void *ctx, int status, unsigned int retry_after)
{
	((struct answer *)ctx)->status = status;
}

static void got_data(void *ctx, const uint8_t *data, size_t n)
{
	struct answer *a = ctx;
	size_t room = a->len < sizeof(a->text) - 1 ?
			      sizeof(a->text) - 1 - a->len : 0;

	memcpy(a->text + (room ? a->len : 0), data, n < room ? n : room);
	a->len += n;
}

static void got_end(void *ctx, const char *error)
{
	struct answer *a = ctx;

	a->ended++;
	a->cut = !!error;
	a->stream = NULL;
}

static const struct ts2021_stream_ops got_ops = {
	.headers = got_headers,
	.data = got_data,
	.end = got_end,
};

static void ask(struct client *c, struct answer *a, const char *method,
		const char *path, const void *body, size_t len)
{
	struct ts2021_request req = {
		.method = method,
		.path = path,
		.authority = "unused",
		.body = body,
		.body_len = len,
	};

	memset(a, 0, sizeof(*a));
	a->stream = ts2021_submit(c->t, &req, &got_ops, a);
}

static inline struct client *connected(struct world *w, const struct key *machine)
{
	struct client *c = client_new(w, machine);

	client_dial(c, &w->public);
	if (!UNTIL(w, c->done) || !c->t)
		tap_ok(false, "a channel: %s", c->why);
	return c;
}

/* True if a usual request on @c gets a usual answer. */
static inline bool served(struct client *c)
{
	struct answer a;

	if (!c->t)
		return false;
	ask(c, &a, "GET", "/hello", NULL, 0);
	return UNTIL(c->w, a.ended) && a.status == 200 && a.len == 6;
}

#endif
