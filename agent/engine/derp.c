// SPDX-License-Identifier: GPL-2.0
#include "engine/derp.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "engine/derpmap.h"
#include "engine/derptls.h"
#include "lib/httphead.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "proto/derp.h"

#define CONNECT_LIMIT_MS 10000
/* Without a complete frame; servers send KeepAlive every 60 to 65 s. */
#define RECEIVE_LIMIT (120 * SEC_NS)
#define HELLO_MAX (1024 + DERP_HEAD_MAX + DERP_INFO_BOX_MAX)
#define GREETING_MAX (DERP_HEADER_LEN + 1024) /* ServerKey */
/* What TCP may hold unsent: the rest waits where the oldest can be dropped. */
#define UNSENT_MAX (256 << 10)
/* Data unacknowledged for so long: the path is dead. Servers use the same. */
#define UNACKED_MS 15000
/*
 * We may be silent for hours and only listen: probes find a dead path within
 * 30 s, where waiting for the server's KeepAlive takes 120.
 */
#define KEEPALIVE_S 15

enum derp_state {
	DIALLING, /* TCP and TLS */
	UPGRADING, /* 101 is to come */
	GREETING, /* ServerKey is to come */
	LOGGED_IN, /* ClientInfo is queued, packets may follow */
	UP, /* ServerInfo has come */
};

struct derp {
	const struct derp_dial_env *env;
	struct derp_region *region;
	const struct derp_node *node; /* in region; set once dialled */
	struct key node_private, server;
	const struct derp_ops *ops;
	void *ctx;
	enum derp_state state;
	struct derp_dial *dial;
	struct stream *stream;
	struct derp_queue *queue;
	/* The upgrade request and ClientInfo: what precedes the packets. */
	uint8_t hello[HELLO_MAX];
	size_t hello_len, hello_sent;
	/* Small frames that wait for a frame boundary, at most one of each. */
	bool home, note_home, want_pong, want_ping;
	uint8_t pong[DERP_PING_LEN], ping[DERP_PING_LEN];
	bool ping_out;
	struct event *limit; /* of connecting, then of receiving */
	struct event *ping_limit;
	uint64_t heard;
	/* The rate the server announced; 0: none. */
	uint64_t rate, burst, rate_at;
	double tokens;
};

/* The last thing to be done in any call from the loop: @c may be gone after. */
static void fail(struct derp *c, const char *fmt, const char *arg)
{
	char why[320];

	snprintf(why, sizeof(why), fmt, arg);
	c->ops->closed(c->ctx, why);
}

static void arm(struct event *ev, uint64_t ns)
{
	struct timeval tv = { .tv_sec = (time_t)(ns / SEC_NS),
			      .tv_usec = (suseconds_t)(ns % SEC_NS / 1000) };

	event_add(ev, &tv);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct derp *c = arg;
	uint64_t silent = now_ns() - c->heard;

	if (c->state != UP)
		fail(c, "no login within 10 s%s", "");
	else if (silent < RECEIVE_LIMIT)
		arm(c->limit, RECEIVE_LIMIT - silent);
	else
		fail(c, "nothing heard for 120 s%s", "");
}

static void on_ping_limit(evutil_socket_t fd, short what, void *arg)
{
	fail(arg, "no answer to a ping%s", "");
}

/* Adds the upgrade request to what goes out first. */
static void put_request(struct derp *c, bool fast)
{
	const struct derp_node *first = &c->region->nodes[0];
	char host[DERP_HOST_MAX], ideal[128] = "";
	int n;

	if (c->node != first && first->name && strlen(first->name) < 100)
		snprintf(ideal, sizeof(ideal), "Ideal-Node: %s\r\n",
			 first->name);
	n = snprintf((char *)c->hello, sizeof(c->hello),
		     "GET /derp HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
		     "Upgrade: DERP\r\n%s%s\r\n",
		     derp_node_host(c->node, host), ideal,
		     fast ? "Derp-Fast-Start: 1\r\n" : "");
	c->hello_len = (size_t)n;
}

/* Adds ClientInfo; the packets may follow. */
static int log_in(struct derp *c)
{
	struct derp_client_info info = { .version = DERP_VERSION,
					 .can_ack_pings = true };
	uint8_t nonce[DERP_NONCE_LEN];
	ssize_t n;

	randombytes_buf(nonce, sizeof(nonce));
	n = derp_encode_login(&info, &c->node_private, &c->server, nonce,
			      c->hello + c->hello_len,
			      sizeof(c->hello) - c->hello_len);
	if (n < 0)
		return (int)n;
	c->hello_len += (size_t)n;
	c->state = LOGGED_IN;
	c->note_home = c->home;
	stream_want_write(c->stream);
	return 0;
}

static void on_ready(void *ctx)
{
	struct derp *c = ctx;
	const SSL *ssl = stream_ssl(c->stream);
	bool fast = ssl && !derp_tls_meta(ssl, &c->server);

	put_request(c, fast);
	c->state = UPGRADING;
	stream_want_write(c->stream);
	if (fast && log_in(c))
		fail(c, "the server's key is not usable%s", "");
}

/* Writes one small frame if it fits. */
static size_t put_small(uint8_t *out, size_t cap, const struct derp_frame *f)
{
	ssize_t n = derp_encode(f, out, cap);

	return n > 0 ? (size_t)n : 0;
}

static size_t on_fill(void *ctx, uint8_t *out, size_t cap)
{
	struct derp *c = ctx;
	struct derp_frame f = { 0 };
	size_t n = c->hello_len - c->hello_sent;

	memcpy(out, c->hello + c->hello_sent, n);
	c->hello_sent += n;
	if (c->state < LOGGED_IN)
		return n;
	if (!derp_queue_is_partial(c->queue)) {
		if (c->note_home) {
			f.type = DERP_NOTE_PREFERRED;
			f.preferred = c->home;
			n += put_small(out + n, cap - n, &f);
			c->note_home = false;
		}
		if (c->want_pong) {
			f.type = DERP_PONG;
			memcpy(f.ping, c->pong, sizeof(f.ping));
			n += put_small(out + n, cap - n, &f);
			c->want_pong = false;
		}
		if (c->want_ping) {
			f.type = DERP_PING;
			memcpy(f.ping, c->ping, sizeof(f.ping));
			n += put_small(out + n, cap - n, &f);
			c->want_ping = false;
		}
	}
	return n + derp_queue_fill(c->queue, out + n, cap - n);
}

static void on_server_info(struct derp *c, const struct derp_frame *f)
{
	struct derp_server_info info;

	if (derp_open_server_info(&info, f, &c->server, &c->node_private)) {
		fail(c, "bad ServerInfo%s", "");
		return;
	}
	if (info.rate > 0 && info.burst > 0) {
		c->rate = (uint64_t)info.rate;
		c->burst = (uint64_t)info.burst;
		c->tokens = (double)c->burst;
		c->rate_at = now_ns();
	} else {
		c->rate = 0;
	}
	if (c->state == UP)
		return;
	c->state = UP;
	arm(c->limit, RECEIVE_LIMIT);
	c->ops->connected(c->ctx);
}

static void on_health(struct derp *c, const struct derp_frame *f)
{
	char text[DERP_HEALTH_MAX];
	size_t n = f->data_len < sizeof(text) ? f->data_len : sizeof(text) - 1;
	size_t i;

	for (i = 0; i < n; i++)
		text[i] = f->data[i] < ' ' || f->data[i] == 127 ?
				  '?' :
				  (char)f->data[i];
	text[n] = '\0';
	c->ops->health(c->ctx, text);
}

/* Each case ends with at most one callback, which may free @c. */
static void on_frame(struct derp *c, const struct derp_frame *f)
{
	switch (f->type) {
	case DERP_SERVER_INFO:
		on_server_info(c, f);
		break;
	case DERP_RECV_PACKET:
		c->ops->recv(c->ctx, &f->key, f->data, f->data_len);
		break;
	case DERP_PEER_GONE:
		c->ops->peer_gone(c->ctx, &f->key, f->reason);
		break;
	case DERP_PING:
		memcpy(c->pong, f->ping, sizeof(c->pong));
		c->want_pong = true;
		stream_want_write(c->stream);
		break;
	case DERP_PONG:
		if (c->ping_out && !memcmp(c->ping, f->ping, sizeof(c->ping))) {
			c->ping_out = false;
			event_del(c->ping_limit);
		}
		break;
	case DERP_HEALTH:
		on_health(c, f);
		break;
	case DERP_RESTARTING:
		c->ops->restarting(c->ctx, f->reconnect_ms, f->try_ms);
		break;
	case DERP_SERVER_KEY: /* always sent, told already by a fast start */
	case DERP_KEEP_ALIVE:
	case DERP_PEER_PRESENT: /* for watchers */
	case DERP_CLIENT_INFO:
	case DERP_SEND_PACKET:
	case DERP_NOTE_PREFERRED:
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		break;
	}
}

static size_t read_head(struct derp *c, const uint8_t *data, size_t n)
{
	int status = 0;
	ssize_t head = http_head_parse(data, n, &status);
	char text[16];

	if (head < 0) {
		fail(c, "no HTTP answer to the upgrade%s", "");
		return 0;
	}
	if (head && status != 101) {
		snprintf(text, sizeof(text), "%d", status);
		fail(c, "the upgrade to DERP was answered with HTTP status %s",
		     text);
		return 0;
	}
	if (head)
		c->state = GREETING;
	return (size_t)head;
}

/* The first frame of a slow start. */
static void greet(struct derp *c, const struct derp_frame *f, int error)
{
	if (error || f->type != DERP_SERVER_KEY) {
		fail(c, "no server key%s", "");
		return;
	}
	c->server = f->key;
	if (log_in(c))
		fail(c, "the server's key is not usable%s", "");
}

/* Takes the head or one frame: a callback may end us, so one at a time. */
static size_t on_read(void *ctx, const uint8_t *data, size_t n)
{
	struct derp *c = ctx;
	struct derp_frame f;
	ssize_t len;
	int error;

	if (c->state == UPGRADING)
		return read_head(c, data, n);
	len = derp_client_next(&f, data, n, &error);
	if (len < 0 || (c->state == GREETING &&
			(len ? (size_t)len : n) > GREETING_MAX)) {
		fail(c, "a frame over the limit%s", "");
		return 0;
	}
	if (!len)
		return 0;
	c->heard = now_ns();
	if (c->state == GREETING) {
		greet(c, &f, error);
		return (size_t)len;
	}
	c->ops->heard(c->ctx);
	if (!error)
		on_frame(c, &f);
	return (size_t)len;
}

static void on_closed(void *ctx, const char *why)
{
	fail(ctx, "%s", why);
}

static const struct stream_ops stream_ops = {
	.ready = on_ready,
	.read = on_read,
	.fill = on_fill,
	.closed = on_closed,
};

/* Failures only cost time or memory: the options are wishes. */
static void tune(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		setsockopt(fd, options[i].level, options[i].name,
			   &options[i].value, sizeof(options[i].value));
}

static void on_dialled(void *ctx, int fd, const struct derp_node *node,
		       const char *why)
{
	struct derp *c = ctx;
	SSL *ssl = NULL;

	c->dial = NULL;
	if (fd < 0) {
		fail(c, "%s", why);
		return;
	}
	c->node = node;
	tune(fd);
	if (!derp_node_is_plain(node)) {
		ssl = derp_tls_session(c->env->tls, node);
		if (!ssl) {
			close(fd);
			fail(c, "no TLS session for %s", node->host_name);
			return;
		}
	}
	c->stream = stream_new(c->env->base, fd, ssl,
			       DERP_HEADER_LEN + DERP_FRAME_MAX, &stream_ops,
			       c);
}

struct derp *derp_new(const struct derp_dial_env *env,
		      const struct derp_region *region, size_t first,
		      const struct key *node_private, bool home,
		      struct derp_queue *queue, const struct derp_ops *ops,
		      void *ctx)
{
	struct derp *c = xcalloc(1, sizeof(*c));

	c->env = env;
	c->region = derp_region_copy(region);
	c->node_private = *node_private;
	c->home = home;
	c->queue = queue;
	c->ops = ops;
	c->ctx = ctx;
	c->heard = now_ns();
	c->limit = evtimer_new(env->base, on_limit, c);
	c->ping_limit = evtimer_new(env->base, on_ping_limit, c);
	arm(c->limit, CONNECT_LIMIT_MS * MS_NS);
	c->dial = derp_dial_start(env, c->region, first, on_dialled, c);
	return c;
}

void derp_free(struct derp *c)
{
	if (!c)
		return;
	derp_dial_cancel(c->dial);
	stream_free(c->stream);
	event_free(c->limit);
	event_free(c->ping_limit);
	derp_region_free(c->region);
	key_wipe(&c->node_private);
	free(c);
}

int derp_node_index(const struct derp *c)
{
	return c->node ? (int)(c->node - c->region->nodes) : -1;
}

void derp_kick(struct derp *c)
{
	if (c->state >= LOGGED_IN)
		stream_want_write(c->stream);
}

bool derp_is_open(const struct derp *c)
{
	return c->state >= LOGGED_IN;
}

void derp_set_home(struct derp *c, bool home)
{
	if (c->home == home)
		return;
	c->home = home;
	if (c->state < LOGGED_IN)
		return;
	c->note_home = true;
	stream_want_write(c->stream);
}

void derp_ping(struct derp *c, unsigned int ms)
{
	if (c->state < LOGGED_IN || c->ping_out)
		return;
	randombytes_buf(c->ping, sizeof(c->ping));
	c->want_ping = c->ping_out = true;
	arm(c->ping_limit, ms * MS_NS);
	stream_want_write(c->stream);
}

int derp_local_addr(const struct derp *c, struct ip_addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint ep;

	if (!c->stream || getsockname(stream_fd(c->stream),
				      (struct sockaddr *)&ss, &len) ||
	    endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss))
		return -ENOTCONN;
	*out = ep.ip;
	return 0;
}

bool derp_rate_admit(struct derp *c, size_t n, uint64_t now)
{
	double need = (double)(DERP_HEADER_LEN + KEY_LEN + n);

	if (!c->rate)
		return true;
	c->tokens += (double)(now - c->rate_at) * (double)c->rate / SEC_NS;
	c->rate_at = now;
	if (c->tokens > (double)c->burst)
		c->tokens = (double)c->burst;
	if (c->tokens < need)
		return false;
	c->tokens -= need;
	return true;
}
