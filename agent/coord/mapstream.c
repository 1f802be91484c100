// SPDX-License-Identifier: GPL-2.0
#include "coord/mapstream.h"

#include <event2/event.h>
#include <string.h>
#include <utlist.h>

#include "control/backoff.h"
#include "coord/http.h"
#include "coord/map_response.h"
#include "lib/metrics.h"
#include "lib/util.h"

#define KEEP_ALIVE_MIN_MS 50000
#define KEEP_ALIVE_MAX_MS 60000
/* The longest that changes wait for each other. */
#define TELL_GAP_MAX_MS 1000

struct mapstream {
	struct mapstreams *s;
	struct member *m;
	struct http_request *r;
	bool zstd;
	bool first; /* nothing was sent yet */
	/* Is to get everything: now, or once it has read what it was sent. */
	bool waiting, behind;
	size_t whole; /* bytes of a whole map on their way */
	struct map_view view;
	struct event *keep_alive;
	uint64_t last; /* something was sent */
	struct mapstream *prev, *next;
	struct mapstream *wait_prev, *wait_next;
};

struct mapstreams {
	struct event_base *base;
	struct tailnet *t;
	const struct mapstreams_ops *ops;
	void *ctx;
	struct map_encoder *e;
	struct mapstream *all, *waiting;
	size_t n;
	size_t whole; /* bytes */
	struct event *tell, *whole_event;
	uint64_t next_tell; /* not before */
	/* since the start */
	uint64_t tellings, messages, bytes, behind;
};

static void stream_free(struct mapstream *st)
{
	struct mapstreams *s = st->s;

	if (st->waiting)
		DL_DELETE2(s->waiting, st, wait_prev, wait_next);
	DL_DELETE(s->all, st);
	s->n--;
	s->whole -= st->whole;
	st->m->stream = NULL;
	event_free(st->keep_alive);
	map_view_clear(&st->view);
	free(st);
	if (s->waiting)
		event_active(s->whole_event, EV_TIMEOUT, 0);
}

/* True if it was taken. */
static bool put(struct mapstream *st, const struct text *msg)
{
	if (http_write(st->r, msg->s, msg->len))
		return false;
	st->last = now_ns();
	st->s->messages++;
	st->s->bytes += msg->len;
	return true;
}

static void wait_whole(struct mapstream *st)
{
	st->behind = false;
	if (st->waiting)
		return;
	st->waiting = true;
	DL_APPEND2(st->s->waiting, st, wait_prev, wait_next);
	event_active(st->s->whole_event, EV_TIMEOUT, 0);
}

static void send_whole(struct mapstream *st)
{
	struct mapstreams *s = st->s;
	const struct text *msg;

	msg = map_encode_full(s->e, st->m, &st->view, st->first, st->zstd);
	if (!msg || !put(st, msg)) {
		/* Its next poll starts from nothing. */
		struct http_request *r = st->r;
		struct member *m = st->m;

		stream_free(st);
		http_end(r);
		s->ops->disconnected(s->ctx, m);
		return;
	}
	st->first = false;
	st->whole = http_queued(st->r);
	s->whole += st->whole;
}

static void on_whole(evutil_socket_t fd, short what, void *arg)
{
	struct mapstreams *s = arg;
	struct mapstream *st = s->waiting;

	if (!st || s->whole > MAPSTREAM_WHOLE_MAX)
		return;
	DL_DELETE2(s->waiting, st, wait_prev, wait_next);
	st->waiting = false;
	send_whole(st);
	/* Others get their turn between two of these. */
	if (s->waiting)
		event_active(s->whole_event, EV_TIMEOUT, 0);
}

static void on_drained(struct http_request *r)
{
	struct mapstream *st = r->ctx;
	struct mapstreams *s = st->s;

	s->whole -= st->whole;
	st->whole = 0;
	if (st->behind)
		wait_whole(st);
	if (s->waiting)
		event_active(s->whole_event, EV_TIMEOUT, 0);
}

static void on_closed(struct http_request *r, const char *why)
{
	struct mapstream *st = r->ctx;
	struct mapstreams *s = st->s;
	struct member *m = st->m;

	stream_free(st);
	s->ops->disconnected(s->ctx, m);
}

static const struct http_request_ops stream_ops = {
	.closed = on_closed,
	.drained = on_drained,
};

static void keep_alive_in(struct mapstream *st, unsigned int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(st->keep_alive, &tv);
}

static void on_keep_alive(evutil_socket_t fd, short what, void *arg)
{
	struct mapstream *st = arg;
	uint64_t idle = (now_ns() - st->last) / MS_NS;

	/* Something is on its way to a slow reader anyway. */
	if (idle + 1000 >= KEEP_ALIVE_MIN_MS && !st->waiting &&
	    !http_queued(st->r)) {
		put(st, map_encode_keep_alive(st->s->e, st->zstd));
		idle = 0;
	}
	idle = idle < KEEP_ALIVE_MIN_MS ? idle : 0;
	keep_alive_in(st, random_between(KEEP_ALIVE_MIN_MS, KEEP_ALIVE_MAX_MS) -
				  (unsigned int)idle);
}

void mapstreams_open(struct mapstreams *s, struct member *m,
		     struct http_request *r, bool zstd)
{
	struct mapstream *st = xcalloc(1, sizeof(*st)), *old = m->stream;

	if (old) {
		struct http_request *old_r = old->r;

		stream_free(old);
		http_end(old_r);
	}
	st->s = s;
	st->m = m;
	st->r = r;
	st->zstd = zstd;
	st->first = true;
	st->keep_alive = evtimer_new(s->base, on_keep_alive, st);
	m->stream = st;
	DL_APPEND(s->all, st);
	s->n++;
	r->ops = &stream_ops;
	r->ctx = st;
	http_start(r, 200, "application/json");
	keep_alive_in(st, KEEP_ALIVE_MIN_MS);
	st->last = now_ns();
	wait_whole(st);
	if (!old)
		s->ops->connected(s->ctx, m);
}

void mapstreams_once(struct mapstreams *s, struct member *m,
		     struct http_request *r, bool zstd)
{
	struct map_view view = {0};
	const struct text *msg;

	msg = map_encode_full(s->e, m, &view, true, zstd);
	http_reply(r, 200, "application/json", msg->s, msg->len);
	map_view_clear(&view);
}

void mapstreams_gone(struct mapstreams *s, struct member *m)
{
	struct mapstream *st = m->stream;
	struct http_request *r;

	if (!st)
		return;
	r = st->r;
	stream_free(st);
	http_end(r);
}

bool mapstreams_ping(struct mapstreams *s, struct member *m, const char *url)
{
	struct mapstream *st = m->stream;

	return st && !st->waiting && !http_queued(st->r) &&
	       put(st, map_encode_ping(s->e, url, st->zstd));
}

/* ── Telling ── */

static void tell(struct mapstream *st)
{
	const struct text *msg;

	/* Everything is to come, and will have these changes. */
	if (st->waiting || st->behind)
		return;
	msg = map_encode_delta(st->s->e, st->m, &st->view, st->zstd);
	if (!msg || put(st, msg))
		return;
	st->behind = true;
	st->s->behind++;
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
	struct mapstreams *s = arg;
	uint64_t start = now_ns(), took, gap;
	struct mapstream *st;

	for (st = s->all; st; st = st->next)
		tell(st);
	map_encode_end(s->e);
	tailnet_told(s->t);
	s->tellings++;
	took = now_ns() - start;
	gap = MAPSTREAM_TELL_GAP_MS * MS_NS;
	gap = 4 * took > gap ? 4 * took : gap;
	gap = gap < TELL_GAP_MAX_MS * MS_NS ? gap : TELL_GAP_MAX_MS * MS_NS;
	s->next_tell = start + took + gap;
}

void mapstreams_changed(struct mapstreams *s)
{
	uint64_t now, wait;
	struct timeval tv;

	if (evtimer_pending(s->tell, NULL) || !tailnet_changed(s->t))
		return;
	now = now_ns();
	wait = now < s->next_tell ? (s->next_tell - now) / 1000 : 0;
	tv = (struct timeval){(time_t)(wait / 1000000),
			      (suseconds_t)(wait % 1000000)};
	event_add(s->tell, &tv);
}

struct mapstreams *mapstreams_new(struct event_base *base, struct tailnet *t,
				  const struct mapstreams_ops *ops, void *ctx)
{
	struct mapstreams *s = xcalloc(1, sizeof(*s));

	s->base = base;
	s->t = t;
	s->ops = ops;
	s->ctx = ctx;
	s->e = map_encoder_new(t);
	s->tell = evtimer_new(base, on_tell, s);
	s->whole_event = event_new(base, -1, 0, on_whole, s);
	return s;
}

void mapstreams_free(struct mapstreams *s)
{
	if (!s)
		return;
	event_free(s->tell);
	event_free(s->whole_event);
	map_encoder_free(s->e);
	free(s);
}

void mapstreams_metrics(const struct mapstreams *s, struct metrics *m)
{
	struct map_encoder_stats stats = map_encoder_stats(s->e);

	metrics_gauge(m, "tailrace_coord_map_streams",
		      "Map streams open now.", NULL, (double)s->n);
	metrics_counter(m, "tailrace_coord_map_tellings_total",
			"Batches of changes told to the streams.", NULL,
			s->tellings);
	metrics_counter(m, "tailrace_coord_map_messages_total",
			"Messages sent in map streams.", NULL, s->messages);
	metrics_counter(m, "tailrace_coord_map_bytes_total",
			"Bytes of them, before encryption.", NULL, s->bytes);
	metrics_counter(m, "tailrace_coord_map_full_total",
			"Whole maps encoded.", NULL, stats.full);
	metrics_counter(m, "tailrace_coord_map_delta_total",
			"Deltas encoded.", NULL, stats.delta);
	metrics_counter(m, "tailrace_coord_map_shared_total",
			"Deltas that were there already for another stream.",
			NULL, stats.shared);
	metrics_counter(m, "tailrace_coord_map_behind_total",
			"Streams that read too slowly and start anew.", NULL,
			s->behind);
}
