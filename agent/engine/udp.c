// SPDX-License-Identifier: GPL-2.0
#include "engine/udp.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

#define BATCH 32

struct udp_socket {
	struct udp *udp;
	int fd;
	uint16_t born; /* its own port */
	struct event *readable;
};

struct udp {
	udp_recv_cb cb;
	void *ctx;
	struct udp_socket v4, v6;
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_storage from[BATCH];
	uint8_t data[BATCH][UDP_DATAGRAM_MAX];
};

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint e;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
	    endpoint_from_sockaddr(&e, (struct sockaddr *)&ss))
		return 0;
	return e.port;
}

/* While the module serves a socket, WireGuard's port is its name. */
static bool is_served(const struct udp_socket *s)
{
	return port_of(s->fd) != s->born;
}

/* One batch a wake-up: the loop comes back while there is more. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct udp_socket *s = arg;
	struct udp *u = s->udp;
	struct endpoint from;
	int i, n;

	for (i = 0; i < BATCH; i++)
		u->msgs[i].msg_hdr.msg_namelen = sizeof(u->from[i]);
	n = recvmmsg(fd, u->msgs, BATCH, MSG_DONTWAIT, NULL);
	if (!is_served(s))
		return;
	for (i = 0; i < n; i++) {
		if (u->msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		if (endpoint_from_sockaddr(&from,
					   (struct sockaddr *)&u->from[i]))
			continue;
		u->cb(u->ctx, &from, u->data[i], u->msgs[i].msg_len);
	}
}

static void socket_init(struct udp *u, struct udp_socket *s,
			struct event_base *base, int fd)
{
	s->udp = u;
	s->fd = fd;
	if (fd < 0)
		return;
	s->born = port_of(fd);
	s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, s);
	event_add(s->readable, NULL);
}

static void socket_uninit(struct udp_socket *s)
{
	if (s->fd < 0)
		return;
	event_free(s->readable);
	close(s->fd);
}

struct udp *udp_new(struct event_base *base, int fd4, int fd6, udp_recv_cb cb,
		    void *ctx)
{
	struct udp *u = xcalloc(1, sizeof(*u));
	int i;

	u->cb = cb;
	u->ctx = ctx;
	for (i = 0; i < BATCH; i++) {
		u->iov[i].iov_base = u->data[i];
		u->iov[i].iov_len = UDP_DATAGRAM_MAX;
		u->msgs[i].msg_hdr.msg_iov = &u->iov[i];
		u->msgs[i].msg_hdr.msg_iovlen = 1;
		u->msgs[i].msg_hdr.msg_name = &u->from[i];
	}
	socket_init(u, &u->v4, base, fd4);
	socket_init(u, &u->v6, base, fd6);
	return u;
}

void udp_free(struct udp *u)
{
	socket_uninit(&u->v4);
	socket_uninit(&u->v6);
	free(u);
}

int udp_send(struct udp *u, const struct endpoint *to, const void *data,
	     size_t n)
{
	const struct udp_socket *s = to->ip.family == 6 ? &u->v6 : &u->v4;
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);

	if (!len || s->fd < 0)
		return -EAFNOSUPPORT;
	if (!is_served(s))
		return -ENETDOWN;
	if (sendto(s->fd, data, n, MSG_DONTWAIT, (struct sockaddr *)&ss, len) <
	    0)
		return -errno;
	return 0;
}
