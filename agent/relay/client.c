// SPDX-License-Identifier: GPL-2.0
#include "relay/client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "lib/util.h"
#include "proto/disco.h"
#include "relay/server.h"
#include "relay/watch.h"
#include "relay/worker.h"

/* ClientInfo: no more than a box of DERP_INFO_JSON_MAX needs. */
#define CLIENT_INFO_MAX \
	(KEY_LEN + DERP_NONCE_LEN + DERP_TAG_LEN + DERP_INFO_JSON_MAX)
/*
 * Packets that one turn takes from one client: half of what a queue holds, so
 * that a burst does not push out its own beginning before a writer runs.
 */
#define TURN_PACKETS (RELAYD_QUEUE_DEPTH / 2)
/* A new home after so long is a move (spec/derp.md 8.7). */
#define HOME_SETTLED (5 * SEC_NS)

static void count(struct relayd_client *c, enum relayd_stat what, int64_t n)
{
	relayd_count(&c->worker->stats, what, n);
}

static void on_wake(struct relayd_queue *q)
{
	struct relayd_client *c = (struct relayd_client *)q;

	c->io->want_write(c->io_ctx);
}

void relayd_client_fail(struct relayd_client *c, const char *why)
{
	if (c->state == RELAYD_CLOSED)
		return;
	c->state = RELAYD_CLOSED;
	c->io->close(c->io_ctx, why);
}

struct relayd_client *relayd_client_new(struct relayd_worker *worker,
					const struct relayd_client_io *io,
					void *io_ctx,
					const struct endpoint *remote,
					bool not_ideal)
{
	struct relayd_client *c = xcalloc(1, sizeof(*c));

	relayd_queue_init(&c->queue, worker, on_wake);
	c->worker = worker;
	c->table = worker->server->table;
	c->io = io;
	c->io_ctx = io_ctx;
	c->seat.queue = &c->queue;
	c->seat.endpoint = *remote;
	if (not_ideal)
		c->seat.present_flags |= DERP_PRESENT_NOT_IDEAL;
	c->opened_ns = now_ns();
	relayd_limit_init(&c->not_here_limit, 1, 3, c->opened_ns);
	c->send_server_key = true;
	count(c, RELAYD_ACCEPTS, 1);
	io->want_write(io_ctx);
	return c;
}

/* Undoes what login() counted. */
static void uncount(struct relayd_client *c)
{
	count(c, RELAYD_HOME_CONNECTIONS, c->home ? -1 : 0);
	count(c, RELAYD_WATCHERS, c->watcher ? -1 : 0);
	if (c->seat.present_flags & DERP_PRESENT_NOT_IDEAL)
		count(c, RELAYD_NOT_IDEAL_CONNECTIONS, -1);
}

void relayd_client_free(struct relayd_client *c)
{
	const struct relayd *server;
	struct relayd_not_here *n;

	if (!c)
		return;
	server = c->worker->server;
	if (c->admission)
		server->admission->cancel(server->admission_ctx, c);
	if (c->seat.entry) {
		relayd_table_remove(c->table, c->worker, &c->seat);
		uncount(c);
	}
	relayd_watcher_free(c->watcher);
	relayd_queue_close(&c->queue);
	if (c->partial) {
		relayd_dropped(&c->worker->stats, RELAYD_WRITE_ERROR,
			       c->partial->disco, c->partial->len);
		relayd_packet_free(c->partial);
	}
	while ((n = c->not_here)) {
		LL_DELETE(c->not_here, n);
		free(n);
	}
	if (c->rate_timer)
		event_free(c->rate_timer);
	free(c);
}

static void login(struct relayd_client *c)
{
	struct relayd *server = c->worker->server;
	uint8_t flags = c->seat.present_flags;
	uint64_t rate, burst;

	if (c->seat.privileged)
		flags |= DERP_PRESENT_MESH;
	c->seat.present_flags = flags ? flags : DERP_PRESENT_REGULAR;
	c->state = RELAYD_OPEN;
	c->send_server_info = true;
	if (flags & DERP_PRESENT_NOT_IDEAL)
		count(c, RELAYD_NOT_IDEAL_CONNECTIONS, 1);
	relayd_table_add(c->table, c->worker, &c->seat);
	pthread_mutex_lock(&server->lock);
	rate = server->rate;
	burst = server->burst;
	pthread_mutex_unlock(&server->lock);
	relayd_client_set_rate(c, rate, burst);
	c->io->logged_in(c->io_ctx);
	c->io->want_write(c->io_ctx);
}

void relayd_client_admit(struct relayd_client *c, bool yes, const char *why)
{
	char text[256];

	c->admission = NULL;
	if (c->state != RELAYD_ADMISSION)
		return;
	if (yes) {
		login(c);
		c->io->pause(c->io_ctx, false);
		return;
	}
	count(c, RELAYD_REJECTED, 1);
	snprintf(text, sizeof(text), "not admitted: %s", why);
	relayd_client_fail(c, text);
}

static void on_client_info(struct relayd_client *c, const struct derp_frame *f)
{
	const struct relayd *server = c->worker->server;
	struct derp_client_info info;

	if (derp_open_client_info(&info, f, &server->private_key)) {
		relayd_client_fail(c, "its ClientInfo does not open");
		return;
	}
	c->seat.key = f->key;
	c->seat.privileged = server->has_mesh_key && info.has_mesh_key &&
			     key_equal(&server->mesh_key, &info.mesh_key);
	key_wipe(&info.mesh_key);
	if (info.is_prober)
		c->seat.present_flags |= DERP_PRESENT_PROBER;
	if (info.version < DERP_VERSION) {
		relayd_client_fail(c, "it speaks a protocol version before 2");
		return;
	}
	if (!server->admission || c->seat.privileged) {
		login(c);
		return;
	}
	c->state = RELAYD_ADMISSION;
	c->admission = c; /* until somebody has something of his own */
	c->io->pause(c->io_ctx, true);
	server->admission->ask(server->admission_ctx, c);
}

static void not_here(struct relayd_client *c, const struct key *peer)
{
	struct relayd_not_here *n;

	if (!relayd_limit_take(&c->not_here_limit, 1, now_ns()))
		return;
	n = xcalloc(1, sizeof(*n));
	n->key = *peer;
	LL_APPEND(c->not_here, n);
	c->io->want_write(c->io_ctx);
}

static void on_packet(struct relayd_client *c, const struct derp_frame *f,
		      const struct key *src, uint64_t src_hash,
		      const struct key *dst, bool from_mesh)
{
	bool disco = disco_is_relay_packet(f->data, f->data_len);
	struct relayd_packet *p = relayd_packet_new(f->data, f->data_len);

	count(c, RELAYD_PACKETS_RECEIVED, 1);
	count(c, RELAYD_BYTES_RECEIVED, (int64_t)f->data_len);
	count(c, disco ? RELAYD_RECEIVED_DISCO : RELAYD_RECEIVED_OTHER, 1);
	if (from_mesh)
		count(c, RELAYD_FORWARDED_IN, 1);
	p->src = *src;
	p->src_hash = src_hash;
	p->disco = disco;
	p->queued_ns = now_ns();
	if (!relayd_table_send(c->table, c->worker, dst,
			       relayd_table_hash(c->table, dst), p,
			       from_mesh) &&
	    disco)
		not_here(c, dst);
}

static void on_preferred(struct relayd_client *c, bool home)
{
	bool settled = now_ns() - c->opened_ns > HOME_SETTLED;

	if (home == c->home)
		return;
	c->home = home;
	count(c, RELAYD_HOME_CONNECTIONS, home ? 1 : -1);
	if (settled)
		count(c, home ? RELAYD_HOME_MOVES_IN : RELAYD_HOME_MOVES_OUT,
		      1);
}

static void on_ping(struct relayd_client *c, const struct derp_frame *f)
{
	count(c, RELAYD_GOT_PING, 1);
	if (c->send_pong)
		return;
	memcpy(c->pong, f->ping, sizeof(c->pong));
	c->send_pong = true;
	c->io->want_write(c->io_ctx);
}

static void doom(void *ctx, struct relayd_seat *seat)
{
	relayd_queue_doom(seat->queue, ctx);
}

static void on_privileged(struct relayd_client *c, const struct derp_frame *f)
{
	if (!c->seat.privileged) {
		relayd_client_fail(c, "a frame for mesh peers, but no mesh key");
		return;
	}
	if (f->type == DERP_FORWARD_PACKET) {
		on_packet(c, f, &f->key, relayd_table_hash(c->table, &f->key),
			  &f->dst, true);
	} else if (f->type == DERP_CLOSE_PEER) {
		relayd_table_each(c->table, &f->key, doom, c->worker);
	} else if (!c->watcher &&
		   !key_equal(&c->seat.key, &c->worker->server->public_key)) {
		c->watcher = relayd_watcher_new(c->worker->server->watchers,
						c->worker, &c->queue);
		count(c, RELAYD_WATCHERS, 1);
	}
}

static void on_frame(struct relayd_client *c, const struct derp_frame *f)
{
	if (__atomic_load_n(&c->seat.duplicate, __ATOMIC_RELAXED))
		relayd_table_activate(c->table, c->worker, &c->seat);
	switch (f->type) {
	case DERP_SEND_PACKET:
		on_packet(c, f, &c->seat.key, c->seat.hash, &f->key, false);
		break;
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		on_privileged(c, f);
		break;
	case DERP_NOTE_PREFERRED:
		on_preferred(c, f->preferred);
		break;
	case DERP_PING:
		on_ping(c, f);
		break;
	case DERP_PONG:
	/* Not for a server; derp_parse() gives none of these. */
	case DERP_CLIENT_INFO:
	case DERP_SERVER_KEY:
	case DERP_SERVER_INFO:
	case DERP_RECV_PACKET:
	case DERP_KEEP_ALIVE:
	case DERP_PEER_GONE:
	case DERP_PEER_PRESENT:
	case DERP_HEALTH:
	case DERP_RESTARTING:
		break;
	}
}

static void on_rate_timer(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_client *c = arg;

	c->io->pause(c->io_ctx, false);
}

/* After a frame of @len bytes: whether the client is to wait. */
static bool charge(struct relayd_client *c, uint32_t len)
{
	struct timeval tv;
	uint64_t ns;

	if (!c->rate.rate)
		return false;
	ns = relayd_limit_borrow(&c->rate, len, now_ns());
	if (!ns)
		return false;
	count(c, RELAYD_RATE_WAITS, 1);
	tv.tv_sec = (time_t)(ns / SEC_NS);
	tv.tv_usec = (suseconds_t)(ns % SEC_NS / 1000 + 1);
	if (!c->rate_timer)
		c->rate_timer = evtimer_new(c->worker->base, on_rate_timer, c);
	event_add(c->rate_timer, &tv);
	c->io->pause(c->io_ctx, true);
	return true;
}

void relayd_client_set_rate(struct relayd_client *c, uint64_t rate,
			    uint64_t burst)
{
	if (c->seat.privileged || c->state != RELAYD_OPEN)
		return;
	if (burst < DERP_PACKET_MAX + KEY_LEN)
		burst = DERP_PACKET_MAX + KEY_LEN;
	if (rate == c->rate.rate && burst == c->rate.burst)
		return;
	relayd_limit_init(&c->rate, rate, burst, now_ns());
}

/* What the header at hand may be, besides derp_check(). */
static const char *refuse(const struct relayd_client *c,
			  const struct derp_header *h)
{
	if (c->state == RELAYD_OPEN)
		return NULL;
	if (h->type != DERP_CLIENT_INFO)
		return "it does not begin with ClientInfo";
	return h->len > CLIENT_INFO_MAX ? "its ClientInfo is too long" : NULL;
}

size_t relayd_client_input(struct relayd_client *c, const uint8_t *data,
			   size_t n)
{
	unsigned int packets = 0;
	struct derp_header h;
	struct derp_frame f;
	size_t at = 0;

	while (c->state == RELAYD_LOGIN || c->state == RELAYD_OPEN) {
		const char *why;
		int err;

		if (c->skip) {
			size_t len = c->skip < n - at ? c->skip : n - at;

			at += len;
			c->skip -= (uint32_t)len;
			if (c->skip || charge(c, (uint32_t)len))
				break;
			continue;
		}
		if (n - at < DERP_HEADER_LEN)
			break;
		derp_header_decode(&h, data + at);
		why = refuse(c, &h);
		if (why) {
			relayd_client_fail(c, why);
			break;
		}
		err = derp_check(DERP_SERVER, &h);
		if (err == -EOPNOTSUPP ||
		    (c->state == RELAYD_OPEN && h.type == DERP_CLIENT_INFO)) {
			count(c, RELAYD_UNKNOWN_FRAMES, 1);
			at += DERP_HEADER_LEN;
			c->skip = h.len;
			continue;
		}
		if (!err && n - at - DERP_HEADER_LEN < h.len)
			break;
		if (!err)
			err = derp_parse(&f, DERP_SERVER, &h,
					 data + at + DERP_HEADER_LEN);
		if (err) {
			relayd_client_fail(c, "a malformed frame");
			break;
		}
		at += DERP_HEADER_LEN + h.len;
		if (c->state == RELAYD_LOGIN) {
			on_client_info(c, &f);
			continue;
		}
		on_frame(c, &f);
		if (charge(c, h.len))
			break;
		if (h.type == DERP_SEND_PACKET && ++packets == TURN_PACKETS) {
			c->io->yield(c->io_ctx);
			break;
		}
	}
	return c->state == RELAYD_CLOSED ? n : at;
}

void relayd_client_keep_alive(struct relayd_client *c)
{
	c->send_keep_alive = true;
	c->io->want_write(c->io_ctx);
}

void relayd_client_restarting(struct relayd_client *c, uint32_t reconnect_ms,
			      uint32_t try_ms)
{
	c->send_restarting = true;
	c->restarting_ms = reconnect_ms;
	c->restarting_try_ms = try_ms;
	c->io->want_write(c->io_ctx);
}
