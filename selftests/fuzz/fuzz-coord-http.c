// SPDX-License-Identifier: GPL-2.0
/*
 * Everything a stranger can say to the coordination server's transport. First
 * byte: how far the connection has come before the rest is said. Whatever it
 * was, the connection is gone afterwards, and nothing of it is left.
 */
#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "coord/conn.h"
#include "proto/noise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct http_server *server;
static struct listener listener;
static struct key server_public;
static struct http_request *held;

static void on_closed(struct http_request *r, const char *why)
{
	held = NULL;
}

static const struct http_request_ops ops = { .closed = on_closed };

static void echo(void *ctx, struct http_request *r)
{
	if (strlen((const char *)r->body) > r->body_len)
		abort();
	http_reply(r, 200, NULL, r->body, r->body_len);
}

static void stream(void *ctx, struct http_request *r)
{
	char *v = http_param(r->query, "a");

	free(v);
	if (held)
		http_cancel(held);
	held = r;
	r->ops = &ops;
	http_start(r, 200, "x/y");
	http_write(r, "piece", 5);
}

static const struct http_route routes[] = {
	{ HTTP_PUBLIC | HTTP_NOISE, "POST", "/e", echo },
	{ HTTP_PUBLIC | HTTP_NOISE, "GET", "/e/", echo },
	{ HTTP_PUBLIC | HTTP_NOISE, "GET", "/s", stream },
};

static void setup(void)
{
	struct key private = { { 1, 2, 3 } };
	struct http_server_config config = {
		.noise_private = &private,
		.min_version = 1,
		.routes = routes,
		.n_routes = ARRAY_SIZE(routes),
	};

	base = event_base_new();
	server = http_server_new(base, &config);
	key_public(&server_public, &private);
	listener.server = server;
	listener.side = HTTP_PUBLIC;
}

static void turn(void)
{
	int i;

	for (i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void say(int fd, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		uint8_t sink[4096];

		turn();
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		if (put < 0 && errno != EAGAIN)
			return;
		p += put > 0 ? put : 0;
		n -= put > 0 ? (size_t)put : 0;
	}
}

static void upgrade(int fd, const uint8_t init[NOISE_INITIATION_LEN])
{
	char b64[160], text[320];
	int n;

	sodium_bin2base64(b64, sizeof(b64), init, NOISE_INITIATION_LEN,
			  sodium_base64_VARIANT_ORIGINAL);
	n = snprintf(text, sizeof(text),
		     "POST /ts2021 HTTP/1.1\r\nConnection: upgrade\r\n"
		     "Upgrade: tailscale-control-protocol\r\n"
		     "X-Tailscale-Handshake: %s\r\n\r\n", b64);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		abort();
	turn();
}

static void handshake(int fd, struct noise_session *s)
{
	static const struct key machine = { { 4, 5 } }, ephemeral = { { 6 } };
	uint8_t init[NOISE_INITIATION_LEN], in[1024];
	struct noise_handshake hs;
	uint8_t *end;
	ssize_t n;

	if (noise_client_start(&hs, 116, &machine, &server_public, &ephemeral,
			       init))
		abort();
	upgrade(fd, init);
	n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
	end = n > 0 ? memmem(in, (size_t)n, "\r\n\r\n", 4) : NULL;
	if (!end || noise_client_finish(&hs, end + 4, s))
		abort();
}

static void records(int fd, struct noise_session *s, const uint8_t *data,
		    size_t n)
{
	uint8_t frame[NOISE_FRAME_MAX];

	while (n) {
		size_t part = n > NOISE_PLAIN_MAX ? NOISE_PLAIN_MAX : n;
		ssize_t len = noise_seal_record(s, data, part, frame,
						sizeof(frame));

		say(fd, frame, (size_t)len);
		data += part;
		n -= part;
	}
}

static void talk(int fd, unsigned int how, const uint8_t *data, size_t size)
{
	static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
					 "\0\0\0\4\0\0\0\0\0";
	uint8_t init[NOISE_INITIATION_LEN] = { 0 };
	struct noise_session s;

	switch (how) {
	case 0:
		say(fd, data, size);
		break;
	case 1:
		memcpy(init, data, size < sizeof(init) ? size : sizeof(init));
		upgrade(fd, init);
		break;
	case 2:
		handshake(fd, &s);
		say(fd, data, size);
		break;
	case 3:
		handshake(fd, &s);
		records(fd, &s, data, size);
		break;
	case 4:
		handshake(fd, &s);
		records(fd, &s, preface, sizeof(preface) - 1);
		records(fd, &s, data, size);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct endpoint from = { .ip = ip_v4(127, 0, 0, 1) };
	int fd[2], i;

	if (!size)
		return 0;
	if (!server)
		setup();
	server->log_tokens = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd))
		abort();
	conn_new(&listener, fd[0], &from);
	talk(fd[1], data[0] % 5, data + 1, size - 1);
	turn();
	if (held && size % 2)
		http_end(held), held = NULL;
	turn();
	close(fd[1]);
	for (i = 0; i < 64 && (server->n_conns || server->dying); i++)
		turn();
	if (server->n_conns || server->dying || server->bodies || held ||
	    server->machines)
		abort();
	return 0;
}
