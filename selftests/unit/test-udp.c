// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/udp.h"
#include "tap.h"

/*
 * The module shows that it serves a socket by giving it another port's name.
 * Here the socket is bound after udp_new() has looked instead.
 */

static void on_recv(void *ctx, const struct endpoint *from, const uint8_t *data,
		    size_t n)
{
	*(unsigned int *)ctx += n == 5 && !memcmp(data, "hello", 5);
}

static void bind_loopback(int fd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr = { htonl(INADDR_LOOPBACK) } };

	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		abort();
}

static struct endpoint name(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint e = { 0 };

	if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    endpoint_from_sockaddr(&e, (struct sockaddr *)&ss))
		abort();
	return e;
}

/* What arrives at a socket of the engine's, served or not. */
static void check(struct event_base *base, bool served)
{
	int ours = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int peer = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct endpoint to, from;
	struct sockaddr_storage ss;
	unsigned int heard = 0;
	struct udp *u;
	char buf[16];
	socklen_t len;

	bind_loopback(peer);
	if (!served)
		bind_loopback(ours);
	u = udp_new(base, ours, -1, on_recv, &heard);
	if (served)
		bind_loopback(ours);
	to = name(peer);
	from = name(ours);
	tap_ok(udp_send(u, &to, "hello", 5) == (served ? 0 : -ENETDOWN),
	       "send, %s", served ? "served" : "not served");
	tap_ok((recv(peer, buf, sizeof(buf), 0) == 5) == served,
	       "%s leaves", served ? "it" : "nothing");
	len = endpoint_to_sockaddr(&from, &ss);
	if (sendto(peer, "hello", 5, 0, (struct sockaddr *)&ss, len) != 5)
		abort();
	event_base_loop(base, EVLOOP_ONCE);
	tap_ok(heard == served, "%s is heard", served ? "it" : "nothing");
	udp_free(u);
	close(peer);
}

int main(void)
{
	struct event_base *base = event_base_new();
	struct endpoint to6 = { .ip = { .family = 6 }, .port = 9 };
	struct udp *u = udp_new(base, -1, -1, on_recv, NULL);

	tap_ok(udp_send(u, &to6, "", 0) == -EAFNOSUPPORT, "no such family");
	udp_free(u);
	check(base, false);
	check(base, true);
	event_base_free(base);
	return tap_done();
}
