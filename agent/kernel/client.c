// SPDX-License-Identifier: GPL-2.0
#include "kernel/kernel.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "kernel/broker.h"
#include "kernel/wire.h"
#include "lib/log.h"
#include "lib/util.h"

/*
 * What waits for the kernel process is bounded: the newest state, the newest
 * path of each peer, TSMP_WAITING packets, and the questions of local callers.
 * It is written out only when everything before it has left.
 */

#define TSMP_WAITING 64

struct waiting_path {
	struct kernel_path path;
	UT_hash_handle hh; /* by path.peer */
};

struct question {
	kernel_stats_cb cb;
	void *ctx;
	struct wire_ask ask;
	bool asked;
	struct question *prev, *next;
};

struct kernel {
	struct bufferevent *stream;
	int broker;
	uint32_t broker_sequence;
	const struct kernel_ops *ops;
	void *ctx;
	bool lost;
	uint8_t *state; /* encoded, not yet written */
	size_t state_len;
	struct waiting_path *paths;
	struct evbuffer *tsmp; /* encoded */
	size_t n_tsmp;
	struct question *questions; /* answered in order */
};

static void wipe_and_free(const void *data, size_t n, void *extra)
{
	explicit_bzero((void *)data, n);
	free((void *)data);
}

static void write_frame(struct evbuffer *out, enum wire_type type,
			const void *body)
{
	size_t n;
	uint8_t *frame = wire_encode(type, body, &n);

	evbuffer_add_reference(out, frame, n, wipe_and_free, NULL);
}

static void flush(struct kernel *k)
{
	struct evbuffer *out = bufferevent_get_output(k->stream);
	struct waiting_path *w, *next;
	struct question *q;

	if (k->lost || evbuffer_get_length(out))
		return;
	if (k->state) {
		evbuffer_add_reference(out, k->state, k->state_len,
				       wipe_and_free, NULL);
		k->state = NULL;
	}
	HASH_ITER(hh, k->paths, w, next) {
		HASH_DEL(k->paths, w);
		write_frame(out, WIRE_PATH, &w->path);
		free(w);
	}
	evbuffer_add_buffer(out, k->tsmp);
	k->n_tsmp = 0;
	DL_FOREACH(k->questions, q) {
		if (!q->asked)
			write_frame(out, WIRE_STATS_ASK, &q->ask);
		q->asked = true;
	}
}

static void on_written(struct bufferevent *bev, void *ctx)
{
	flush(ctx);
}

static void answer(struct kernel *k, const struct wire_stats *s)
{
	struct question *q = k->questions;

	if (!q || !q->asked)
		return;
	DL_DELETE(k->questions, q);
	q->cb(q->ctx, s->peers, s->n_peers, s->device_json);
	free(q);
}

static void dispatch(struct kernel *k, const struct wire_message *m)
{
	const struct kernel_ops *ops = k->ops;

	switch (m->type) {
	case WIRE_APPLIED:
		ops->applied(k->ctx, (int)m->u.applied.link,
			     m->u.applied.port, m->u.applied.error);
		return;
	case WIRE_PEER_ACTIVE:
		ops->peer_active(k->ctx, m->u.peer.peer);
		return;
	case WIRE_PEER_IDLE:
		ops->peer_idle(k->ctx, m->u.peer.peer);
		return;
	case WIRE_ROAMED:
		ops->roamed(k->ctx, m->u.roamed.peer, &m->u.roamed.endpoint);
		return;
	case WIRE_TSMP:
		ops->tsmp(k->ctx, &m->u.tsmp.src, &m->u.tsmp.dst,
			  m->u.tsmp.data, m->u.tsmp.n);
		return;
	case WIRE_LINK_CHANGED:
		ops->link_changed(k->ctx);
		return;
	case WIRE_STATS:
		answer(k, &m->u.stats);
		return;
	case WIRE_STATE:
	case WIRE_PATH:
	case WIRE_STATS_ASK:
		/* not ours to get */
		return;
	}
}

static void lose(struct kernel *k)
{
	if (k->lost)
		return;
	k->lost = true;
	bufferevent_disable(k->stream, EV_READ | EV_WRITE);
	k->ops->lost(k->ctx);
}

static void on_readable(struct bufferevent *bev, void *ctx)
{
	struct kernel *k = ctx;
	struct wire_message m;
	int got;

	while (!k->lost &&
	       (got = wire_take(bufferevent_get_input(bev), &m)) != 0) {
		if (got < 0) {
			log_error("kernel process: garbled message");
			lose(k);
			return;
		}
		dispatch(k, &m);
		wire_free(&m);
	}
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		lose(ctx);
}

struct kernel *kernel_new(struct event_base *base, int stream, int broker,
			  const struct kernel_ops *ops, void *ctx)
{
	struct kernel *k = xcalloc(1, sizeof(*k));

	k->ops = ops;
	k->ctx = ctx;
	k->broker = broker;
	k->tsmp = evbuffer_new();
	evutil_make_socket_nonblocking(stream);
	/* deferred: no op is called from within a function of kernel.h */
	k->stream = bufferevent_socket_new(base, stream,
					   BEV_OPT_CLOSE_ON_FREE |
						   BEV_OPT_DEFER_CALLBACKS);
	if (!k->tsmp || !k->stream)
		abort();
	bufferevent_setcb(k->stream, on_readable, on_written, on_event, k);
	bufferevent_enable(k->stream, EV_READ | EV_WRITE);
	return k;
}

void kernel_free(struct kernel *k)
{
	struct waiting_path *w, *next_path;
	struct question *q, *next;

	if (!k)
		return;
	bufferevent_free(k->stream);
	close(k->broker);
	if (k->state)
		wipe_and_free(k->state, k->state_len, NULL);
	HASH_ITER(hh, k->paths, w, next_path) {
		HASH_DEL(k->paths, w);
		free(w);
	}
	DL_FOREACH_SAFE(k->questions, q, next) {
		DL_DELETE(k->questions, q);
		free(q);
	}
	evbuffer_free(k->tsmp);
	free(k);
}

void kernel_publish(struct kernel *k, const struct kernel_state *state)
{
	if (k->state)
		wipe_and_free(k->state, k->state_len, NULL);
	k->state = wire_encode(WIRE_STATE, state, &k->state_len);
	flush(k);
}

void kernel_set_path(struct kernel *k, const struct kernel_path *path)
{
	struct waiting_path *w;

	HASH_FIND(hh, k->paths, &path->peer, sizeof(path->peer), w);
	if (w) {
		w->path = *path;
	} else {
		w = xcalloc(1, sizeof(*w));
		w->path = *path;
		HASH_ADD(hh, k->paths, path.peer, sizeof(w->path.peer), w);
	}
	flush(k);
}

void kernel_send_tsmp(struct kernel *k, const struct ip_addr *src,
		      const struct ip_addr *dst, const uint8_t *data, size_t n)
{
	struct wire_tsmp t = { *src, *dst, (uint8_t *)data, n };

	/* a datagram: what does not fit is lost */
	if (k->n_tsmp >= TSMP_WAITING || !n || n > TAILRACE_MAX_TSMP)
		return;
	k->n_tsmp++;
	write_frame(k->tsmp, WIRE_TSMP, &t);
	flush(k);
}

void kernel_get_stats(struct kernel *k, bool rules, kernel_stats_cb cb,
		      void *ctx)
{
	struct question *q = xcalloc(1, sizeof(*q));

	q->ask.rules = rules;
	q->cb = cb;
	q->ctx = ctx;
	DL_APPEND(k->questions, q);
	flush(k);
}

static int ask(struct kernel *k, enum broker_kind kind, int family)
{
	return broker_ask(k->broker, &k->broker_sequence, kind, family);
}

int kernel_socket_tcp(struct kernel *k, int family)
{
	return ask(k, BROKER_TCP, family);
}

int kernel_socket_udp(struct kernel *k, int family)
{
	return ask(k, BROKER_UDP, family);
}

int kernel_socket_steer(struct kernel *k, int family)
{
	return ask(k, BROKER_STEER, family);
}
