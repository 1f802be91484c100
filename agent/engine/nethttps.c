// SPDX-License-Identifier: GPL-2.0
#include "engine/nethttps.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/derptls.h"
#include "lib/addr.h"
#include "lib/httphead.h"
#include "lib/stream.h"
#include "lib/util.h"

struct net_https {
	const struct derp_dial_env *env;
	int region;
	void (*done)(void *ctx, int region, uint64_t ns, int family);
	void *ctx;
	struct derp_dial *dial;
	struct stream *stream;
	char request[DERP_HOST_MAX + 128];
	size_t len;
	uint64_t sent; /* 0: not yet */
};

void net_https_cancel(struct net_https *h)
{
	if (!h)
		return;
	derp_dial_cancel(h->dial);
	stream_free(h->stream);
	free(h);
}

static void finish(struct net_https *h, uint64_t ns)
{
	void (*done)(void *ctx, int region, uint64_t ns, int family) = h->done;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int region = h->region, family = 0;
	void *ctx = h->ctx;
	struct endpoint ep;

	if (ns && !getpeername(stream_fd(h->stream), (struct sockaddr *)&ss,
			       &len) &&
	    !endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss))
		family = ep.ip.family;
	net_https_cancel(h);
	done(ctx, region, ns, family);
}

static void on_ready(void *ctx)
{
	struct net_https *h = ctx;

	stream_want_write(h->stream);
}

static size_t on_fill(void *ctx, uint8_t *buf, size_t cap)
{
	struct net_https *h = ctx;

	if (h->sent)
		return 0;
	h->sent = now_ns();
	memcpy(buf, h->request, h->len);
	return h->len;
}

static size_t on_read(void *ctx, const uint8_t *data, size_t n)
{
	struct net_https *h = ctx;
	int status = 0;
	ssize_t head = http_head_parse(data, n, &status);

	if (!head)
		return 0;
	finish(h, head > 0 && status <= 299 && h->sent ? now_ns() - h->sent :
							 0);
	return 0;
}

static void on_closed(void *ctx, const char *why)
{
	finish(ctx, 0);
}

static const struct stream_ops stream_ops = {
	.ready = on_ready,
	.read = on_read,
	.fill = on_fill,
	.closed = on_closed,
};

static void on_dialled(void *ctx, int fd, const struct derp_node *node,
		       const char *why)
{
	struct net_https *h = ctx;
	char host[DERP_HOST_MAX];
	SSL *ssl = NULL;

	h->dial = NULL;
	if (fd < 0) {
		finish(h, 0);
		return;
	}
	if (!derp_node_is_plain(node)) {
		ssl = derp_tls_session(h->env->tls, node);
		if (!ssl) {
			close(fd);
			finish(h, 0);
			return;
		}
	}
	h->len = (size_t)snprintf(h->request, sizeof(h->request),
				  "GET /derp/latency-check HTTP/1.1\r\n"
				  "Host: %s\r\n\r\n",
				  derp_node_host(node, host));
	h->stream = stream_new(h->env->base, fd, ssl, HTTP_HEAD_MAX,
			       &stream_ops, h);
}

struct net_https *net_https_start(const struct derp_dial_env *env,
				  const struct derp_region *region,
				  void (*done)(void *ctx, int region,
					       uint64_t ns, int family),
				  void *ctx)
{
	struct net_https *h = xcalloc(1, sizeof(*h));

	h->env = env;
	h->region = region->id;
	h->done = done;
	h->ctx = ctx;
	h->dial = derp_dial_start(env, region, 0, on_dialled, h);
	return h;
}
