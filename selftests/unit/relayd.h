/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_RELAYD_H
#define UNIT_RELAYD_H

/*
 * The core of a relay without sockets: one worker whose loop is the test's, and
 * clients whose bytes are fed and drained by hand.
 */

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "relay/client.h"
#include "relay/server.h"
#include "relay/worker.h"

#define OUT_MAX (1u << 20)

struct core {
	struct relayd server;
	struct relayd_worker *w;
};

struct peer {
	struct core *core;
	struct relayd_client *c;
	struct key private_key, public_key;
	bool wants, paused, yielded, logged_in, closed;
	char why[128];
	uint8_t *out; /* what it was sent and has not looked at */
	size_t n_out;
};

static inline void io_want_write(void *io)
{
	((struct peer *)io)->wants = true;
}

static inline void io_pause(void *io, bool paused)
{
	((struct peer *)io)->paused = paused;
}

static inline void io_yield(void *io)
{
	((struct peer *)io)->yielded = true;
}

static inline void io_logged_in(void *io)
{
	((struct peer *)io)->logged_in = true;
}

static inline void io_close(void *io, const char *why)
{
	struct peer *p = io;

	p->closed = true;
	snprintf(p->why, sizeof(p->why), "%s", why);
}

static const struct relayd_client_io peer_io = {
	.want_write = io_want_write,
	.pause = io_pause,
	.yield = io_yield,
	.logged_in = io_logged_in,
	.close = io_close,
};

static inline void core_start(struct core *core)
{
	memset(core, 0, sizeof(*core));
	pthread_mutex_init(&core->server.lock, NULL);
	key_generate(&core->server.private_key);
	key_public(&core->server.public_key, &core->server.private_key);
	core->server.table = relayd_table_new();
	core->w = relayd_worker_new(&core->server, 0);
	core->server.main = core->w;
}

static inline void core_stop(struct core *core)
{
	relayd_worker_free(core->w);
	relayd_table_free(core->server.table);
	pthread_mutex_destroy(&core->server.lock);
}

static inline int64_t stat_of(const struct core *core, enum relayd_stat what)
{
	return (int64_t)core->w->stats.v[what];
}

/* A connection that has said nothing yet, with a new key. */
static inline void peer_open(struct peer *p, struct core *core)
{
	struct endpoint remote = { .ip = ip_v4(192, 0, 2, 1), .port = 1234 };

	memset(p, 0, sizeof(*p));
	p->core = core;
	p->out = xmalloc(OUT_MAX);
	key_generate(&p->private_key);
	key_public(&p->public_key, &p->private_key);
	p->c = relayd_client_new(core->w, &peer_io, p, &remote, false);
}

static inline void peer_close(struct peer *p)
{
	relayd_client_free(p->c);
	free(p->out);
	memset(p, 0, sizeof(*p));
}

/* As the stream does: until it takes no more, yields, pauses or is closed. */
static inline size_t peer_feed(struct peer *p, const uint8_t *data, size_t n)
{
	size_t at = 0;

	while (at < n && !p->paused && !p->closed) {
		size_t took = relayd_client_input(p->c, data + at, n - at);

		if (!took)
			break;
		at += took;
	}
	return at;
}

static inline size_t peer_send(struct peer *p, const struct derp_frame *f)
{
	static uint8_t buf[DERP_CLIENT_INFO_MAX + 512];
	ssize_t n = derp_encode(f, buf, sizeof(buf));

	if (n < 0)
		abort();
	return peer_feed(p, buf, (size_t)n);
}

static inline void peer_packet(struct peer *p, const struct key *dst,
			const void *data, size_t n)
{
	struct derp_frame f = { .type = DERP_SEND_PACKET,
				.key = *dst,
				.data = data,
				.data_len = n };

	peer_send(p, &f);
}

/* Lets it write all it has to, in records of @cap bytes. */
static inline void peer_drain_by(struct peer *p, size_t cap)
{
	uint8_t *buf = xmalloc(cap);
	size_t n;

	while (!p->closed && (n = relayd_client_fill(p->c, buf, cap))) {
		if (p->n_out + n > OUT_MAX)
			abort();
		memcpy(p->out + p->n_out, buf, n);
		p->n_out += n;
	}
	p->wants = false;
	free(buf);
}

static inline void peer_drain(struct peer *p)
{
	peer_drain_by(p, 16384);
}

/*
 * The next frame it was sent; false if there is none. What @f points to is good
 * until the next call.
 */
static inline bool peer_next(struct peer *p, struct derp_frame *f)
{
	static uint8_t frame[DERP_FRAME_MAX];
	struct derp_header h;
	size_t len;

	if (p->n_out < DERP_HEADER_LEN)
		return false;
	derp_header_decode(&h, p->out);
	len = DERP_HEADER_LEN + h.len;
	if (p->n_out < len)
		return false;
	memcpy(frame, p->out, len);
	memmove(p->out, p->out + len, p->n_out - len);
	p->n_out -= len;
	return !derp_parse(f, DERP_CLIENT, &h, frame + DERP_HEADER_LEN);
}

static inline bool peer_gets(struct peer *p, enum derp_type type, struct derp_frame *f)
{
	peer_drain(p);
	return peer_next(p, f) && f->type == type;
}

/* ClientInfo with @info, or the usual. */
static inline void peer_hello(struct peer *p, const struct derp_client_info *info)
{
	const struct derp_client_info usual = { .version = DERP_VERSION,
						.can_ack_pings = true };
	uint8_t nonce[DERP_NONCE_LEN], out[DERP_LOGIN_MAX];
	ssize_t n;

	randombytes_buf(nonce, sizeof(nonce));
	n = derp_encode_login(info ? info : &usual, &p->private_key,
			      &p->core->server.public_key, nonce, out,
			      sizeof(out));
	if (n < 0)
		abort();
	/* Whatever it says it is. */
	memcpy(out + DERP_HEADER_LEN, p->public_key.b, KEY_LEN);
	peer_feed(p, out, (size_t)n);
}

/* Logged in, with what that says looked at. */
static inline void peer_start(struct peer *p, struct core *core)
{
	struct derp_frame f;

	peer_open(p, core);
	peer_hello(p, NULL);
	peer_drain(p);
	if (!p->logged_in || !peer_next(p, &f) || !peer_next(p, &f) ||
	    peer_next(p, &f))
		abort();
}

#endif
