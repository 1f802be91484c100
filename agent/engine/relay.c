// SPDX-License-Identifier: GPL-2.0
#include "engine/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/log.h"
#include "lib/util.h"

#define BATCH 64
/* WireGuard's largest datagram over a 9000-byte link. */
#define PACKET_MAX 9216
#define BUFFER_BYTES (7 << 20)
/* The largest UDP payload, and the parts the kernel cuts one into. */
#define INJECT_MAX 65507
#define SEGMENTS_MAX 64

union control {
	char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct cmsghdr align;
};

struct relay {
	int fd;
	in_port_t wg_port; /* network byte order */
	struct event *readable;
	relay_recv_cb cb;
	void *ctx;
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in from[BATCH];
	union control control[BATCH];
	uint8_t data[BATCH][PACKET_MAX];
	/* Packets for WireGuard that go in one system call. */
	struct event *flush;
	bool segments; /* the kernel can cut them (UDP_SEGMENT) */
	struct {
		uint32_t peer;
		size_t segment; /* bytes of all but the last */
		size_t len; /* 0: empty */
		uint8_t data[INJECT_MAX];
	} batch;
};

/* The peer's id from the address that WireGuard sent to; 0: not one of ours. */
static uint32_t peer_of(struct msghdr *h)
{
	struct in_pktinfo info;
	struct cmsghdr *c;
	uint32_t addr;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		addr = ntohl(info.ipi_addr.s_addr);
		return addr >> 24 == 127 ? addr & 0xffffff : 0;
	}
	return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;
	int i, n;

	for (i = 0; i < BATCH; i++) {
		r->msgs[i].msg_hdr.msg_namelen = sizeof(r->from[i]);
		r->msgs[i].msg_hdr.msg_controllen = sizeof(r->control[i]);
	}
	n = recvmmsg(fd, r->msgs, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++) {
		struct msghdr *h = &r->msgs[i].msg_hdr;
		uint32_t peer = peer_of(h);

		/* Any local user may send here; only WireGuard is relayed. */
		if (!peer || h->msg_flags & MSG_TRUNC ||
		    r->from[i].sin_port != r->wg_port)
			continue;
		r->cb(r->ctx, peer, r->data[i], r->msgs[i].msg_len);
	}
}

/*
 * Sends what is collected as one datagram that the stack cuts, or, where it
 * cannot, as many.
 */
static ssize_t send_batch(struct relay *r, const uint8_t *data, size_t n,
			  size_t segment)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = r->wg_port,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct in_pktinfo info = {
		.ipi_spec_dst.s_addr = htonl(127u << 24 | r->batch.peer),
	};
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data,
			     .iov_len = n };
	uint16_t size = (uint16_t)segment;
	union {
		char buf[CMSG_SPACE(sizeof(info)) + CMSG_SPACE(sizeof(size))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr h = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(info)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	if (n > segment) {
		h.msg_controllen = sizeof(control.buf);
		c = CMSG_NXTHDR(&h, c);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(c), &size, sizeof(size));
	}
	return sendmsg(r->fd, &h, MSG_DONTWAIT);
}

static void flush(struct relay *r)
{
	size_t at, n = r->batch.len, segment = r->batch.segment;

	if (!n)
		return;
	r->batch.len = 0;
	if (r->segments || n == segment) {
		if (send_batch(r, r->batch.data, n, segment) >= 0 ||
		    errno == EAGAIN || errno == ENOBUFS)
			return;
		if (n == segment) {
			log_debug("relay: cannot give WireGuard a packet: %s",
				  strerror(errno));
			return;
		}
		log_info("relay: no segmentation here: %s", strerror(errno));
		r->segments = false;
	}
	for (at = 0; at < n; at += segment)
		send_batch(r, r->batch.data + at,
			   n - at < segment ? n - at : segment, segment);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	flush(arg);
}

struct relay *relay_new(struct event_base *base, uint16_t port,
			uint16_t wg_port, relay_recv_cb cb, void *ctx)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_port = htons(port) };
	int one = 1, buffer = BUFFER_BYTES, i, err;
	struct relay *r;
	int fd;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) ||
	    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any))) {
		err = errno;
		close(fd);
		errno = err;
		return NULL;
	}
	r = xcalloc(1, sizeof(*r));
	r->fd = fd;
	r->wg_port = htons(wg_port);
	r->cb = cb;
	r->ctx = ctx;
	for (i = 0; i < BATCH; i++) {
		struct msghdr *h = &r->msgs[i].msg_hdr;

		r->iov[i].iov_base = r->data[i];
		r->iov[i].iov_len = PACKET_MAX;
		h->msg_iov = &r->iov[i];
		h->msg_iovlen = 1;
		h->msg_name = &r->from[i];
		h->msg_control = &r->control[i];
	}
	r->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, r);
	event_add(r->readable, NULL);
	r->flush = evtimer_new(base, on_flush, r);
	r->segments = true;
	return r;
}

void relay_free(struct relay *r)
{
	event_free(r->readable);
	event_free(r->flush);
	close(r->fd);
	free(r);
}

void relay_inject(struct relay *r, uint32_t peer, const void *data, size_t n)
{
	if (!n || n > INJECT_MAX)
		return;
	/* One batch: one peer, all of one size but for a shorter last one. */
	if (r->batch.len &&
	    (peer != r->batch.peer || n > r->batch.segment ||
	     r->batch.len + n > INJECT_MAX ||
	     r->batch.len == SEGMENTS_MAX * r->batch.segment))
		flush(r);
	if (!r->batch.len) {
		r->batch.peer = peer;
		r->batch.segment = n;
		/* After the callbacks that are due already: they bring more. */
		event_active(r->flush, EV_TIMEOUT, 0);
	}
	memcpy(r->batch.data + r->batch.len, data, n);
	r->batch.len += n;
	if (n < r->batch.segment)
		flush(r);
}
