// SPDX-License-Identifier: GPL-2.0
#include "control/ts2021.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "lib/log.h"
#include "lib/util.h"

#define STREAM_WINDOW (4 << 20)
#define CONNECTION_WINDOW (16 << 20)
#define HEADER_LIST_MAX (16 << 10)
/* Output beyond this stays in nghttp2 until the socket takes some. */
#define OUTPUT_HIGH (256u << 10)
#define WHY_MAX 160

struct ts2021_stream {
	struct ts2021 *t;
	int32_t id;
	const struct ts2021_stream_ops *ops; /* NULL once cancelled */
	void *ctx;
	uint8_t *body;
	size_t body_len, body_sent;
	int status;
	unsigned int retry_after;
	bool paused;
	size_t unconsumed;
	struct ts2021_stream *prev, *next;
};

struct ts2021 {
	struct bufferevent *stream;
	struct noise_session noise;
	nghttp2_session *http;
	struct ts2021_stream *streams;
	/* Early payload, while @early: its header, then bytes to skip. */
	bool early;
	uint8_t early_header[NOISE_EARLY_HEADER_LEN];
	size_t early_have;
	uint32_t early_skip;
	struct event *pump; /* deferred output, and the end */
	bool closing;
	char why[WHY_MAX];
	void (*closed)(void *ctx, const char *why);
	void *ctx;
};

static void stream_free(struct ts2021_stream *s)
{
	DL_DELETE(s->t->streams, s);
	if (s->body)
		sodium_memzero(s->body, s->body_len); /* may hold an auth key */
	free(s->body);
	free(s);
}

/* Says the end from the loop, so that callers need not expect it. */
static void close_later(struct ts2021 *t, const char *why)
{
	if (t->closing)
		return;
	t->closing = true;
	snprintf(t->why, sizeof(t->why), "%s", why);
	bufferevent_disable(t->stream, EV_READ);
	event_active(t->pump, EV_TIMEOUT, 0);
}

static void say_closed(struct ts2021 *t)
{
	struct ts2021_stream *s, *tmp;

	DL_FOREACH_SAFE(t->streams, s, tmp)
	{
		const struct ts2021_stream_ops *ops = s->ops;
		void *ctx = s->ctx;

		nghttp2_session_set_stream_user_data(t->http, s->id, NULL);
		stream_free(s);
		if (ops && ops->end)
			ops->end(ctx, t->why);
	}
	t->closed(t->ctx, t->why);
}

/* Moves what nghttp2 has to say into records. */
static void pump_out(struct ts2021 *t)
{
	struct evbuffer *out = bufferevent_get_output(t->stream);
	uint8_t frame[NOISE_FRAME_MAX];
	const uint8_t *data;
	ssize_t n, len;

	while (evbuffer_get_length(out) < OUTPUT_HIGH) {
		n = nghttp2_session_mem_send(t->http, &data);
		if (n < 0) {
			close_later(t, nghttp2_strerror((int)n));
			return;
		}
		if (!n)
			break;
		while (n) {
			size_t part = (size_t)n > NOISE_PLAIN_MAX
					      ? NOISE_PLAIN_MAX
					      : (size_t)n;

			len = noise_seal_record(&t->noise, data, part, frame,
						sizeof(frame));
			if (len < 0) {
				close_later(t, "too many records");
				return;
			}
			evbuffer_add(out, frame, (size_t)len);
			data += part;
			n -= (ssize_t)part;
		}
	}
	if (!nghttp2_session_want_read(t->http) &&
	    !nghttp2_session_want_write(t->http))
		close_later(t, "control ended the session");
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct ts2021 *t = arg;

	if (t->closing)
		say_closed(t);
	else
		pump_out(t);
}

static void pump_later(struct ts2021 *t)
{
	event_active(t->pump, EV_TIMEOUT, 0);
}

/* Skips the early payload; returns how many bytes of @in it took. */
static size_t skip_early(struct ts2021 *t, const uint8_t *in, size_t n)
{
	size_t used = 0, part;
	int found;

	if (t->early_have < NOISE_EARLY_HEADER_LEN) {
		part = NOISE_EARLY_HEADER_LEN - t->early_have;
		part = part < n ? part : n;
		memcpy(t->early_header + t->early_have, in, part);
		t->early_have += part;
		used = part;
		if (t->early_have < NOISE_EARLY_HEADER_LEN)
			return used;
		found = noise_early_header(t->early_header, &t->early_skip);
		if (found < 0) {
			close_later(t, "the early payload is too long");
			return n;
		}
		if (!found) {
			/* These nine bytes were HTTP/2's already. */
			t->early = false;
			if (nghttp2_session_mem_recv(t->http, t->early_header,
						     NOISE_EARLY_HEADER_LEN) <
			    0)
				close_later(t, "no HTTP/2 inside of Noise");
			return used;
		}
	}
	part = t->early_skip < n - used ? t->early_skip : n - used;
	t->early_skip -= (uint32_t)part;
	t->early = t->early_skip > 0;
	return used + part;
}

static void deliver(struct ts2021 *t, const uint8_t *in, size_t n)
{
	ssize_t r;

	while (t->early && n && !t->closing) {
		size_t used = skip_early(t, in, n);

		in += used;
		n -= used;
	}
	if (!n || t->closing)
		return;
	r = nghttp2_session_mem_recv(t->http, in, n);
	if (r < 0)
		close_later(t, nghttp2_strerror((int)r));
}

static void on_read(struct bufferevent *stream, void *arg)
{
	struct ts2021 *t = arg;
	struct evbuffer *in = bufferevent_get_input(stream);
	uint8_t frame[NOISE_FRAME_MAX], plain[NOISE_FRAME_MAX];
	ssize_t n;
	int size;

	while (!t->closing && evbuffer_copyout(in, frame, NOISE_HEADER_LEN) ==
				      NOISE_HEADER_LEN) {
		size = noise_record_size(frame);
		if (size < 0) {
			close_later(t, "control sent a malformed record");
			return;
		}
		if (evbuffer_get_length(in) < (size_t)size)
			break;
		evbuffer_remove(in, frame, (size_t)size);
		n = noise_open_record(&t->noise, frame, (size_t)size, plain,
				      sizeof(plain));
		if (n < 0) {
			close_later(t, "a record of control is forged");
			return;
		}
		deliver(t, plain, (size_t)n);
	}
	if (!t->closing)
		pump_out(t);
}

static void on_write(struct bufferevent *stream, void *arg)
{
	struct ts2021 *t = arg;

	if (!t->closing)
		pump_out(t);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	close_later(arg, what & BEV_EVENT_EOF ? "control closed the connection"
					      : "connection to control lost");
}

static int on_header(nghttp2_session *http, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len, const uint8_t *value,
		     size_t value_len, uint8_t flags, void *arg)
{
	struct ts2021_stream *s =
		nghttp2_session_get_stream_user_data(http, frame->hd.stream_id);
	char text[12];

	if (!s || frame->hd.type != NGHTTP2_HEADERS ||
	    value_len >= sizeof(text))
		return 0;
	memcpy(text, value, value_len);
	text[value_len] = '\0';
	if (name_len == 7 && !memcmp(name, ":status", 7))
		s->status = atoi(text);
	else if (name_len == 11 && !memcmp(name, "retry-after", 11))
		s->retry_after = (unsigned int)strtoul(text, NULL, 10);
	return 0;
}

static int on_frame(nghttp2_session *http, const nghttp2_frame *frame,
		    void *arg)
{
	struct ts2021 *t = arg;
	struct ts2021_stream *s;

	if (frame->hd.type == NGHTTP2_GOAWAY) {
		close_later(t, "control asks for a new connection");
		return 0;
	}
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	s = nghttp2_session_get_stream_user_data(http, frame->hd.stream_id);
	/* 1xx answers precede the real one. */
	if (s && s->status >= 200 && s->ops && s->ops->headers &&
	    (frame->headers.cat == NGHTTP2_HCAT_RESPONSE ||
	     frame->headers.cat == NGHTTP2_HCAT_HEADERS))
		s->ops->headers(s->ctx, s->status, s->retry_after);
	if (s && s->status >= 200)
		s->status = 0; /* trailers are no second answer */
	return 0;
}

static int on_data(nghttp2_session *http, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t n, void *arg)
{
	struct ts2021_stream *s =
		nghttp2_session_get_stream_user_data(http, id);

	if (s && s->ops && s->ops->data)
		s->ops->data(s->ctx, data, n);
	nghttp2_session_consume_connection(http, n);
	if (s && s->paused)
		s->unconsumed += n;
	else
		nghttp2_session_consume_stream(http, id, n);
	return 0;
}

static int on_stream_close(nghttp2_session *http, int32_t id, uint32_t error,
			   void *arg)
{
	struct ts2021_stream *s =
		nghttp2_session_get_stream_user_data(http, id);
	const struct ts2021_stream_ops *ops;
	void *ctx;

	if (!s)
		return 0;
	ops = s->ops;
	ctx = s->ctx;
	stream_free(s);
	if (ops && ops->end)
		ops->end(ctx, error ? nghttp2_http2_strerror(error) : NULL);
	return 0;
}

static ssize_t read_body(nghttp2_session *http, int32_t id, uint8_t *out,
			 size_t cap, uint32_t *flags,
			 nghttp2_data_source *source, void *arg)
{
	struct ts2021_stream *s =
		nghttp2_session_get_stream_user_data(http, id);
	size_t n;

	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = s->body_len - s->body_sent;
	n = n < cap ? n : cap;
	if (n)
		memcpy(out, s->body + s->body_sent, n);
	s->body_sent += n;
	if (s->body_sent == s->body_len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void must(int result)
{
	if (result)
		abort();
}

static nghttp2_session *http_session(struct ts2021 *t)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX},
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;
	nghttp2_session *http;

	must(nghttp2_session_callbacks_new(&cb));
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
							       on_stream_close);
	must(nghttp2_option_new(&option));
	nghttp2_option_set_no_auto_window_update(option, 1);
	must(nghttp2_session_client_new2(&http, cb, t, option));
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	must(nghttp2_submit_settings(http, NGHTTP2_FLAG_NONE, settings,
				     ARRAY_SIZE(settings)));
	must(nghttp2_session_set_local_window_size(http, NGHTTP2_FLAG_NONE, 0,
						   CONNECTION_WINDOW));
	return http;
}

struct ts2021 *ts2021_new(struct event_base *base, struct bufferevent *stream,
			  const struct noise_session *s,
			  void (*closed)(void *ctx, const char *why), void *ctx)
{
	struct ts2021 *t = xcalloc(1, sizeof(*t));

	t->stream = stream;
	t->noise = *s;
	t->early = true;
	t->closed = closed;
	t->ctx = ctx;
	t->pump = evtimer_new(base, on_pump, t);
	t->http = http_session(t);
	bufferevent_setcb(stream, on_read, on_write, on_event, t);
	bufferevent_setwatermark(stream, EV_READ, 0, 1u << 20);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	pump_out(t);
	/* Records that came together with the handshake. */
	if (evbuffer_get_length(bufferevent_get_input(stream)))
		bufferevent_trigger(stream, EV_READ, 0);
	return t;
}

void ts2021_free(struct ts2021 *t)
{
	struct ts2021_stream *s, *tmp;

	if (!t)
		return;
	DL_FOREACH_SAFE(t->streams, s, tmp)
	{
		nghttp2_session_set_stream_user_data(t->http, s->id, NULL);
		stream_free(s);
	}
	nghttp2_session_del(t->http);
	bufferevent_free(t->stream);
	event_free(t->pump);
	noise_session_wipe(&t->noise);
	free(t);
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)name,
			    .value = (uint8_t *)value,
			    .namelen = strlen(name),
			    .valuelen = strlen(value)};
}

struct ts2021_stream *ts2021_submit(struct ts2021 *t,
				    const struct ts2021_request *req,
				    const struct ts2021_stream_ops *ops,
				    void *ctx)
{
	nghttp2_data_provider body = {.read_callback = read_body};
	char old_key[KEY_TEXT_MAX], key[KEY_TEXT_MAX], length[24];
	struct ts2021_stream *s;
	nghttp2_nv nv[8];
	size_t n = 0;

	if (t->closing)
		return NULL;
	nv[n++] = header(":method", req->method);
	nv[n++] = header(":scheme", "https");
	nv[n++] = header(":authority", req->authority);
	nv[n++] = header(":path", req->path);
	if (req->old_node_key && !key_is_zero(req->old_node_key))
		nv[n++] = header("ts-lb", key_format(old_key, KEY_NODE,
						     req->old_node_key));
	if (req->node_key && !key_is_zero(req->node_key))
		nv[n++] = header("ts-lb",
				 key_format(key, KEY_NODE, req->node_key));
	if (req->content_type)
		nv[n++] = header("content-type", req->content_type);
	snprintf(length, sizeof(length), "%zu", req->body_len);
	if (req->body)
		nv[n++] = header("content-length", length);

	s = xcalloc(1, sizeof(*s));
	s->t = t;
	s->ops = ops;
	s->ctx = ctx;
	if (req->body) {
		s->body = xmalloc(req->body_len);
		memcpy(s->body, req->body, req->body_len);
		s->body_len = req->body_len;
	}
	DL_APPEND(t->streams, s);
	s->id = nghttp2_submit_request(t->http, NULL, nv, n,
				       req->body ? &body : NULL, s);
	if (s->id < 0) {
		close_later(t, nghttp2_strerror(s->id));
		stream_free(s);
		return NULL;
	}
	pump_later(t);
	return s;
}

void ts2021_cancel(struct ts2021_stream *s)
{
	if (!s)
		return;
	s->ops = NULL;
	nghttp2_submit_rst_stream(s->t->http, NGHTTP2_FLAG_NONE, s->id,
				  NGHTTP2_CANCEL);
	pump_later(s->t);
}

void ts2021_pause(struct ts2021_stream *s, bool paused)
{
	s->paused = paused;
	if (!paused && s->unconsumed) {
		nghttp2_session_consume_stream(s->t->http, s->id,
					       s->unconsumed);
		s->unconsumed = 0;
		pump_later(s->t);
	}
}
