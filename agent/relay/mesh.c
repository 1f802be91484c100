// SPDX-License-Identifier: GPL-2.0
#include "relay/mesh.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "engine/derptls.h"
#include "lib/httphead.h"
#include "lib/log.h"
#include "lib/resolver.h"
#include "lib/stream.h"
#include "lib/tcpdial.h"
#include "lib/util.h"
#include "proto/derp.h"
#include "relay/table.h"
#include "relay/worker.h"

#define HTTPS_PORT 443
#define CONNECT_MS 10000
/* Without a complete frame: servers send KeepAlive every 60 to 65 s. */
#define RECEIVE_LIMIT (120 * SEC_NS)
#define UNACKED_MS 15000
#define UNSENT_MAX (256 << 10)
#define NAME_LEN 256
#define HELLO_MAX (1024 + 2 * DERP_HEAD_MAX + DERP_INFO_BOX_MAX)
#define TAKE_MAX (2 * RELAYD_QUEUE_DEPTH)

enum state {
	WAITING,   /* to dial again */
	DIALLING,  /* TCP and TLS */
	UPGRADING, /* 101 is to come */
	GREETING,  /* ServerKey is to come */
	OPEN,	   /* ClientInfo and WatchConns are queued */
	OURSELVES, /* for good */
};

/* A key behind a link. */
struct behind {
	struct key key;
	struct relayd_forwarder forwarder;
	UT_hash_handle hh;
};

/* Everything on its worker's thread. */
struct link {
	struct relayd_queue queue; /* first: wake() casts */
	struct relayd_mesh *mesh;
	struct relayd_worker *worker;
	char host[NAME_LEN], dial_host[NAME_LEN];
	uint16_t port;
	struct derp_node node; /* for TLS */
	enum state state;
	struct resolver *resolver;
	struct tcp_dial *dial;
	struct stream *stream;
	struct event *timer; /* to dial again; limits of login, of receiving */
	uint64_t heard;
	uint8_t hello[HELLO_MAX]; /* what precedes the packets */
	size_t hello_len;
	bool want_pong;
	uint8_t pong[DERP_PING_LEN];
	struct relayd_packet *partial; /* longer than a record; its rest */
	size_t partial_at;
	struct behind *behind;
	struct link *prev, *next;
};

struct relayd_mesh {
	struct relayd *server;
	SSL_CTX *tls;
	struct link *links;
};

static void arm(struct link *l, uint64_t ns)
{
	struct timeval tv = { .tv_sec = (time_t)(ns / SEC_NS),
			      .tv_usec = (suseconds_t)(ns % SEC_NS / 1000) };

	event_add(l->timer, &tv);
}

static void on_wake(struct relayd_queue *q)
{
	struct link *l = (struct link *)q;

	if (l->stream)
		stream_want_write(l->stream);
}

/* ── keys behind the link ─────────────────────────────────────────────── */

static struct behind *find(struct link *l, const struct key *key)
{
	struct behind *b;

	HASH_FIND(hh, l->behind, key, sizeof(*key), b);
	return b;
}

static void remove_key(struct link *l, struct behind *b)
{
	relayd_table_remove_forwarder(l->mesh->server->table, l->worker,
				      &b->key, &b->forwarder);
	HASH_DEL(l->behind, b);
	free(b);
}

static void remove_all(struct link *l)
{
	struct behind *b, *next;

	for (b = l->behind; b; b = next) {
		next = b->hh.next;
		remove_key(l, b);
	}
}

static int add_key(struct link *l, const struct key *key)
{
	struct behind *b;

	if (find(l, key) || key_equal(key, &l->mesh->server->public_key))
		return 0;
	if (HASH_COUNT(l->behind) >= RELAYD_MESH_KEYS_MAX)
		return -ENOBUFS;
	b = xcalloc(1, sizeof(*b));
	b->key = *key;
	b->forwarder.queue = &l->queue;
	HASH_ADD(hh, l->behind, key, sizeof(b->key), b);
	relayd_table_add_forwarder(l->mesh->server->table, l->worker, key,
				   &b->forwarder);
	return 0;
}

/* ── the connection ───────────────────────────────────────────────────── */

/* Nobody pushes any more: what is left has nowhere to go. */
static void drain(struct link *l)
{
	struct relayd_stats *stats = &l->worker->stats;
	struct relayd_packet *p[TAKE_MAX];
	struct relayd_sub *gone;
	size_t n, i;

	if (l->partial) {
		relayd_dropped(stats, RELAYD_WRITE_ERROR, l->partial->disco,
			       l->partial->len);
		relayd_packet_free(l->partial);
		l->partial = NULL;
	}
	while ((n = relayd_queue_take(&l->queue, SIZE_MAX, 0, p, TAKE_MAX,
				      &gone)))
		for (i = 0; i < n; i++) {
			relayd_dropped(stats, RELAYD_GONE_DISCONNECTED,
				       p[i]->disco, p[i]->len);
			relayd_packet_free(p[i]);
		}
}

static void disconnect(struct link *l)
{
	remove_all(l);
	tcp_dial_cancel(l->dial);
	l->dial = NULL;
	stream_free(l->stream);
	l->stream = NULL;
	l->hello_len = 0;
	l->want_pong = false;
	drain(l);
}

/* The last thing to be done in a callback. */
static void fail(struct link *l, const char *why)
{
	if (l->state == OPEN)
		log_warn("mesh: lost %s: %s", l->host, why);
	else
		log_info("mesh: cannot connect to %s: %s", l->host, why);
	disconnect(l);
	l->state = WAITING;
	arm(l, RELAYD_MESH_RETRY_MS * MS_NS);
}

static void log_in(struct link *l, const struct key *server_key)
{
	const struct relayd *server = l->mesh->server;
	struct derp_client_info info = { .version = DERP_VERSION,
					 .can_ack_pings = true,
					 .has_mesh_key = true,
					 .mesh_key = server->mesh_key };
	struct derp_frame watch = { .type = DERP_WATCH_CONNS };
	uint8_t nonce[DERP_NONCE_LEN];
	ssize_t n;

	if (key_equal(server_key, &server->public_key)) {
		log_info("mesh: %s is this relay itself", l->host);
		disconnect(l);
		event_del(l->timer);
		l->state = OURSELVES;
		return;
	}
	randombytes_buf(nonce, sizeof(nonce));
	n = derp_encode_login(&info, &server->private_key, server_key, nonce,
			      l->hello, sizeof(l->hello));
	key_wipe(&info.mesh_key);
	if (n < 0) {
		fail(l, "a key that is not usable");
		return;
	}
	l->hello_len = (size_t)n;
	n = derp_encode(&watch, l->hello + l->hello_len,
			sizeof(l->hello) - l->hello_len);
	l->hello_len += (size_t)n;
	l->state = OPEN;
	arm(l, RECEIVE_LIMIT);
	log_info("mesh: connected to %s", l->host);
	stream_want_write(l->stream);
}

static void on_frame(struct link *l, const struct derp_frame *f)
{
	struct behind *b;

	switch (f->type) {
	case DERP_PEER_PRESENT:
		if (add_key(l, &f->key))
			fail(l, "too many clients");
		break;
	case DERP_PEER_GONE:
		b = find(l, &f->key);
		if (b)
			remove_key(l, b);
		break;
	case DERP_PING:
		memcpy(l->pong, f->ping, sizeof(l->pong));
		l->want_pong = true;
		stream_want_write(l->stream);
		break;
	case DERP_SERVER_KEY:
	case DERP_SERVER_INFO:
	case DERP_RECV_PACKET: /* for our own key: nobody's */
	case DERP_KEEP_ALIVE:
	case DERP_PONG:
	case DERP_HEALTH:
	case DERP_RESTARTING: /* the connection's end says it */
	/* Not for a client; derp_parse() gives none of these. */
	case DERP_CLIENT_INFO:
	case DERP_SEND_PACKET:
	case DERP_NOTE_PREFERRED:
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		break;
	}
}

static size_t read_head(struct link *l, const uint8_t *data, size_t n)
{
	int status = 0;
	ssize_t head = http_head_parse(data, n, &status);

	if (head < 0 || (head && status != 101)) {
		fail(l, "the upgrade to DERP is refused");
		return 0;
	}
	if (head)
		l->state = GREETING;
	return (size_t)head;
}

/* Takes the head or one frame; the stream may be gone after. */
static size_t on_read(void *ctx, const uint8_t *data, size_t n)
{
	struct link *l = ctx;
	struct derp_frame f;
	ssize_t len;
	int err;

	if (l->state == UPGRADING)
		return read_head(l, data, n);
	len = derp_client_next(&f, data, n, &err);
	if (len < 0)
		fail(l, "a frame over the limit");
	if (len <= 0)
		return 0;
	l->heard = now_ns();
	if (l->state == GREETING) {
		if (err || f.type != DERP_SERVER_KEY)
			fail(l, "no server key");
		else
			log_in(l, &f.key);
	} else if (!err) {
		on_frame(l, &f);
	}
	return (size_t)len;
}

/* As much as fits of the packet that is being written. */
static size_t put_partial(struct link *l, uint8_t *out, size_t cap)
{
	struct relayd_packet *p = l->partial;
	size_t n = p->len - l->partial_at;

	if (n > cap)
		n = cap;
	memcpy(out, p->data + l->partial_at, n);
	l->partial_at += n;
	if (l->partial_at == p->len) {
		relayd_packet_free(p);
		l->partial = NULL;
	}
	return n;
}

static size_t put_packets(struct link *l, uint8_t *out, size_t cap)
{
	struct relayd_packet *p[TAKE_MAX];
	struct relayd_sub *gone;
	size_t n, i, at = 0;

	n = relayd_queue_take(&l->queue, cap, DERP_HEAD_MAX, p, TAKE_MAX,
			      &gone);
	for (i = 0; i < n; i++) {
		struct derp_frame f = { .type = DERP_FORWARD_PACKET,
					.key = p[i]->src,
					.dst = p[i]->dst,
					.data = p[i]->data,
					.data_len = p[i]->len };

		at += (size_t)derp_head(&f, out + at);
		/* Only a single one may be larger than the room. */
		l->partial = p[i];
		l->partial_at = 0;
		at += put_partial(l, out + at, cap - at);
	}
	return at;
}

static size_t on_fill(void *ctx, uint8_t *out, size_t cap)
{
	struct link *l = ctx;
	struct derp_frame pong = { .type = DERP_PONG };
	size_t n = l->hello_len;

	memcpy(out, l->hello, n);
	l->hello_len = 0;
	if (l->state != OPEN)
		return n;
	if (l->partial)
		return n + put_partial(l, out + n, cap - n);
	if (l->want_pong) {
		memcpy(pong.ping, l->pong, sizeof(pong.ping));
		n += (size_t)derp_encode(&pong, out + n, cap - n);
		l->want_pong = false;
	}
	return n + put_packets(l, out + n, cap - n);
}

static void on_ready(void *ctx)
{
	struct link *l = ctx;

	l->hello_len = (size_t)snprintf((char *)l->hello, sizeof(l->hello),
					"GET /derp HTTP/1.1\r\nHost: %s\r\n"
					"Connection: Upgrade\r\n"
					"Upgrade: DERP\r\n\r\n",
					l->host);
	l->state = UPGRADING;
	stream_want_write(l->stream);
}

static void on_closed(void *ctx, const char *why)
{
	fail(ctx, why);
}

static const struct stream_ops stream_ops = {
	.ready = on_ready,
	.read = on_read,
	.fill = on_fill,
	.closed = on_closed,
};

static void on_dialled(void *ctx, int fd, const char *why)
{
	struct link *l = ctx;
	int user = UNACKED_MS, unsent = UNSENT_MAX;
	SSL *ssl;

	l->dial = NULL;
	if (fd < 0) {
		fail(l, why);
		return;
	}
	ssl = derp_tls_session(l->mesh->tls, &l->node);
	if (!ssl) {
		close(fd);
		fail(l, "no TLS session");
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof(user));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	l->stream = stream_new(l->worker->base, fd, ssl,
			       DERP_HEADER_LEN + DERP_FRAME_MAX, &stream_ops,
			       l);
}

static void dial(struct link *l)
{
	struct tcp_dial_spec spec = { .host = l->dial_host,
				      .port = l->port,
				      .timeout_ms = CONNECT_MS };

	l->state = DIALLING;
	arm(l, CONNECT_MS * MS_NS);
	l->dial = tcp_dial_start(l->worker->base, l->resolver->dns, &spec,
				 on_dialled, l);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct link *l = arg;
	uint64_t silent = now_ns() - l->heard;

	if (l->state == WAITING)
		dial(l);
	else if (l->state != OPEN)
		fail(l, "no login within 10 s");
	else if (silent < RECEIVE_LIMIT)
		arm(l, RECEIVE_LIMIT - silent);
	else
		fail(l, "nothing heard for 120 s");
}

/* ── life ─────────────────────────────────────────────────────────────── */

static void link_start(void *arg)
{
	struct link *l = arg;

	l->resolver = resolver_new(l->worker->base, RESOLV_CONF);
	if (!l->resolver)
		abort();
	l->timer = evtimer_new(l->worker->base, on_timer, l);
	dial(l);
}

static void link_stop(void *arg)
{
	struct link *l = arg;

	if (!l->timer)
		return;
	disconnect(l);
	relayd_queue_close(&l->queue);
	event_free(l->timer);
	resolver_free(l->resolver);
	l->timer = NULL;
}

/* host[:port][/dialhost], @n bytes of it. */
static int link_parse(struct link *l, const char *text, size_t n)
{
	char all[2 * NAME_LEN], *slash, *colon;
	unsigned long port = HTTPS_PORT;
	char *end;

	if (!n || n >= sizeof(all))
		return -EINVAL;
	memcpy(all, text, n);
	all[n] = '\0';
	slash = strchr(all, '/');
	if (slash)
		*slash++ = '\0';
	colon = strrchr(all, ':');
	if (colon && strchr(all, ':') == colon) {
		*colon++ = '\0';
		port = strtoul(colon, &end, 10);
		if (*end || !port || port > 65535)
			return -EINVAL;
	}
	if (!slash || !*slash)
		slash = all;
	if (!*all || strlen(all) >= NAME_LEN || strlen(slash) >= NAME_LEN)
		return -EINVAL;
	strcpy(l->host, all);
	strcpy(l->dial_host, slash);
	l->port = (uint16_t)port;
	l->node.host_name = l->host;
	return 0;
}

static int add_links(struct relayd_mesh *m, const char *with)
{
	while (*with) {
		size_t n = strcspn(with, ",");
		struct link *l = xcalloc(1, sizeof(*l));

		DL_APPEND(m->links, l);
		l->mesh = m;
		if (link_parse(l, with, n))
			return -EINVAL;
		with += n + (with[n] == ',');
	}
	return m->links ? 0 : -EINVAL;
}

int relayd_mesh_start(struct relayd *server, const char *with,
		      struct relayd_mesh **out)
{
	struct relayd_mesh *m = xcalloc(1, sizeof(*m));
	unsigned int i = 0;
	struct link *l;
	int err;

	*out = NULL;
	m->server = server;
	err = server->has_mesh_key ? add_links(m, with) : -EINVAL;
	if (!err && !(m->tls = derp_tls_context()))
		err = -ENOMEM;
	if (err) {
		relayd_mesh_free(m);
		return err;
	}
	for (l = m->links; l; l = l->next) {
		l->worker = server->workers[i++ % server->n_workers];
		relayd_queue_init(&l->queue, l->worker, on_wake);
		relayd_worker_post(l->worker, link_start, l);
	}
	*out = m;
	return 0;
}

void relayd_mesh_stop(struct relayd_mesh *m)
{
	struct link *l;

	if (!m)
		return;
	for (l = m->links; l; l = l->next)
		relayd_worker_post(l->worker, link_stop, l);
}

void relayd_mesh_free(struct relayd_mesh *m)
{
	struct link *l, *next;

	if (!m)
		return;
	for (l = m->links; l; l = next) {
		next = l->next;
		free(l);
	}
	SSL_CTX_free(m->tls);
	free(m);
}
