// SPDX-License-Identifier: GPL-2.0
/*
 * The server's end of a ts2021 channel (spec/control.md 3.1 to 3.6): Noise
 * records over a connection, an early payload, HTTP/2 inside.
 *
 * Memory of a channel whose client reads nothing: what its answers have queued
 * (limit "backlog" each), OUTPUT_HIGH of records, and the kernel's socket
 * buffer. One DATA frame is one record.
 */
#include "coord/conn.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "proto/noise.h"

/* Output beyond this stays in the queues of the answers. */
#define OUTPUT_HIGH (16u << 10)
#define OUTPUT_LOW (4u << 10)
#define H2_FRAME_HEADER 9
/* Payload of a DATA frame that fills one record. */
#define DATA_MAX (NOISE_PLAIN_MAX - H2_FRAME_HEADER)

struct channel {
	struct conn *conn;
	struct noise_session noise;
	nghttp2_session *http;
	struct event *pump; /* output, after whatever is going on */
	struct machine *machine; /* NULL until proven */
	struct key machine_key;
	uint16_t version;
	bool leaving; /* GOAWAY is said */
	bool broken; /* by the client's HTTP/2 */
	size_t tokens; /* requests it may still begin now */
	uint64_t refilled;
	struct channel *prev, *next; /* machine->channels */
};

static void pump_later(struct channel *ch)
{
	event_active(ch->pump, EV_TIMEOUT, 0);
}

static void idle_from_now(struct conn *c)
{
	c->deadline = now_ns() + c->server->limits.channel_idle_ms * MS_NS;
}

/* Seals @n bytes as records; false: the channel is at its end. */
static bool put(struct channel *ch, const uint8_t *data, size_t n)
{
	struct evbuffer *out = bufferevent_get_output(ch->conn->bev);
	uint8_t frame[NOISE_FRAME_MAX];

	ch->conn->server->bytes_out += n;
	while (n) {
		size_t part = n > NOISE_PLAIN_MAX ? NOISE_PLAIN_MAX : n;
		ssize_t len = noise_seal_record(&ch->noise, data, part, frame,
						sizeof(frame));

		if (len < 0)
			return false;
		evbuffer_add(out, frame, (size_t)len);
		data += part;
		n -= part;
	}
	return true;
}

/* Tells owners whose queue has run empty; they may do anything but free us. */
static void tell_drained(struct channel *ch)
{
	struct request *r, *next;

	for (r = ch->conn->requests; r; r = next) {
		next = r->next;
		if (!r->now_empty)
			continue;
		r->now_empty = false;
		if (!r->pub.ops || !r->pub.ops->drained)
			continue;
		r->pub.ops->drained(&r->pub);
		next = ch->conn->requests; /* the list may be another now */
	}
}

/* Moves what nghttp2 has to say into records. */
static void pump_out(struct channel *ch)
{
	struct conn *c = ch->conn;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	const uint8_t *data;
	ssize_t n;

	if (c->closing || c->last)
		return;
	while (evbuffer_get_length(out) < OUTPUT_HIGH) {
		n = nghttp2_session_mem_send(ch->http, &data);
		if (!n)
			break;
		if (n < 0 || !put(ch, data, (size_t)n)) {
			conn_close(c, DROP_HTTP2, "channel ended: %s",
				   n < 0 ? nghttp2_strerror((int)n) :
					   "too many records");
			return;
		}
	}
	tell_drained(ch);
	if (c->closing)
		return;
	if (!nghttp2_session_want_read(ch->http) &&
	    !nghttp2_session_want_write(ch->http))
		conn_finish(c, ch->broken ? DROP_HTTP2 : DROP_END);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
	pump_out(arg);
}

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
	pump_later(ch);
}

static void resume(struct request *r)
{
	struct channel *ch = r->conn->channel;

	if (r->deferred) {
		r->deferred = false;
		nghttp2_session_resume_data(ch->http, r->stream);
	}
	pump_later(ch);
}

static void h2_write(struct request *r, const void *data, size_t n)
{
	evbuffer_add(r->queue, data, n);
	r->now_empty = false;
	resume(r);
}

static size_t h2_queued(const struct request *r)
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
		idle_from_now(c);
}

static void h2_cancel(struct request *r)
{
	struct channel *ch = r->conn->channel;

	nghttp2_submit_rst_stream(ch->http, NGHTTP2_FLAG_NONE, r->stream,
				  NGHTTP2_CANCEL);
	forget(r);
	pump_later(ch);
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
		idle_from_now(ch->conn);
	return 0;
}

static void must(int result)
{
	if (result)
		abort();
}

static nghttp2_session *http_session(struct channel *ch)
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

/* ── the channel ────────────────────────────────────────────────────────── */

static void queue_error(struct conn *c, const char *text)
{
	uint8_t head[NOISE_HEADER_LEN] = { NOISE_ERROR };
	struct evbuffer *out = bufferevent_get_output(c->bev);

	put_be16(head + 1, (uint16_t)strlen(text));
	evbuffer_add(out, head, sizeof(head));
	evbuffer_add(out, text, strlen(text));
}

/*
 * The challenge's private half is not kept: no client answers it, and we ask
 * for no answer.
 */
static void put_early(struct channel *ch)
{
	uint8_t early[NOISE_EARLY_HEADER_LEN + 128];
	char text[KEY_TEXT_MAX];
	struct key private, public;
	int n;

	key_generate(&private);
	key_public(&public, &private);
	key_wipe(&private);
	n = snprintf((char *)early + NOISE_EARLY_HEADER_LEN,
		     sizeof(early) - NOISE_EARLY_HEADER_LEN,
		     "{\"nodeKeyChallenge\":\"%s\"}",
		     key_format(text, KEY_CHALLENGE, &public));
	noise_early_header_encode(early, (uint32_t)n);
	put(ch, early, NOISE_EARLY_HEADER_LEN + (size_t)n);
}

int channel_start(struct conn *c, const uint8_t *initiation)
{
	uint16_t version = noise_initiation_version(initiation);
	uint8_t response[NOISE_RESPONSE_LEN];
	struct http_server *s = c->server;
	struct channel *ch;
	struct key ephemeral;
	char text[96];
	int err;

	if (version < s->min_version) {
		snprintf(text, sizeof(text),
			 "capability version %u is too old, %u is needed",
			 version, s->min_version);
		queue_error(c, text);
		return -EPROTONOSUPPORT;
	}
	ch = xcalloc(1, sizeof(*ch));
	key_generate(&ephemeral);
	err = noise_server_accept(initiation, &s->noise_private, &ephemeral,
				  response, &ch->noise, &ch->machine_key);
	key_wipe(&ephemeral);
	if (err) {
		free(ch);
		queue_error(c, "the handshake does not authenticate: fetch "
			       "/key again");
		return err;
	}
	ch->conn = c;
	ch->version = version;
	ch->tokens = s->limits.requests_burst;
	ch->refilled = now_ns();
	ch->pump = event_new(s->base, -1, 0, on_pump, ch);
	ch->http = http_session(ch);
	c->channel = ch;
	c->state = CONN_CHANNEL;
	c->deadline = now_ns() + s->limits.handshake_ms * MS_NS;
	evbuffer_add(bufferevent_get_output(c->bev), response,
		     sizeof(response));
	bufferevent_setwatermark(c->bev, EV_READ, 0, 4 * NOISE_FRAME_MAX);
	bufferevent_setwatermark(c->bev, EV_WRITE, OUTPUT_LOW, 0);
	put_early(ch);
	pump_out(ch);
	return 0;
}

/* The first record that opens: the machine is who it says. */
static void proven(struct channel *ch)
{
	struct http_server *s = ch->conn->server;
	struct machine *m;

	conn_proven(ch->conn);
	idle_from_now(ch->conn);
	s->channels_opened++;
	HASH_FIND(hh, s->machines, &ch->machine_key, sizeof(m->key), m);
	if (!m) {
		m = xcalloc(1, sizeof(*m));
		m->key = ch->machine_key;
		HASH_ADD(hh, s->machines, key, sizeof(m->key), m);
	}
	ch->machine = m;
	DL_APPEND(m->channels, ch);
	if (++m->n > s->limits.per_machine)
		conn_close(m->channels->conn, DROP_LIMIT,
			   "closed: its machine has newer channels");
}

struct conn *channel_conn(const struct channel *ch)
{
	return ch->conn;
}

void channel_detach(struct channel *ch)
{
	struct http_server *s = ch->conn->server;
	struct machine *m = ch->machine;

	if (!m)
		return;
	ch->machine = NULL;
	DL_DELETE(m->channels, ch);
	if (--m->n)
		return;
	HASH_DEL(s->machines, m);
	free(m);
}

void channel_free(struct channel *ch)
{
	if (!ch)
		return;
	nghttp2_session_del(ch->http);
	event_free(ch->pump);
	noise_session_wipe(&ch->noise);
	free(ch);
}

void channel_read(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	uint8_t frame[NOISE_FRAME_MAX], plain[NOISE_PLAIN_MAX];
	struct channel *ch = c->channel;
	ssize_t n, r;
	int size;

	while (!c->closing && evbuffer_copyout(in, frame, NOISE_HEADER_LEN) ==
				      NOISE_HEADER_LEN) {
		size = noise_record_size(frame);
		if (size < 0) {
			conn_close(c, DROP_NOISE, "malformed Noise record");
			return;
		}
		if (evbuffer_get_length(in) < (size_t)size)
			break;
		evbuffer_remove(in, frame, (size_t)size);
		n = noise_open_record(&ch->noise, frame, (size_t)size, plain,
				      sizeof(plain));
		if (n < 0) {
			conn_close(c, DROP_NOISE, "forged Noise record");
			return;
		}
		if (!c->proven)
			proven(ch);
		c->server->bytes_in += (size_t)n;
		r = nghttp2_session_mem_recv(ch->http, plain, (size_t)n);
		sodium_memzero(plain, (size_t)n); /* may hold an auth key */
		if (r < 0) {
			conn_close(c, DROP_HTTP2, "malformed HTTP/2: %s",
				   nghttp2_strerror((int)r));
			return;
		}
	}
	pump_out(ch);
}

void channel_write(struct conn *c)
{
	pump_out(c->channel);
}

void channel_goaway(struct conn *c)
{
	struct channel *ch = c->channel;

	if (ch->leaving)
		return;
	ch->leaving = true;
	c->deadline = 0;
	nghttp2_submit_goaway(ch->http, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(ch->http),
			      NGHTTP2_NO_ERROR, NULL, 0);
	pump_later(ch);
}

void channel_tick(struct conn *c, uint64_t now)
{
	const struct http_limits *l = &c->server->limits;
	struct request *r, *next;

	for (r = c->requests; r; r = next) {
		next = r->next;
		if (!r->dispatched) {
			if (now - r->since < l->request_ms * MS_NS)
				continue;
			conn_log(c, "no complete request in time");
		} else if (h2_queued(r)) {
			const struct http_request_ops *ops = r->pub.ops;

			if (now - r->progress < l->stall_ms * MS_NS)
				continue;
			conn_log(c, "took nothing of an answer for too long");
			if (!r->ended && ops && ops->closed)
				ops->closed(&r->pub, "it was not read");
		} else {
			continue;
		}
		h2_cancel(r);
		next = c->requests; /* closed() may have changed the list */
	}
}
