// SPDX-License-Identifier: GPL-2.0
#include "control/noisedial.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/https.h"
#include "lib/httphead.h"
#include "lib/util.h"

#define DIAL_LIMIT_MS 10000
#define TLS_DELAY_MS 500
/* When TLS goes first it is to win if it can. */
#define PLAIN_DELAY_MS 3000
#define PROTOCOL "tailscale-control-protocol"
#define WHY_MAX 256
/* The upgrade's head, a response frame, and whatever follows in one read. */
#define READ_MAX (64u << 10)

/* How far an attempt got; the error of the one that came farthest is told. */
enum progress { NOT_STARTED, CONNECTING, UPGRADING, HANDSHAKING };

struct attempt {
	struct noise_dial *d;
	uint16_t port; /* 0: not tried */
	enum dial_tls tls;
	enum progress progress;
	bool failed;
	struct dial *dial;
	struct bufferevent *stream;
	struct noise_handshake handshake;
};

struct noise_dial {
	struct event_base *base;
	struct dialer *dialer;
	struct url server;
	uint16_t version;
	struct key machine_private, server_public;
	struct attempt plain, tls;
	struct attempt *second; /* NULL: there is none */
	struct event *second_start, *timer;
	enum progress progress; /* of the error in why */
	char why[WHY_MAX];
	void (*done)(void *ctx, struct bufferevent *stream,
		     const struct noise_session *s, bool refused,
		     const char *why);
	void *ctx;
};

void noise_dial_ports(const struct url *server, uint16_t *plain, uint16_t *tls)
{
	*plain = 80;
	*tls = 443;
	if (server->https) {
		*tls = url_port(server);
	} else {
		*plain = url_port(server);
		if (url_is_private(server))
			*tls = 0;
	}
}

static void attempt_end(struct attempt *a)
{
	dial_cancel(a->dial);
	a->dial = NULL;
	if (a->stream)
		bufferevent_free(a->stream);
	a->stream = NULL;
	noise_handshake_wipe(&a->handshake);
}

void noise_dial_cancel(struct noise_dial *d)
{
	if (!d)
		return;
	attempt_end(&d->plain);
	attempt_end(&d->tls);
	event_free(d->second_start);
	event_free(d->timer);
	key_wipe(&d->machine_private);
	free(d);
}

static void finish(struct noise_dial *d, struct bufferevent *stream,
		   const struct noise_session *s)
{
	void (*done)(void *ctx, struct bufferevent *stream,
		     const struct noise_session *s, bool refused,
		     const char *why) = d->done;
	bool refused = d->progress == HANDSHAKING;
	void *ctx = d->ctx;
	char why[WHY_MAX];

	memcpy(why, d->why, sizeof(why));
	noise_dial_cancel(d);
	done(ctx, stream, s, refused, stream ? NULL : why);
}

static void attempt_start(struct attempt *a);

__attribute__((format(printf, 2, 3))) static void
attempt_failed(struct attempt *a, const char *fmt, ...)
{
	struct noise_dial *d = a->d;
	va_list ap;

	/* Of two that came as far, the one that the URL names. */
	if (a->progress > d->progress ||
	    (a->progress == d->progress && (a == &d->tls) == d->server.https)) {
		d->progress = a->progress;
		va_start(ap, fmt);
		vsnprintf(d->why, sizeof(d->why), fmt, ap);
		va_end(ap);
	}
	a->failed = true;
	attempt_end(a);
	if (d->second && d->second->progress == NOT_STARTED)
		attempt_start(d->second);
	else if (d->plain.failed && (d->tls.failed || !d->tls.port))
		finish(d, NULL, NULL);
}

/* The server's answer to the initiation: a response, or an error's text. */
static void read_response(struct attempt *a)
{
	struct evbuffer *in = bufferevent_get_input(a->stream);
	uint8_t frame[NOISE_FRAME_MAX];
	struct bufferevent *stream;
	struct noise_session s;
	int size;

	if (evbuffer_copyout(in, frame, NOISE_HEADER_LEN) < NOISE_HEADER_LEN)
		return;
	size = noise_response_size(frame);
	if (size < 0) {
		attempt_failed(a, "%s does not speak the control protocol",
			       a->d->server.host);
		return;
	}
	if (evbuffer_get_length(in) < (size_t)size)
		return;
	evbuffer_remove(in, frame, (size_t)size);
	if (frame[0] == NOISE_ERROR) {
		/* Not authenticated, so no more than a hint. */
		attempt_failed(a, "%s refused the handshake: %.*s",
			       a->d->server.host, size - NOISE_HEADER_LEN,
			       (char *)frame + NOISE_HEADER_LEN);
		return;
	}
	if (noise_client_finish(&a->handshake, frame, &s)) {
		attempt_failed(a, "%s does not own the key it published",
			       a->d->server.host);
		return;
	}
	stream = a->stream;
	a->stream = NULL;
	bufferevent_setcb(stream, NULL, NULL, NULL, NULL);
	bufferevent_disable(stream, EV_READ);
	bufferevent_setwatermark(stream, EV_READ, 0, 0);
	finish(a->d, stream, &s);
	noise_session_wipe(&s);
}

static void on_read(struct bufferevent *stream, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(stream);
	struct attempt *a = arg;
	uint8_t head[HTTP_HEAD_MAX];
	char upgrade[64] = "";
	ev_ssize_t n;
	ssize_t len;
	int status = 0;

	if (a->progress == HANDSHAKING) {
		read_response(a);
		return;
	}
	n = evbuffer_copyout(in, head, sizeof(head));
	len = http_head_parse(head, (size_t)n, &status);
	if (len < 0) {
		attempt_failed(a, "%s port %u: no HTTP answer",
			       a->d->server.host, a->port);
		return;
	}
	if (!len)
		return;
	if (status != 101 ||
	    http_header(head, (size_t)len, "Upgrade", upgrade,
			sizeof(upgrade)) < 0 ||
	    strcmp(upgrade, PROTOCOL)) {
		attempt_failed(a, "%s port %u: HTTP status %d, not an upgrade",
			       a->d->server.host, a->port, status);
		return;
	}
	/* Whatever follows the head already belongs to Noise. */
	evbuffer_drain(in, (size_t)len);
	a->progress = HANDSHAKING;
	read_response(a);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	struct attempt *a = arg;

	if (a->progress == HANDSHAKING)
		attempt_failed(a,
			       "%s closed the connection during the "
			       "handshake: unknown server key, or this "
			       "version is too old for it",
			       a->d->server.host);
	else
		attempt_failed(a, "%s port %u: connection lost",
			       a->d->server.host, a->port);
}

static void on_dialed(void *ctx, struct bufferevent *stream, const char *why)
{
	struct attempt *a = ctx;
	struct noise_dial *d = a->d;
	uint8_t frame[NOISE_INITIATION_LEN];
	char text[sodium_base64_ENCODED_LEN(NOISE_INITIATION_LEN,
					    sodium_base64_VARIANT_ORIGINAL)];
	char host[URL_AUTHORITY_MAX];
	struct key ephemeral;
	int err;

	a->dial = NULL;
	if (!stream) {
		attempt_failed(a, "%s", why);
		return;
	}
	a->stream = stream;
	a->progress = UPGRADING;
	key_generate(&ephemeral);
	err = noise_client_start(&a->handshake, d->version, &d->machine_private,
				 &d->server_public, &ephemeral, frame);
	key_wipe(&ephemeral);
	if (err) {
		a->progress = HANDSHAKING; /* ask for the key again */
		attempt_failed(a, "%s published an unusable key",
			       d->server.host);
		return;
	}
	sodium_bin2base64(text, sizeof(text), frame, sizeof(frame),
			  sodium_base64_VARIANT_ORIGINAL);
	evbuffer_add_printf(bufferevent_get_output(stream),
			    "POST /ts2021 HTTP/1.1\r\nHost: %s\r\n"
			    "Upgrade: " PROTOCOL "\r\nConnection: upgrade\r\n"
			    "X-Tailscale-Handshake: %s\r\n"
			    "Content-Length: 0\r\n\r\n",
			    url_authority(&d->server, host), text);
	bufferevent_setcb(stream, on_read, NULL, on_event, a);
	bufferevent_setwatermark(stream, EV_READ, 0, READ_MAX);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
}

static void attempt_start(struct attempt *a)
{
	a->progress = CONNECTING;
	a->dial = dial_start(a->d->dialer, a->d->server.host, a->port, a->tls,
			     DIAL_LIMIT_MS, on_dialed, a);
}

static void on_second_start(evutil_socket_t fd, short what, void *arg)
{
	struct noise_dial *d = arg;

	if (d->second->progress == NOT_STARTED)
		attempt_start(d->second);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct noise_dial *d = arg;

	if (d->progress == NOT_STARTED)
		snprintf(d->why, sizeof(d->why), "%.200s: no answer in time",
			 d->server.host);
	finish(d, NULL, NULL);
}

struct noise_dial *
noise_dial_start(struct event_base *base, struct dialer *dialer,
		 const struct noise_dial_spec *spec,
		 void (*done)(void *ctx, struct bufferevent *stream,
			      const struct noise_session *s, bool refused,
			      const char *why),
		 void *ctx)
{
	static const struct timeval limit = {.tv_sec = DIAL_LIMIT_MS / 1000};
	unsigned int delay_ms = TLS_DELAY_MS;
	struct timeval delay;
	struct noise_dial *d = xcalloc(1, sizeof(*d));

	d->base = base;
	d->dialer = dialer;
	d->server = *spec->server;
	d->version = spec->version;
	d->machine_private = *spec->machine_private;
	d->server_public = *spec->server_public;
	d->done = done;
	d->ctx = ctx;
	d->plain = (struct attempt){.d = d, .tls = DIAL_PLAIN};
	d->tls = (struct attempt){.d = d, .tls = DIAL_TLS_UNVERIFIED};
	noise_dial_ports(&d->server, &d->plain.port, &d->tls.port);
	d->second_start = evtimer_new(base, on_second_start, d);
	d->timer = evtimer_new(base, on_timer, d);
	event_add(d->timer, &limit);
	if (!d->tls.port) {
		attempt_start(&d->plain);
		return d;
	}
	d->second = spec->tls_first ? &d->plain : &d->tls;
	if (spec->tls_first)
		delay_ms = PLAIN_DELAY_MS;
	delay = (struct timeval){.tv_sec = delay_ms / 1000,
				 .tv_usec = delay_ms % 1000 * 1000};
	event_add(d->second_start, &delay);
	attempt_start(spec->tls_first ? &d->tls : &d->plain);
	return d;
}
