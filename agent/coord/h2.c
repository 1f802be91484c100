// SPDX-License-Identifier: GPL-2.0
/* HTTP/2 inside of a channel: requests in, answers out. */
#include "coord/channel.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* Payload of a DATA frame that fills one record. */
#define DATA_MAX (NOISE_PLAIN_MAX - H2_FRAME_HEADER)

/* ── answers ────────────────────────────────────────────────────────────── */

static struct request *request_of(nghttp2_session *http, int32_t id)
{
	return nghttp2_session_get_stream_user_data(http, id);
}

static ssize_t read_answer(nghttp2_session *http, int32_t id, uint8_t *out,
			   size_t cap, uint32_t *flags,
			   nghttp2_data_source *source, void *arg)
{
	struct request *r = request_of(http, id);
	int n;

	if (!r)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = evbuffer_remove(r->queue, out, cap);
	if (n > 0) {
		r->progress = now_ns();
		r->now_empty = !evbuffer_get_length(r->queue);
	}
	if (r->ended && !evbuffer_get_length(r->queue)) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	} else if (n <= 0) {
		r->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return n > 0 ? n : 0;
}

static ssize_t read_length(nghttp2_session *http, uint8_t type, int32_t id,
			   int32_t session_window, int32_t stream_window,
			   uint32_t max_frame, void *arg)
{
	return DATA_MAX;
}

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
			     .value = (uint8_t *)(uintptr_t)value,
			     .namelen = strlen(name),
			     .valuelen = strlen(value) };
}

static void h2_head(struct request *r, int status, const char *type,
		    ssize_t body_len, bool bare)
{
	nghttp2_data_provider body = { .read_callback = read_answer };
	struct channel *ch = r->conn->channel;
	nghttp2_nv nv[3 + EXTRA_HEADERS_MAX];
	char code[12], length[24], *p;
	size_t i, n = 0;

	snprintf(code, sizeof(code), "%d", status);
	nv[n++] = field(":status", code);
	if (body_len)
		nv[n++] = field("content-type", type);
	snprintf(length, sizeof(length), "%zd", body_len);
	if (body_len >= 0 && status != 204)
		nv[n++] = field("content-length", length);
	for (i = 0; i < r->n_extra; i++) {
		for (p = r->extra[i].name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		nv[n++] = field(r->extra[i].name, r->extra[i].value);
	}
	if (!r->queue)
		r->queue = evbuffer_new();
	nghttp2_submit_response(ch->http, r->stream, nv, n,
				body_len && !bare ? &body : NULL);
	channel_pump_later(ch);
}

static void resume(struct request *r)
{
	struct channel *ch = r->conn->channel;

	if (r->deferred) {
		r->deferred = false;
		nghttp2_session_resume_data(ch->http, r->stream);
	}
	channel_pump_later(ch);
}

static void h2_write(struct request *r, const void *data, size_t n)
{
	evbuffer_add(r->queue, data, n);
	r->now_empty = false;
	resume(r);
}

size_t h2_queued(const struct request *r)
{
	return r->queue ? evbuffer_get_length(r->queue) : 0;
}

static void h2_end(struct request *r)
{
	resume(r); /* freed when the stream closes */
}

static void forget(struct request *r)
{
	struct conn *c = r->conn;

	nghttp2_session_set_stream_user_data(c->channel->http, r->stream, NULL);
	request_free(r);
	if (!c->n_requests)
		channel_idle_from_now(c);
}

void h2_cancel(struct request *r)
{
	struct channel *ch = r->conn->channel;

	nghttp2_submit_rst_stream(ch->http, NGHTTP2_FLAG_NONE, r->stream,
				  NGHTTP2_CANCEL);
	forget(r);
	channel_pump_later(ch);
}

static const struct answer_io h2_io = {
	.head = h2_head,
	.write = h2_write,
	.queued = h2_queued,
	.end = h2_end,
	.cancel = h2_cancel,
};

/* ── requests ───────────────────────────────────────────────────────────── */

/* False when they come faster than the limits have it. */
static bool may_begin(struct channel *ch)
{
	const struct http_limits *l = &ch->conn->server->limits;
	uint64_t now = now_ns();
	uint64_t more = (now - ch->refilled) * l->requests_per_s / SEC_NS;

	if (more) {
		ch->refilled = now;
		ch->tokens = more > l->requests_burst - ch->tokens ?
				     l->requests_burst :
				     ch->tokens + (size_t)more;
	}
	if (!ch->tokens)
		return false;
	ch->tokens--;
	return true;
}

static int on_begin_headers(nghttp2_session *http, const nghttp2_frame *frame,
			    void *arg)
{
	struct channel *ch = arg;
	struct conn *c = ch->conn;
	struct request *r;

	if (frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST || c->closing)
		return 0;
	if (!may_begin(ch)) {
		conn_close(c, DROP_FLOOD, "too many requests");
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	r = request_new(c, HTTP_NOISE, &h2_io);
	r->pub.machine = ch->machine_key;
	r->pub.version = ch->version;
	r->stream = frame->hd.stream_id;
	c->deadline = 0;
	nghttp2_session_set_stream_user_data(http, r->stream, r);
	return 0;
}

static void take(char **to, const uint8_t *value, size_t len)
{
	if (*to)
		return;
	*to = xmalloc(len + 1);
	memcpy(*to, value, len);
	(*to)[len] = '\0';
}

static int on_header(nghttp2_session *http, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len, const uint8_t *value,
		     size_t value_len, uint8_t flags, void *arg)
{
	struct channel *ch = arg;
	struct request *r = request_of(http, frame->hd.stream_id);
	char key[16];

	if (!r || frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	r->head_bytes += name_len + value_len + 32; /* RFC 9113 6.5.2 */
	if (r->head_bytes > ch->conn->server->limits.head) {
		r->refuse = 431;
		return 0;
	}
	if (name_len >= sizeof(key) || memchr(value, '\0', value_len))
		return 0;
	memcpy(key, name, name_len);
	key[name_len] = '\0';
	if (!strcmp(key, ":method"))
		take(&r->method, value, value_len);
	else if (!strcmp(key, ":path"))
		take(&r->target, value, value_len);
	else if (!strcmp(key, ":authority") || !strcmp(key, "host"))
		take(&r->host, value, value_len);
	else if (!strcmp(key, "authorization"))
		take(&r->authorization, value, value_len);
	else if (!strcmp(key, "cookie"))
		take(&r->cookie, value, value_len);
	return 0;
}

static void dispatch(struct request *r)
{
	/* nghttp2 sees to the pseudo headers; CONNECT has no path. */
	if (!r->refuse && (!r->method || !r->target || r->target[0] != '/'))
		r->refuse = 400;
	if (!r->method)
		take(&r->method, (const uint8_t *)"?", 1);
	if (!r->target)
		take(&r->target, (const uint8_t *)"?", 1);
	request_dispatch(r);
}

static int on_frame(nghttp2_session *http, const nghttp2_frame *frame,
		    void *arg)
{
	struct channel *ch = arg;
	struct request *r;

	if (ch->conn->closing || (frame->hd.type != NGHTTP2_HEADERS &&
				  frame->hd.type != NGHTTP2_DATA))
		return 0;
	r = request_of(http, frame->hd.stream_id);
	if (!r || r->dispatched)
		return 0;
	/* A refusal does not wait for the rest. */
	if (r->refuse || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		dispatch(r);
	return 0;
}

static int on_data(nghttp2_session *http, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t n, void *arg)
{
	struct channel *ch = arg;
	struct request *r = request_of(http, id);

	if (r && !r->dispatched && !r->refuse && !ch->conn->closing)
		r->refuse = request_body(r, data, n,
					 ch->conn->server->limits.body);
	return 0;
}

/* What nghttp2 answers to malformed frames says what was wrong. */
static void note_error(struct channel *ch, const nghttp2_frame *frame)
{
	const nghttp2_goaway *g = &frame->goaway;

	if (frame->hd.type == NGHTTP2_GOAWAY && g->error_code) {
		ch->broken = true;
		conn_log(ch->conn, "malformed HTTP/2: %.*s",
			 g->opaque_data_len ? (int)g->opaque_data_len : 99,
			 g->opaque_data_len ?
				 (const char *)g->opaque_data :
				 nghttp2_http2_strerror(g->error_code));
	} else if (frame->hd.type == NGHTTP2_RST_STREAM &&
		   frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
		   frame->rst_stream.error_code != NGHTTP2_CANCEL) {
		conn_log(ch->conn, "HTTP/2 request refused: %s",
			 nghttp2_http2_strerror(frame->rst_stream.error_code));
	}
}

/* After an answer to half a request its rest is not wanted. */
static int on_sent(nghttp2_session *http, const nghttp2_frame *frame, void *arg)
{
	struct request *r;

	note_error(arg, frame);
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_HEADERS &&
	     frame->hd.type != NGHTTP2_DATA))
		return 0;
	r = request_of(http, frame->hd.stream_id);
	if (r && r->refuse &&
	    !nghttp2_session_get_stream_remote_close(http,
						     frame->hd.stream_id))
		nghttp2_submit_rst_stream(http, NGHTTP2_FLAG_NONE,
					  frame->hd.stream_id,
					  NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *http, int32_t id, uint32_t error,
			   void *arg)
{
	struct channel *ch = arg;
	struct request *r = request_of(http, id);

	if (!r)
		return 0;
	if (r->dispatched && !r->ended && r->pub.ops && r->pub.ops->closed)
		r->pub.ops->closed(&r->pub, "the client cancelled it");
	request_free(r);
	if (!ch->conn->n_requests)
		channel_idle_from_now(ch->conn);
	return 0;
}

static void must(int result)
{
	if (result)
		abort();
}

nghttp2_session *h2_session(struct channel *ch)
{
	const struct http_limits *l = &ch->conn->server->limits;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0 },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		  (uint32_t)l->streams },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->head },
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;
	nghttp2_session *http;

	must(nghttp2_session_callbacks_new(&cb));
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
							       on_stream_close);
	nghttp2_session_callbacks_set_data_source_read_length_callback(
		cb, read_length);
	must(nghttp2_option_new(&option));
	nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
	nghttp2_option_set_no_closed_streams(option, 1);
	must(nghttp2_session_server_new2(&http, cb, ch, option));
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	must(nghttp2_submit_settings(http, NGHTTP2_FLAG_NONE, settings,
				     ARRAY_SIZE(settings)));
	return http;
}
