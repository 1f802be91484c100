// SPDX-License-Identifier: GPL-2.0
/*
 * The server's end of a ts2021 channel (spec/control.md 3.1 to 3.6): Noise
 * records over a connection, an early payload, HTTP/2 inside.
 *
 * Memory of a channel whose client reads nothing: what its answers have queued
 * (limit "backlog" each), OUTPUT_HIGH of records, and the kernel's socket
 * buffer. One DATA frame is one record.
 */
#include "coord/channel.h"

#include <ctype.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>


/* Output beyond this stays in the queues of the answers. */
#define OUTPUT_HIGH (16u << 10)
#define OUTPUT_LOW (4u << 10)


void channel_pump_later(struct channel *ch)
{
	event_active(ch->pump, EV_TIMEOUT, 0);
}

void channel_idle_from_now(struct conn *c)
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
	ch->http = h2_session(ch);
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
	channel_idle_from_now(ch->conn);
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
	channel_pump_later(ch);
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
