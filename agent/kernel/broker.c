// SPDX-License-Identifier: GPL-2.0
#include "kernel/broker.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/kernel.h"
#include "lib/util.h"

#define ANSWER_MS 5000
#define STEER_BUFFER (7 << 20)

struct request {
	uint32_t sequence;
	uint32_t kind;
	int32_t family;
};

struct reply {
	uint32_t sequence;
	int32_t error; /* 0 or negative errno */
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int))];
};

/* One reply, and its descriptor or -1. */
static int receive_reply(int sock, struct reply *reply, int *fd)
{
	struct iovec iov = { reply, sizeof(*reply) };
	union control control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (n == sizeof(*reply))
		return 0;
	close_cleanup(fd);
	return n ? -EPROTO : -EPIPE;
}

int broker_ask(int sock, uint32_t *sequence, enum broker_kind kind, int family)
{
	struct request request = { .sequence = ++*sequence, .kind = kind,
				   .family = family };
	uint64_t end = now_ns() + ANSWER_MS * MS_NS;
	struct reply reply;
	int fd, err;

	if (send(sock, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		uint64_t now = now_ns();

		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((end - now) / MS_NS) + 1) < 0 &&
		    errno != EINTR)
			return -errno;
		err = receive_reply(sock, &reply, &fd);
		if (err == -EAGAIN || err == -EINTR)
			continue;
		if (err)
			return err;
		if (reply.sequence == request.sequence)
			break;
		close_cleanup(&fd);
	}
	if (reply.error) {
		close_cleanup(&fd);
		return reply.error;
	}
	return fd < 0 ? -EPROTO : fd;
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

/* nat-traversal.md 15.1 */
static void large_buffers(int fd)
{
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, STEER_BUFFER))
		set_int(fd, SOL_SOCKET, SO_RCVBUF, STEER_BUFFER);
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, STEER_BUFFER))
		set_int(fd, SOL_SOCKET, SO_SNDBUF, STEER_BUFFER);
}

static int bind_unspecified(int fd, int family)
{
	struct sockaddr_storage ss = { .ss_family = (sa_family_t)family };
	int err = 0;

	if (family == AF_INET6)
		err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!err && bind(fd, (struct sockaddr *)&ss,
			 family == AF_INET ? sizeof(struct sockaddr_in) :
					     sizeof(struct sockaddr_in6)))
		err = -errno;
	return err;
}

/* A new socket or negative errno. */
static int make_socket(enum broker_kind kind, int family)
{
	int type = kind == BROKER_TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = set_int(fd, SOL_SOCKET, SO_MARK, FWMARK_BYPASS);
	if (!err && kind == BROKER_STEER) {
		large_buffers(fd);
		err = bind_unspecified(fd, family);
	}
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int send_reply(int sock, const struct reply *reply, int fd)
{
	struct iovec iov = { (void *)reply, sizeof(*reply) };
	union control control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	/* an engine that doesn't read its answers is broken: don't wait */
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int broker_answer(int sock, void (*keep_steer)(void *ctx, int family, int fd),
		  void *ctx)
{
	struct request request;
	struct reply reply;
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	n = recv(sock, &request, sizeof(request), MSG_DONTWAIT);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (!n)
		return -EPIPE;
	if (n != sizeof(request) || request.kind > BROKER_STEER ||
	    (request.family != AF_INET && request.family != AF_INET6))
		return -EPROTO;
	fd = make_socket(request.kind, request.family);
	reply.sequence = request.sequence;
	reply.error = fd < 0 ? fd : 0;
	if (fd >= 0 && request.kind == BROKER_STEER)
		keep_steer(ctx, request.family, fd);
	return send_reply(sock, &reply, fd);
}
