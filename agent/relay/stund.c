// SPDX-License-Identifier: GPL-2.0
#include "relay/stund.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/util.h"
#include "proto/stun.h"

/* What one turn answers before others have theirs. */
#define BATCH 32
/* A request has 40 bytes; what is cut is none. */
#define DATAGRAM_MAX 1500

struct relayd_stund {
	int fd;
	struct event *readable;
	struct event *again;
	struct relayd_stats *stats;
};

static void count(struct relayd_stund *s, enum relayd_stat what)
{
	relayd_count(s->stats, what, 1);
}

/*
 * The request's control message says from which address to answer; not from
 * which interface, that is for routing to know (but for link-local ones).
 */
static void any_interface(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
		((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0;
	if (c && c->cmsg_level == IPPROTO_IPV6 &&
	    c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

		if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
			info->ipi6_ifindex = 0;
	}
}

static void answer(struct relayd_stund *s, struct msghdr *m, size_t n)
{
	struct iovec *iov = m->msg_iov;
	uint8_t out[STUN_RESPONSE_MAX], txid[STUN_TXID_LEN];
	struct endpoint from;

	if (stun_parse_request(iov->iov_base, n, txid) ||
	    endpoint_from_sockaddr(&from, m->msg_name)) {
		count(s, RELAYD_STUN_NOT_STUN);
		return;
	}
	count(s, from.ip.family == 4 ? RELAYD_STUN_IPV4 : RELAYD_STUN_IPV6);
	iov->iov_base = out;
	iov->iov_len = stun_response(out, txid, &from);
	any_interface(m);
	count(s, sendmsg(s->fd, m, MSG_NOSIGNAL) < 0 ? RELAYD_STUN_WRITE_ERROR :
						       RELAYD_STUN_SUCCESS);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval pause = {.tv_sec = 1};
	struct relayd_stund *s = arg;
	int i;

	for (i = 0; i < BATCH; i++) {
		char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct sockaddr_storage ss;
		uint8_t in[DATAGRAM_MAX];
		struct iovec iov = {.iov_base = in, .iov_len = sizeof(in)};
		struct msghdr m = {.msg_name = &ss,
				   .msg_namelen = sizeof(ss),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			count(s, RELAYD_STUN_READ_ERROR);
			event_del(s->readable);
			event_add(s->again, &pause);
			return;
		}
		m.msg_flags = 0;
		answer(s, &m, (size_t)n);
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_stund *s = arg;

	event_add(s->readable, NULL);
}

static int open_socket(const struct endpoint *local)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(local, &ss);
	_cleanup_fd_ int fd = socket(ss.ss_family,
				     SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				     0);
	int one = 1, zero = 0, err, keep;

	if (fd < 0)
		return -errno;
	if (local->ip.family == 6)
		err = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero,
				 sizeof(zero)) ||
		      setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one,
				 sizeof(one));
	else
		err = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
	if (err || bind(fd, (struct sockaddr *)&ss, len))
		return -errno;
	keep = fd;
	fd = -1;
	return keep;
}

struct relayd_stund *relayd_stund_new(struct event_base *base,
				      const struct endpoint *local,
				      struct relayd_stats *stats, int *err)
{
	int fd = open_socket(local);
	struct relayd_stund *s;

	*err = fd < 0 ? fd : 0;
	if (fd < 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->fd = fd;
	s->stats = stats;
	s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, s);
	s->again = evtimer_new(base, on_again, s);
	event_add(s->readable, NULL);
	return s;
}

void relayd_stund_free(struct relayd_stund *s)
{
	if (!s)
		return;
	event_free(s->readable);
	event_free(s->again);
	close(s->fd);
	free(s);
}
