// SPDX-License-Identifier: GPL-2.0
/* What a client is sent: frames of the relay's own, then packets. */
#include "relay/client.h"

#include <sodium.h>
#include <string.h>
#include <utlist.h>

#include "lib/util.h"
#include "relay/server.h"
#include "relay/watch.h"
#include "relay/worker.h"

/* One fill() takes at most both rings' content. */
#define TAKE_MAX (2 * RELAYD_QUEUE_DEPTH)
#define PACKET_OVERHEAD (DERP_HEADER_LEN + KEY_LEN)
#define GONE_LEN (DERP_HEADER_LEN + KEY_LEN + 1)

static void count(struct relayd_client *c, enum relayd_stat what, int64_t n)
{
	relayd_count(&c->worker->stats, what, n);
}

/* Where fill() writes. */
struct output {
	uint8_t *at, *end;
};

static bool put(struct output *out, const struct derp_frame *f)
{
	ssize_t n = derp_encode(f, out->at, (size_t)(out->end - out->at));

	if (n < 0)
		return false;
	out->at += n;
	return true;
}

static void put_server_info(struct relayd_client *c, struct output *out)
{
	const struct derp_server_info info = {.version = DERP_VERSION};
	uint8_t box[DERP_INFO_BOX_MAX];
	struct derp_frame f = {.type = DERP_SERVER_INFO, .data = box};
	ssize_t n;

	randombytes_buf(f.nonce, sizeof(f.nonce));
	n = derp_seal_server_info(&info, &c->worker->server->private_key,
				  &c->seat.key, f.nonce, box);
	if (n < 0) {
		relayd_client_fail(c, "a key that no box can be made for");
		return;
	}
	f.data_len = (size_t)n;
	c->send_server_info = !put(out, &f);
}

static void put_gone(struct relayd_client *c, struct output *out)
{
	struct derp_frame f = {.type = DERP_PEER_GONE,
			       .reason = DERP_GONE_NOT_HERE};

	struct relayd_not_here *n;

	while ((n = c->not_here) && out->end - out->at >= GONE_LEN) {
		f.key = n->key;
		LL_DELETE(c->not_here, n);
		free(n);
		put(out, &f);
		count(c, RELAYD_GONE_NOT_HERE_FRAMES, 1);
	}
	f.reason = DERP_GONE_DISCONNECTED;
	while (out->end - out->at >= GONE_LEN &&
	       relayd_table_gone(&c->seat, &c->gone, &f.key)) {
		put(out, &f);
		count(c, RELAYD_GONE_DISCONNECTED_FRAMES, 1);
	}
}

/* Everything that is not a packet. */
static void put_control(struct relayd_client *c, struct output *out)
{
	struct derp_frame f = {.type = DERP_SERVER_KEY};

	if (c->send_server_key) {
		f.key = c->worker->server->public_key;
		c->send_server_key = !put(out, &f);
	}
	if (c->send_server_info)
		put_server_info(c, out);
	if (c->send_restarting) {
		f.type = DERP_RESTARTING;
		f.reconnect_ms = c->restarting_ms;
		f.try_ms = c->restarting_try_ms;
		c->send_restarting = !put(out, &f);
	}
	if (c->send_pong) {
		f.type = DERP_PONG;
		memcpy(f.ping, c->pong, sizeof(f.ping));
		c->send_pong = !put(out, &f);
		count(c, RELAYD_SENT_PONG, c->send_pong ? 0 : 1);
	}
	if (c->send_keep_alive) {
		f.type = DERP_KEEP_ALIVE;
		c->send_keep_alive = !put(out, &f);
	}
	put_gone(c, out);
}

static void sent(struct relayd_client *c, struct relayd_packet *p, uint64_t now)
{
	count(c, RELAYD_PACKETS_SENT, 1);
	count(c, RELAYD_BYTES_SENT, p->len);
	count(c, RELAYD_QUEUE_PACKETS, 1);
	count(c, RELAYD_QUEUE_NS, (int64_t)(now - p->queued_ns));
	relayd_table_subscribe(c->table, c->worker, &c->seat, &p->src,
			       p->src_hash);
	relayd_packet_free(p);
}

/* As much as fits of the packet that is being written. */
static void put_partial(struct relayd_client *c, struct output *out)
{
	struct relayd_packet *p = c->partial;
	size_t n = (size_t)(out->end - out->at);

	if (n > p->len - c->partial_at)
		n = p->len - c->partial_at;
	memcpy(out->at, p->data + c->partial_at, n);
	out->at += n;
	c->partial_at += n;
	if (c->partial_at == p->len) {
		c->partial = NULL;
		sent(c, p, now_ns());
	}
}

static void put_packets(struct relayd_client *c, struct output *out)
{
	struct relayd_packet *p[TAKE_MAX];
	struct relayd_sub *gone;
	size_t n, i;
	uint64_t now;

	n = relayd_queue_take(&c->queue, (size_t)(out->end - out->at),
			      PACKET_OVERHEAD, p, ARRAY_SIZE(p), &gone);
	DL_CONCAT(c->gone, gone);
	now = n ? now_ns() : 0;
	for (i = 0; i < n; i++) {
		struct derp_frame f = {.type = DERP_RECV_PACKET,
				       .key = p[i]->src,
				       .data = p[i]->data,
				       .data_len = p[i]->len};

		if (put(out, &f)) {
			sent(c, p[i], now);
			continue;
		}
		/* The only one, larger than the room. */
		out->at += derp_head(&f, out->at);
		c->partial = p[i];
		c->partial_at = 0;
		put_partial(c, out);
	}
}

size_t relayd_client_fill(struct relayd_client *c, uint8_t *buf, size_t cap)
{
	struct output out = {.at = buf, .end = buf + cap};

	if (__atomic_load_n(&c->queue.doomed, __ATOMIC_RELAXED))
		relayd_client_fail(c, c->watcher ? "a mesh peer too slow for what it watches" :
				     "closed by a mesh peer");
	if (c->state == RELAYD_CLOSED)
		return 0;
	if (c->partial) {
		put_partial(c, &out);
		return (size_t)(out.at - buf);
	}
	do {
		put_control(c, &out);
		/* Else the head of a large packet would not fit. */
		if (out.end - out.at > DERP_HEAD_MAX)
			put_packets(c, &out);
		if (c->watcher && !c->partial)
			out.at += relayd_watcher_fill(
				c->watcher, out.at,
				(size_t)(out.end - out.at));
	} while (out.at == buf && c->gone);
	return (size_t)(out.at - buf);
}
